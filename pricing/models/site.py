"""What editors say around prices and credits."""

from typing import Any, ClassVar

from django.db import models
from wagtail.admin.panels import FieldPanel, MultiFieldPanel
from wagtail.contrib.settings.models import BaseSiteSetting, register_setting


@register_setting(icon="tag")
class PricingSettings(BaseSiteSetting):
    """Prices and research credits: whom to write to, and how applications are decided."""

    contact_address = models.EmailField(
        blank=True, help_text="For plans by agreement and bulk requests. Empty: none is shown."
    )
    credits_title = models.CharField(
        "title", max_length=100, default="Research credits, if a plan is not enough."
    )
    credits_text = models.TextField(
        "text", max_length=500,
        default="Say what you want to find out and what it needs. People of this site decide; you see where "
        "your application stands, what was decided and why.",
    )  # fmt: skip
    review_days = models.PositiveSmallIntegerField(
        "review window in days", default=14,
        help_text="How long an application may take; applicants see the day.",
    )  # fmt: skip
    two_people = models.BooleanField(
        "two people approve", default=False,
        help_text="An approval holds once a second admin has approved it.",
    )  # fmt: skip

    panels: ClassVar[list[Any]] = [
        FieldPanel("contact_address"),
        MultiFieldPanel(
            [FieldPanel(n) for n in ("credits_title", "credits_text", "review_days", "two_people")],
            heading="Research credits",
        ),
    ]

    class Meta:
        verbose_name = "prices and credits"
