"""Metrics on values worked out by hand."""

import pytest

from leaderboard.metrics.regions import box_iou, f1_at_iou, point_errors
from leaderboard.metrics.text import bleu4, exact_match


def test_exact_match_ignores_case_and_blanks_only() -> None:
    assert exact_match(["Red ", "2", "no"], ["red", "3", "no"]) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="As many"):
        exact_match(["a"], [])


def test_bleu_is_100_for_equal_and_0_for_unrelated_text() -> None:
    text = "a red circle and a blue square"
    assert bleu4([text], [text]) == pytest.approx(100)
    assert bleu4(["dog runs over old green hills"], [text]) < 5
    # Brevity penalty: all n-grams right, 5 of 7 words: exp(1 - 7/5) = 0.670.
    assert bleu4(["a red circle and a"], [text]) == pytest.approx(67.03, abs=0.01)


def test_iou() -> None:
    assert box_iou((0, 0, 0.2, 0.2), (0.1, 0.1, 0.3, 0.3)) == pytest.approx(0.01 / 0.07)
    assert box_iou((0, 0, 0.1, 0.1), (0.5, 0.5, 0.6, 0.6)) == 0


def test_f1_uses_each_reference_once() -> None:
    box = (0.1, 0.1, 0.3, 0.3)
    assert f1_at_iou([[box, box]], [[box]]) == pytest.approx(2 / 3)
    assert f1_at_iou([[]], [[box]]) == 0
    assert f1_at_iou([[]], [[]]) == 1


def test_point_errors_match_nearest_and_punish_silence() -> None:
    errors = point_errors([[(0.1, 0.1), (0.9, 0.9)]], [[(0.9, 0.8), (0.1, 0.1)]])
    assert errors == pytest.approx([0.1, 0.0])
    assert point_errors([[]], [[(0.5, 0.5)]]) == [0.5]
