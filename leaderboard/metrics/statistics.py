"""How sure a score is, and whether two differ: bootstrap, paired tests, ranks with ties.

Everything is seeded and vectorised over resamples. A resample is a weight for each unit (an item, or
the image that several items are about), so a statistic is any function of weighted units: the mean of
scores, BLEU's ratio of sums, or COCO's average precision.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000
_CHUNK = 2_000_000
"""Indices drawn at once: bounds the memory of a large benchmark."""
_MANY = 2000
"""Differences from which on the sum of random signs is normal to more digits than resampling gives."""

PAIR_VERSION = 1
"""Of what a pair's test gives: raise it when `paired_p` would give another p, so that kept ones are
made anew."""
RANK_RESAMPLES = 2000

Statistic = Callable[[np.ndarray], np.ndarray]
"""(R, U) weights of U units, such as images → (R, M) values of M figures."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval."""

    value: float
    low: float
    high: float


def sums_by_unit(table: np.ndarray, clusters: np.ndarray | None) -> np.ndarray:
    """(N, K) figures of items added up by what they belong to: (U, K); without clusters each item
    is a unit."""
    if clusters is None:
        return table
    _, labels = np.unique(clusters, return_inverse=True)
    sums = np.zeros((int(labels.max()) + 1, table.shape[1]))
    np.add.at(sums, labels, table)
    return sums


def bootstrap_of(
    statistic: Statistic,
    units: int,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> list[Interval]:
    """Percentile-bootstrap intervals (Efron & Tibshirani 1993, 13.3) of the figures of any statistic of
    weighted units; a resample in which a figure is not defined does not count for it."""
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // max(1, units))
    drawn = []
    for start in range(0, resamples, chunk):
        rows = rng.integers(0, units, (min(chunk, resamples - start), units))
        weights = np.stack([np.bincount(row, minlength=units) for row in rows])
        drawn.append(statistic(weights.astype(float)))
    values = statistic(np.ones((1, units)))[0]
    tail = (1 - level) / 2
    lows, highs = np.nanquantile(np.concatenate(drawn), (tail, 1 - tail), axis=0)
    return [Interval(*map(float, row)) for row in zip(values, lows, highs, strict=True)]


def bootstrap(
    scores: np.ndarray,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    clusters: np.ndarray | None = None,
) -> Interval:
    """The interval of a mean.

    Args:
        scores: (N,) per-item scores.
        clusters: (N,) what belongs together, such as the image a question is about; whole clusters
            are drawn then.

    Raises:
        ValueError: no scores, or one that is not finite.
    """
    if not len(scores) or not np.isfinite(scores).all():
        raise ValueError("Finite scores are needed, at least one.")
    sums = sums_by_unit(np.column_stack([scores, np.ones(len(scores))]), clusters)

    def mean(weights: np.ndarray) -> np.ndarray:
        total: np.ndarray = weights @ sums
        return total[:, :1] / total[:, 1:]

    return bootstrap_of(mean, len(sums), seed=seed, resamples=resamples, level=level)[0]


def paired_p(a: np.ndarray, b: np.ndarray, *, seed: int = 0, resamples: int = 10_000) -> float:
    """Two-sided p of a difference in means of paired scores, by random sign flips (Fisher's
    randomisation test); the observed arrangement counts, so it is never 0. With very many differences
    the limit of that test is used.

    Raises:
        ValueError: not the same items.
    """
    if a.shape != b.shape or not len(a):
        raise ValueError("Paired scores of the same items are needed.")
    difference = a - b
    changed = difference[difference != 0]
    if not len(changed):
        return 1.0
    observed = abs(changed.sum())
    if len(changed) > _MANY:
        spread = math.sqrt(2 * float((changed**2).sum()))
        return max(1 / (resamples + 1), math.erfc(observed / spread))
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // len(changed))
    extreme = 0
    for start in range(0, resamples, chunk):
        signs = rng.integers(0, 2, (min(chunk, resamples - start), len(changed)), dtype=np.int8)
        sums = np.abs((2.0 * signs - 1.0) @ changed)
        # A sum that differs by rounding alone is as extreme.
        extreme += int((sums >= observed * (1 - 1e-12)).sum())
    return (extreme + 1) / (resamples + 1)


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
        if p > alpha:
            continue
        first_wins = (means[i] > means[j]) == higher_is_better
        winner, loser = (i, j) if first_wins else (j, i)
        better[loser] += 1
        worse[winner] += 1
    return [RankRange(better[i] + 1, count - worse[i]) for i in range(count)]
