"""From figures of each item to scores with intervals, categories and signatures."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from leaderboard.metrics.statistics import (
    RESAMPLES,
    Interval,
    Statistic,
    bootstrap_of,
    sums_by_unit,
)
from leaderboard.scoring.types import Item, Metric, Series, Task

SEED = 20


@dataclass(frozen=True, slots=True)
class Score:
    """One metric's figure as it is computed (0..1 for shares), with its interval."""

    metric: Metric
    interval: Interval
    signature: str
    per_item: np.ndarray | None
    by_category: dict[str, float]


def score(
    task: Task,
    items: Sequence[Item],
    predictions: Mapping[str, Any],
    *,
    data_hash: str = "",
    seed: int = SEED,
    progress: Callable[[float], None] = lambda _share: None,
) -> dict[str, Score]:
    """Every metric of a task; `predictions` holds what `Task.read` made of each item's, by key.

    Raises:
        KeyError: an item has no prediction.
    """
    found = [predictions[item.key] for item in items]
    series = task.score(items, found)
    progress(0.3)
    _, unit_of = np.unique([item.image or item.key for item in items], return_inverse=True)
    categories = np.array([item.category for item in items])
    scores = {}
    for done, metric in enumerate(m for m in task.metrics if m.slug in series):
        one = series[metric.slug]
        statistic, units = _statistic(one, unit_of)
        scores[metric.slug] = Score(
            metric,
            bootstrap_of(statistic, units, seed=seed),
            signature(metric, items=len(items), data_hash=data_hash, seed=seed),
            one.per_item,
            _by_category(one, categories),
        )
        progress(0.3 + 0.7 * (done + 1) / len(series))
    return scores


def _statistic(series: Series, unit_of: np.ndarray) -> tuple[Statistic, int]:
    if series.statistic is not None:
        return series.statistic, len(unit_of)
    assert series.table is not None
    assert series.combine is not None
    sums, combine = sums_by_unit(series.table, unit_of), series.combine
    return (lambda weights: combine(weights @ sums)), len(sums)


def _by_category(series: Series, categories: np.ndarray) -> dict[str, float]:
    names = [str(name) for name in np.unique(categories) if name]
    if len(names) < 2:
        return {}
    masks = np.stack([(categories == name).astype(float) for name in names])
    if series.statistic is not None:
        values = series.statistic(masks)
    else:
        assert series.table is not None
        assert series.combine is not None
        values = series.combine(masks @ series.table)
    return {n: float(v) for n, v in zip(names, values, strict=True) if math.isfinite(v)}


def signature(metric: Metric, *, items: int, data_hash: str, seed: int) -> str:
    """All that must be equal for two figures to be comparable, after sacreBLEU's signatures."""
    parts = [metric.slug, f"v:{metric.version}", f"n:{items}"]
    parts += [f"tok:{metric.tokeniser.replace(' ', '-')}"] if metric.tokeniser else []
    parts += [f"data:{data_hash[:12]}"] if data_hash else []
    return "|".join([*parts, f"ci:bootstrap-{RESAMPLES}", f"seed:{seed}"])


def data_hash(items: Sequence[Item]) -> str:
    """SHA-256 of the items and their references, whatever their order."""
    digest = hashlib.sha256()
    for item in sorted(items, key=lambda i: i.key):
        row = [item.key, item.category, item.image, item.reference]
        digest.update(orjson.dumps(row, option=orjson.OPT_SORT_KEYS) + b"\n")
    return digest.hexdigest()
