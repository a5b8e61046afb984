"""Data sets as files: JSON lines, one JSON array, or a zip of such files with their images.

    with open("data.zip", "rb") as file:
        data = read_dataset(file, ImagesInMemory())
    data.examples, data.faults

Every line is read, and everything that is wrong is named with its file and line.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any, Protocol

from PIL import Image, ImageOps

from inference.engine.files import UnreadableError, data_urls
from inference.engine.files.archives import LIMITS, Archive, Limits, opened, shown
from inference.engine.files.rows import rows
from inference.engine.files.unpacking import pieces
from inference.engine.tuning.examples import Example, ExampleError
from inference.engine.tuning.rows import Asked, read_row

MOST_ROWS = 20_000
MOST_NAMED = 200
"""Faults that are named one by one; the rest is counted."""
MAX_IMAGE_BYTES = 20 * 2**20
_ROW_BYTES = 64 * 1024
_ROW_WITH_IMAGE = MAX_IMAGE_BYTES * 4 // 3 + _ROW_BYTES
_ROW_IN_ARRAY = 2**20
"""Images in rows are for JSON lines, or for a zip."""
_ROW_FILES = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".json.gz")


class Images(Protocol):
    """Where a data set's images go."""

    def keep(self, key: str, data: bytes) -> None:
        """Take an image file in, once for each content.

        Args:
            key: the SHA-256 of the file.

        Raises:
            UnreadableError: it is no image that can be read; the text follows its name.
        """

    def open(self, key: str) -> Image.Image:
        """An image that was taken in, as upright RGB."""


class ImagesInMemory:
    """Images held in this process, for a notebook."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def keep(self, key: str, data: bytes) -> None:
        self._files[key] = data
        try:
            self.open(key)
        except (OSError, Image.DecompressionBombError, ValueError) as error:
            raise UnreadableError(f"is no image that can be read: {error}") from error

    def open(self, key: str) -> Image.Image:
        with Image.open(io.BytesIO(self._files[key])) as image:
            return ImageOps.exif_transpose(image).convert("RGB")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one line."""

    line: int
    """Of the file; the row's number where it is one JSON array."""
    problem: str
    file: str = ""
    """In the zip; empty where the rows came by themselves."""


@dataclass(slots=True)
class Dataset:
    """What a file holds."""

    examples: list[Example] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    faulty: int = 0
    """Faults in all: `faults` names the first `MOST_NAMED`."""
    notes: list[str] = field(default_factory=list)
    """What was left out, and is no fault."""
    rows: int = 0
    images: int = 0
    """Different ones."""

    def fault(self, line: int, problem: str, file: str = "") -> None:
        """Note a fault."""
        self.faulty += 1
        if len(self.faults) < MOST_NAMED:
            self.faults.append(Fault(line, problem, file))

    @property
    def skills(self) -> Counter[str]:
        """How many examples each skill has."""
        return Counter(example.skill for example in self.examples)


def read_dataset(
    file: IO[bytes], images: Images, *, most_rows: int = MOST_ROWS, limits: Limits = LIMITS
) -> Dataset:
    """Read a file to its end. Never raises for what it holds.

    Args:
        images: where its images go.
        most_rows: rows after which it is given up.
        limits: of a zip file.
    """
    data = Dataset()
    reading = _Reading(data, images, most_rows)
    file.seek(0)
    is_zip = file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    file.seek(0)
    try:
        if is_zip:
            with opened(file, limits) as archive:
                reading.archive(archive)
        else:
            reading.rows("", pieces(file), None)
    except UnreadableError as error:
        data.fault(0, str(error))
    if not data.examples and not data.faults:
        data.fault(0, "The file has no rows.")
    reading.note()
    return data


class _Reading:
    """One data set while it is read."""

    def __init__(self, data: Dataset, images: Images, most_rows: int) -> None:
        self.data, self.images, self.most_rows = data, images, most_rows
        self.kept: dict[str, str | UnreadableError] = {}
        """By a member's name: the key of its image, or what is wrong with it."""
        self.contents: dict[str, str] = {}
        """By key: what is wrong with an image file, or nothing."""
        self.unread: Counter[str] = Counter()
        self.used: set[str] = set()
        self.others = 0

    def archive(self, archive: Archive) -> None:
        """Every file of rows in an archive."""
        files = [name for name in archive.names if name.lower().endswith(_ROW_FILES)]
        if not files:
            raise UnreadableError(
                "The zip file has no file of rows (.jsonl or .json): put one beside the images."
            )
        for name in files:
            try:
                source = pieces(_Member(archive, name))  # type: ignore[arg-type]
                self.rows(name, source, archive)
            except UnreadableError as error:
                self.data.fault(0, str(error), shown(name))
        self.others = len(archive.names) - len(files) - len(self.used)

    def rows(self, name: str, source: Iterator[bytes], archive: Archive | None) -> None:
        """All rows of one file."""
        left = self.most_rows - self.data.rows
        if left <= 0:
            raise UnreadableError(f"The files have more than {self.most_rows:,} rows.")
        bounds = {"most_bytes": _ROW_WITH_IMAGE, "most_in_array": _ROW_IN_ARRAY}
        for line, row in rows(source, most=left, **bounds):
            self.data.rows += 1
            try:
                for asked in read_row(_parsed(row)):
                    self.data.examples.append(self.example(asked, name, archive))
            except ExampleError as error:
                for path, text in error.problems:
                    self.data.fault(line, f"`{path}` {text}" if path else text, shown(name))
            except UnreadableError as error:
                self.data.fault(line, str(error), shown(name))

    def example(self, asked: Asked, name: str, archive: Archive | None) -> Example:
        """A row's example, its image taken in."""
        self.unread.update(asked.unread)
        key = self.image(asked.image, name, archive) if asked.image else ""
        return Example(
            asked.skill, asked.params, partial(self.images.open, key) if key else None, key,
            reference=asked.reference, target=asked.target,
        )  # fmt: skip

    def image(self, named: str, file: str, archive: Archive | None) -> str:
        """The key of the image that a row names.

        Raises:
            UnreadableError: there is none, or it cannot be read.
        """
        if named[:5].lower() == "data:" or "://" in named[:16]:
            try:
                data = data_urls.decode(named, most=MAX_IMAGE_BYTES)
            except UnreadableError as error:
                raise UnreadableError(f"`image` {error}") from error
            return self.take(data, "`image`")
        if archive is None:
            raise UnreadableError(
                f"`image` names the file {shown(named)}: send it in a zip beside the rows, or as a data URL"
            )
        member = _found(named, file, archive)
        if member is None:
            raise UnreadableError(f"`image` {shown(named)} is not in the zip file")
        self.used.add(member)
        if member not in self.kept:
            self.kept[member] = self.member(member, archive)
        kept = self.kept[member]
        if isinstance(kept, UnreadableError):
            raise UnreadableError(str(kept))
        return kept

    def member(self, name: str, archive: Archive) -> str | UnreadableError:
        try:
            if archive.size(name) > MAX_IMAGE_BYTES:
                raise UnreadableError(f"{shown(name)} is larger than {MAX_IMAGE_BYTES >> 20} MB")
            return self.take(archive.read(name), shown(name))
        except UnreadableError as error:
            return error

    def take(self, data: bytes, name: str) -> str:
        """Hand an image on, once for each content."""
        key = hashlib.sha256(data).hexdigest()
        if key not in self.contents:
            try:
                self.images.keep(key, data)
                self.contents[key] = ""
                self.data.images += 1
            except UnreadableError as error:
                self.contents[key] = str(error)
        if self.contents[key]:
            raise UnreadableError(f"{name} {self.contents[key]}")
        return key

    def note(self) -> None:
        """What was left out."""
        for name, count in self.unread.most_common(20):
            self.data.notes.append(f"{shown(name)}: not read, in {count:,} of the rows")
        if self.others:
            self.data.notes.append(f"{self.others:,} files of the zip are named by no row")


def _parsed(row: Any) -> Any:
    if isinstance(row, UnreadableError):
        raise row
    return row


def _found(named: str, file: str, archive: Archive) -> str | None:
    """A member by the name that a row gives it: beside its file of rows, or from the archive's root."""
    plain = str(PurePosixPath(named.replace("\\", "/").removeprefix("./")))
    for folder in (PurePosixPath(file).parent, PurePosixPath()):
        candidate = str(folder / plain)
        if candidate in archive:
            return candidate
    return None


class _Member(io.RawIOBase):
    """A member of an archive as a file that is read from its beginning, and begun anew by `seek(0)`."""

    def __init__(self, archive: Archive, name: str) -> None:
        super().__init__()
        self._archive, self._name = archive, name
        self._rest, self._source = b"", archive.pieces(name)

    def seek(self, offset: int, whence: int = 0) -> int:
        if offset or whence:
            raise io.UnsupportedOperation("seek")
        self._rest, self._source = b"", self._archive.pieces(self._name)
        return 0

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            piece = next(self._source, None)
            if piece is None:
                break
            self._rest += piece
        size = len(self._rest) if size < 0 else size
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken
