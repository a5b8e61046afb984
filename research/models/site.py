"""The header's links, the footer and the announcement bar."""

from typing import Any, ClassVar

from django.contrib.contenttypes.fields import GenericRelation
from django.db import models
from modelcluster.fields import ParentalKey
from modelcluster.models import ClusterableModel
from wagtail.admin.panels import FieldPanel, InlinePanel, MultiFieldPanel
from wagtail.models import (
    DraftStateMixin,
    LockableMixin,
    Orderable,
    RevisionMixin,
    Site,
    WorkflowMixin,
)

from research.validators import validate_link


class Navigation(WorkflowMixin, DraftStateMixin, LockableMixin, RevisionMixin, ClusterableModel):  # type: ignore[django-manager-missing]
    """The header's links, the footer, and where the code lives; one for each site. Who may not publish
    it saves a draft of it, and submits that."""

    site = models.OneToOneField(Site, on_delete=models.CASCADE)
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
    _revisions = GenericRelation("wagtailcore.Revision", related_query_name="navigation")
    workflow_states = GenericRelation(
        "wagtailcore.WorkflowState", content_type_field="base_content_type",
        object_id_field="object_id", related_query_name="navigation", for_concrete_model=False,
    )  # fmt: skip

    panels: ClassVar[list[Any]] = [
        FieldPanel("site"),
        InlinePanel("links", label="Link"),
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
        verbose_name_plural = "navigation"

    def __str__(self) -> str:
        return f"Navigation of {self.site}"

    @classmethod
    def for_site(cls, site: Site) -> "Navigation":
        """A site's own, made if it is the first time."""
        return cls.objects.get_or_create(site=site)[0]


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


class Announcement(WorkflowMixin, DraftStateMixin, LockableMixin, RevisionMixin, models.Model):  # type: ignore[django-manager-missing]
    """What the bar over every page of a site says, from when and until when. Of several that are
    published the latest is shown."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="announcements")
    text = models.CharField(max_length=160)
    link = models.CharField(max_length=200, blank=True, validators=[validate_link])
    _revisions = GenericRelation("wagtailcore.Revision", related_query_name="announcement")
    workflow_states = GenericRelation(
        "wagtailcore.WorkflowState", content_type_field="base_content_type",
        object_id_field="object_id", related_query_name="announcement", for_concrete_model=False,
    )  # fmt: skip

    panels: ClassVar[list[Any]] = [FieldPanel("site"), FieldPanel("text"), FieldPanel("link")]

    class Meta:
        ordering: ClassVar[list[str]] = ["-pk"]

    def __str__(self) -> str:
        return self.text
