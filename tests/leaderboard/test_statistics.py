"""Intervals that cover, tests that hold their level, ranks that treat ties and gaps honestly.

`python -m bench.statistics` has the whole grid; here are a few of its cells.
"""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from leaderboard.metrics import paired
from leaderboard.metrics.intervals import (
    binomial_interval,
    degrees_of_freedom,
    difference_interval,
    interval_of,
    spread_of_contributions,
    spread_of_mean,
)
from leaderboard.metrics.statistics import (
    RankRange,
    bootstrap,
    holm,
    mean_interval,
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


def test_a_bootstrap_is_scipys() -> None:
    """BCa for what has no bounds."""
    scores = np.random.default_rng(31).gamma(1.0, 2.0, 400) - 1
    ours = bootstrap(scores, resamples=20_000)
    theirs = stats.bootstrap(
        (scores,), np.mean, method="BCa", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.02 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.02 * width)


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


@pytest.mark.parametrize("items", [30, 100, 1000])
@pytest.mark.parametrize("share", [0.5, 0.7, 0.9, 0.99, 0.995])
def test_shares_are_covered_exactly_as_often(items: int, share: float) -> None:
    """Over every number of right items, each with its probability: no simulation error. Where less than
    three misses are expected no interval is within 97 %, as one more or less is too much."""
    hits = np.arange(items + 1)
    low, high = binomial_interval(hits / items, np.full(items + 1, float(items)))
    held = (low <= share) & (share <= high)
    coverage = stats.binom.pmf(hits, items, share)[held].sum()
    assert 0.93 <= coverage <= (0.98 if items * (1 - share) >= 3 else 0.995)


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("items", [1, 10, 300])
def test_a_perfect_score_is_not_certain(value: float, items: int) -> None:
    found = mean_interval(np.full(items, value))
    assert found == bootstrap(np.full(items, value))
    wilson = stats.binomtest(round(value * items), items).proportion_ci(method="wilson")
    exact = stats.binomtest(round(value * items), items).proportion_ci(method="exact")
    assert 0 <= found.low <= value <= found.high <= 1
    lows, highs = (wilson.low, exact.low), (wilson.high, exact.high)
    assert min(lows) - 1e-9 <= found.low <= max(lows) + 1e-9
    assert min(highs) - 1e-9 <= found.high <= max(highs) + 1e-9


def test_a_perfect_score_counts_images_and_not_questions() -> None:
    images = np.repeat(np.arange(30), 20)
    assert mean_interval(np.ones(600), clusters=images) == mean_interval(np.ones(30))


def test_what_an_image_balances_does_not_vary() -> None:
    """A yes and a no question each: always "yes" is right on half of them, on any images."""
    scores, images = np.tile([1.0, 0.0], 40), np.repeat(np.arange(40), 2)
    found = mean_interval(scores, clusters=images)
    assert (found.low, found.high) == (0.5, 0.5)
    few = mean_interval(scores[:6], clusters=images[:6])  # three may be a coincidence
    assert few.high - few.low > 0.5


@pytest.mark.parametrize(
    ("images", "each", "share", "correlation"),
    [(5, 10, 0.5, 0.3), (20, 10, 0.5, 0.0), (20, 10, 0.9, 0.3), (60, 10, 0.9, 0.1), (60, 2, 0.97, 0.3)],
)  # fmt: skip
def test_clustered_shares_are_covered(
    images: int, each: int, share: float, correlation: float
) -> None:
    """Unequal numbers of questions, answers about an image alike; the percentile bootstrap that was here
    held 66 % with few images."""
    rng, held, trials = np.random.default_rng(6), 0, 250
    for _ in range(trials):
        sizes = rng.geometric(1 / each, images)
        chances = np.full(images, share)
        if correlation:
            both = 1 / correlation - 1
            chances = rng.beta(share * both, (1 - share) * both, images)
        image = np.repeat(np.arange(images), sizes)
        found = bootstrap((rng.random(len(image)) < chances[image]).astype(float), clusters=image)
        held += found.low <= share <= found.high
    assert held / trials >= 0.92


@pytest.mark.parametrize(
    ("values", "chances", "bounds"),
    [([0, 0.3, 0.6, 0.9, 1], [0.1, 0.1, 0.1, 0.2, 0.5], (0, 1)),
     ([0, 0.6, 0.9, 1], [0.01, 0.01, 0.03, 0.95], (0, 1)),
     ([0, 1, 2, 7], [0.8, 0.12, 0.06, 0.02], (0, None))],
)  # fmt: skip
def test_scores_between_bounds_are_covered(
    values: list[float], chances: list[float], bounds: tuple[float, float | None]
) -> None:
    rng, truth = np.random.default_rng(7), float(np.dot(values, chances))
    held = 0
    for _ in range(400):
        found = mean_interval(rng.choice(values, 100, p=chances), bounds=bounds)
        assert found.low >= 0
        assert bounds[1] is None or found.high <= bounds[1]
        held += found.low <= truth <= found.high
    assert held / 400 >= 0.92


@pytest.mark.parametrize("value", [0.3, 0.6, 0.9])
def test_scores_all_alike_are_not_certain(value: float) -> None:
    found = mean_interval(np.full(50, value), clusters=np.arange(50) // 2)
    assert found.low < value - 0.05
    assert found.high > value + 0.02


def test_no_errors_at_all_leave_some_open() -> None:
    found = mean_interval(np.zeros(100), bounds=(0, None))
    assert found.low == 0
    assert 0.03 < found.high < 0.05  # as for a share of 100 items


@given(
    st.lists(st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0]), min_size=1, max_size=40),
    st.integers(1, 8),
)
def test_an_interval_holds_its_figure_within_bounds(scores: list[float], each: int) -> None:
    found = mean_interval(np.array(scores), clusters=np.arange(len(scores)) // each)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_degrees_of_freedom_fall_with_unequal_sizes() -> None:
    assert degrees_of_freedom(np.ones(20), 0.0) == pytest.approx(19)
    assert degrees_of_freedom(np.full(20, 7.0), 1.0) == pytest.approx(19)
    assert degrees_of_freedom(np.array([100.0, *np.ones(19)]), 1.0) < 3


def test_differences_have_an_interval_that_agrees_with_scipys_t() -> None:
    rng = np.random.default_rng(8)
    gaps = rng.normal(0.1, 1, 200)
    found = difference_interval(spread_of_mean(gaps))
    t = stats.ttest_1samp(gaps, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((t.low, t.high), abs=0.01)
    none = difference_interval(spread_of_mean(np.zeros(300)))
    assert none.low == pytest.approx(-none.high)
    assert 0.003 < none.high < 0.03
    back = spread_of_contributions(spread_of_mean(gaps).contributions, 0.1)
    assert back.effects == pytest.approx(spread_of_mean(gaps).effects)


def test_scores_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="Finite"):
        bootstrap(np.array([]))
    with pytest.raises(ValueError, match="Finite"):
        bootstrap(np.array([1.0, math.nan]))
    with pytest.raises(ValueError, match="same items"):
        paired_p(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="finite"):
        paired_p(np.ones(3), np.array([1, math.nan, 0]))


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


@pytest.mark.parametrize("images", [5, 8, 20])
def test_a_paired_test_keeps_its_level_with_few_images_of_unequal_sizes(images: int) -> None:
    rng = np.random.default_rng(7)
    found = 0
    for _ in range(600):
        sizes = rng.geometric(0.1, images)
        a, b = (rng.binomial(sizes, rng.beta(2, 2, images)).astype(float) for _ in range(2))
        found += paired_p(a, b) <= 0.05
    assert found / 600 <= 0.05 + 0.023


def test_exact_p_of_a_tiny_case() -> None:
    """Three wins of equal size: 2 of the 8 sign patterns are as extreme, so p = 1/4."""
    assert paired_p(np.ones(3), np.zeros(3), resamples=20_000) == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(("wins", "losses"), [(5, 0), (9, 3), (30, 12), (400, 300), (900, 100)])
def test_wins_and_losses_are_tested_as_mcnemar_does(wins: int, losses: int) -> None:
    a = np.array([1.0] * wins + [0.0] * losses + [1.0] * 50)
    b = np.array([0.0] * wins + [1.0] * losses + [1.0] * 50)
    exact = stats.binomtest(wins, wins + losses).pvalue
    assert paired_p(a, b) == pytest.approx(exact, rel=1e-6)
    assert paired_p(b, a) == paired_p(a, b)


def test_few_differences_are_all_looked_at() -> None:
    gaps = np.random.default_rng(9).normal(0.5, 1, 10)
    theirs = stats.permutation_test(
        (gaps, np.zeros(10)), lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples", n_resamples=np.inf, vectorized=True,
    ).pvalue  # fmt: skip
    assert paired_p(gaps, np.zeros(10)) == pytest.approx(theirs)


@pytest.mark.parametrize("most", [1, 3, 10])
@pytest.mark.parametrize("sigmas", [0.7, 2, 4, 6])
def test_the_saddlepoint_is_the_exact_tail(most: int, sigmas: float) -> None:
    sizes = np.random.default_rng(10).integers(1, most + 1, 80)
    observed = round(sigmas * math.sqrt((sizes**2).sum()))
    observed += (observed - int(sizes.sum())) % 2
    exact = paired._sums_up_to(sizes, (int(sizes.sum()) - observed) // 2)
    assert paired.saddlepoint_tail(observed, sizes.astype(float), 1.0) == pytest.approx(exact, rel=0.01)  # fmt: skip


def test_p_of_a_large_difference_has_no_floor() -> None:
    rng = np.random.default_rng(11)
    scores = rng.random(1500)
    p = [paired_p(scores + step, rng.permutation(scores)) for step in (0.05, 0.1, 0.2, 0.4)]
    assert p == sorted(p, reverse=True)
    assert 0 < p[-1] < 1e-60


def test_differences_of_which_one_outweighs_all_are_flipped() -> None:
    gaps = np.concatenate([[1000.0], np.random.default_rng(12).normal(0, 1, 40)])
    assert paired_p(gaps, np.zeros(41)) > 0.4  # its sign decides: nothing is shown


def test_rounding_of_stored_scores_is_no_difference() -> None:
    a = np.array([0.3 + 0.6, 0.9, 0.1] * 20).astype(np.float32).astype(float)
    b = np.array([0.9, 0.3 + 0.6, 0.1] * 20)
    assert paired_p(a, b) == 1.0


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


@pytest.mark.parametrize(("systems", "most"), [(15, 2), (40, 5)])
def test_rank_ranges_are_narrow_and_hold_the_true_rank(systems: int, most: int) -> None:
    """On 1,000 items, from 95 to 10 %. With a floor under p every one of these was 1 to N."""
    rng = np.random.default_rng(13)
    rows = [(rng.random(1000) < p).astype(float) for p in np.linspace(0.95, 0.1, systems)]
    started = time.perf_counter()
    found = rank_ranges(rows)
    assert time.perf_counter() - started < 10
    assert all(r.first <= n <= r.last for n, r in enumerate(found, 1))
    reach = [max(n - r.first, r.last - n) for n, r in enumerate(found, 1)]
    assert np.median(reach) <= most
    assert max(reach) <= most + 1
    assert max(reach[0], reach[-1]) <= 3


def test_identical_entries_share_every_rank() -> None:
    one = np.random.default_rng(14).random(200)
    assert rank_ranges([one] * 3) == [RankRange(1, 3)] * 3


def test_an_interval_of_a_figure_of_few_is_of_those_few() -> None:
    """Recall of thirty among thousands: what counts is thirty."""
    from leaderboard.scoring.types import Sums

    table = np.zeros((3000, 2))
    table[:30] = 1.0
    recall = Sums(table, lambda sums: sums[:, :1] / sums[:, 1:])
    found = interval_of(recall.spreads(np.arange(3000), seed=0)[0])
    assert found == mean_interval(np.ones(30))
