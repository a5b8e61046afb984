"""Metrics of places in an image; coordinates are 0..1."""

from __future__ import annotations

import math
from collections.abc import Sequence

from inference.engine.metrics.numeric import np
from inference.engine.metrics.regions import Box, Point, box_iou, each_once

__all__ = ["Box", "Point", "box_iou", "f1_at_iou", "matched", "point_errors"]


def matched(found: Sequence[Box], truth: Sequence[Box], threshold: float = 0.5) -> int:
    """How many references are found: pairs are made greedily by IoU, each box once."""
    if not found or not truth:
        return 0
    overlaps = _overlaps(np.array(found, dtype=float), np.array(truth, dtype=float))
    near = np.argwhere(overlaps >= threshold).tolist()
    pairs = sorted(((overlaps[i, j], i, j) for i, j in near), reverse=True)
    return sum(1 for _ in each_once(pairs))


def _overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`box_iou` of (N, 4) and (M, 4) boxes: (N, M)."""
    low, high = np.maximum(a[:, None, :2], b[:, :2]), np.minimum(a[:, None, 2:], b[:, 2:])
    shared = np.maximum(0.0, high - low).prod(axis=2)
    areas = [(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def f1_at_iou(
    predictions: Sequence[Sequence[Box]],
    references: Sequence[Sequence[Box]],
    threshold: float = 0.5,
) -> float:
    """Detection F1 over all images together."""
    pairs = list(zip(predictions, references, strict=True))
    hits = sum(matched(found, truth, threshold) for found, truth in pairs)
    boxes = sum(len(found) + len(truth) for found, truth in pairs)
    return 2 * hits / boxes if boxes else 1.0


def point_errors(
    predictions: Sequence[Sequence[Point]], references: Sequence[Sequence[Point]]
) -> list[float]:
    """Distance of each reference to its matched prediction, as a fraction of the image's side.

    Greedy matching by distance. A reference that nothing was matched to counts with 0.5, the
    typical distance of a blind guess, so that pointing at nothing is not rewarded.
    """
    errors: list[float] = []
    for found, truth in zip(predictions, references, strict=True):
        pairs = sorted(
            (math.dist(f, t), i, j) for i, f in enumerate(found) for j, t in enumerate(truth)
        )
        matched = {j: distance for distance, _, j in each_once(pairs)}
        errors += [matched.get(j, 0.5) for j in range(len(truth))]
    return errors
