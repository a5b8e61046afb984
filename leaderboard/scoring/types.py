"""What a task, a metric, an item and a prediction are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leaderboard.metrics.statistics import Statistic, sums_by_unit
from leaderboard.scoring.preflight import Maker


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


@dataclass(frozen=True, slots=True)
class Item:
    """What a prediction is compared with."""

    key: str
    reference: Mapping[str, Any]
    category: str = ""
    image: str = ""
    """What image it is about: items of one image are drawn together by the bootstrap."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Figures of a task, one a metric, that follow from sums over items."""

    table: np.ndarray
    """(N, K)"""
    combine: Callable[[np.ndarray], np.ndarray]
    """(R, K) sums → (R, M)"""
    per_item: np.ndarray | None = None
    """(N,) when the one figure is their mean: only then can two entries be paired."""

    def over(self, weights: np.ndarray) -> np.ndarray:
        """(R, N) weights of items → (R, M)."""
        return self.combine(weights @ self.table)

    def by_unit(self, unit_of: np.ndarray) -> tuple[Statistic, int]:
        """The same of weighted units, and how many there are; `unit_of` (N,) names each item's."""
        sums = sums_by_unit(self.table, unit_of)
        return (lambda weights: self.combine(weights @ sums)), len(sums)


@dataclass(frozen=True, slots=True)
class Whole:
    """Figures that need every item anew, for tasks whose items have an image each."""

    statistic: Statistic
    per_item: None = None

    def over(self, weights: np.ndarray) -> np.ndarray:
        return self.statistic(weights)

    def by_unit(self, unit_of: np.ndarray) -> tuple[Statistic, int]:
        return self.statistic, len(unit_of)


Figures = Sums | Whole


def mean_of(scores: np.ndarray) -> Sums:
    """A metric that is the mean of its items' scores."""
    table = np.column_stack([scores, np.ones(len(scores))])
    return Sums(table, lambda sums: sums[:, :1] / sums[:, 1:], per_item=scores)


class BadPrediction(ValueError):
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
