"""Files of predictions and of items: read line by line, within limits, whatever they hold."""

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from inference.engine.files.rows import rows
from inference.engine.files.unpacking import MAX_BYTES, MAX_RATIO, pieces
from leaderboard.scoring.preflight import Context, Warned
from leaderboard.scoring.reading import kind
from leaderboard.scoring.types import BadPrediction, Item, Task

__all__ = ["MAX_BYTES", "Checked", "Problems", "read_items", "read_predictions"]

FIRST = 10
"""Problems that are named one by one; the rest is counted."""


@dataclass(slots=True)
class Problems:
    """What is wrong with a file: the first few one by one, and how many in all."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    bad: int = 0
    missing: int = 0
    missing_ids: list[str] = field(default_factory=list)
    extra: int = 0
    extra_ids: list[str] = field(default_factory=list)
    fatal: str = ""

    def add(self, line: int, key: Any, problem: str) -> None:
        self.bad += 1
        if len(self.lines) < FIRST:
            self.lines.append({"line": line, "id": _shown(key), "problem": problem})

    def __bool__(self) -> bool:
        return bool(self.bad or self.missing or self.extra or self.fatal)

    def sentence(self) -> str:
        """All of it in a line."""
        if self.fatal:
            return self.fatal
        counts = {"bad line": self.bad, "missing id": self.missing, "unknown id": self.extra}
        parts = [f"{n} {name}{'s' if n > 1 else ''}" for name, n in counts.items() if n]
        return f"The file has {', '.join(parts)}."


def _shown(key: Any) -> str | None:
    """An id that cannot deceive the eye: what is not ASCII is escaped."""
    return None if key is None else ascii(str(key)[:80])[1:-1]


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that was read."""

    predictions: dict[str, Any]
    problems: Problems
    lines: int
    warnings: list[Warned] = field(default_factory=list)
    """What will score badly in a file that can be read."""


def read_predictions(
    task: Task,
    keys: set[str],
    file: IO[bytes],
    *,
    context: Context | None = None,
    keep: bool = True,
    stored: bool = False,
) -> Checked:
    """Read JSON lines (or one JSON array), gzip or not, against the ids that are expected.

    Never raises for what the file holds, and reads no further than it must: a file with far more
    lines than there are items is given up.

    Args:
        context: what is known of the split, for the warnings.
        keep: False to check alone, holding one prediction at a time; each one's value is True then.
        stored: it was checked before it was kept, and packed here: how well it packs is no matter, and
            nothing is warned of.
    """
    problems = Problems()
    counts = None if stored else task.preflight()
    predictions: dict[str, Any] = {}
    number = 0
    try:
        unpacked = pieces(file, max_ratio=math.inf if stored else MAX_RATIO)
        for number, row in rows(unpacked, most=2 * len(keys) + 1000, most_bytes=task.line_bytes):
            key = row.get("id") if isinstance(row, dict) else None
            try:
                if (taken := _take(task, keys, row, predictions, problems)) is not None:
                    if counts is not None:
                        counts.add(taken[1])
                    predictions[taken[0]] = taken[1] if keep else True
            except BadPrediction as error:
                problems.add(number, key, str(error))
                if isinstance(key, str) and key in keys:
                    predictions.setdefault(key, None)  # there, if unreadable: not missing as well
    except BadPrediction as error:
        problems.fatal = str(error)
        return Checked({}, problems, number)
    problems.missing = len(keys) - len(predictions)
    problems.missing_ids = heapq.nsmallest(FIRST, (k for k in keys if k not in predictions))
    warnings = counts.warnings(context or Context()) if counts is not None else []
    return Checked(predictions, problems, number, warnings)


def _take(
    task: Task, keys: set[str], row: Any, predictions: Mapping[str, Any], problems: Problems
) -> tuple[str, Any] | None:
    """A row's id and prediction; None for an id that is not expected."""
    if isinstance(row, BadPrediction):
        raise row
    if not isinstance(row, dict):
        raise BadPrediction(f"must be an object, not {kind(row)}")
    key = row.get("id", ...)
    if isinstance(key, int) and not isinstance(key, bool):
        key = str(key)
    if not isinstance(key, str):
        raise BadPrediction(f"`id` must be a string, not {kind(key)}")
    if key not in keys:
        problems.extra += 1
        if len(problems.extra_ids) < FIRST:
            problems.extra_ids.append(_shown(key) or "")
        return None
    if predictions.get(key) is not None:
        raise BadPrediction("the same id came before")
    return key, task.read(row)


def read_items(path: Path) -> list[Item]:
    """Items with their references, as a public split is downloaded (JSON lines)."""
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
    return [Item(r["id"], r["reference"], r.get("category", ""), r.get("image", "")) for r in rows]
