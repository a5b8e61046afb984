"""What is scored: a completion as a model writes it, and what is known to be right."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from inference.engine.metrics.counts import read_count
from inference.engine.metrics.ptb import tokenise
from inference.engine.metrics.regions import CORNERS, FAR, Box, Point
from inference.engine.numbers import is_number

MAX_TEXT = 4000
MAX_REGIONS = 300
Completion = str | Mapping[str, Any]


class UnreadableReference(ValueError):
    """A reference is of no form that is known here."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What is right for one image and prompt; a part that is not known is empty or None."""

    texts: tuple[str, ...] = ()
    boxes: tuple[Box, ...] | None = None
    count: int | None = None
    points: tuple[Point, ...] | None = None

    @classmethod
    def read(cls, value: Any) -> "Reference":
        """From a text, a list of texts, or one of the benchmarks' own forms: `captions`, `answers`,
        `answer`, `count`, `objects` with a `box` each or the API's `x_min`…, `points` with `x` and `y`.

        Raises:
            UnreadableReference: it is none of these.
        """
        if value is None or isinstance(value, cls):
            return value or cls()
        if isinstance(value, str):
            return cls((value,), count=read_count(value))
        if isinstance(value, int) and not isinstance(value, bool):
            return cls((str(value),), count=value)
        if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
            return cls(tuple(value), count=read_count(value[0]) if value else None)
        if isinstance(value, Mapping):
            for name in ("captions", "answers", "answer", "caption", "count"):
                if name in value:
                    return cls.read(value[name])
            boxes = read_boxes(value)
            if boxes is not None:
                return cls(boxes=tuple(boxes), count=len(boxes))
            points = read_points(value)
            if points is not None:
                return cls(points=tuple(points), count=len(points))
        raise UnreadableReference(
            "a reference is a text, a list of texts, a number, or an object with `captions`, "
            "`answers`, `count`, `objects` or `points`"
        )


def read_boxes(data: Any) -> list[Box] | None:
    """The boxes of an answer or reference with `objects`; None if it is no such thing."""
    if not isinstance(data, Mapping) or not isinstance(data.get("objects"), list):
        return None
    boxes = []
    for region in data["objects"][:MAX_REGIONS]:
        if not isinstance(region, Mapping):
            return None
        corners = region.get("box")
        if not isinstance(corners, Sequence) or isinstance(corners, str):
            corners = [region.get(name) for name in CORNERS]
        if len(corners) != 4 or not all(is_number(c, FAR) for c in corners):
            return None
        x0, y0, x1, y1 = (float(c) for c in corners)
        if x1 < x0 or y1 < y0:
            return None
        boxes.append((x0, y0, x1, y1))
    return boxes


def read_points(data: Any) -> list[Point] | None:
    """The points of an answer or reference with `points`; None if it is no such thing."""
    if not isinstance(data, Mapping) or not isinstance(data.get("points"), list):
        return None
    points = []
    for point in data["points"][:MAX_REGIONS]:
        if not isinstance(point, Mapping) or not all(
            is_number(point.get(n), FAR) for n in ("x", "y")
        ):
            return None
        points.append((float(point["x"]), float(point["y"])))
    return points


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def read_json(text: str) -> tuple[Any, str]:
    """(value, "") or (None, what is wrong). NaN and Infinity are not JSON (RFC 8259)."""
    try:
        return json.loads(text, parse_constant=_no_constant), ""
    except RecursionError:
        return None, "it is nested too deeply"
    except ValueError as error:
        return None, str(error)


class Case:
    """One completion with its reference; what several terms need is worked out once."""

    def __init__(self, completion: Completion, reference: Any = None) -> None:
        self.reference = Reference.read(reference)
        self.data: Any = None
        self.json_error = ""
        if isinstance(completion, str):
            self.text = completion[:MAX_TEXT]
            self.data, self.json_error = read_json(self.text)
        else:
            said = completion.get("caption", completion.get("answer"))
            if isinstance(said, str):
                self.text = said[:MAX_TEXT]
                self.data, self.json_error = read_json(self.text)
            else:
                self.text, self.data = json.dumps(completion), completion

    @cached_property
    def tokens(self) -> list[str]:
        """As the caption metrics split it."""
        return tokenise(self.text)

    @cached_property
    def truths(self) -> list[list[str]]:
        """The references' tokens."""
        return [tokenise(text[:MAX_TEXT]) for text in self.reference.texts]

    @cached_property
    def words(self) -> int:
        """Parts between blanks."""
        return len(self.text.split())

    @cached_property
    def boxes(self) -> list[Box] | None:
        """The boxes it names; None if it names none in the API's form."""
        return read_boxes(self.data)

    @cached_property
    def regions(self) -> int | None:
        """How many boxes or points it names."""
        if not isinstance(self.data, Mapping):
            return None
        found = self.data.get("objects", self.data.get("points"))
        return len(found) if isinstance(found, list) else None
