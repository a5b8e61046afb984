"""Metrics of answers, on values of their own evaluations.

`vqa_golden.json` was made once by running the official VQA evaluation (GT-Vision-Lab/VQA at a013f00):
normalised answers, accuracies, and the contractions it knows.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.metrics.vqa import (
    anls,
    normalise_answer,
    pope,
    pope_parse,
    read_count,
    vqa_accuracy,
)


@pytest.mark.parametrize(
    ("matches", "score"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (9, 1)]
)
def test_vqa_accuracy_leaves_each_answer_out(matches: int, score: float) -> None:
    answers = ["red"] * matches + [f"other {n}" for n in range(10 - matches)]
    assert vqa_accuracy("red", answers) == pytest.approx(score)


def test_unanimous_answers_are_compared_to_the_letter() -> None:
    assert vqa_accuracy("Yes", ["yes"] * 10) == 0
    assert vqa_accuracy("Yes", ["yes"] * 9 + ["no"]) == 1
    assert vqa_accuracy("yes\n", ["yes"] * 10) == 1


@pytest.mark.parametrize(
    ("answer", "normal"),
    [
        ("The Red Ball", "red ball"), ("two", "2"), ("none", "0"), ("a", ""),
        ("10:30", "10:30"), ("3.5", "3.5"), ("U.S.A.", "usa"), ("1,000 people", "1000 people"),
        ("red/blue", "red blue"), ("red / blue", "red blue"), ("t-shirt", "t shirt"),
        ("dont know", "don't know"), ("isnt", "isn't"), ("couldnt've", "couldn't've"),
        ("couldn'tve", "couldn't've"), ("somebody'd", "somebodyd"), ("yall'll", "y'all'll"),
        ("what? no!", "what no"), ("it's", "it's"), ("(left)", "left"),
        ("5 % off, ok", "5 % off ok"), ("10 - 20", "10 20"), ("The  THE the", ""),
    ],
)  # fmt: skip
def test_answers_are_normalised_as_officially(answer: str, normal: str) -> None:
    assert normalise_answer(answer).split() == normal.split()


GOLDEN = json.loads((Path(__file__).parent / "vqa_golden.json").read_text())


def test_normalising_is_the_official_one() -> None:
    for answer, normal in GOLDEN["normalised"]:
        assert normalise_answer(answer) == normal, answer
    for wrong, right in GOLDEN["contractions"]:
        assert normalise_answer(wrong) == right


def test_accuracy_is_the_official_one() -> None:
    for prediction, answers, score in GOLDEN["accuracy"]:
        assert vqa_accuracy(prediction, answers) == pytest.approx(score, abs=1e-9)


@given(st.text(max_size=60))
def test_normalising_never_fails_and_agrees_with_itself(text: str) -> None:
    assert vqa_accuracy(text, [text] * 10) == 1
    assert 0 <= vqa_accuracy(text, [text] * 2 + ["x y z"] * 8) <= 1


def test_anls() -> None:
    assert anls("Hello ", ["hello"]) == 1
    assert anls("helo", ["hello", "bye"]) == pytest.approx(0.8)
    assert anls("abc", ["xyz"]) == 0
    assert anls("ab", ["abcd"]) == 0.5  # at the threshold it counts
    assert anls("a", ["abcd"]) == 0
    assert anls("x", []) == 0


@pytest.mark.parametrize(
    ("prediction", "answers", "score"),
    [
        ("New\nYork", ["new york"], 1), ("  new \t york ", ["New York"], 1), ("New  York", ["newyork"], 1 - 1 / 9),
        ("", [""], 1), ("", ["a"], 0), (" ", [""], 1), ("", [" ", "x"], 1),
        # The distance is of the answers with one space each, over the longer one as it was written.
        ("abcd      ", ["abce"], 0.9), ("ab", ["cd" + " " * 6], 0.75), ("straße", ["strasse"], 1 - 2 / 7),
        ("caf\u00e9", ["cafe\u0301"], 1 - 2 / 5), ("İ", ["i"], 0), ("12", ["12,", "13"], 2 / 3), ("yes", ["no", "yes!", "YES"], 1),
        ("abcd", ["abxy"], 0.5), ("abcd", ["axyz"], 0),
    ],
)  # fmt: skip
def test_anls_is_the_competitions(prediction: str, answers: list[str], score: float) -> None:
    """What the Robust Reading Competition's script gives, run by hand on these."""
    assert anls(prediction, answers) == pytest.approx(score)


@pytest.mark.parametrize(
    ("answer", "yes"),
    [("Yes, there is.", True), ("No, there is no dog.", False), ("no", False), ("NO", True), ("none", True),
     ("", True), ("There is not a dog", False), ("Yes. No", True), ("no,", False)],
)  # fmt: skip
def test_pope_reads_as_its_own_evaluation_does(answer: str, yes: bool) -> None:
    assert pope_parse(answer) is yes


def test_pope_of_always_yes() -> None:
    truth = np.array([True] * 50 + [False] * 50)
    score = pope(np.ones(100, bool), truth)
    assert (score.accuracy, score.precision, score.recall, score.yes_ratio) == (0.5, 0.5, 1.0, 1.0)
    assert score.f1 == pytest.approx(2 / 3)
    never = pope(np.zeros(100, bool), truth)
    assert (never.precision, never.recall, never.f1, never.yes_ratio) == (0, 0, 0, 0)
    assert pope(np.zeros(0, bool), np.zeros(0, bool)).accuracy == 0


@pytest.mark.parametrize(
    ("answer", "count"),
    [("3", 3), (" Twelve ", 12), ("none", 0), ("10 cups", None), ("10.", None), ("-1", None), ("³", None),
     ("9" * 40, None)],
)  # fmt: skip
def test_counts_are_read_and_not_picked_out(answer: str, count: int | None) -> None:
    assert read_count(answer) == count
