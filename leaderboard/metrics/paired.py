"""Paired test of two entries: Fisher's randomisation test (1935), which flips the signs of differences.

It asks nothing of the differences but that either entry could have been the better one on each unit,
and it holds its level with five units as with five thousand. Its p is computed rather than drawn
wherever that is possible, so that it has no floor and many tests may be corrected for their number.
"""

from __future__ import annotations

import functools
import math

from inference.engine.metrics.numeric import np, special

_ENUMERATED = 14
"""Differences up to which every pattern of signs is looked at."""
_STEPS = 50_000
"""Of the exact distribution of whole differences; it is the saddlepoint's to four digits beyond."""
_MOST_HALVED = 1000
"""Times that a probability may be halved without leaving the range of floats."""
_EVEN = 10
"""Differences of one size that vary as the given ones do, from which on the saddlepoint holds."""
_SURE = 20
"""Extreme draws from which on their share is taken."""
_ALMOST = 1e-6
"""Differences that are equal but for the rounding of stored scores, of the largest."""
_DRAWN = 2_000_000
"""Signs drawn at once: bounds memory."""


def paired_p(a: np.ndarray, b: np.ndarray, *, seed: int = 0, resamples: int = 10_000) -> float:
    """Two-sided p of a difference in means of paired scores, by all sign flips; never 0.

    Exact for whole differences (wins and losses: McNemar's exact test) and for few; of many, the
    saddlepoint approximation (Robinson 1982; Daniels 1987). Only differences of which a few outweigh all
    others are flipped at random, and then `seed` and `resamples` count.

    Args:
        a: (U,) sums or means of units: images, or items that are about nothing in common.

    Raises:
        ValueError: not the same units, or scores that are not finite.
    """
    if a.shape != b.shape or not len(a):
        raise ValueError("Paired scores of the same items are needed.")
    difference = a - b
    if not np.isfinite(difference).all():
        raise ValueError("Paired scores must be finite.")
    sizes = np.abs(difference)
    # As stored scores are of single precision, less than that is none.
    least = _ALMOST * max(1e-300, float(np.abs(a).max()), float(np.abs(b).max()))
    changed = difference[sizes > least]
    observed, sizes = abs(float(changed.sum())), np.abs(changed)
    if not len(changed) or observed <= least:
        return 1.0
    p = _p(observed, sizes, seed, resamples)
    # The observed pattern and its mirror image are among all patterns.
    return min(1.0, max(p, 2.0 ** max(-1000, 1 - len(sizes))))


def _p(observed: float, sizes: np.ndarray, seed: int, resamples: int) -> float:
    count, unit = len(sizes), common_unit(sizes)
    if unit:
        whole = np.round(sizes / unit).astype(int)
        other = int(whole.sum()) - round(observed / unit)  # twice what has the other sign
        if whole.max() == 1:
            return 2 * float(special.bdtr(other // 2, count, 0.5))
        if count <= _MOST_HALVED and count * (other // 2) <= _STEPS:
            return 2 * _sums_up_to(whole, other // 2)
    if count <= _ENUMERATED:
        sums = np.abs(_patterns(count) @ sizes)
        return float((sums >= observed - _ALMOST * sizes.sum()).mean())
    even = float((sizes**2).sum() ** 2 / (sizes**4).sum())
    if even < _EVEN:
        extreme = _drawn(observed, sizes, seed, resamples)
        if extreme >= _SURE:
            return (extreme + 1) / (resamples + 1)
    return 2 * saddlepoint_tail(observed, sizes, unit)


def common_unit(sizes: np.ndarray) -> float:
    """The largest number that all are whole multiples of, if it is plain to see; otherwise 0."""
    for unit in (float(sizes.min()), 1.0):
        parts = sizes / unit
        whole = np.round(parts)
        if parts.max() < 1e5 and whole.min() >= 1 and np.abs(parts - whole).max() < 1e-4:
            return unit * float(np.gcd.reduce(whole.astype(int)))
    return 0.0


@functools.cache
def _patterns(count: int) -> np.ndarray:
    """Every pattern of signs of which the first is positive: (2^(count-1), count)."""
    bits = (np.arange(2 ** (count - 1))[:, None] >> np.arange(count)) & 1
    return 1.0 - 2.0 * bits


def _sums_up_to(whole: np.ndarray, most: int) -> float:
    """Probability that a random part of whole numbers has a sum of at most so much."""
    chances = np.zeros(most + 1)
    chances[0] = 1.0
    for size in whole:
        chances *= 0.5
        if size <= most:
            chances[size:] += chances[: most + 1 - size].copy()
    return float(chances.sum())


def _drawn(observed: float, sizes: np.ndarray, seed: int, resamples: int) -> int:
    """How many of random patterns of signs are as extreme."""
    rng = np.random.default_rng(seed)
    chunk, extreme = max(1, _DRAWN // len(sizes)), 0
    for start in range(0, resamples, chunk):
        shape = (min(chunk, resamples - start), len(sizes))
        sums = np.abs((2.0 * rng.integers(0, 2, shape, dtype=np.int8) - 1.0) @ sizes)
        extreme += int((sums >= observed - _ALMOST * sizes.sum()).sum())
    return extreme


def saddlepoint_tail(observed: float, sizes: np.ndarray, unit: float = 0.0) -> float:
    """Probability that sizes with random signs sum to so much or more (Lugannani & Rice 1980).

    Args:
        observed: positive.
        unit: what all sizes are multiples of, for Daniels' correction (1987); 0 if there is none.
    """
    scale = math.sqrt(float((sizes**2).sum()))
    sizes, x, half = sizes / scale, (observed - unit) / scale, unit / scale
    if x >= float(sizes.sum()) * (1 - 1e-9):
        return 2.0 ** -len(sizes)
    if x < 0.05:  # the formula is singular at the mean, where the normal limit is good
        return float(special.ndtr(-x))
    t = x
    for _ in range(60):
        # The slope of the cumulant function is concave: Newton's steps come from below, and stay there.
        steep = np.tanh(sizes * t)
        step = (x - float(sizes @ steep)) / float(sizes**2 @ (1 - steep**2))
        t += step
        if abs(step) < 1e-10 * t:
            break
    large = sizes * t
    cumulant = float((large + np.log1p(np.exp(-2 * large)) - math.log(2)).sum())
    curvature = math.sqrt(float(sizes**2 @ (1 / np.cosh(np.minimum(large, 300)) ** 2)))
    w = math.sqrt(max(0.0, 2 * (t * x - cumulant)))
    u = (math.sinh(half * t) / half if half else t) * curvature
    mills = math.sqrt(math.pi / 2) * float(special.erfcx(w / math.sqrt(2)))
    density = math.exp(-w * w / 2) / math.sqrt(2 * math.pi)
    return min(0.5, max(0.0, density * (mills + 1 / u - 1 / w)))
