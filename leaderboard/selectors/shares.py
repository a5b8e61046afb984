"""Intervals of plain shares, for rooms above."""

from inference.engine.metrics.numeric import np
from leaderboard.metrics.intervals import binomial_interval


def share_interval(share: float, items: float) -> tuple[float, float]:
    """The 95% interval of a share of a number of items (`leaderboard.metrics.intervals`)."""
    low, high = binomial_interval(np.array([share]), np.array([items]))
    return float(low[0]), float(high[0])
