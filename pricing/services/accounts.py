"""Writes about accounts and how they sign in."""

from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress
from allauth.account.utils import user_pk_to_url_str
from django.contrib.auth import get_user_model
from django.core.validators import validate_email
from django.db import transaction
from django.urls import reverse

from inference import site
from pricing import errors, mails
from pricing.models import MailAddress, SecondStep, is_staff


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
    return site.url(path)


def second_step_remove(*, user: Any, by: Any) -> None:
    """Take every second step of an account away, recovery codes too: it signs in by its password alone,
    until it sets another one up. A mail tells its owner.

    Raises:
        OwnSignIn, SignInProtected: not by `by`.
    """
    _sign_in_check(user, by)
    SecondStep.objects.filter(user=user).delete()
    mails.send_to(user, mails.SECOND_STEP_REMOVED, reverse("mfa_index"))


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
