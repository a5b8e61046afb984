"""What the starter content was last loaded by, and what it gave."""

from django.db import models
from wagtail.models import Page


class StarterLoad(models.Model):
    """The one row that says that migrations and starter content are complete; see `research.prepared`.

    It is taken away before anything is loaded and comes back when all of it is, so that a crash in
    between leaves none.
    """

    digest = models.CharField(max_length=64)
    migrations = models.CharField(max_length=32, help_text="Which ones the database then had.")
    loaded_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.digest[:12]} {self.loaded_at:%Y-%m-%d %H:%M}"


class StarterText(models.Model):
    """What the starter content last offered to one page, or to the navigation: by it, what somebody
    changed is known from what nobody touched."""

    key = models.CharField(max_length=200, unique=True)
    page = models.ForeignKey(Page, null=True, on_delete=models.CASCADE, related_name="+")
    given = models.JSONField(default=dict, help_text="SHA-256 of each field, by its name.")

    def __str__(self) -> str:
        return self.key
