"""Metrics, on well-kept libraries where one agrees with the field's definition."""

from leaderboard.metrics.regions import box_iou, f1_at_iou, point_errors
from leaderboard.metrics.text import bleu4, exact_match

__all__ = ["bleu4", "box_iou", "exact_match", "f1_at_iou", "point_errors"]
