"""Boxes in an image; coordinates are 0..1."""

from collections.abc import Iterable, Iterator, Sequence

Box = tuple[float, float, float, float]
Point = tuple[float, float]
CORNERS = ("x_min", "y_min", "x_max", "y_max")
"""A box's parts as the API names them, in the order of `Box`."""
FAR = 1e6
"""A coordinate is of a smaller size, or nothing that could be drawn."""


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes (x_min, y_min, x_max, y_max)."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    shared = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def each_once(pairs: Iterable[tuple[float, int, int]]) -> Iterator[tuple[float, int, int]]:
    """Pairs of which each side is taken once, greedily: the first of those given comes first.

    Args:
        pairs: how well they fit, and the numbers of both sides.
    """
    used: tuple[set[int], set[int]] = (set(), set())
    for fit, i, j in pairs:
        if i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
            yield fit, i, j


def points_f1(points: Sequence[Point], boxes: Sequence[Box]) -> float:
    """F1 of points in boxes: the most pairs in which a point lies in its own box."""
    if not points and not boxes:
        return 1.0
    owner: dict[int, int] = {}

    def place(point: int, seen: set[int]) -> bool:
        x, y = points[point]
        for index, (x0, y0, x1, y1) in enumerate(boxes):
            if x0 <= x <= x1 and y0 <= y <= y1 and index not in seen:
                seen.add(index)
                if index not in owner or place(owner[index], seen):
                    owner[index] = point
                    return True
        return False

    hits = sum(place(point, set()) for point in range(len(points)))
    return 2 * hits / (len(points) + len(boxes))
