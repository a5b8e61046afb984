"""What each term computes: pure functions of a case and the term's parameters.

Each gives a value in 0..1, or None where it cannot be told: no reference of the kind it needs.
"""

import math
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from inference.engine.metrics.captions import DocumentFrequency, bleu_counts, cider_d, tokenise_all
from inference.engine.metrics.counts import read_count
from inference.engine.metrics.regions import Box, box_iou, each_once, points_f1
from inference.engine.rewards.cases import Case, read_points
from inference.engine.rewards.parameters import words_of
from inference.engine.rewards.patterns import found, pattern

Values = dict[str, Any]
CORPUS = Path(__file__).parent / "corpus.txt"


def bleu(case: Case, values: Values) -> float | None:
    """BLEU of one sentence with add-one smoothing from bigrams on."""
    if not case.truths:
        return None
    correct, guessed, length, closest = bleu_counts(case.tokens, case.truths)
    if not length or not correct[0]:
        return float(not length and not closest)
    logs = 0.0
    for order in range(values["order"]):
        more = order > 0
        logs += math.log((correct[order] + more) / (guessed[order] + more))
    penalty = min(0.0, 1 - closest / length)
    return math.exp(penalty + logs / values["order"])


@lru_cache(maxsize=32)
def _frequency(corpus: str) -> DocumentFrequency:
    lines = corpus.splitlines() if corpus.strip() else CORPUS.read_text().splitlines()
    return DocumentFrequency([tokens] for tokens in tokenise_all(filter(str.strip, lines)))


def cider(case: Case, values: Values) -> float | None:
    """CIDEr-D, a tenth of it: 1 for a caption equal to its only reference."""
    if not case.truths:
        return None
    score = cider_d([case.tokens], [case.truths], _frequency(values["corpus"]))[0]
    return min(1.0, max(0.0, float(score) / 10))


def exact(case: Case, values: Values) -> float | None:
    """Equal to one of the references but for case, outer blanks and a last full stop."""
    if not case.reference.texts:
        return None
    return float(_bare(case.text) in {_bare(text) for text in case.reference.texts})


def _bare(text: str) -> str:
    return text.strip().removesuffix(".").strip().casefold()


def length(case: Case, values: Values) -> float:
    """1 within the range of words, falling in a line to 0 at `slack` words outside it."""
    outside = max(values["least"] - case.words, case.words - values["most"], 0)
    return max(0.0, 1 - outside / values["slack"]) if outside else 1.0


def brevity(case: Case, values: Values) -> float:
    """1 up to the wished number of words, falling in a line to 0 at the limit; 0 for silence."""
    if not case.words:
        return 0.0
    span = values["limit"] - values["wish"]
    over = max(0, case.words - values["wish"])
    return max(0.0, 1 - over / span) if span else float(not over)


def json_valid(case: Case, values: Values) -> float:
    """0 unless the completion is JSON of the kind; then the share of wanted keys it has."""
    if case.json_error:
        return 0.0
    kinds = {"object": dict, "array": list}
    if values["kind"] in kinds and not isinstance(case.data, kinds[values["kind"]]):
        return 0.0
    wanted = words_of(values["keys"])
    if not wanted:
        return 1.0
    if not isinstance(case.data, dict):
        return 0.0
    return sum(_has(case.data, key) for key in wanted) / len(wanted)


JSON_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,), "number": (int, float), "integer": (int,), "boolean": (bool,),
    "array": (list,), "object": (dict,), "null": (type(None),),
}  # fmt: skip


def _has(data: dict[str, Any], wanted: str) -> bool:
    """ "count" or "count:integer"."""
    key, _, kind = (part.strip() for part in wanted.partition(":"))
    if key not in data:
        return False
    value = data[key]
    if not kind:
        return True
    return isinstance(value, JSON_KINDS[kind]) and (
        kind == "boolean" or not isinstance(value, bool)
    )


def keywords(case: Case, values: Values) -> float:
    """The share of the words that occur; or whether any, or all of them, do."""
    text = case.text.casefold()
    hits = [_occurs(word.casefold(), text) for word in words_of(values["words"])]
    if values["count"] == "any":
        return float(any(hits))
    return float(all(hits)) if values["count"] == "all" else sum(hits) / len(hits)


def _occurs(word: str, text: str) -> bool:
    """As whole words: "red" does not occur in "covered"."""
    at = text.find(word)
    while at >= 0:
        before, after = text[at - 1 : at], text[at + len(word) : at + len(word) + 1]
        inner = (before.isalnum() and word[0].isalnum()) or (after.isalnum() and word[-1].isalnum())
        if not inner:
            return True
        at = text.find(word, at + 1)
    return False


def matches(case: Case, values: Values) -> float:
    """Whether the pattern occurs in the completion, or is all of it."""
    made = pattern(values["pattern"], ignore_case=values["ignore_case"])
    return float(found(made, case.text.strip(), whole=values["where"] == "whole"))


def iou(case: Case, values: Values) -> float | None:
    """Boxes against the references': pairs are made greedily by IoU, each box once."""
    truth = case.reference.boxes
    if truth is None:
        return None
    if case.boxes is None:
        return 0.0
    if not truth and not case.boxes:
        return 1.0
    overlaps = list(paired(case.boxes, truth))
    if values["score"] == "mean":
        return min(1.0, sum(overlaps) / max(len(truth), len(case.boxes)))
    hits = sum(overlap >= values["threshold"] for overlap in overlaps)
    return 2 * hits / (len(truth) + len(case.boxes))


def points_inside(case: Case, values: Values) -> float | None:
    """F1 of points in the references' boxes, each box once."""
    truth = case.reference.boxes
    if truth is None:
        return None
    points = read_points(case.data)
    return 0.0 if points is None else points_f1(points, truth)


def paired(found_boxes: Iterable[Box], truth: Iterable[Box]) -> Iterable[float]:
    """The IoU of each pair, the best first. Ties go by coordinates, so that the order in which
    boxes are given changes nothing."""
    found_boxes, truth = sorted(found_boxes), sorted(truth)
    pairs = sorted(
        ((box_iou(f, t), i, j) for i, f in enumerate(found_boxes) for j, t in enumerate(truth)),
        reverse=True,
    )
    for overlap, _, _ in each_once(pairs):
        if overlap > 0:  # the rest touch nothing
            yield overlap


def count(case: Case, values: Values) -> float | None:
    """1 for the right count, less by a step for each one off."""
    right = case.reference.count
    if right is None:
        return None
    said = case.regions if case.regions is not None else _number(case, values["where"])
    if said is None:
        return 0.0
    return max(0.0, 1 - abs(said - right) / (values["tolerance"] + 1))


def _number(case: Case, where: str) -> int | None:
    """The number the answer is, or the first or last that it says."""
    if where == "whole":
        return read_count(case.text.strip().removesuffix("."))
    # "none" counts as zero where it is the whole answer, not inside of a sentence.
    said = [n for n in (read_count(t) for t in case.tokens if t != "none") if n is not None]
    return (said[0] if where == "first" else said[-1]) if said else read_count(case.text)


def repetition(case: Case, values: Values) -> float:
    """The share of n-grams that were said before: 1 − distinct / all."""
    size = values["n"]
    grams = [tuple(case.tokens[at : at + size]) for at in range(len(case.tokens) - size + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
