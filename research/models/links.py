"""Links of pages that lead nowhere."""

from typing import Any, ClassVar

from django.db import models
from wagtail.models import Page


class BrokenLink(models.Model):
    """A link of a published page to an address of this site where there is nothing; kept until the
    next check finds it whole."""

    page = models.ForeignKey(Page, on_delete=models.CASCADE, related_name="+")
    address = models.CharField(max_length=500, help_text="Empty: its page was deleted.", blank=True)
    text = models.CharField(max_length=200, blank=True, help_text="The words that are linked.")
    found_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["page__title", "pk"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["page", "address", "text"], name="one_broken_link")
        ]

    def __str__(self) -> str:
        return f"{self.text or self.address} on {self.page}"
