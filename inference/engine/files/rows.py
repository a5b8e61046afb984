"""Rows of a file, JSON lines or one JSON array, one at a time.

A row is bounded in bytes before it is parsed, so that what it holds is bounded too; the file is never
held as a whole.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from inference.engine.files import UnreadableError

MAX_ARRAY = 50 * 1024 * 1024
"""Of one JSON array; JSON lines may have more."""
MOST_BRACKETS = 8000
"""Objects and arrays in a row: counted before any is made. Those in strings count too."""
_DEPTH = 1024
_BLANK = b" \t\r\n"


def rows(
    pieces: Iterable[bytes], *, most: int, most_bytes: int, most_in_array: int | None = None
) -> Iterator[tuple[int, Any]]:
    """Numbered rows: the line, or the place in the array. One that is no JSON comes as the
    `UnreadableError` that says so.

    Args:
        most: lines or rows after which the file is given up.
        most_bytes: of one row.
        most_in_array: of one in a JSON array, whose strings are looked through again with each piece; by
            default the same.

    Raises:
        UnreadableError: the whole file is of no use.
    """
    source = iter(pieces)
    skipped, first = 0, b""
    for piece in source:
        first = piece.lstrip(_BLANK)
        skipped += piece[: len(piece) - len(first)].count(b"\n")
        if first:
            break
    if not first:
        raise UnreadableError("The file is empty.")
    if first.startswith(b"["):
        in_array = most_bytes if most_in_array is None else most_in_array
        yield from _array(first, source, skipped + 1, most, in_array)
    else:
        yield from _lines(first, source, skipped, most, most_bytes)


def _lines(
    first: bytes, source: Iterator[bytes], number: int, most: int, most_bytes: int
) -> Iterator[tuple[int, Any]]:
    for line in _split(first, source, number, most_bytes):
        number += 1
        if number > most:
            raise UnreadableError(f"Far too many lines: reading stopped after {most}.")
        if len(line) > most_bytes:
            raise UnreadableError(f"Line {number} is longer than {most_bytes >> 10} KB.")
        if line.strip(_BLANK):
            yield number, parsed(line)


def _split(first: bytes, source: Iterator[bytes], number: int, most_bytes: int) -> Iterator[bytes]:
    """Lines; the parts of a long one are put together once, at its end."""
    parts: list[bytes] = []
    size = 0
    piece: bytes | None = first
    while piece is not None:
        *whole, rest = piece.split(b"\n")
        for end in whole:
            yield b"".join([*parts, end])
            number += 1
            parts, size = [], 0
        parts.append(rest)
        size += len(rest)
        if size > most_bytes:
            raise UnreadableError(f"Line {number + 1} is longer than {most_bytes >> 10} KB.")
        piece = next(source, None)
    if size:
        yield b"".join(parts)


_TOKEN = re.compile(
    rb"""
      \{(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+\}   # an object that holds no other, whole
    | "(?:[^"\\]++|\\.)*+"                          # a string
    | [\[\]{},]
    | "                                             # a string that goes on in the next piece
    """,
    re.VERBOSE | re.DOTALL,
)


class _Array:
    """Where an array's rows begin and end, found without parsing them.

    Only strings and brackets are looked at: whether a row is JSON is seen when it is parsed.
    """

    def __init__(self, line: int, most_bytes: int) -> None:
        self.line = line
        self.most_bytes = most_bytes
        self.buffer = b""
        self.at = self.start = 0
        self.depth = self.number = self.size = 0
        self.ended = self.comma = False

    def feed(self, piece: bytes) -> Iterator[tuple[int, Any]]:
        self.size += len(piece)
        if self.size > MAX_ARRAY:
            raise UnreadableError(f"A JSON array may have {MAX_ARRAY >> 20} MB; use JSON lines.")
        self.buffer = self.buffer[self.start :] + piece
        self.at -= self.start
        self.start = 0
        for token in _TOKEN.finditer(self.buffer, self.at):
            self.at = token.start()
            mark = token[0]
            if mark == b'"':
                break
            self.at = token.end()
            if mark in (b"[", b"{"):
                self._deeper()
            elif mark in (b"]", b"}"):
                self.depth -= 1
            if self.depth == 0:
                yield from self._end(token.start())
                return
            if self.depth == 1 and mark == b",":
                yield self._row(token.start())
                self.start, self.comma = token.end(), True
        else:
            self.at = len(self.buffer)
        if len(self.buffer) - self.start > self.most_bytes:
            raise UnreadableError(f"{self._here()} is longer than {self.most_bytes >> 10} KB.")

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > _DEPTH:
            raise UnreadableError(f"{self._here()} is no JSON that is read here: it is nested deeper than {_DEPTH}.")  # fmt: skip
        if self.depth == 1:
            self.start = self.at

    def _here(self) -> str:
        return f"Row {self.number + 1} (line {self.line})"

    def _row(self, end: int) -> tuple[int, Any]:
        data = self.buffer[self.start : end]
        blanks = len(data) - len(data.lstrip(_BLANK))
        self.line += data[:blanks].count(b"\n")
        if not data.strip(_BLANK):
            raise UnreadableError(f"The file is no JSON: a comma too many before row {self.number + 1}, in line {self.line}.")  # fmt: skip
        if len(data) > self.most_bytes:
            raise UnreadableError(f"{self._here()} is longer than {self.most_bytes >> 10} KB.")
        self.number += 1
        row = parsed(data)
        self.line += data[blanks:].count(b"\n")
        return self.number, row

    def _end(self, end: int) -> Iterator[tuple[int, Any]]:
        if self.buffer[end : end + 1] != b"]":
            raise UnreadableError(f"The file is no JSON: the array ends with a brace, in line {self.line}.")  # fmt: skip
        self.ended = True
        if self.buffer[self.start : end].strip(_BLANK):
            yield self._row(end)
        elif self.comma:
            raise UnreadableError(f"The file is no JSON: a comma after the last row, {self.number}, in line {self.line}.")  # fmt: skip
        self.buffer = self.buffer[self.at :]

    def refuse_more(self, piece: bytes) -> None:
        if piece.strip(_BLANK):
            raise UnreadableError("The file is no JSON: something follows the end of the array.")


def _array(
    first: bytes, source: Iterator[bytes], line: int, most: int, most_bytes: int
) -> Iterator[tuple[int, Any]]:
    array = _Array(line, most_bytes)
    piece: bytes | None = first
    while piece is not None and not array.ended:
        for number, row in array.feed(piece):
            if number > most:
                raise UnreadableError(f"Far too many rows: reading stopped after {most}.")
            yield number, row
        piece = next(source, None)
    if not array.ended:
        raise UnreadableError("The file is no JSON: the array does not end. Was it cut off?")
    array.refuse_more(array.buffer)
    while piece is not None:
        array.refuse_more(piece)
        piece = next(source, None)


_KEY = re.compile(rb'"\s*:')


def parsed(data: bytes) -> Any:
    """A row's value, or the `UnreadableError` that says why there is none."""
    if data.count(b"{") + data.count(b"[") > MOST_BRACKETS:
        return UnreadableError(
            f"is no JSON that is read here: it holds more than {MOST_BRACKETS:,} objects and arrays"
        )
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return UnreadableError(f"is no JSON: {_reason(data, error)}")
    if (
        isinstance(value, dict)
        and len(_KEY.findall(data)) != _keys(value)
        and (name := _twice(data)) is not None
    ):
        return UnreadableError(f"has the field `{ascii(name)[1:-1][:80]}` twice")
    return value


def _reason(data: bytes, error: json.JSONDecodeError) -> str:
    """The parser's words, or plainer ones for what programs often write."""
    at = data[max(0, error.pos - 1) : error.pos + 9]
    if b"NaN" in at or b"Infinity" in at:
        return "NaN and Infinity are not numbers there"
    if "UTF-8" in error.msg:
        return "its text is not UTF-8"
    if error.msg.startswith("unexpected content") and data[error.pos :].strip() == b",":
        return "it ends with a comma; JSON lines have none between them"
    if error.msg.startswith("unexpected content") and b"\r" in data.strip():
        return "several lines in one; end each with a newline (LF)"
    return f"{error.msg} (character {error.pos + 1})"


def _keys(value: Any) -> int:
    """How many fields all objects in it have."""
    count = 0
    waiting = [value]
    while waiting:
        one = waiting.pop()
        values = one
        if isinstance(one, dict):
            count += len(one)
            values = one.values()
        waiting += [v for v in values if v.__class__ in _HOLDERS]
    return count


_HOLDERS = (dict, list)


class _Twice(Exception):
    """A field that an object has twice."""


def _twice(data: bytes) -> str | None:
    def pairs(found: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in found]
        if len(set(names)) < len(names):
            raise _Twice(next(name for name in names if names.count(name) > 1))

    try:
        json.loads(data, object_pairs_hook=pairs)
    except _Twice as twice:
        return str(twice)
    except (ValueError, RecursionError):
        pass
    return None
