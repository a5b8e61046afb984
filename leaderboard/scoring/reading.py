"""One prediction, as it is written in a file, checked."""

import math
from collections.abc import Mapping
from typing import Any

from inference.engine.metrics.regions import CORNERS
from leaderboard.scoring.types import BadPrediction

MAX_BOXES = 3000
"""Of one line that are read. COCO counts the best 100 of a class in an image and takes any number; this
bound is there for the memory of the server alone."""
MAX_POINTS = 300
MAX_TEXT = 4000
EDGE = 0.05
"""How far beyond the image, in parts of its side, a coordinate may lie: it is moved to the edge. Models
that say a centre and a size, as `/v1/detect` does, pass the edge by a little."""
_PIXELS = 2.0
"""From here on a coordinate is taken for pixels: no part of an image is twice its side."""


def caption(row: Mapping[str, Any]) -> str:
    return _text(row.get("caption", ...), "caption")


def answer(row: Mapping[str, Any]) -> str:
    return _text(row.get("answer", ...), "answer")


def _text(value: Any, name: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise BadPrediction(f"`{name}` must be a string, not {kind(value)}")
    if len(value) > MAX_TEXT:
        raise BadPrediction(f"`{name}` has {len(value)} characters; at most {MAX_TEXT} are read")
    if "\x00" in value:
        raise BadPrediction(f"`{name}` holds a NUL character")
    return value


def kind(value: Any) -> str:
    names = {"NoneType": "null", "dict": "an object", "list": "an array", "bool": "a boolean",
             "float": "a number", "int": "a number", "str": "a string"}  # fmt: skip
    return "missing" if value is ... else names.get(type(value).__name__, "that")


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadPrediction(f"`{name}` must be a number, not {kind(value)}")
    if not math.isfinite(value):
        raise BadPrediction(f"`{name}` is not finite")
    return float(value)


def _coordinate(region: Mapping[str, Any], name: str) -> float:
    value = _number(region.get(name, ...), name)
    if -EDGE <= value <= 1 + EDGE:
        return min(1.0, max(0.0, value))
    if abs(value) >= _PIXELS:
        raise BadPrediction(
            f"`{name}` is {value:g}: coordinates are 0..1 of the image, not pixels; "
            "divide x by the image's width and y by its height"
        )
    raise BadPrediction(
        f"`{name}` is {value:g}: outside the image; coordinates are 0..1, and only up to {EDGE:g} beyond is cut off"
    )


def _regions(row: Mapping[str, Any], name: str, most: int) -> list[Mapping[str, Any]]:
    value = row.get(name, ...)
    if not isinstance(value, list):
        raise BadPrediction(f"`{name}` must be an array, not {kind(value)}")
    if len(value) > most:
        raise BadPrediction(f"`{name}` holds {len(value)}; at most {most} are read")
    for region in value:
        if not isinstance(region, dict):
            raise BadPrediction(f"`{name}` must hold objects, not {kind(region)}")
    return value


def _score(region: Mapping[str, Any]) -> float | None:
    """A `score`, or what `/v1/detect` calls `confidence`; None where there is neither."""
    for name in ("score", "confidence"):
        if region.get(name) is not None:
            return _number(region[name], name)
    return None


def _corners(region: Mapping[str, Any]) -> tuple[float, float, float, float]:
    said: list[Any] = [region.get(name) for name in CORNERS]
    x0, y0, x1, y1 = said
    are_floats = x0.__class__ is y0.__class__ is x1.__class__ is y1.__class__ is float
    if are_floats and 0.0 <= x0 <= x1 <= 1.0 and 0.0 <= y0 <= y1 <= 1.0:
        return x0, y0, x1, y1  # most boxes
    x0, y0, x1, y1 = (_coordinate(region, name) for name in CORNERS)
    if x1 < x0 or y1 < y0:
        raise BadPrediction("a box ends before it begins: x_min ≤ x_max and y_min ≤ y_max")
    return x0, y0, x1, y1


def boxes(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Boxes of one image. A box without a score of its own has the answer's, if that has one."""
    found = []
    for region in _regions(row, "objects", MAX_BOXES):
        box: dict[str, Any] = {"box": _corners(region)}
        score = _score(region)
        if score is None:
            score = _score(row)
        if score is not None:
            box["score"] = score
        if region.get("label") is not None:
            box["label"] = _text(region["label"], "label")
        found.append(box)
    return found


def points(row: Mapping[str, Any]) -> list[tuple[float, float]]:
    return [(_coordinate(p, "x"), _coordinate(p, "y")) for p in _regions(row, "points", MAX_POINTS)]
