"""Files of predictions and of items: read line by line, within limits, whatever they hold."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from leaderboard.scoring.reading import kind
from leaderboard.scoring.types import BadPrediction, Item, Task

MAX_LINE = 64 * 1024
MAX_BYTES = 50 * 1024 * 1024
"""Of an upload, and of what a compressed one unpacks to times `MAX_RATIO`."""
MAX_RATIO = 4
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


def read_predictions(task: Task, keys: set[str], file: IO[bytes]) -> Checked:
    """Read JSON lines (or one JSON array), gzip or not, against the ids that are expected.

    Never raises for what the file holds, and reads no further than it must: a file with far more
    lines than there are items is given up.
    """
    problems = Problems()
    predictions: dict[str, Any] = {}
    number = 0
    try:
        for number, row in _rows(file, most=2 * len(keys) + 1000):
            key = row.get("id") if isinstance(row, dict) else None
            try:
                _take(task, keys, row, predictions, problems)
            except BadPrediction as error:
                problems.add(number, key, str(error))
                if isinstance(key, str) and key in keys:
                    predictions.setdefault(key, None)  # there, if unreadable: not missing as well
    except BadPrediction as error:
        problems.fatal = str(error)
        return Checked({}, problems, number)
    missing = sorted(keys - predictions.keys())
    problems.missing, problems.missing_ids = len(missing), missing[:FIRST]
    return Checked(predictions, problems, number)


def _take(
    task: Task, keys: set[str], row: Any, predictions: dict[str, Any], problems: Problems
) -> None:
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
        return
    if predictions.get(key) is not None:
        raise BadPrediction("the same id came before")
    predictions[key] = task.read(row)


def _rows(file: IO[bytes], *, most: int) -> Iterator[tuple[int, Any]]:
    """Numbered rows; one that is no JSON comes as the `BadPrediction` that says so.

    Raises:
        BadPrediction: the whole file is of no use.
    """
    head = file.read(2)
    file.seek(0)
    zipped = head == b"\x1f\x8b"
    plain: Any = gzip.GzipFile(fileobj=file) if zipped else file
    try:
        yield from _plain_rows(plain, most)
    except (EOFError, OSError, zlib.error) as error:
        raise BadPrediction("The file claims to be gzip but cannot be unpacked.") from error


def _plain_rows(plain: IO[bytes], most: int) -> Iterator[tuple[int, Any]]:
    start = plain.read(64).lstrip()
    plain.seek(0)
    return _array(plain, most) if start[:1] == b"[" else _json_lines(plain, most)


def _array(plain: IO[bytes], most: int) -> Iterator[tuple[int, Any]]:
    data = plain.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise BadPrediction(f"A JSON array may have {MAX_BYTES >> 20} MB; use JSON lines.")
    try:
        rows = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadPrediction(f"The file is no JSON: {error}") from error
    if len(rows) > most:
        raise BadPrediction(f"Far too many rows: {len(rows)}.")
    yield from enumerate(rows, 1)


def _json_lines(plain: IO[bytes], most: int) -> Iterator[tuple[int, Any]]:
    number = size = 0
    while line := plain.readline(MAX_LINE + 1):
        number += 1
        size += len(line)
        if size > MAX_BYTES * MAX_RATIO:
            raise BadPrediction(f"The file unpacks to more than {MAX_BYTES * MAX_RATIO >> 20} MB.")
        if number > most:
            raise BadPrediction(f"Far too many lines: reading stopped after {most}.")
        if len(line) > MAX_LINE:
            raise BadPrediction(f"Line {number} is longer than {MAX_LINE >> 10} KB.")
        if line.strip():
            yield number, _parsed(line)
    if not number:
        raise BadPrediction("The file is empty.")


def _parsed(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return BadPrediction(f"is no JSON: {error}")


def read_items(path: Path) -> list[Item]:
    """Items with their references, as a public split is downloaded (JSON lines)."""
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
    return [Item(r["id"], r["reference"], r.get("category", ""), r.get("image", "")) for r in rows]
