"""One prediction, as it is written in a file, checked."""

import math
from collections.abc import Mapping
from typing import Any

from leaderboard.scoring.types import BadPrediction

MAX_REGIONS = 300
MAX_TEXT = 4000


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
    if not -1e-6 <= value <= 1 + 1e-6:
        raise BadPrediction(f"`{name}` is {value:g}: coordinates are 0..1 of the image, not pixels")
    return min(1.0, max(0.0, value))


def _regions(row: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = row.get(name, ...)
    if not isinstance(value, list):
        raise BadPrediction(f"`{name}` must be an array, not {kind(value)}")
    if len(value) > MAX_REGIONS:
        raise BadPrediction(f"`{name}` holds {len(value)}; at most {MAX_REGIONS} are read")
    for region in value:
        if not isinstance(region, dict):
            raise BadPrediction(f"`{name}` must hold objects, not {kind(region)}")
    return value


def boxes(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for region in _regions(row, "objects"):
        x0, y0, x1, y1 = (_coordinate(region, n) for n in ("x_min", "y_min", "x_max", "y_max"))
        if x1 < x0 or y1 < y0:
            raise BadPrediction("a box ends before it begins: x_min ≤ x_max and y_min ≤ y_max")
        box: dict[str, Any] = {"box": (x0, y0, x1, y1)}
        if region.get("score") is not None:
            box["score"] = _number(region["score"], "score")
        if region.get("label") is not None:
            box["label"] = _text(region["label"], "label")
        found.append(box)
    return found


def points(row: Mapping[str, Any]) -> list[tuple[float, float]]:
    return [(_coordinate(p, "x"), _coordinate(p, "y")) for p in _regions(row, "points")]
