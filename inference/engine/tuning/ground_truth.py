"""What an answer is worth by what is known to be right, where a client of the tuning API names no reward
of its own. Moondream's service does not publish its formula: this is ours. Imports no torch."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from inference.engine.metrics.regions import CORNERS, Box, Point, each_once, points_f1
from inference.engine.rewards.measures import paired

NEAR = 0.1
"""The distance, in parts of the image, at which a point is worth nothing to another."""


def ground_truth_reward(skill: str, output: Mapping[str, Any], truth: Mapping[str, Any]) -> float:
    """0..1. Boxes: the mean overlap of pairs, where one without a partner is 0. Points against boxes: F1 of
    points that lie in a box of their own. Points against points: F1, where a pair counts the less the
    farther it is apart, to nothing at `NEAR`.

    Args:
        skill: "point" or "detect".
        truth: {"boxes"} or, of "point", {"points"}, checked as a target is.
    """
    if skill == "detect":
        found, right = _boxes(output["objects"]), _boxes(truth["boxes"])
        if not found and not right:
            return 1.0
        return sum(paired(found, right)) / max(len(found), len(right))
    points = _points(output["points"])
    if "boxes" in truth:
        return points_f1(points, _boxes(truth["boxes"]))
    return _near_f1(points, _points(truth["points"]))


def _near_f1(found: Sequence[Point], right: Sequence[Point]) -> float:
    """Pairs are made greedily, the nearest first, each point once."""
    if not found and not right:
        return 1.0
    pairs = sorted(
        (math.dist(f, r), i, j) for i, f in enumerate(found) for j, r in enumerate(right)
    )
    worth = sum(max(0.0, 1 - distance / NEAR) for distance, _, _ in each_once(pairs))
    return 2 * worth / (len(found) + len(right))


def _boxes(regions: Iterable[Mapping[str, float]]) -> list[Box]:
    return [tuple(region[name] for name in CORNERS) for region in regions]  # type: ignore[misc]


def _points(regions: Iterable[Mapping[str, float]]) -> list[Point]:
    return [(region["x"], region["y"]) for region in regions]
