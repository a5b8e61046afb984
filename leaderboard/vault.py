"""Hidden references: sealed with the site's own key, in a storage that no address serves.

One file for a split. Only a worker that scores, and a download of a public split, opens one.
"""

import base64
import gzip
import hashlib
from collections.abc import Sequence

import orjson
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from inference.errors import DomainError
from leaderboard.models import Split
from leaderboard.scoring import Item


def secret() -> str:
    """What hidden references are sealed with, and hidden scenes are drawn from."""
    return settings.REFERENCES_KEY or settings.SECRET_KEY


def _cipher() -> Fernet:
    key = hashlib.sha256(f"references:{secret()}".encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))


def _name(split: Split) -> str:
    return f"references/{split.pk}-{split.data_hash[:16]}.sealed"


def seal(split: Split, items: Sequence[Item]) -> None:
    """Keep a split's items with their references; expects its `data_hash` to be set."""
    rows = [[i.key, i.reference, i.category, i.image] for i in items]
    sealed = _cipher().encrypt(gzip.compress(orjson.dumps(rows), 6, mtime=0))
    storage, name = storages["private"], _name(split)
    if storage.exists(name):
        storage.delete(name)
    storage.save(name, ContentFile(sealed))


def unseal(split: Split) -> list[Item]:
    """A split's items with their references, in order.

    Raises:
        DomainError: they are not there, or were sealed with another key.
    """
    try:
        with storages["private"].open(_name(split)) as file:
            rows = orjson.loads(gzip.decompress(_cipher().decrypt(file.read())))
    except (OSError, InvalidToken) as error:
        raise DomainError(
            "The references of this split cannot be opened.", code="references_unavailable",
            status=503, hint="An admin has to import the split again.",
        ) from error  # fmt: skip
    return [Item(*row) for row in rows]
