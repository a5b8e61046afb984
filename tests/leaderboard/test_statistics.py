"""Intervals that cover, tests that hold their level, ranks that treat ties and gaps honestly."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.metrics.statistics import (
    RankRange,
    bootstrap,
    holm,
    paired_p,
    rank_ranges,
    ranks,
)


def test_an_interval_is_the_same_for_the_same_seed_and_holds_the_mean() -> None:
    scores = np.random.default_rng(1).random(300)
    one, two = bootstrap(scores, seed=3), bootstrap(scores, seed=3)
    assert one == two
    assert one.low < one.value < one.high
    assert one.value == pytest.approx(scores.mean())
    # Near the normal approximation for a mean of 300.
    assert one.high - one.low == pytest.approx(2 * 1.96 * scores.std() / math.sqrt(300), rel=0.12)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for trial in range(200):
        found = bootstrap((rng.random(80) < 0.3).astype(float), seed=trial, resamples=400)
        covered += found.low <= 0.3 <= found.high
    assert 0.89 <= covered / 200 <= 0.99


def test_a_large_benchmark_in_parts_is_the_same() -> None:
    scores = np.random.default_rng(3).random(30_000)
    found = bootstrap(scores, resamples=200)
    assert found.low < found.value < found.high
    assert found.high - found.low < 0.01


def test_clusters_widen_an_interval_when_their_items_agree() -> None:
    images = np.repeat(np.arange(40), 10)
    scores = np.repeat(np.random.default_rng(4).random(40), 10)
    alone, together = bootstrap(scores), bootstrap(scores, clusters=images)
    assert together.high - together.low > 2 * (alone.high - alone.low)
    assert together.value == pytest.approx(alone.value)


def test_scores_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="Finite"):
        bootstrap(np.array([]))
    with pytest.raises(ValueError, match="Finite"):
        bootstrap(np.array([1.0, math.nan]))
    with pytest.raises(ValueError, match="same items"):
        paired_p(np.ones(3), np.ones(4))


def test_a_paired_test_sees_a_small_difference_that_is_always_there() -> None:
    rng = np.random.default_rng(5)
    hard = rng.random(200)
    assert paired_p(hard + 0.01, hard) < 0.001
    assert paired_p(hard, hard) == 1.0
    assert paired_p(hard, rng.permutation(hard)) > 0.05


def test_a_paired_test_keeps_its_level() -> None:
    rng = np.random.default_rng(6)
    p = [paired_p(rng.random(60), rng.random(60), seed=n, resamples=400) for n in range(200)]
    assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.1
    assert min(p) > 0


def test_exact_p_of_a_tiny_case() -> None:
    """Three wins of equal size: 2 of the 8 sign patterns are as extreme, so p = 1/4."""
    assert paired_p(np.ones(3), np.zeros(3), resamples=20_000) == pytest.approx(0.25, abs=0.02)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_missing_scores_come_last_whichever_way_is_better() -> None:
    scores = [0.5, None, 0.9, math.nan, 0.5, math.inf]
    assert ranks(scores) == [2, 4, 1, 4, 2, 4]
    assert ranks(scores, higher_is_better=False) == [1, 4, 3, 4, 1, 4]


@given(st.lists(st.one_of(st.none(), st.floats()), max_size=20), st.booleans())
def test_ranks_are_of_the_order(scores: list[float | None], higher: bool) -> None:
    found = ranks(scores, higher_is_better=higher)
    assert sorted(found)[:1] in ([], [1])
    for i, a in enumerate(scores):
        for j, b in enumerate(scores):
            if a is not None and b is not None and math.isfinite(a) and math.isfinite(b):
                wins = a > b if higher else a < b
                assert not wins or found[i] < found[j]


def test_rank_ranges_are_tied_where_nothing_differs() -> None:
    rng = np.random.default_rng(7)
    base = rng.random(400)
    entries = [
        base + 0.2,
        base + rng.normal(0, 0.05, 400),
        base + rng.normal(0, 0.05, 400),
        base - 0.2,
    ]
    assert rank_ranges(entries) == [
        RankRange(1, 1), RankRange(2, 3), RankRange(2, 3), RankRange(4, 4),
    ]  # fmt: skip
    assert rank_ranges(entries, higher_is_better=False)[0] == RankRange(4, 4)
    assert rank_ranges([base]) == [RankRange(1, 1)]
