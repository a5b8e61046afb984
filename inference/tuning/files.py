"""Files of fine-tunes in the private storage: folders that are there whole, and uploads."""

import errno
import secrets
from pathlib import Path
from typing import IO

from django.core.files.base import File
from django.core.files.storage import Storage, storages

from inference.errors import DomainError
from inference.storage import private_drop
from inference.tuning import errors

_FULL = {errno.ENOSPC, errno.EDQUOT}


def private() -> Storage:
    """The storage that no address serves."""
    return storages["private"]


def is_full(error: BaseException) -> bool:
    """Whether something failed because a disk has no room: libraries hide that in errors of theirs."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return True
        if "No space left on device" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def disk_error(error: Exception) -> Exception:
    """The declared error of a full disk for what failed by one; otherwise what failed."""
    return errors.TUNING_DISK_FULL() if is_full(error) else error


def name_in(finetune_id: str, name: str) -> str:
    """A new name under a fine-tune's own folder."""
    return f"tuning/{finetune_id}/{name}-{secrets.token_hex(6)}"


def folder_store(folder: Path, name: str) -> dict[str, int]:
    """Store a folder's files under a name that nothing has.

    Returns:
        Their bytes, by name.

    Raises:
        Busy: the storage is full or cannot be used; nothing is kept then.
    """
    files: dict[str, int] = {}
    try:
        for path in sorted(folder.iterdir()):
            with path.open("rb") as source:
                private().save(f"{name}/{path.name}", File(source))
            files[path.name] = path.stat().st_size
    except (OSError, DomainError) as error:
        folder_drop(name, [*files, path.name])
        raise disk_error(error) from error
    return files


def folder_fetch(name: str, files: dict[str, int], into: Path) -> None:
    """Bring a stored folder's files here.

    Raises:
        FileNotFoundError: one is gone.
        Busy: the storage cannot be used.
    """
    for file in files:
        with private().open(f"{name}/{file}") as source, (into / file).open("wb") as target:
            for piece in source.chunks():
                target.write(piece)


def folder_drop(name: str, files: "list[str] | dict[str, int]") -> None:
    """Delete a stored folder's files; those that are gone already do not matter."""
    for file in files:
        drop(f"{name}/{file}")


def drop(name: str) -> None:
    """Delete a file, if it is there and the storage can be used; retention comes by again."""
    private_drop(name)


def store(name: str, file: IO[bytes]) -> str:
    """Store a file; its name.

    Raises:
        Busy: the storage is full or cannot be used.
    """
    file.seek(0)
    try:
        # A File without a name is false, and false is sent to a bucket as nothing.
        return private().save(name, File(file, name=name))
    except (OSError, DomainError) as error:
        raise disk_error(error) from error
