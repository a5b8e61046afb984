"""JSON by levels, so that no nest is too deep to be refused."""

from collections.abc import Iterator
from typing import Any


class TooDeepError(ValueError):
    """A value is nested more deeply than it may be."""


def parts(value: Any, levels: int) -> Iterator[Any]:
    """Every part of a value, names of fields too, level by level.

    Raises:
        TooDeepError: it has more levels, once those are told.
    """
    level = [value]
    for _ in range(levels):
        yield from level
        deeper: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                deeper += [*part, *part.values()]
            elif isinstance(part, list):
                deeper += part
        if not deeper:
            return
        level = deeper
    raise TooDeepError
