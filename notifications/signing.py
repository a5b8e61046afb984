"""Signatures of webhooks as Standard Webhooks 1.0 has them, and links that speak for a subscription."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from uuid import UUID

from django.core import signing

PREFIX = "whsec_"
BYTES = 32
CONFIRM_S = 7 * 24 * 3600
_LEAVE = "notifications.leave"
_CONFIRM = "notifications.confirm"


def secret_make() -> str:
    """A new secret as receivers write it down."""
    return PREFIX + base64.b64encode(secrets.token_bytes(BYTES)).decode()


def signature(message_id: str, timestamp: int, body: bytes, keys: Iterable[str]) -> str:
    """The header: one signature for each secret that is alive, with a blank between.

    Args:
        timestamp: whole seconds since 1970, of this try.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{_mac(key, signed)}" for key in keys)


def _mac(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def leave_token(subscription_id: UUID) -> str:
    """What a link to a subscription's own page holds; it works as long as the subscription is there."""
    return signing.Signer(salt=_LEAVE).sign(subscription_id.hex)


def leave_read(token: str) -> UUID | None:
    """Whose it is; None of one that was made up."""
    try:
        return UUID(signing.Signer(salt=_LEAVE).unsign(token))
    except (signing.BadSignature, ValueError):
        return None


def confirm_token(subscription_id: UUID) -> str:
    """What a link that confirms holds; it works for seven days."""
    return signing.TimestampSigner(salt=_CONFIRM).sign(subscription_id.hex)


def confirm_read(token: str) -> UUID | None:
    """Whose it is; None of one that was made up or is too old."""
    try:
        found = signing.TimestampSigner(salt=_CONFIRM).unsign(token, max_age=CONFIRM_S)
        return UUID(found)
    except (signing.BadSignature, ValueError):
        return None
