"""What editors say around prices and credits."""

from typing import Any, ClassVar

from django.core.validators import RegexValidator
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


@register_setting(icon="doc-full")
class InvoiceSettings(BaseSiteSetting):
    """Who issues invoices, and what stands on them. What is issued keeps what it was issued with."""

    seller_name = models.CharField("name", max_length=120, blank=True)
    seller_address = models.TextField("address", max_length=500, blank=True)
    seller_tax_id = models.CharField("tax id", max_length=60, blank=True)
    seller_mail = models.EmailField("mail address", blank=True)
    note = models.TextField(
        max_length=1000,
        blank=True,
        help_text="Under the sums, as in a reason why no tax is charged.",
    )
    prefix = models.CharField(
        max_length=12, default="INV-", validators=[RegexValidator(r"^[A-Z0-9-]+\Z", "Capital letters, digits and hyphens.")],
        help_text="What numbers begin with; of the test mode it is TEST-.",
    )  # fmt: skip

    panels: ClassVar[list[Any]] = [
        MultiFieldPanel(
            [FieldPanel(n) for n in ("seller_name", "seller_address", "seller_tax_id", "seller_mail")],
            heading="Who issues them",
        ),
        FieldPanel("note"), FieldPanel("prefix"),
    ]  # fmt: skip

    class Meta:
        verbose_name = "invoices"

    @property
    def is_complete(self) -> bool:
        """Whether an invoice can be issued: it says who asks for the money, and where they are."""
        return bool(self.seller_name.strip() and self.seller_address.strip())
