"""`manage.py check --deploy --tag storage`: whether the files' bucket can be used, by this site alone."""

import secrets
from collections.abc import Iterator
from typing import Any

from django.core import checks
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from inference.errors import Busy
from inference.storage import SHARED, probe


@checks.register("storage", deploy=True)
def storages_check(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """What is written comes back, and nobody without the key reads it."""
    return [message for alias in SHARED for message in _faults(alias)]


def _faults(alias: str) -> Iterator[checks.CheckMessage]:
    try:
        if not probe(alias):
            yield checks.Error(
                f"The storage {alias!r} gives back something else.", id="storage.E001"
            )
        elif _is_public(alias):
            yield checks.Error(
                f"Anybody can read the storage {alias!r}.", id="storage.E002",
                hint="Take public access away from the bucket: this site gives its files itself.",
            )  # fmt: skip
    except Busy:
        yield checks.Error(
            f"The storage {alias!r} cannot be used.", id="storage.E003",
            hint="See the log for why: the STORAGE_ settings, the key's rights, or the disk.",
        )  # fmt: skip


def _is_public(alias: str) -> bool:
    """Whether a file of it can be read without a key; one on a disk has no other address."""
    storage = storages[alias]
    if not hasattr(storage, "is_public"):
        return False
    name = storage.save(f"probe/{secrets.token_hex(16)}", ContentFile(b"probe"))
    try:
        return bool(storage.is_public(name))
    finally:
        storage.delete(name)
