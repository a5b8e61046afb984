"""Reads."""

import hmac
from typing import Any

from pricing.models import ApiKey
from pricing.services import MARK, digest_of


def key_of(secret: str) -> ApiKey | None:
    """The working key with this secret; None for any other string."""
    parts = secret.split("_", 2)
    if len(parts) != 3 or parts[0] != MARK:
        return None
    key = ApiKey.objects.select_related("user").filter(prefix="_".join(parts[:2])).first()
    if key is None or not hmac.compare_digest(key.digest, digest_of(secret)):
        return None
    return key if key.revoked_at is None and key.user.is_active else None


def keys_of(user: Any) -> list[ApiKey]:
    """A user's keys, newest first."""
    return list(ApiKey.objects.filter(user=user))
