"""API keys."""

import hmac
from typing import Any

from django.utils import timezone

from pricing.key_form import digest_of, prefix_of
from pricing.models import ApiKey


def key_with(secret: str) -> ApiKey | None:
    """The key with this secret, whether it works or has ended; None for any other string."""
    prefix = prefix_of(secret)
    if prefix is None:
        return None
    key = ApiKey.objects.select_related("user__ledger_account").filter(prefix=prefix).first()
    if key is None or not hmac.compare_digest(key.digest, digest_of(secret)):
        return None
    return key


def key_of(secret: str) -> ApiKey | None:
    """The working key with this secret; None for any other string."""
    key = key_with(secret)
    works = key is not None and key.works_at(timezone.now()) and key.user.is_active
    return key if works else None


def keys_of(user: Any) -> list[ApiKey]:
    """A user's keys, newest first."""
    return list(ApiKey.objects.filter(user=user).select_related("replaced_by"))
