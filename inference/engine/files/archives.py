"""Zip archives that strangers send: judged by what they claim before anything is unpacked, and held to it."""

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from inference.engine.files import UnreadableError

PIECE = 64 * 1024
MAX_DIRECTORY = 8 * 2**20
"""Bytes of the list of members: zipfile reads all of it before it can be judged."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_LEFT_OUT = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may hold."""

    members: int = 20_000
    unpacked: int = 400 * 2**20
    """Bytes of all members together."""
    member: int = 50 * 2**20
    """Bytes of one."""
    ratio: float = 200
    """How many times its packed size one may have, beyond `free` bytes."""
    free: int = 2**20


LIMITS = Limits()


class _Bounded:
    """A file whose pieces are bounded while zipfile looks for the list of members."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.is_open = False
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if self.is_open:
            return self._file.read(size)
        data = self._file.read(MAX_DIRECTORY + 1 if size < 0 else min(size, MAX_DIRECTORY + 1))
        if len(data) > MAX_DIRECTORY:
            raise UnreadableError("The zip file lists too many members.")
        return data


class Archive:
    """A zip archive's members by name. Folders, and what file managers leave, are left out."""

    def __init__(self, zipped: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> None:
        self._zipped, self._members = zipped, members

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def size(self, name: str) -> int:
        """Bytes that a member claims to unpack to; `pieces` gives no more."""
        return self._members[name].file_size

    def pieces(self, name: str) -> Iterator[bytes]:
        """A member, unpacked a piece at a time.

        Raises:
            UnreadableError: it is damaged.
        """
        with _explained(name), self._zipped.open(self._members[name]) as member:
            while piece := member.read(PIECE):
                yield piece

    def read(self, name: str) -> bytes:
        """A whole member.

        Raises:
            UnreadableError: it is damaged.
        """
        return b"".join(self.pieces(name))


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    # What zipfile and zlib raise for damaged data, by their documentation and their source.
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError,
            UnicodeError, ValueError) as error:  # fmt: skip
        if isinstance(error, UnreadableError):
            raise
        raise UnreadableError(f"{shown(name)} cannot be unpacked: it is damaged.") from error
    except Exception as error:
        if type(error).__module__ != "zlib":
            raise
        raise UnreadableError(f"{shown(name)} cannot be unpacked: it is damaged.") from error


def shown(name: str) -> str:
    """A name that cannot deceive the eye: what is not printable is escaped."""
    return name[:120] if name.isprintable() else ascii(name[:120])[1:-1]


@contextmanager
def opened(file: IO[bytes], limits: Limits = LIMITS) -> Iterator[Archive]:
    """A zip file's members, once all of them were judged by what the list of members claims.

    Raises:
        UnreadableError: it is no zip file, or holds what it may not.
    """
    bounded = _Bounded(file)
    with _explained("The zip file"):
        zipped = zipfile.ZipFile(bounded)  # type: ignore[arg-type]
    bounded.is_open = True
    with zipped:
        yield Archive(zipped, _judged(zipped.infolist(), limits))


def _judged(listed: list[zipfile.ZipInfo], limits: Limits) -> dict[str, zipfile.ZipInfo]:
    if len(listed) > limits.members:
        raise UnreadableError(
            f"The zip file has {len(listed):,} members; at most {limits.members:,} are taken."
        )
    total = sum(info.file_size for info in listed)
    if total > limits.unpacked:
        raise UnreadableError(f"The zip file unpacks to more than {limits.unpacked >> 20} MB.")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in listed:
        if fault := _fault(info, limits):
            raise UnreadableError(f"{shown(info.filename)} in the zip file {fault}.")
        if info.is_dir() or _is_left_out(info.filename):
            continue
        if info.filename in members:
            raise UnreadableError(f"{shown(info.filename)} is in the zip file twice.")
        members[info.filename] = info
    return members


def _is_left_out(name: str) -> bool:
    return name.startswith(_LEFT_OUT[0]) or PurePosixPath(name).name in _LEFT_OUT[1:]


def _fault(info: zipfile.ZipInfo, limits: Limits) -> str:
    """What speaks against one member, in words that follow its name."""
    path = PurePosixPath(info.filename)
    mode = info.external_attr >> 16
    if (
        path.is_absolute()
        or ".." in path.parts
        or "\\" in info.filename
        or ":" in info.filename.partition("/")[0]
    ):
        return "has a path that leads out of the archive"
    if not info.filename or "\x00" in info.orig_filename:
        return "has no name"
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is no file: links and devices are not taken"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if info.compress_type not in _METHODS:
        return "is packed in another way than deflate"
    if info.file_size > limits.member:
        return f"unpacks to more than {limits.member >> 20} MB"
    if info.file_size > limits.free + limits.ratio * info.compress_size:
        return f"unpacks to more than {limits.ratio:g} times its size"
    return ""
