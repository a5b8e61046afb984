"""Texts of mails that an editor wrote."""

from django.db import models


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
