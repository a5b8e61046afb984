"""Where files are kept: on this machine (here), or in a bucket that all machines share
(`inference.object_storage`). `STORAGES` names them.

Both raise FileNotFoundError for a file that is not there, and the declared `storage_unavailable` for
whatever else goes wrong.
"""

import contextlib
import errno
import logging
import os
import secrets
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, storages

from inference import errors
from inference.errors import DomainError

logger = logging.getLogger(__name__)
QUESTION_IMAGES = "question_images"
SHARED = ("default", "private", QUESTION_IMAGES)
"""What every web process and every worker has to reach."""
_NO_SUCH_NAME = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP}  # fmt: skip
"""What a system says of a name that no file there can have."""


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A place to write a file to that is put in its own when the body ends well: it is there whole or not
    at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, suffix=".partial")
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def private_drop(name: str) -> bool:
    """Delete a file of the private storage, if it is there and the storage can be used; whether that is so.
    For files that nothing names any more: one that stays does no harm."""
    try:
        storages["private"].delete(name)
    except (OSError, DomainError):
        logger.warning("%s could not be deleted from the private storage", name)
        return False
    return True


def unavailable(error: Exception) -> DomainError:
    """The error that is declared for a storage's fault; what it was is logged."""
    logger.error("A storage cannot be used: %s: %s", type(error).__name__, error)
    return errors.STORAGE_UNAVAILABLE()


@contextlib.contextmanager
def _declared() -> Iterator[None]:
    """
    Raises:
        FileNotFoundError: there is no such file.
        Busy: the disk cannot be used.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SUCH_NAME:
            raise FileNotFoundError(*error.args) from error
        raise unavailable(error) from error


class LocalStorage(FileSystemStorage):
    """Django's own, on this machine's disk."""

    def version(self, name: str) -> str:
        """A text that changes with the file.

        Raises:
            FileNotFoundError: there is none.
        """
        with _declared():
            found = Path(self.path(name)).stat()
        return f"{found.st_mtime:.6f}-{found.st_size}"

    def _open(self, name: str, mode: str = "rb") -> File:
        with _declared():
            return super()._open(name, mode)  # type: ignore[misc]

    def _save(self, name: str, content: Any) -> str:
        with _declared():
            return super()._save(name, content)  # type: ignore[misc]

    def delete(self, name: str) -> None:
        with _declared():
            super().delete(name)

    def size(self, name: str) -> int:
        with _declared():
            return super().size(name)

    def get_modified_time(self, name: str) -> datetime:
        with _declared():
            return super().get_modified_time(name)


class LocalQuestionImages(LocalStorage):
    """Files that are named by their content: one is written whole or not at all, and the same again
    changes nothing."""

    @property
    def base_location(self) -> str:  # type: ignore[override]  # Django keeps the first; tests change it
        return str(settings.IMAGE_STORE_DIR)

    @property
    def location(self) -> str:  # type: ignore[override]
        return str(Path(self.base_location).absolute())

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name

    def _save(self, name: str, content: Any) -> str:
        with _declared(), whole_file(Path(self.path(name))) as partial:
            partial.write_bytes(content.read())
        return name


def probe(alias: str) -> bool:
    """Whether what is written to a storage comes back; leaves nothing.

    Raises:
        Busy: it cannot be used.
    """
    storage, data = storages[alias], secrets.token_bytes(16)
    name = storage.save(f"probe/{data.hex()}", ContentFile(data))
    try:
        with storage.open(name) as file:
            return bool(file.read() == data)
    finally:
        storage.delete(name)
