"""What a task, a metric, an item and a prediction are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from inference.engine.files import UnreadableError
from inference.engine.metrics.numeric import np
from leaderboard.metrics.intervals import (
    Bounds,
    Spread,
    spread_of,
    spread_of_mean,
    sums_by_unit,
)
from leaderboard.scoring.preflight import Maker

GROUPS = 200
"""Units that a figure is computed without, one after the other, where each costs a whole computation."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure, with all that its signature needs."""

    slug: str
    name: str
    definition: str
    unit: str = "%"
    scale: float = 100.0
    """From the figure as it is computed to the one that is shown."""
    digits: int = 1
    higher_is_better: bool = True
    version: int = 1
    tokeniser: str = ""
    bounds: Bounds = (0.0, 1.0)
    """The least and the most it can be, as it is computed; None where there is no most."""


@dataclass(frozen=True, slots=True)
class Item:
    """What a prediction is compared with."""

    key: str
    reference: Mapping[str, Any]
    category: str = ""
    image: str = ""
    """What image it is about: items of one image count as one for intervals and tests."""


Statistic: TypeAlias = "Callable[[np.ndarray], np.ndarray]"
"""(R, N) weights of N items → (R, M) values of M figures."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Figures of a task, one a metric, that follow from sums over items."""

    table: np.ndarray
    """(N, K)"""
    combine: Callable[[np.ndarray], np.ndarray]
    """(R, K) sums → (R, M)"""
    per_item: np.ndarray | None = None
    """(N,) when the one figure is their mean."""
    counted: Callable[[np.ndarray], np.ndarray] = lambda sums: sums[:, -1:]
    """(R, K) sums → (R, M), or (R, 1) for all: how much each figure counts, in any unit; by default
    the last column."""

    def over(self, weights: np.ndarray) -> np.ndarray:
        """(R, N) weights of items → (R, M)."""
        return self.combine(weights @ self.table)

    def spreads(self, unit_of: np.ndarray, *, seed: int) -> list[Spread]:
        """Of each figure, over the units that `unit_of` (N,) names for each item."""
        if self.per_item is not None:
            return [spread_of_mean(self.per_item, unit_of)]
        sums = sums_by_unit(self.table, unit_of)
        total = sums.sum(0, keepdims=True)
        with np.errstate(all="ignore"):  # without its only unit a figure is not defined
            values, without = self.combine(total)[0], self.combine(total - sums)
        sizes = np.broadcast_to(self.counted(sums), without.shape)
        return [
            spread_of(float(v), w, s) for v, w, s in zip(values, without.T, sizes.T, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Whole:
    """Figures that need every item anew."""

    statistic: Statistic
    counted: np.ndarray
    """(N,) how much each item counts, such as its boxes."""
    per_item: None = None

    def over(self, weights: np.ndarray) -> np.ndarray:
        return self.statistic(weights)

    def spreads(self, unit_of: np.ndarray, *, seed: int) -> list[Spread]:
        """Of each figure. Of very many units random groups are left out one at a time, the same for
        every submission to a split."""
        labels = np.unique(unit_of, return_inverse=True)[1]
        units = int(labels.max()) + 1
        if units > GROUPS:
            labels = (np.random.default_rng(seed).permutation(units) % GROUPS)[labels]
            units = GROUPS
        kept = (labels[None] != np.arange(units)[:, None]).astype(float)
        values, without = self.statistic(np.ones((1, len(labels))))[0], self.statistic(kept)
        sizes = np.bincount(labels, weights=self.counted, minlength=units)
        return [spread_of(float(v), w, sizes) for v, w in zip(values, without.T, strict=True)]


Figures = Sums | Whole


def mean_of(scores: np.ndarray) -> Sums:
    """A metric that is the mean of its items' scores."""
    table = np.column_stack([scores, np.ones(len(scores))])
    return Sums(table, lambda sums: sums[:, :1] / sums[:, 1:], per_item=scores)


BadPrediction = UnreadableError
"""A prediction that cannot be read; the text is for who sent it."""


Reader = Callable[[Mapping[str, Any]], Any]
Scorer = Callable[[Sequence[Item], Sequence[Any]], dict[tuple[str, ...], Figures]]
"""The figures of items and predictions, by the metrics that their columns are."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked, how an answer is written, and by what it is measured; the first metric is the
    one that ranks unless a benchmark chooses another."""

    slug: str
    title: str
    skill: str
    example: Mapping[str, Any]
    metrics: tuple[Metric, ...]
    read: Reader
    score: Scorer
    preflight: Maker
    """What makes the counts that a file is warned by."""
    guide: str
    """How a line is written, in a sentence or two."""
    line_bytes: int = 64 * 1024
    """Of one line of predictions: bounds what is held while it is read."""

    def metric(self, slug: str) -> Metric:
        """
        Raises:
            KeyError: the task has no such metric.
        """
        return {m.slug: m for m in self.metrics}[slug]
