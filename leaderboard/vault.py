"""Hidden references: sealed with the site's own key, in a storage that no address serves.

One file for a split. Only a worker that scores, and a download of a public split, opens one. Each
names the key that sealed it, so that keys can be changed one after the other. Beside the references
lies the key of the split's data hash: a new sealing key leaves what is published as it is.
"""

import base64
import gzip
import hashlib
import hmac
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import orjson
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import transaction

from inference.errors import DomainError
from inference.storage import private_drop
from leaderboard import errors
from leaderboard.models import Split
from leaderboard.scoring import Item, data_hash

_MARK = b"moondream-references 1 "
"""What a sealed file begins with, before its key's id and a line's end."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key by its id, which is no secret."""

    id: str
    secret: str

    @property
    def cipher(self) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(_derive(self.secret, "sealing")))


@dataclass(frozen=True, slots=True)
class Opened:
    """A sealed file's content."""

    items: list[Item]
    hash_key: bytes
    """What the data hash of a hidden split is made with."""
    key_id: str
    """Of the key that sealed it; "" for a file from before keys had ids."""


def keys() -> list[Key]:
    """The keys there are, the one that seals first.

    Raises:
        ImproperlyConfigured: there is none.
    """
    entries = [*settings.REFERENCES_KEYS, settings.REFERENCES_KEY]
    found: dict[str, Key] = {}
    for entry in filter(None, entries):
        name, colon, secret = entry.partition(":")
        secret = secret if colon else entry
        found.setdefault(secret, Key(name if colon else _fingerprint(secret), secret))
    if not found:
        raise ImproperlyConfigured("Set REFERENCES_KEY: hidden references are sealed with it.")
    return list(found.values())


def _fingerprint(secret: str) -> str:
    return hashlib.sha256(f"references key id:{secret}".encode()).hexdigest()[:8]


def _derive(secret: str, purpose: str) -> bytes:
    """32 bytes for one purpose; those of others cannot be told from them."""
    return HKDF(SHA256(), 32, None, f"moondream hub {purpose}".encode()).derive(secret.encode())


def derived(purpose: str) -> bytes:
    """A key of 256 bits for one purpose, the same as long as the sealing key is."""
    return _derive(keys()[0].secret, purpose)


def keyed(purpose: str, text: str) -> str:
    """64 hexadecimal digits of a text that nobody without the key can make or test."""
    return hmac.digest(derived(purpose), text.encode(), "sha256").hex()


def fingerprint(split: Split, items: Sequence[Item], hash_key: bytes) -> str:
    """What is published of a split's content: a plain hash where everybody has it all, and one that
    nobody can test guesses against where the references are hidden. Nothing else decides that."""
    return data_hash(items, b"" if split.is_public else hash_key)


def hash_key(split: Split) -> bytes:
    """The key of a split's data hash: the one sealed with its references, a derived one for a new."""
    if split.sealed_as:
        return opened(split).hash_key
    return _new_hash_key(split)


def _new_hash_key(split: Split) -> bytes:
    return derived(f"data hash of {split.benchmark.slug}/{split.name}")


def _name(split: Split) -> str:
    """Of its file in the private storage."""
    return split.sealed_as


def seal(split: Split, items: Sequence[Item], *, hash_key: bytes) -> None:
    """Keep a split's items with their references. The file is a new one, and the split is changed to
    it once it is there: whoever is stopped in between leaves the old one."""
    key, earlier = keys()[0], split.sealed_as
    rows = [[i.key, i.reference, i.category, i.image] for i in items]
    content = orjson.dumps({"split": split.pk, "hash_key": hash_key.hex(), "rows": rows})
    sealed = key.cipher.encrypt(gzip.compress(content, 6, mtime=0))
    name = f"references/{split.pk}-{secrets.token_hex(8)}.sealed"
    file = ContentFile(_MARK + key.id.encode() + b"\n" + sealed)
    split.sealed_as = storages["private"].save(name, file)
    split.save(update_fields=["sealed_as"])
    if earlier:
        # One that stays stays sealed, and nothing names it.
        transaction.on_commit(partial(private_drop, earlier))


def unseal(split: Split) -> list[Item]:
    """A split's items with their references, in order.

    Raises:
        DomainError: they are not there, or were sealed with a key that is not, or the storage is away.
    """
    return opened(split).items


def opened(split: Split) -> Opened:
    """All that is sealed of a split.

    Raises:
        DomainError: as `unseal`.
    """
    try:
        with storages["private"].open(_name(split)) as file:
            data = file.read()
    except (FileNotFoundError, ValueError) as error:
        raise _unavailable("Their file is missing. An admin has to restore it from a backup.") from error  # fmt: skip
    key_id = sealed_with(data)
    token = data.partition(b"\n")[2] if key_id else data
    for cipher in _ciphers(key_id):
        try:
            content = orjson.loads(gzip.decompress(cipher.decrypt(token)))
        except InvalidToken:
            continue
        if isinstance(content, list):
            return Opened([Item(*row) for row in content], _new_hash_key(split), key_id)
        if content["split"] != split.pk:
            raise _unavailable("Their file is another split's.")
        items = [Item(*row) for row in content["rows"]]
        return Opened(items, bytes.fromhex(content["hash_key"]), key_id)
    there = ", ".join(key.id for key in keys())
    raise _unavailable(
        f"They were sealed with the key {key_id or 'of an earlier release'}; there is {there}. An admin has to "
        "add that key to REFERENCES_KEYS, or import them as a new split."
    )


def sealed_with(data: bytes) -> str:
    """The id of the key that a file names; "" where it names none."""
    if not data.startswith(_MARK):
        return ""
    return data[len(_MARK) :].partition(b"\n")[0].decode("ascii", "replace")


def _ciphers(key_id: str) -> Iterator[Fernet]:
    """What may open a file, the key it names first: a key may have been given another name since."""
    for key in sorted(keys(), key=lambda k: k.id != key_id):
        yield key.cipher
    if not key_id:
        # Before keys had ids, SECRET_KEY stood in where there was none.
        for secret in (*(key.secret for key in keys()), settings.SECRET_KEY):
            digest = hashlib.sha256(f"references:{secret}".encode()).digest()
            yield Fernet(base64.urlsafe_b64encode(digest))


def _unavailable(hint: str) -> DomainError:
    return errors.REFERENCES_UNAVAILABLE(hint=hint)
