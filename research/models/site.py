"""The header's links, the footer and the announcement bar."""

from typing import Any, ClassVar

from django.db import models
from modelcluster.fields import ParentalKey
from modelcluster.models import ClusterableModel
from wagtail.admin.panels import FieldPanel, InlinePanel, MultiFieldPanel
from wagtail.contrib.settings.models import BaseSiteSetting, register_setting
from wagtail.models import Orderable

from research.validators import validate_link


@register_setting(icon="bars")
class Navigation(BaseSiteSetting, ClusterableModel):
    """The header's links, the announcement bar, the footer, and where the code lives."""

    announcement = models.CharField(max_length=160, blank=True, help_text="Empty: no bar.")
    announcement_link = models.CharField(max_length=200, blank=True, validators=[validate_link])
    footer_text = models.TextField(blank=True)
    github_url = models.URLField(
        blank=True, help_text="The model's repository; named in the footer."
    )
    github_stars = models.PositiveIntegerField(
        null=True, blank=True, help_text="As reported by GitHub; shown with the day it was read."
    )
    github_stars_on = models.DateField(null=True, blank=True)
    source_repository = models.CharField(
        max_length=140,
        blank=True,
        help_text="owner/name of this site's own repository: notebooks then open in Colab and Binder.",
    )
    source_ref = models.CharField(max_length=80, blank=True, default="main")

    panels: ClassVar[list[Any]] = [
        InlinePanel("links", label="Link"),
        MultiFieldPanel(
            [FieldPanel("announcement"), FieldPanel("announcement_link")], heading="Announcement"
        ),
        FieldPanel("footer_text"),
        MultiFieldPanel(
            [FieldPanel("github_url"), FieldPanel("github_stars"), FieldPanel("github_stars_on")],
            heading="The model on GitHub",
        ),
        MultiFieldPanel(
            [FieldPanel("source_repository"), FieldPanel("source_ref")],
            heading="This site's repository",
        ),
    ]

    class Meta:
        verbose_name = "navigation"


class NavigationLink(Orderable):
    """One link of the header or footer. An address rather than a page: some rooms are not in the CMS."""

    class Place(models.TextChoices):
        HEADER = "header", "Header and footer"
        FOOTER = "footer", "Footer only"

    navigation = ParentalKey(Navigation, related_name="links", on_delete=models.CASCADE)
    label = models.CharField(max_length=30)
    url = models.CharField(max_length=200, validators=[validate_link])
    place = models.CharField(max_length=8, choices=Place.choices, default=Place.HEADER)

    panels: ClassVar[list[Any]] = [FieldPanel("label"), FieldPanel("url"), FieldPanel("place")]
