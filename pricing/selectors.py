"""Reads."""

import hmac
import re
from typing import Any

from pricing.models import ApiKey
from pricing.services import MARK, digest_of

_FORM = re.compile(rf"({MARK}_[0-9a-f]{{8}})_[A-Za-z0-9_-]{{20,100}}")
"""How `key_make` writes keys; any other string need not be looked up."""


def key_of(secret: str) -> ApiKey | None:
    """The working key with this secret; None for any other string."""
    form = _FORM.fullmatch(secret)
    if form is None:
        return None
    key = ApiKey.objects.select_related("user").filter(prefix=form[1]).first()
    if key is None or not hmac.compare_digest(key.digest, digest_of(secret)):
        return None
    return key if key.revoked_at is None and key.user.is_active else None


def keys_of(user: Any) -> list[ApiKey]:
    """A user's keys, newest first."""
    return list(ApiKey.objects.filter(user=user))
