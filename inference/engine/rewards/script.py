"""A reward as Python, out and in again. What comes in is read, never run."""

import ast
import pprint

from inference.engine.rewards.reward import MAX_DOCUMENT, Reward, RewardError

_TEMPLATE = '''"""The reward {name}, as made in the reward builder.

Needs the folder `inference/engine` of Moondream hub on the path (no Django, no torch), with the
packages numpy and regex. `reward(completions, references)` is what a trainer calls: one number for
each completion. As a program it reads lines of JSON, {{"completion": …, "reference": …}}, from its
standard input, and writes each with its total and the value of each term.
"""

import json
import sys

from inference.engine.rewards import Reward

REWARD = {document}

_REWARD = Reward.from_dict(REWARD)


def reward(completions, references=None, **_):
    """One number for each completion."""
    references = references if references is not None else [None] * len(completions)
    return [s.total for s in _REWARD.score_all(zip(completions, references, strict=True))]


if __name__ == "__main__":
    names = [term["type"] for term in REWARD["terms"]]
    for line in sys.stdin:
        row = json.loads(line)
        score = _REWARD.score(row["completion"], row.get("reference"))
        terms = [[name, value] for name, value in zip(names, score.values)]
        print(json.dumps({{**row, "total": score.total, "terms": terms}}))
'''


def to_python(reward: Reward) -> str:
    """A module that scores as the reward does."""
    document = pprint.pformat(reward.to_dict(), width=96, sort_dicts=False)
    # A name is anybody's text: as a literal of one line it cannot end the docstring.
    name = ascii(reward.name).replace('"', "'").replace("\\", "/")
    return _TEMPLATE.format(name=name, document=document)


def from_python(source: str) -> Reward:
    """The reward of a module that `to_python` wrote: the literal that is assigned to REWARD.

    Raises:
        RewardError: there is none, or it is wrong.
    """
    if len(source) > MAX_DOCUMENT:
        raise RewardError([("", f"is longer than {MAX_DOCUMENT:,} characters")])
    try:
        body = ast.parse(source).body
        for node in body:
            if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == [
                "REWARD"
            ]:
                return Reward.from_dict(ast.literal_eval(node.value))
    except RewardError:
        raise
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise RewardError([("", f"cannot be read as Python: {error}")]) from None
    raise RewardError([("", "holds no `REWARD = {…}`")])


def read(text: str) -> Reward:
    """A document in either form.

    Raises:
        RewardError: with the path of everything that is wrong.
    """
    is_json = text.lstrip()[:1] in ("{", "[", "")
    return Reward.from_json(text) if is_json else from_python(text)
