"""Metrics of places in an image; coordinates are 0..1."""

import math
from collections.abc import Sequence

from inference.engine.metrics.regions import Box, box_iou

__all__ = ["Box", "Point", "box_iou", "f1_at_iou", "matched", "point_errors"]
Point = tuple[float, float]


def matched(found: Sequence[Box], truth: Sequence[Box], threshold: float = 0.5) -> int:
    """How many references are found: pairs are made greedily by IoU, each box once."""
    pairs = sorted(
        ((box_iou(f, t), i, j) for i, f in enumerate(found) for j, t in enumerate(truth)),
        reverse=True,
    )
    used: tuple[set[int], set[int]] = (set(), set())
    for overlap, i, j in pairs:
        if overlap >= threshold and i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
    return len(used[0])


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
        used_found: set[int] = set()
        matched: dict[int, float] = {}
        for distance, i, j in pairs:
            if i not in used_found and j not in matched:
                used_found.add(i)
                matched[j] = distance
        errors += [matched.get(j, 0.5) for j in range(len(truth))]
    return errors
