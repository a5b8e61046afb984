"""What somebody has on the bench: a reward as it stands, right or not yet, a set of samples, answers
and references of their own. It is a document: the page's form, a shared link, and undo all hold it.
"""

import json
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from inference.engine.rewards import (
    FORMAT,
    PRESETS,
    TERMS,
    Parameter,
    Reward,
    RewardError,
    UnreadableReference,
    read,
)
from inference.engine.rewards.cases import MAX_TEXT, Reference
from inference.nesting import TooDeepError, parts

MOST_FIELDS = 40
"""Terms a form may hold: more than a reward may, so that nothing is lost before it is said."""
MOST_OWN = 24
MOST_DEPTH = 20
MAX_STATE = 200_000
MAX_BY = 60
START = ("short-captions", "scenes-caption")


@dataclass(slots=True)
class Own:
    """An answer of somebody's own, about one item of the set."""

    item: str
    text: str
    by: str = ""


@dataclass(slots=True)
class Work:
    """The bench."""

    document: dict[str, Any]
    chosen: str
    own: list[Own] = field(default_factory=list)
    references: dict[str, str] = field(default_factory=dict)
    """Edited ones, by item, as text: JSON where it is JSON."""
    problems: dict[str, str] = field(default_factory=dict)
    """What is wrong, by path in the document."""
    notice: str = ""
    """What could not be done, where the bench was left as it was."""
    pasted: str = ""
    """What was not imported, to be mended."""

    @classmethod
    def start(cls) -> Self:
        preset, chosen = START
        return cls(PRESETS[preset].reward.to_dict(), chosen)

    @classmethod
    def of_state(cls, text: str) -> Self:
        """From a shared link.

        Raises:
            ValueError: it is no bench.
        """
        state = json.loads(text[: MAX_STATE + 1])
        try:
            deque(parts(state, MOST_DEPTH), maxlen=0)  # what can just be read might not be written
        except TooDeepError as error:
            raise ValueError("it is nested too deeply") from error
        if not isinstance(state, dict) or not isinstance(state.get("reward"), dict):
            raise ValueError("there is no reward in it")
        rows = state["reward"].get("terms")
        if not isinstance(rows, list) or len(rows) > MOST_FIELDS or not all(map(_is_term, rows)):
            raise ValueError("its terms cannot be read")
        own, references = state.get("own", []), state.get("references", {})
        if not isinstance(own, list) or not isinstance(references, dict):
            raise ValueError("its answers cannot be read")
        return cls(
            state["reward"], str(state.get("set", ""))[:60],
            [
                Own(str(o.get("item", ""))[:80], str(o.get("text", ""))[:MAX_TEXT],
                    str(o.get("by", ""))[:MAX_BY])
                for o in own[:MOST_OWN] if isinstance(o, dict)
            ],
            {str(k)[:80]: str(v)[:MAX_TEXT] for k, v in list(references.items())[:MOST_OWN]},
        )  # fmt: skip

    @property
    def state(self) -> str:
        """For a link, for undo."""
        return json.dumps(
            {
                "reward": self.document, "set": self.chosen,
                "own": [{"item": o.item, "text": o.text, "by": o.by} for o in self.own],
                "references": self.references,
            }
        )  # fmt: skip

    def reward(self) -> Reward | None:
        """The reward; None, and `problems` filled, while something is wrong."""
        if not self.document["terms"]:
            return None
        try:
            return Reward.from_dict(self.document)
        except RewardError as error:
            self.problems |= dict(error.problems)
            return None

    def reference_of(self, key: str, known: Any) -> Any:
        """What an item is judged by: what was written over it, or what is known."""
        text = self.references.get(key)
        if text is None:
            return known
        try:
            value = json.loads(text)
            Reference.read(value)
        except (ValueError, RecursionError, UnreadableReference):
            return text  # plain words
        return value


def _is_term(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get("type"), str) and row["type"] in TERMS


def read_form(data: Mapping[str, str]) -> Work:
    """The bench as the page's form holds it. Figures that are none stay as they were written."""
    terms: list[dict[str, Any]] = []
    for number in range(MOST_FIELDS):
        kind = TERMS.get(data.get(f"t{number}-type", ""))
        if kind is None:
            break
        terms.append({
            "type": kind.slug, "weight": _figure(data.get(f"t{number}-weight", "")),
            "parameters": {p.name: _parameter(p, data, f"t{number}-p-{p.name}") for p in kind.parameters},
        })  # fmt: skip
    document = {
        "format": FORMAT, "name": data.get("name", ""), "terms": terms,
        "normalise": data.get("normalise", "weights"),
    }  # fmt: skip
    work = Work(document, data.get("set", "")[:60])
    for number in range(MOST_OWN):
        text = data.get(f"own{number}-text", "")[:MAX_TEXT]
        if text.strip():
            item, by = data.get(f"own{number}-item", "")[:80], data.get(f"own{number}-by", "")
            work.own.append(Own(item, text, by[:MAX_BY]))
    for name, text in data.items():
        key = name.removeprefix("ref-")
        if key != name and text.strip() != data.get(f"was-{key}", "").strip():
            work.references[key[:80]] = text[:MAX_TEXT].strip()
    return work


def _figure(text: str) -> Any:
    """A number where it is one; else the text, which the check then names."""
    for read_as in (int, float):
        try:
            value = read_as(text)
        except ValueError:
            continue
        return value if abs(value) < math.inf else text
    return text


def _parameter(parameter: Parameter, data: Mapping[str, str], name: str) -> Any:
    if parameter.kind == "flag":
        return name in data
    text = data.get(name, "").replace("\r\n", "\n")
    return _figure(text) if parameter.kind in ("integer", "number") else text


def act(work: Work, action: str, data: Mapping[str, str], upload: str) -> None:
    """Do what a button says; what cannot be done leaves the bench as it was, and says so."""
    name, _, of = action.partition("-")
    terms = work.document["terms"]
    at = int(of) if of.isdecimal() and len(of) < 4 else -1
    if name == "add" and data.get("new") in TERMS:
        kind = TERMS[data["new"]]
        terms.append({"type": kind.slug, "weight": kind.weight, "parameters": kind.defaults})
    elif name in ("remove", "up", "down") and 0 <= at < len(terms):
        row = terms.pop(at)
        if name != "remove":
            terms.insert(max(0, at - 1) if name == "up" else at + 1, row)
    elif name == "preset" and of in PRESETS:
        work.document = PRESETS[of].reward.to_dict()
    elif name == "drop" and 0 <= at < len(work.own):
        work.own.pop(at)
    elif name == "import":
        _import(work, upload or data.get("import", ""))


def _import(work: Work, text: str) -> None:
    try:
        work.document = read(text).to_dict()
    except RewardError as error:
        work.problems = {f"import:{path}": problem for path, problem in error.problems}
        work.pasted = text
        work.notice = "It was not imported, and nothing was changed."
