"""API keys; and what the sign-in keeps of an account, under names of this site's own."""

from typing import Any, ClassVar

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import models


class Scope(models.TextChoices):
    """What a key may be used for."""

    SUBMIT = "submit", "Submit to leaderboards"
    INFER = "infer", "Ask the model"
    FINETUNE = "finetune", "Tune models"


class ApiKey(models.Model):
    """A key of one account. The secret itself is shown once and never stored."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_keys"
    )
    name = models.CharField(max_length=60)
    prefix = models.CharField(max_length=12, unique=True)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the whole key.")
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"
        ordering: ClassVar[list[Any]] = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


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


class MailText(models.Model):
    """What an editor lets a mail say (`pricing.mails`); of others there is no row."""

    name = models.SlugField(max_length=40, unique=True)
    subject = models.CharField(max_length=150)
    body = models.TextField(max_length=4000)

    class Meta:
        verbose_name = "mail text"
        default_permissions = ("change",)

    def __str__(self) -> str:
        return self.name


def is_staff(user: Any) -> bool:
    """Whether somebody has any of the admins' rights: Django's, or an editor's."""
    return bool(
        user.is_active
        and (user.is_staff or user.is_superuser or user.has_perm("wagtailadmin.access_admin"))
    )
