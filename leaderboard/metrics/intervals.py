"""Intervals of figures from what each unit (an item, or the image that several items are about) adds.

Two things break the usual intervals here. Units are few or of unequal sizes, so the variance is the
jackknife's, with the correction that is exact for a mean (CR2: Bell & McCaffrey 2002) and a t
distribution of as many degrees of freedom as such a variance has. And figures have bounds: next to
one, or at it, a symmetric interval promises too much, so the variance is turned into the number of
independent right-or-wrong items that would have it (Korn & Graubard 1998, as official statistics do
for proportions of clusters), and the interval is the binomial one of that many.

The binomial interval is the hull of Wilson's (1927) and the mid-P interval (Lancaster 1961): either
alone falls to 85 or 92 % coverage somewhere (Brown, Cai & DasGupta 2001), together they stay above
93 %. `bench/statistics.py` measures all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inference.engine.metrics.numeric import np, special

_TINY = 1e-12
_ROUNDING = 1e-20
"""Variance that equal scores have by rounding."""
_FAR = 1e4
"""Where a figure has no upper bound, one is put so many times its size away."""
_BISECTIONS = 36
_FALLING_SHORT = 3
"""Whole items short of a bound, up to which the others' scores do not count for more than right ones."""
_BALANCED = 20
"""Units that are all alike, though their items are not, from which on that is no coincidence."""

Bounds = tuple[float, float | None]
"""The least and the most a figure can be; None where there is no most."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Spread:
    """How a figure depends on its units."""

    value: float
    effects: np.ndarray
    """(U,) what each unit adds to the figure's deviation; they sum to 0."""
    sizes: np.ndarray
    """(U,) its share of what is counted, in any unit: items, boxes, words."""
    noise: float | None = None
    """Variance of the figure if its items did not depend on each other; None where unknown."""

    @property
    def contributions(self) -> np.ndarray:
        """(U,) numbers of which the figure is the mean: differences of two entries' are paired."""
        return self.value + len(self.effects) * self.effects


def sums_by_unit(table: np.ndarray, clusters: np.ndarray | None) -> np.ndarray:
    """(N, K) figures of items added up by what they belong to: (U, K); without clusters each item
    is a unit."""
    if clusters is None:
        return table
    _, labels = np.unique(clusters, return_inverse=True)
    sums = np.zeros((int(labels.max()) + 1, table.shape[1]))
    np.add.at(sums, labels, table)
    return sums


def spread_of(
    value: float, without: np.ndarray, sizes: np.ndarray, noise: float | None = None
) -> Spread:
    """From the figure without each unit (jackknife); where that is not defined the unit adds nothing.

    Args:
        without: (U,) the figure of all other units.
    """
    shares = sizes / max(float(sizes.sum()), _TINY)
    effects = np.nan_to_num(value - without) * (1 - shares)
    effects[sizes <= 0] = 0.0
    effects = np.where(sizes > 0, effects - effects.sum() / max(1, (sizes > 0).sum()), 0.0)
    return Spread(value, effects, sizes, noise)


def spread_of_mean(scores: np.ndarray, clusters: np.ndarray | None = None) -> Spread:
    """Of the mean of (N,) scores of items that belong to (N,) clusters."""
    sums = sums_by_unit(np.column_stack([scores, np.ones(len(scores))]), clusters)
    mean = float(scores.mean())
    effects = (sums[:, 0] - mean * sums[:, 1]) / len(scores)
    noise = float(scores.var()) / len(scores)
    return Spread(mean, effects, sums[:, 1], noise if noise > _ROUNDING else 0.0)


def spread_of_contributions(contributions: np.ndarray, value: float) -> Spread:
    """Back from (U,) contributions, or differences of them, whose units count alike."""
    units = len(contributions)
    return Spread(value, (contributions - contributions.mean()) / units, np.ones(units))


def degrees_of_freedom(sizes: np.ndarray, correlation: float) -> float:
    """Satterthwaite's, of the CR2 variance of a ratio, if items of a unit have that correlation.

    Args:
        sizes: (U,) of units, positive.
    """
    w = sizes / sizes.sum()
    if len(w) < 2:
        return 1.0
    v = sizes * (1 + (np.maximum(sizes, 1) - 1) * correlation)
    v, a = v / v.sum(), 1 / (1 - w)

    def moment(i: int, j: int) -> float:
        return float((a * w**i * v**j).sum())

    # Residuals have the covariance C = diag(v) - w v' - v w' + w w'; the variance is sum a e².
    own = v - 2 * w * v + w * w
    across = 2 * moment(2, 0) * moment(0, 2) + moment(2, 0) ** 2
    across += 2 * moment(1, 1) ** 2 - 4 * moment(2, 0) * moment(1, 1)
    across += float((a**2 * (own**2 - (2 * w * v - w * w) ** 2)).sum())
    return max(1.0, float((a * own).sum()) ** 2 / max(across, _TINY))


def interval_of(spread: Spread, *, bounds: Bounds = (0.0, 1.0), level: float = 0.95) -> Interval:
    """The interval of a figure between its bounds, never beyond them. It has no width only where items
    vary and units do not, as when each image has a question to answer yes and one to answer no."""
    value, (least, most) = spread.value, bounds
    counted = int((spread.sizes > 0).sum())
    variance, freedom = variance_of(spread)
    if spread.noise and not variance > _TINY * spread.noise and counted >= _BALANCED:
        return Interval(value, value, value)
    if most is None:
        # Without a bound, the limit of a bound far away; when nothing varies, a next item may.
        flat = variance <= _TINY * max(1.0, value * value)
        most = least + max(1.0, 2 * (value - least)) * (1.0 if flat else _FAR)
    width = most - least
    share = min(1.0, max(0.0, (value - least) / width))
    items = effective_items(spread, share, variance / width**2, freedom, width, level)
    low, high = binomial_interval(np.array([share]), np.array([items or counted]), level=level)
    return Interval(
        value, min(value, least + width * float(low[0])), max(value, least + width * float(high[0]))
    )


def variance_of(spread: Spread) -> tuple[float, float]:
    """The figure's variance, and its degrees of freedom: those of sizes, and no more than the fourth
    moment of the effects says, which falls to 1 where one unit makes all the variance. It is half of what
    Satterthwaite's rule makes of that moment: next to a bound a high figure comes with a small variance,
    which the rule takes for independent (20 images, 97 % right, ICC 0.3: 96 % coverage, not 90)."""
    some = spread.sizes > 0
    effects, sizes = spread.effects[some], spread.sizes[some]
    if len(sizes) < 2:
        return 0.0, 1.0
    squares = effects**2 / (1 - sizes / sizes.sum())
    variance = float(squares.sum())
    if not variance:
        return 0.0, 1.0
    correlation = 1.0
    if spread.noise:
        excess = float((sizes**2).sum() / sizes.sum()) - 1
        correlation = min(1.0, max(0.0, (variance / spread.noise - 1) / max(excess, _TINY)))
    peak = float((effects**4).sum() / (effects**2).sum() ** 2) - 1 / len(sizes)
    freedom = min(degrees_of_freedom(sizes, correlation), 1 / max(peak, _TINY))
    return variance, max(1.0, freedom)


def effective_items(
    spread: Spread, share: float, variance: float, freedom: float, width: float, level: float
) -> float:
    """How many independent right-or-wrong items would leave a share as unsure; 0 where nothing varies,
    so that it cannot be said and each unit counts as one."""
    most_varied = share * (1 - share)
    if variance <= _TINY * max(most_varied, _TINY) or most_varied <= 0:
        return 0.0
    sizes = spread.sizes[spread.sizes > 0]
    tail = (1 + level) / 2
    shrink = (special.ndtri(tail) / special.stdtrit(freedom, tail)) ** 2
    items = most_varied / variance * shrink
    # A unit's items at most agree altogether; at least they do not depend on each other.
    least = float(sizes.sum()) ** 2 / float((sizes**2).sum())
    most = most_varied / (spread.noise / width**2) if spread.noise else np.inf
    if width == 1:
        # Next to a bound the few that fall short do not tell by how much the next one may.
        each = float(sizes.sum()) if spread.noise else least
        most = min(most, each * max(1.0, (min(share, 1 - share) * each / _FALLING_SHORT) ** 2))
    return float(min(max(items, least), max(most, least)))


def binomial_interval(
    shares: np.ndarray, items: np.ndarray, *, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper limits of shares (R,) of numbers of items (R,), which need not be whole: the hull
    of Wilson's interval and the mid-P interval."""
    items = np.maximum(items, 1e-3)
    z = float(special.ndtri((1 + level) / 2))
    middle = (shares + z * z / (2 * items)) / (1 + z * z / items)
    half = np.sqrt(np.maximum(0, shares * (1 - shares)) / items + z * z / (4 * items**2))
    half = half * z / (1 + z * z / items)
    hits, misses = np.maximum(shares * items, _TINY), np.maximum((1 - shares) * items, _TINY)

    def above(p: np.ndarray) -> np.ndarray:
        """Probability of more hits, and half of that of as many, if a share of p were true."""
        result: np.ndarray = special.betainc(hits, misses + 1, p)
        return (result + special.betainc(hits + 1, misses, p)) / 2

    tail = (1 - level) / 2
    low = np.minimum(middle - half, _solve(above, tail, len(shares)))
    high = np.maximum(middle + half, _solve(above, 1 - tail, len(shares)))
    return np.clip(low, 0, shares), np.clip(high, shares, 1)


def _solve(rising: Callable[[np.ndarray], np.ndarray], target: float, count: int) -> np.ndarray:
    """Where functions on 0..1 reach a target, by bisection: (count,)."""
    low, high = np.zeros(count), np.ones(count)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        below = rising(middle) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def mean_interval(
    scores: np.ndarray,
    *,
    clusters: np.ndarray | None = None,
    bounds: Bounds = (0.0, 1.0),
    level: float = 0.95,
) -> Interval:
    """The interval of the mean of (N,) scores between bounds, of items that belong to (N,) clusters."""
    return interval_of(spread_of_mean(scores, clusters), bounds=bounds, level=level)


def difference_interval(differences: Spread, *, level: float = 0.95) -> Interval:
    """The interval of a difference of two figures, from the spread of one less the other.

    A t interval, with one more unit on either side that differs as those do which differ (Bonett &
    Price 2012, who add them to a table of wins and losses): where few or none differ, it is not of no
    width.
    """
    variance, freedom = variance_of(differences)
    units = int((differences.sizes > 0).sum())
    gains = differences.contributions[differences.sizes > 0]
    changed = gains[np.abs(gains) > 1e-9]
    usual = float((changed**2).mean()) if len(changed) else 1.0
    variance += 2 * usual / max(1, units) ** 2
    if not len(changed):
        freedom = max(1.0, units - 1)
    half = float(special.stdtrit(freedom, (1 + level) / 2)) * variance**0.5
    return Interval(differences.value, differences.value - half, differences.value + half)
