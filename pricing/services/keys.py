"""Making, rotating and ending API keys."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from pricing import errors, key_form, mails, selectors
from pricing.models import AccountDeletion, ApiKey, Scope

MOST = 20
"""Working keys of one account."""
LIFETIMES = (0, 30, 90, 365)
"""Days after which a new key expires; 0 is never."""
OVERLAPS = (0, 1, 7, 30)
"""Days for which a rotated key goes on working beside the new one."""
_MOST_PER_MINUTE = 100_000
_MOST_IMAGES = 1_000_000_000


def key_make(
    *, user: Any, name: str, scopes: Sequence[str], days: int = 0, monthly_images: int | None = None,
    per_minute: int | None = None,
) -> tuple[ApiKey, str]:  # fmt: skip
    """A new key, and its secret: the only time it is known.

    Args:
        days: after which it expires, one of `LIFETIMES`.
        monthly_images, per_minute: limits of its own, within the account's; None for none.

    Raises:
        InvalidInput: no name, an unknown scope, a limit that cannot be, or too many keys.
        Conflict: the account is to be deleted.
    """
    name = " ".join(name.split())[:60]
    if not name:
        raise errors.BAD_KEY("Give the key a name.", field="name")
    if not scopes or not set(scopes) <= set(Scope.values):
        raise errors.BAD_KEY("Choose what the key is for.", field="scopes")
    if days not in LIFETIMES:
        raise errors.BAD_KEY("Choose when the key expires.", field="days")
    if monthly_images is not None and not 1 <= monthly_images <= _MOST_IMAGES:
        raise errors.BAD_KEY("A limit on images is a whole number above zero.", field="monthly_images")  # fmt: skip
    if per_minute is not None and not 1 <= per_minute <= _MOST_PER_MINUTE:
        raise errors.BAD_KEY("A limit on requests is a whole number above zero.", field="per_minute")  # fmt: skip
    fields = {
        "name": name, "scopes": sorted(set(scopes)), "monthly_images": monthly_images,
        "per_minute": per_minute, "expires_at": timezone.now() + timedelta(days=days) if days else None,
    }  # fmt: skip
    with transaction.atomic():
        get_user_model().objects.select_for_update(no_key=True).get(pk=user.pk)  # two forms at once
        check_staying(user)
        _check_room(user)
        return _made(user, fields)


def check_staying(user: Any) -> None:
    """
    Raises:
        Conflict: the account is to be deleted.
    """
    if AccountDeletion.objects.filter(user=user, undone_at=None, erased_at=None).exists():
        raise errors.DELETION_PENDING()


def _check_room(user: Any) -> None:
    working = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    if ApiKey.objects.filter(working, user=user, revoked_at=None).count() >= MOST:
        raise errors.TOO_MANY_KEYS(f"{MOST} keys are the most; revoke one.")


def _made(user: Any, fields: dict[str, Any]) -> tuple[ApiKey, str]:
    prefix, secret = key_form.made()
    key = ApiKey.objects.create(
        user=user, prefix=prefix, digest=key_form.digest_of(secret), **fields
    )
    return key, secret


@transaction.atomic
def key_rotate(*, user: Any, key_id: int, overlap_days: int = 7) -> tuple[ApiKey, str]:
    """A new key in the place of a working one, with its name, scopes and limits. The old one works on
    for some days, so that programs can be changed one after the other.

    A key that would expire is followed by one that lives as long from now on.

    Raises:
        NotFound: no such working key of this user.
        InvalidInput: an overlap that is not offered, or too many keys.
    """
    if overlap_days not in OVERLAPS:
        raise errors.BAD_KEY("Choose how long the old key works on.", field="overlap")
    get_user_model().objects.select_for_update(no_key=True).get(pk=user.pk)
    old = ApiKey.objects.select_for_update().filter(user=user, pk=key_id).first()
    now = timezone.now()
    if old is None or not old.works_at(now) or old.replaced_by_id is not None:
        raise errors.KEY_NOT_FOUND()
    if overlap_days:
        _check_room(user)
    lifetime = old.expires_at - old.created_at if old.expires_at else None
    fields = {
        "name": old.name, "scopes": old.scopes, "monthly_images": old.monthly_images,
        "per_minute": old.per_minute, "expires_at": now + lifetime if lifetime else None,
    }  # fmt: skip
    new, secret = _made(user, fields)
    ends = now + timedelta(days=overlap_days)
    old.replaced_by = new
    old.expires_at = min(ends, old.expires_at) if old.expires_at else ends
    old.save(update_fields=["replaced_by", "expires_at"])
    return new, secret


def key_revoke(*, user: Any, key_id: int) -> ApiKey:
    """End a key; revoking it again changes nothing.

    Raises:
        NotFound: no such key of this user.
    """
    key = ApiKey.objects.filter(user=user, pk=key_id).first()
    if key is None:
        raise errors.KEY_NOT_FOUND()
    if key.revoked_at is None:
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])
    return key


def key_give_up(*, secret: str) -> bool:
    """End the key with this secret: whoever holds a key may end it, its owner or who found it. The
    owner is told by mail.

    Returns:
        Whether there was such a key; one that had ended already counts.
    """
    key = selectors.key_with(secret)
    if key is None:
        return False
    ended = ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
    if ended:
        mails.send_to(
            key.user, mails.KEY_GIVEN_UP, reverse("api_keys"), key=key.name, prefix=key.prefix
        )
    return True


def key_used(key: ApiKey) -> None:
    """Note that a key was used, to the minute."""
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at > timedelta(minutes=1):
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
