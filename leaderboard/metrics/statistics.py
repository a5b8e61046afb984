"""Whether scores differ, and which ranks that leaves open: intervals, paired tests, ranks with ties.

How sure one figure is, is in `leaderboard.metrics.intervals`; whether two differ, in
`leaderboard.metrics.paired`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from inference.engine.metrics.numeric import np, special
from leaderboard.metrics.intervals import (
    Interval,
    difference_interval,
    effective_items,
    mean_interval,
    spread_of_mean,
    sums_by_unit,
    variance_of,
)
from leaderboard.metrics.paired import paired_p

__all__ = [
    "Interval",
    "RankRange",
    "bootstrap",
    "holm",
    "mean_interval",
    "paired_p",
    "pairs_of",
    "ranges_of",
    "rank_ranges",
    "ranks",
    "sums_by_unit",
]  # fmt: skip

RESAMPLES = 2000
_CHUNK = 2_000_000
"""Indices drawn at once: bounds the memory of a large benchmark."""
_FEWEST = 60
"""Units below which a bootstrap covers too seldom."""
_INSIDE = 30
"""Right and wrong items from which on a share is far enough from its bounds for a bootstrap."""

PAIR_VERSION = 2
"""Of what a pair's test gives: raise it when `paired_p` would give another p, so that kept ones are
made anew."""
RANK_RESAMPLES = 2000


def bootstrap(
    scores: np.ndarray,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    clusters: np.ndarray | None = None,
) -> Interval:
    """The interval of a mean of scores, or of differences of scores, without a model of them.

    Where a bootstrap is known to cover too seldom another takes its place: with fewer than 60 units, or
    next to a bound, `mean_interval` for scores of 0 to 1 and `difference_interval` for others.

    Args:
        scores: (N,) per-item scores.
        clusters: (N,) what belongs together, such as the image a question is about; whole clusters
            are drawn then.

    Raises:
        ValueError: no scores, or one that is not finite.
    """
    if not len(scores) or not np.isfinite(scores).all():
        raise ValueError("Finite scores are needed, at least one.")
    spread = spread_of_mean(scores, clusters)
    units = len(spread.effects)
    variance, freedom = variance_of(spread)
    if scores.min() >= 0 and scores.max() <= 1:
        share = spread.value
        items = effective_items(spread, share, variance, freedom, 1.0, level)
        if units < _FEWEST or min(share, 1 - share) * items < _INSIDE:
            return mean_interval(scores, clusters=clusters, level=level)
    elif units < _FEWEST or np.count_nonzero(spread.effects) < _FEWEST:
        return difference_interval(spread, level=level)
    drawn = _means_drawn(scores, clusters, seed=seed, resamples=resamples)
    return _bca(spread.value, drawn, spread.effects, level)


def _means_drawn(
    scores: np.ndarray, clusters: np.ndarray | None, *, seed: int, resamples: int
) -> np.ndarray:
    """(R,) means of units drawn with replacement, as many as there are."""
    sums = sums_by_unit(np.column_stack([scores, np.ones(len(scores))]), clusters)
    units, rng = len(sums), np.random.default_rng(seed)
    chunk = max(1, _CHUNK // units)
    totals = []
    for start in range(0, resamples, chunk):
        rows = rng.integers(0, units, (min(chunk, resamples - start), units))
        totals.append(np.stack([np.bincount(row, minlength=units) for row in rows]) @ sums)
    total = np.concatenate(totals)
    result: np.ndarray = total[:, 0] / total[:, 1]
    return result


def _bca(value: float, drawn: np.ndarray, effects: np.ndarray, level: float) -> Interval:
    """Percentiles of what was drawn, moved by its bias and by the skew of what units add (bias
    corrected and accelerated, Efron 1987)."""
    below = float((drawn < value).mean() + (drawn == value).mean() / 2)
    bias = special.ndtri(min(max(below, 0.5 / len(drawn)), 1 - 0.5 / len(drawn)))
    skew = float((effects**3).sum()) / (6 * float((effects**2).sum()) ** 1.5)
    ends = bias + special.ndtri([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(drawn, special.ndtr(bias + ends / (1 - skew * ends)))
    return Interval(value, min(value, float(low)), max(value, float(high)))


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for being many (Holm 1979): step down, never falling, at most 1."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    worst = 0.0
    for rank, index in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = worst
    return adjusted


def _sort_key(score: float | None, *, higher_is_better: bool) -> tuple[bool, float]:
    """Best first; what is missing or not finite comes last, whichever way is better."""
    if score is None or not math.isfinite(score):
        return True, 0.0
    return False, -score if higher_is_better else score


def ranks(scores: Sequence[float | None], *, higher_is_better: bool = True) -> list[int]:
    """Competition ranks from 1: equal scores share one, the next leaves a gap; missing ones share the
    last."""
    keys = [_sort_key(s, higher_is_better=higher_is_better) for s in scores]
    first: dict[tuple[bool, float], int] = {}
    for rank, key in enumerate(sorted(keys), 1):
        first.setdefault(key, rank)
    return [first[key] for key in keys]


@dataclass(frozen=True, slots=True)
class RankRange:
    """The ranks an entry may hold, given which others differ from it significantly."""

    first: int
    last: int


def pairs_of(count: int) -> list[tuple[int, int]]:
    """Every pair (i, j) of that many entries, i < j."""
    return [(i, j) for i in range(count) for j in range(i + 1, count)]


def rank_ranges(
    items: Sequence[np.ndarray],
    *,
    higher_is_better: bool = True,
    alpha: float = 0.05,
    seed: int = 0,
    resamples: int = RANK_RESAMPLES,
) -> list[RankRange]:
    """Rank ranges of entries scored on the same items: an entry ranks below those, and above those,
    from which it differs by a paired test after Holm's correction over all pairs.

    Args:
        items: one (N,) array of per-item scores for each entry.
    """
    p_values = [
        paired_p(items[i], items[j], seed=seed, resamples=resamples)
        for i, j in pairs_of(len(items))
    ]
    means = [float(a.mean()) for a in items]
    return ranges_of(means, p_values, higher_is_better=higher_is_better, alpha=alpha)


def ranges_of(
    means: Sequence[float],
    p_values: Sequence[float],
    *,
    higher_is_better: bool = True,
    alpha: float = 0.05,
) -> list[RankRange]:
    """The same from what the tests of all pairs gave, in the order of `pairs_of`: they may be kept
    from one table to the next."""
    count = len(means)
    better, worse = [0] * count, [0] * count
    for (i, j), p in zip(pairs_of(count), holm(p_values), strict=True):
        if p > alpha or means[i] == means[j]:  # equal as they are told
            continue
        first_wins = (means[i] > means[j]) == higher_is_better
        winner, loser = (i, j) if first_wins else (j, i)
        better[loser] += 1
        worse[winner] += 1
    return [RankRange(better[i] + 1, count - worse[i]) for i in range(count)]
