"""What is told of scores on a hidden split. Every figure says something about the references: so it has
no more digits than it supports, and a slice that few items are in has none.

Whatever is published of a score comes through here: pages, the API, exports.
"""

import math
from collections.abc import Mapping

from leaderboard.metrics.statistics import Interval
from leaderboard.models import Score, Split
from leaderboard.scoring import Metric

LEAST = 50
"""Items of the smallest slice that is told. A total over n items tells up to log2(n + 1) bits of what
they hold, and many small slices tell far more than one score."""


def step(items: int) -> float:
    """What a share over so many items is rounded to: a fifth of its largest standard error, in steps
    of 1, 2 or 5; 0 where that is no more than one item and would conceal nothing."""
    if items < 1:
        return 0.0
    found = _round_down(0.1 / math.sqrt(items))
    return found if found * items > 1 else 0.0


def _round_down(value: float) -> float:
    """The largest of …, 0.01, 0.02, 0.05, 0.1, … that is not above."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(n * power for n in (5, 2, 1) if n * power <= value * (1 + 1e-9))


def coarse(items: int) -> float:
    """About the standard error of a share over so many items, in steps of 1, 2 or 5."""
    return _round_down(0.5 / math.sqrt(items))


def rounded(value: float, to: float) -> float:
    """A value in whole steps; as it is where there are none."""
    return round(round(value / to) * to, 12) if to else value


def interval(split: Split, metric: Metric, found: Interval) -> Interval:
    """A figure as it is kept and told: of a hidden split in its steps."""
    if split.is_public:
        return found
    digits = 10.0**-metric.digits / metric.scale
    to = max(step(split.item_count), digits)
    return Interval(*(rounded(part, to) for part in (found.value, found.low, found.high)))


def slices(split: Split, score: Score) -> dict[str, float]:
    """Figures by category that may be told. Of a hidden split those of large slices, in steps of about
    a standard error; and none that could be had by taking the others from the whole."""
    found: Mapping[str, float] = score.by_category
    if split.is_public:
        return dict(found)
    shown = sorted(
        (split.slices.get(name, 0), name) for name in found if split.slices.get(name, 0) >= LEAST
    )
    rest = split.item_count - sum(count for count, _ in shown)
    if shown and 0 < rest < LEAST:
        shown = shown[1:]
    return {name: rounded(found[name], coarse(count)) for count, name in shown}
