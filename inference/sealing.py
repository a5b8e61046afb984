"""Secrets that are kept to be used: sealed under the site's own key, so that neither a page, an export nor
a copy of the database shows them."""

import base64
from collections.abc import Iterator
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


def _cipher() -> MultiFernet:
    """The first key seals; former ones open too (SECRET_KEY_FALLBACKS)."""
    return MultiFernet(
        [Fernet(_key(s)) for s in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]
    )


def _key(secret: str) -> bytes:
    derived = HKDF(SHA256(), 32, salt=None, info=b"moondream sealed secret 1").derive(
        secret.encode()
    )
    return base64.urlsafe_b64encode(derived)


def seal(secret: str) -> str:
    """A secret as it may be stored; an empty one stays so."""
    return _cipher().encrypt(secret.encode()).decode() if secret else ""


def unseal(sealed: str) -> str | None:
    """The secret; None where another key sealed it."""
    if not sealed:
        return ""
    try:
        return _cipher().decrypt(sealed.encode()).decode()
    except InvalidToken:
        return None


PIECE = 1024 * 1024
"""Bytes that are sealed together."""
_TAG = 16


def new_file_key() -> bytes:
    """A key for one file; stored sealed (`seal_key`), and thrown away with the file."""
    return AESGCM.generate_key(256)


def seal_key(key: bytes) -> str:
    return seal(key.hex())


class SealedWriter:
    """A file that is written sealed, piece by piece. Pieces cannot be changed, swapped or left out unseen: each
    is sealed with its number, and the last with a mark. One key seals one file."""

    def __init__(self, target: IO[bytes], key: bytes) -> None:
        self._target, self._cipher = target, AESGCM(key)
        self._waiting = bytearray()
        self._count = 0

    def write(self, data: bytes) -> int:
        self._waiting += data
        while len(self._waiting) > PIECE:
            self._seal(bytes(self._waiting[:PIECE]), is_last=False)
            del self._waiting[:PIECE]
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self._seal(bytes(self._waiting), is_last=True)
        self._waiting.clear()

    def _seal(self, piece: bytes, *, is_last: bool) -> None:
        self._target.write(
            self._cipher.encrypt(_nonce(self._count), piece, b"last" if is_last else b"more")
        )
        self._count += 1


def unsealed(source: IO[bytes], sealed_key: str) -> Iterator[bytes]:
    """The pieces of a sealed file.

    Raises:
        SealBroken: another key sealed it, or it is not whole.
    """
    key = unseal(sealed_key)
    if not key:
        raise SealBroken
    cipher, number = AESGCM(bytes.fromhex(key)), 0
    sealed = source.read(PIECE + _TAG)
    while sealed:
        following = source.read(PIECE + _TAG)
        try:
            yield cipher.decrypt(_nonce(number), sealed, b"more" if following else b"last")
        except InvalidTag:
            raise SealBroken from None
        sealed, number = following, number + 1


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


class SealBroken(Exception):
    """A sealed file cannot be opened."""
