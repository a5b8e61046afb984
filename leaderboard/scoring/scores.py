"""From figures of each item to scores with intervals, categories and signatures."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from inference.engine.metrics.numeric import np
from leaderboard.metrics.intervals import Interval, interval_of
from leaderboard.scoring.types import Figures, Item, Metric, Task

SEED = 20
INTERVALS = "jackknife-korn-graubard-1"
"""How intervals are made, as signatures name it; another number when the same scores would get others."""


@dataclass(frozen=True, slots=True)
class Score:
    """One metric's figure as it is computed (0..1 for shares), with its interval."""

    metric: Metric
    interval: Interval
    signature: str
    per_item: np.ndarray | None
    """(N,) where the figure is their mean."""
    contributions: np.ndarray | None
    """(U,) where it is no mean of items: numbers of units of which it is the mean, to pair by."""
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
    figures = task.score(items, found)
    progress(0.3)
    unit_of = units((item.image, item.key) for item in items)
    categories = np.array([item.category for item in items])
    scores: dict[str, Score] = {}
    for done, (slugs, one) in enumerate(figures.items(), 1):
        spreads = one.spreads(unit_of, seed=seed)
        parts = _by_category(one, categories)
        for column, (slug, spread) in enumerate(zip(slugs, spreads, strict=True)):
            metric = task.metric(slug)
            scores[slug] = Score(
                metric, interval_of(spread, bounds=metric.bounds),
                signature(metric, items=len(items), data_hash=data_hash, seed=seed), one.per_item,
                spread.contributions if one.per_item is None else None,
                {name: values[column] for name, values in parts.items()
                 if math.isfinite(values[column])},
            )  # fmt: skip
        progress(0.3 + 0.7 * done / len(figures))
    return {metric.slug: scores[metric.slug] for metric in task.metrics if metric.slug in scores}


def _by_category(figures: Figures, categories: np.ndarray) -> dict[str, list[float]]:
    """Category → its figures, one a metric; none where there are not two of them."""
    names = [str(name) for name in np.unique(categories) if name]
    if len(names) < 2:
        return {}
    masks = np.stack([(categories == name).astype(float) for name in names])
    return dict(zip(names, figures.over(masks).tolist(), strict=True))


def units(items: Iterable[tuple[str, str]]) -> np.ndarray:
    """(N,) a number for what an interval leaves out, and a paired test flips, together: the items of one
    image. Each item is given as (image, key); one without an image is alone."""
    return np.unique([image or key for image, key in items], return_inverse=True)[1]


def signature(metric: Metric, *, items: int, data_hash: str, seed: int) -> str:
    """All that must be equal for two figures to be comparable, after sacreBLEU's signatures."""
    parts = [metric.slug, f"v:{metric.version}", f"n:{items}"]
    parts += [f"tok:{metric.tokeniser.replace(' ', '-')}"] if metric.tokeniser else []
    parts += [f"data:{data_hash[:12]}"] if data_hash else []
    return "|".join([*parts, f"ci:{INTERVALS}", f"seed:{seed}"])


def interval_method(signature: str) -> str:
    """How an interval was made, by its signature."""
    parts = dict(part.split(":", 1) for part in signature.split("|") if ":" in part)
    return parts.get("ci", "")


def data_hash(items: Sequence[Item], key: bytes = b"") -> str:
    """SHA-256 of the items and their references, whatever their order; with a key their HMAC. Without
    one, who guesses the references can tell that the guess is right."""
    digest = hmac.new(key, digestmod="sha256") if key else hashlib.sha256()
    for item in sorted(items, key=lambda i: i.key):
        row = [item.key, item.category, item.image, item.reference]
        digest.update(orjson.dumps(row, option=orjson.OPT_SORT_KEYS) + b"\n")
    return digest.hexdigest()
