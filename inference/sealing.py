"""Secrets that are kept to be used: sealed under the site's own key, so that neither a page, an export nor
a copy of the database shows them."""

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
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
