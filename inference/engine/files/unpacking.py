"""The bytes of an upload, unpacked a piece at a time: what is not gzip or text is named, and nothing
unpacks to more than its bound, whatever it claims."""

import zlib
from collections.abc import Iterator
from typing import IO

from inference.engine.files import UnreadableError

PIECE = 64 * 1024
"""Bytes held at a time."""
MAX_BYTES = 50 * 1024 * 1024
"""Of an upload."""
MAX_UNPACKED = 4 * MAX_BYTES
MAX_RATIO = 100
"""How many times its own size an upload may unpack to. Files of predictions reach about 20."""
FREE = 16 * 1024 * 1024
"""What an upload may unpack to whatever its ratio: a small file of equal lines packs very well."""
MAX_MEMBERS = 10_000
"""Gzip members in one file: `bgzip` makes one of each 64 KB."""

_GZIP = b"\x1f\x8b"
_NAMES = (
    (b"PK\x03\x04", "a zip file"), (b"PK\x05\x06", "a zip file"), (b"\x28\xb5\x2f\xfd", "packed with zstd"),
    (b"\xfd7zXZ\x00", "packed with xz"), (b"BZh", "packed with bzip2"), (b"7z\xbc\xaf", "a 7z file"),
    (b"\x04\x22\x4d\x18", "packed with lz4"), (b"Rar!", "a rar file"), (b"PAR1", "a Parquet file"), (b"ARROW1", "an Arrow file"),
    (b"%PDF", "a PDF"), (b"\x93NUMPY", "a NumPy array"), (b"\x80\x04\x95", "a Python pickle"),
)  # fmt: skip
_WIDE = (
    (b"\xff\xfe", "UTF-16 or UTF-32"),
    (b"\xfe\xff", "UTF-16"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
)
_BOM = b"\xef\xbb\xbf"


def pieces(file: IO[bytes], *, max_ratio: float = MAX_RATIO) -> Iterator[bytes]:
    """A file's text, unpacked where it is gzip, without its byte order mark, up to `PIECE` at a time.

    Args:
        max_ratio: how many times its size it may unpack to; infinite for what was checked before.

    Raises:
        UnreadableError: it is of no use: not gzip or UTF-8 text, cut off, or more than it may be.
    """
    file.seek(0)
    packed = file.read(2) == _GZIP
    file.seek(0)
    source = _gunzip(file, _Sizes(max_ratio)) if packed else _plain(file)
    # Enough to tell what it is, however small the first pieces are.
    first = b""
    for piece in source:
        first += piece
        if len(first) >= 512:  # a tar header's size
            break
    _refuse_other(first, packed=packed)
    yield first.removeprefix(_BOM)
    yield from source


def _refuse_other(first: bytes, *, packed: bool) -> None:
    inside = "What is in the gzip file" if packed else "The file"
    for magic, name in (*_NAMES, (_GZIP, "packed with gzip again")):
        if first.startswith(magic):
            raise UnreadableError(f"{inside} is {name}. Send JSON lines or one JSON array, plain or packed with gzip once.")  # fmt: skip
    if first[257:262] == b"ustar":
        raise UnreadableError(f"{inside} is a tar archive. Send the file of rows alone.")
    for mark, name in _WIDE:
        if first.startswith(mark):
            raise UnreadableError(f"{inside} is written in {name}. Save it as UTF-8.")
    if b"\x00" in first[:4]:
        raise UnreadableError(
            f"{inside} is no text in UTF-8: it begins with NUL, as UTF-16 does. Save it as UTF-8."
        )


def _plain(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece


class _Sizes:
    """What was read and what it unpacked to."""

    def __init__(self, max_ratio: float) -> None:
        self.max_ratio = max_ratio
        self.packed = self.unpacked = self.members = 0

    def member(self) -> None:
        self.members += 1
        if self.members > MAX_MEMBERS:
            raise UnreadableError(f"The gzip file has more than {MAX_MEMBERS:,} members.")

    def add(self, size: int) -> None:
        self.unpacked += size
        if self.unpacked > MAX_UNPACKED:
            raise UnreadableError(f"The file unpacks to more than {MAX_UNPACKED >> 20} MB.")
        if self.unpacked > max(FREE, self.max_ratio * self.packed):
            raise UnreadableError(
                f"The file unpacks to more than {self.max_ratio:g} times its size."
            )


def _gunzip(file: IO[bytes], sizes: _Sizes) -> Iterator[bytes]:
    """Every member of a gzip file (RFC 1952, 2.2), zeros after the last left out as gzip does."""
    data = b""
    while True:
        data = (data or _more(file, sizes)).lstrip(b"\x00") if sizes.members else _more(file, sizes)
        if not data:
            data = _more(file, sizes)
            if not data:
                return
            continue
        sizes.member()
        inflate = zlib.decompressobj(31)
        ended = False
        while not ended:
            data = data or _more(file, sizes)
            try:
                piece = inflate.decompress(data, PIECE)
            except zlib.error as error:
                which = "The file claims to be gzip but" if sizes.members == 1 else "What follows the first part of the gzip file"  # fmt: skip
                raise UnreadableError(f"{which} cannot be unpacked.") from error
            ended = inflate.eof
            if not piece and not data and not ended:
                raise UnreadableError("The gzip file ends too early and cannot be unpacked: was it cut off on its way?")  # fmt: skip
            data = inflate.unused_data if ended else inflate.unconsumed_tail
            sizes.add(len(piece))
            if piece:
                yield piece


def _more(file: IO[bytes], sizes: _Sizes) -> bytes:
    data = file.read(PIECE)
    sizes.packed += len(data)
    return data
