"""What the sign-in keeps of an account, under names of this site's own."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount


class MailAddress(EmailAddress):
    """A mail address of an account."""

    class Meta:
        proxy = True
        verbose_name = "mail address"
        verbose_name_plural = "mail addresses"

    def __str__(self) -> str:
        return f"{self.email} ({self.user.get_username()})"


class SecondStep(Authenticator):
    """A second step of signing in: an authenticator app, or the codes for when it is lost."""

    class Meta:
        proxy = True
        verbose_name = "second step"

    def __str__(self) -> str:
        return f"{self.get_type_display()} of {self.user.get_username()}"


class LinkedAccount(SocialAccount):
    """An account elsewhere by which somebody signs in."""

    class Meta:
        proxy = True
        verbose_name = "account elsewhere"
        verbose_name_plural = "accounts elsewhere"

    def __str__(self) -> str:
        return f"{self.provider} {self.uid} ({self.user.get_username()})"


def is_staff(user: Any) -> bool:
    """Whether somebody has any of the admins' rights: Django's, or an editor's."""
    return bool(
        user.is_active
        and (user.is_staff or user.is_superuser or user.has_perm("wagtailadmin.access_admin"))
    )
