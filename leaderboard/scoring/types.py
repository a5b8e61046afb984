"""What a task, a metric, an item and a prediction are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leaderboard.metrics.statistics import Statistic


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
class Series:
    """One metric over all items, before it is one number.

    Either `table` (N, K), whose sums over items `combine` turns into the figure, or `statistic` of
    weighted items.
    """

    table: np.ndarray | None = None
    combine: Callable[[np.ndarray], np.ndarray] | None = None
    statistic: Statistic | None = None
    per_item: np.ndarray | None = None
    """(N,) when the figure is their mean: only then can two entries be paired."""


def mean_of(scores: np.ndarray) -> Series:
    """A metric that is the mean of its items' scores."""
    table = np.column_stack([scores, np.ones(len(scores))])
    return Series(table, lambda sums: sums[:, 0] / sums[:, 1], per_item=scores)


class BadPrediction(ValueError):
    """A prediction that cannot be read; the text is for who sent it."""


Reader = Callable[[Mapping[str, Any]], Any]
Scorer = Callable[[Sequence[Item], Sequence[Any]], dict[str, Series]]


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

    def metric(self, slug: str) -> Metric:
        """
        Raises:
            KeyError: the task has no such metric.
        """
        return {m.slug: m for m in self.metrics}[slug]
