"""Writes."""

import hashlib
import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.validators import validate_email
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from wagtail.log_actions import log

from pricing import errors, mails
from pricing.models import ApiKey, MailAddress, MailText, Scope, SecondStep, is_staff

MARK = "mdh"
"""What our keys begin with; whatever else a client sends is not looked up."""
MOST = 20
"""Working keys of one account."""


def digest_of(secret: str) -> str:
    """The key's fingerprint. It has 256 random bits, so that a fast hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def key_make(*, user: Any, name: str, scopes: list[str]) -> tuple[ApiKey, str]:
    """A new key, and its secret: the only time it is known.

    Raises:
        InvalidInput: no name, an unknown scope, or too many keys.
    """
    name = " ".join(name.split())[:60]
    if not name:
        raise errors.BAD_KEY("Give the key a name.", field="name")
    if not scopes or not set(scopes) <= set(Scope.values):
        raise errors.BAD_KEY("Choose what the key is for.", field="scopes")
    if ApiKey.objects.filter(user=user, revoked_at=None).count() >= MOST:
        raise errors.TOO_MANY_KEYS(f"{MOST} keys are the most; revoke one.")
    prefix = f"{MARK}_{secrets.token_hex(4)}"
    secret = f"{prefix}_{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(
        user=user, name=name, prefix=prefix, digest=digest_of(secret), scopes=sorted(set(scopes))
    )
    return key, secret


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


def key_used(key: ApiKey) -> None:
    """Note that a key was used, to the minute."""
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at > timedelta(minutes=1):
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)


@transaction.atomic
def admin_make(*, email: str) -> str:
    """Make the account of an address an admin, a new one where there is none.

    Returns:
        The address of a page that sets its password, once, within `PASSWORD_RESET_TIMEOUT`: for
        whoever administers the server, who may have no mail server yet.

    Raises:
        ValidationError: that is no mail address.
    """
    email = email.strip().lower()
    validate_email(email)
    users = get_user_model()
    known = EmailAddress.objects.filter(email__iexact=email, verified=True).first()
    user = known.user if known else users.objects.filter(email__iexact=email).first()
    if user is None:
        user = users(username=email, email=email)
        user.set_unusable_password()
    user.is_active = user.is_staff = user.is_superuser = True
    user.save()
    EmailAddress.objects.update_or_create(
        user=user, email=email, defaults={"verified": True, "primary": True}
    )
    named = {"uidb36": user_pk_to_url_str(user), "key": default_token_generator.make_token(user)}
    path = reverse("account_reset_password_from_key", kwargs=named)
    return f"{settings.WAGTAILADMIN_BASE_URL.rstrip('/')}{path}"


def second_step_remove(*, user: Any, by: Any) -> None:
    """Take every second step of an account away, recovery codes too: it signs in by its password alone,
    until it sets another one up. A mail tells its owner.

    Raises:
        OwnSignIn, SignInProtected: not by `by`.
    """
    _sign_in_check(user, by)
    SecondStep.objects.filter(user=user).delete()
    root = settings.WAGTAILADMIN_BASE_URL.rstrip("/")
    values = {
        "site": urlsplit(root).netloc, "account": user.get_username(),
        "link": f"{root}{reverse('mfa_index')}",
    }  # fmt: skip
    if user.email:
        transaction.on_commit(lambda: mails.send(mails.SECOND_STEP_REMOVED, [user.email], values))


@transaction.atomic
def address_verify(*, address: MailAddress, by: Any) -> None:
    """Count an address as verified, as if its owner had followed the link.

    Raises:
        OwnSignIn, SignInProtected: not by `by`.
        AddressTaken: another account has it.
    """
    _sign_in_check(address.user, by)
    if not address.set_verified():
        raise errors.ADDRESS_TAKEN()


@transaction.atomic
def address_make_primary(*, address: MailAddress, by: Any) -> None:
    """Let mail to the account go to this address.

    Raises:
        OwnSignIn, SignInProtected: not by `by`.
    """
    _sign_in_check(address.user, by)
    address.set_as_primary()


@transaction.atomic
def address_remove(*, address: MailAddress, by: Any) -> None:
    """Take an address from its account.

    Raises:
        OwnSignIn, SignInProtected: not by `by`.
        AddressIsPrimary: mail goes to it.
    """
    _sign_in_check(address.user, by)
    if address.primary:
        raise errors.ADDRESS_IS_PRIMARY()
    MailAddress.objects.filter(pk=address.pk).delete()


def _sign_in_check(user: Any, by: Any) -> None:
    """Nobody goes around the password that one's own account asks for, or comes by rights this way."""
    if user == by:
        raise errors.OWN_SIGN_IN()
    has_rights = user.is_superuser or user.is_staff or is_staff(user)  # also while it is not active
    if has_rights and not by.is_superuser:
        raise errors.SIGN_IN_PROTECTED()


@transaction.atomic
def mail_text_write(*, kind: mails.MailKind, subject: str, body: str, by: Any) -> MailText | None:
    """Let a mail say something else from now on; None where that is what it says at first.

    Args:
        subject, body: without problems (`MailKind.problems`).
    """
    own = MailText.objects.select_for_update().filter(name=kind.name).first()
    if (subject, body) == (kind.subject, kind.body.strip()):
        if own is not None:
            log(instance=own, action="wagtail.delete", user=by)
            own.delete()
        return None
    own, is_new = MailText.objects.update_or_create(
        name=kind.name, defaults={"subject": subject, "body": body}
    )
    log(instance=own, action="wagtail.create" if is_new else "wagtail.edit", user=by)
    return own
