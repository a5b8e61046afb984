"""What a question may carry. Imports nothing heavy: the web process checks with it too."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

MOST_TOKENS = 2048
MOST_OBJECTS = 500
"""Who asks for more of either gets as many."""
MAX_TOKENS = 768
"""Upstream's bound on an answer's tokens when none is asked for."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to generate. `temperature` 0 is greedy and the default: the same question gets the same
    answer. (Upstream samples at 0.5 by default.)"""

    temperature: float = 0.0
    top_p: float = 0.3
    max_tokens: int = MAX_TOKENS
    max_objects: int = 50
    seed: int = 0

    @classmethod
    def read(cls, values: "Settings | Mapping[str, Any] | None") -> "Settings":
        """From a client's dict: unknown keys are ignored, `maxTokens` is read as `max_tokens`. Who
        allows more tokens or objects than there ever are gets as many as there are.

        Raises:
            ValueError: a value is not a number or out of its range.
        """
        if isinstance(values, Settings):
            return values
        given = dict(values or {})
        for camel, snake in _CAMEL.items():
            if camel in given:
                given.setdefault(snake, given.pop(camel))
        read: dict[str, Any] = {}
        for name, (kind, low, high) in _RANGES.items():
            value = given.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"settings.{name} must be a number.")
            if name in _CLAMPED:
                value = min(value, high)
            if not low <= value <= high:  # nor NaN; a JSON integer may be longer than any float
                raise ValueError(f"settings.{name} must be between {low:g} and {high:g}.")
            read[name] = kind(value)
        return cls(**read)

    def chosen(self) -> dict[str, Any]:
        """What differs from the defaults."""
        default = asdict(Settings())
        return {name: value for name, value in asdict(self).items() if value != default[name]}


_CAMEL = {"maxTokens": "max_tokens", "maxObjects": "max_objects", "topP": "top_p"}
_CLAMPED = ("max_tokens", "max_objects")
_RANGES: dict[str, tuple[type, float, float]] = {
    "temperature": (float, 0.0, 2.0),
    "top_p": (float, 0.0, 1.0),
    "max_tokens": (int, 1, MOST_TOKENS),
    "max_objects": (int, 1, MOST_OBJECTS),
    "seed": (int, 0, 2**32 - 1),
}


def read_reference(values: Sequence[float]) -> tuple[float, ...]:
    """A place that a question is about.

    Raises:
        ValueError: not a point or a box within the image.
    """
    if len(values) not in (2, 4) or not all(0 <= value <= 1 for value in values):
        raise ValueError("A spatial reference is [x, y] or [x1, y1, x2, y2], each 0 to 1.")
    return tuple(values)
