"""Answers to questions: VQA accuracy, ANLS, POPE, counting. Each gives a score by item."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from inference.engine.metrics.counts import COUNTS, read_count
from inference.engine.metrics.numeric import np

__all__ = [
    "PopeScore", "anls", "normalise_answer", "pope", "pope_parse", "read_count", "vqa_accuracy",
]  # fmt: skip
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGITS_COMMA = re.compile(r"\d,\d")
# The original writes a lookbehind with a typo, so that it has no effect, and limits the removals to
# 32 by passing a flag as a count. Both are kept: scores must agree.
_PERIOD = re.compile(r"\.(?!\d)")
_MOST_PERIODS = 32
_NUMBERS = {word: str(number) for word, number in COUNTS.items() if number <= 10}
"""The official VQA evaluation knows them to ten."""
_ARTICLES = frozenset(("a", "an", "the"))
_ONE_APOSTROPHE = [
    "ain't",
    "aren't",
    "can't",
    "could've",
    "couldn't",
    "didn't",
    "doesn't",
    "don't",
    "hadn't",
    "hasn't",
    "haven't",
    "he'd",
    "he's",
    "how'd",
    "how'll",
    "how's",
    "isn't",
    "it'd",
    "it'll",
    "ma'am",
    "mightn't",
    "might've",
    "mustn't",
    "must've",
    "needn't",
    "not've",
    "o'clock",
    "oughtn't",
    "shan't",
    "should've",
    "shouldn't",
    "somebody'll",
    "somebody's",
    "someone'd",
    "someone'll",
    "someone's",
    "something'd",
    "something'll",
    "that's",
    "there'd",
    "there're",
    "there's",
    "they'd",
    "they'll",
    "they're",
    "they've",
    "'twas",
    "wasn't",
    "we've",
    "weren't",
    "what'll",
    "what're",
    "what's",
    "what've",
    "when's",
    "where'd",
    "where's",
    "where've",
    "who'd",
    "who'll",
    "who's",
    "who've",
    "why'll",
    "why're",
    "why's",
    "won't",
    "would've",
    "wouldn't",
    "y'all",
    "you'd",
    "you'll",
    "you're",
    "you've",
]
_TWO_APOSTROPHES = [
    "couldn't've",
    "hadn't've",
    "he'd've",
    "it'd've",
    "mightn't've",
    "she'd've",
    "shouldn't've",
    "somebody'd've",
    "someone'd've",
    "something'd've",
    "there'd've",
    "they'd've",
    "we'd've",
    "who'd've",
    "wouldn't've",
    "you'd've",
]


_ODD = {
    "somebody'd": "somebodyd",
    "ow's'at": "'ow's'at",
    "'ows'at": "'ow's'at",
    "'ow'sat": "'ow's'at",
    "yall'll": "y'all'll",
    "y'allll": "y'all'll",
    "yall'd've": "y'all'd've",
    "y'alld've": "y'all'd've",
    "y'all'dve": "y'all'd've",
}


def _contractions() -> dict[str, str]:
    """Misspelt → right, as the VQA evaluation maps them, oddities included."""
    table = {form.replace("'", ""): form for form in _ONE_APOSTROPHE}
    for form in _TWO_APOSTROPHES:
        first, second = (m.start() for m in re.finditer("'", form))
        table[form[:first] + form[first + 1 :]] = form
        table[form[:second] + form[second + 1 :]] = form
    return table | _ODD


_CONTRACTIONS = _contractions()


def normalise_answer(answer: str) -> str:
    """The official normalisation of an answer: punctuation, numbers, articles, contractions."""
    text = answer
    has_number = _DIGITS_COMMA.search(answer) is not None
    for mark in _PUNCTUATION:
        touches = f"{mark} " in answer or f" {mark}" in answer
        text = text.replace(mark, "" if touches or has_number else " ")
    text = _PERIOD.sub("", text, count=_MOST_PERIODS)
    words = (_NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(_CONTRACTIONS.get(w, w) for w in words if w not in _ARTICLES)


def _flat(answer: str) -> str:
    return answer.replace("\n", " ").replace("\t", " ").strip()


def vqa_accuracy(prediction: str, answers: Sequence[str]) -> float:
    """VQA accuracy of one answer, 0..1: over leaving each human answer out, min(1, matches / 3).

    Both sides are normalised, unless all human answers are the same to the letter.
    """
    mine, theirs = _flat(prediction), [_flat(a) for a in answers]
    if len(set(theirs)) > 1:
        mine, theirs = normalise_answer(mine), [normalise_answer(a) for a in theirs]
    hits = sum(mine == a for a in theirs)
    scores = [min(1.0, (hits - (mine == left_out)) / 3) for left_out in theirs]
    return sum(scores) / len(scores) if scores else 0.0


def anls(prediction: str, answers: Sequence[str], threshold: float = 0.5) -> float:
    """Average normalised Levenshtein similarity of one answer: the best over the references, 0 below
    the threshold.

    As the Robust Reading Competition's own script has it (`infographicsvqa_eval.py`, and after it
    lm-evaluation-harness and lmms-eval): case does not count, and blanks within an answer are one
    space each, so that "New\\nYork" is "new york"; the distance is divided by the longer of the two
    as they were written, outer blanks and all. Nothing else is normalised.
    """
    mine = _one_spaced(prediction)
    best = 0.0
    for answer in answers:
        distance = Levenshtein.distance(mine, _one_spaced(answer))
        longer = max(len(prediction.upper()), len(answer.upper()))
        best = max(best, 1 - distance / longer if longer else 1.0)
    return best if best >= threshold else 0.0


def _one_spaced(answer: str) -> str:
    return " ".join(answer.strip().lower().split())


def pope_parse(answer: str) -> bool:
    """What POPE's own evaluation reads: no if a word is exactly "No", "no" or "not", else yes."""
    words = answer.split(".", 1)[0].replace(",", "").split(" ")
    return not any(word in ("No", "no", "not") for word in words)


@dataclass(frozen=True, slots=True)
class PopeScore:
    """POPE's figures, 0..1; yes is positive."""

    accuracy: float
    precision: float
    recall: float
    f1: float
    yes_ratio: float


def pope(said_yes: np.ndarray, is_yes: np.ndarray) -> PopeScore:
    """POPE's figures from predictions and truths, both (N,) of bool; what is undefined is 0."""
    hits = int((said_yes & is_yes).sum())
    said, true, count = int(said_yes.sum()), int(is_yes.sum()), len(is_yes)
    precision = hits / said if said else 0.0
    recall = hits / true if true else 0.0
    both = precision + recall
    return PopeScore(
        float((said_yes == is_yes).mean()) if count else 0.0,
        precision,
        recall,
        2 * precision * recall / both if both else 0.0,
        said / count if count else 0.0,
    )
