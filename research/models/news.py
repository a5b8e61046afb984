"""What happens when: release notes, the roadmap, challenges."""

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest
from modelcluster.contrib.taggit import ClusterTaggableManager
from modelcluster.fields import ParentalKey
from taggit.models import TaggedItemBase
from wagtail.admin.panels import FieldPanel
from wagtail.fields import RichTextField
from wagtail.search import index

from leaderboard.models import dates_state
from research import selectors
from research.models.base import PROSE, BasePage, ClaimPage, DetailsMixin, SampleMixin, grouped
from research.models.library import PaperPage, ShelfPage


class ReleasesPage(ShelfPage):
    """The changelog."""

    subpage_types: ClassVar[list[str]] = ["research.ReleasePage"]
    feed = "releases"
    item_model = "ReleasePage"
    card = "research/cards/release.html"
    empty = "No release fits."


class ReleaseTag(TaggedItemBase):
    """A tag of a release."""

    content_object = ParentalKey(
        "research.ReleasePage", related_name="tagged_items", on_delete=models.CASCADE
    )


class ReleasePage(DetailsMixin, BasePage):  # type: ignore[django-manager-missing]
    """One release: what changed, in which revision of the model, and the paper behind it."""

    version = models.CharField(max_length=40)
    published_on = models.DateField()
    body = RichTextField(features=PROSE)
    model_revision = models.CharField(
        max_length=80, blank=True, help_text="Revision of the weights, as variants name it."
    )
    paper = models.ForeignKey(
        "research.PaperPage", null=True, blank=True, on_delete=models.SET_NULL,
        related_name="releases",
    )  # fmt: skip
    source_url = models.URLField(blank=True, help_text="Where it was announced, if not here.")
    tags = ClusterTaggableManager(through=ReleaseTag, blank=True)

    content_panels: ClassVar[list[Any]] = [
        *BasePage.content_panels,
        grouped("version", "published_on", "model_revision", heading="What it is"),
        FieldPanel("body"),
        FieldPanel("details"),
        FieldPanel("paper"),
        FieldPanel("source_url"),
        FieldPanel("tags"),
    ]
    search_fields: ClassVar[list[Any]] = [
        *BasePage.search_fields,
        index.SearchField("body"),
        index.SearchField("version"),
        index.SearchField("details"),
    ]
    parent_page_types: ClassVar[list[str]] = ["research.ReleasesPage"]
    subpage_types: ClassVar[list[str]] = []
    template = "research/release_page.html"

    def get_context(self, request: HttpRequest, *args: Any, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(request, *args, **kwargs)
        papers = PaperPage.objects.filter(pk=self.paper_id or 0)
        context["paper"] = selectors.readable(papers, request).first() if self.paper_id else None
        return context

    @property
    def summary(self) -> str:
        return str(self.search_description) or selectors.plain(self.body, 240)


class RoadmapPage(ClaimPage):
    """Three columns: what is researched, what is in alpha, what is in production."""

    parent_page_types: ClassVar[list[str]] = ["research.ResearchPage"]
    subpage_types: ClassVar[list[str]] = ["research.RoadmapItemPage"]
    max_count = 1
    template = "research/roadmap_page.html"

    def get_context(self, request: HttpRequest, *args: Any, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(request, *args, **kwargs)
        context["columns"] = selectors.roadmap()
        return context


class RoadmapItemPage(DetailsMixin, BasePage):  # type: ignore[django-manager-missing]
    """One card of the roadmap, with the day on which it reached each stage."""

    class Stage(models.TextChoices):
        RESEARCH = "research", "Research"
        ALPHA = "alpha", "Alpha"
        PRODUCTION = "production", "Production"

    lede = models.TextField(max_length=300)
    stage = models.CharField(max_length=12, choices=Stage.choices, default=Stage.RESEARCH)
    research_on = models.DateField("research since", null=True, blank=True)
    alpha_on = models.DateField("alpha since", null=True, blank=True)
    production_on = models.DateField("production since", null=True, blank=True)
    expected = models.CharField(
        max_length=60,
        blank=True,
        help_text="When the next stage is expected, like “first quarter 2027”.",
    )
    picture = models.ForeignKey(
        "wagtailimages.Image", null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text="Of what the card is about; its description is read to who cannot see it.",
    )  # fmt: skip
    body = RichTextField(blank=True, features=PROSE)

    content_panels: ClassVar[list[Any]] = [
        *BasePage.content_panels,
        FieldPanel("lede"),
        FieldPanel("picture"),
        grouped(
            "stage",
            "research_on",
            "alpha_on",
            "production_on",
            "expected",
            heading="Where it stands",
        ),
        FieldPanel("body"),
        FieldPanel("details"),
    ]
    search_fields: ClassVar[list[Any]] = [
        *BasePage.search_fields,
        index.SearchField("lede"),
        index.SearchField("body"),
        index.SearchField("details"),
    ]
    parent_page_types: ClassVar[list[str]] = ["research.RoadmapPage"]
    subpage_types: ClassVar[list[str]] = []
    template = "research/roadmap_item_page.html"

    @property
    def reached(self) -> list[tuple[str, Any]]:
        """(stage's label, day) for each stage it has reached, in order."""
        days = (self.research_on, self.alpha_on, self.production_on)
        return [(label, day) for label, day in zip(self.Stage.labels, days, strict=True) if day]

    def clean(self) -> None:
        super().clean()
        if getattr(self, f"{self.stage}_on") is None:
            raise ValidationError({f"{self.stage}_on": "Give the day it reached this stage."})
        days = [day for _, day in self.reached]
        if days != sorted(days):
            raise ValidationError("The stages' days must follow one another.")


class ChallengesPage(ShelfPage):
    """The list of challenges."""

    subpage_types: ClassVar[list[str]] = ["research.ChallengePage"]
    feed = "challenges"
    item_model = "ChallengePage"
    card = "research/cards/challenge.html"
    empty = "No challenge is announced. The first one appears here, with its dates and its rules."


class ChallengeTag(TaggedItemBase):
    """A tag of a challenge."""

    content_object = ParentalKey(
        "research.ChallengePage", related_name="tagged_items", on_delete=models.CASCADE
    )


class ChallengePage(SampleMixin, BasePage):  # type: ignore[django-manager-missing]
    """A challenge's copy: what is asked, for what prize, by which rules. With a challenge behind it
    dates, metric and team size are the challenge's; what is kept of them here is for lists."""

    lede = models.TextField(max_length=400)
    date_field = "opens_at"

    challenge = models.ForeignKey(
        "leaderboard.Challenge", null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text="What is joined and submitted to. Without one this is an announcement.",
    )  # fmt: skip
    opens_at = models.DateTimeField(blank=True)
    closes_at = models.DateTimeField(blank=True)
    metric = models.CharField(max_length=80, blank=True)
    prize = models.CharField(max_length=160, blank=True)
    team_size = models.PositiveSmallIntegerField(default=5)
    rules = RichTextField(features=PROSE)
    tags = ClusterTaggableManager(through=ChallengeTag, blank=True)

    content_panels: ClassVar[list[Any]] = [
        *BasePage.content_panels,
        FieldPanel("lede"),
        FieldPanel("challenge"),
        grouped("prize", "is_sample", heading="For what"),
        grouped(
            "opens_at", "closes_at", "metric", "team_size",
            heading="Without a challenge: when, and how",
        ),
        FieldPanel("rules"),
        FieldPanel("tags"),
    ]  # fmt: skip
    search_fields: ClassVar[list[Any]] = [
        *BasePage.search_fields,
        index.SearchField("lede"),
        index.SearchField("rules"),
    ]
    parent_page_types: ClassVar[list[str]] = ["research.ChallengesPage"]
    subpage_types: ClassVar[list[str]] = []
    template = "research/challenge_page.html"
    COPIED: ClassVar[tuple[str, ...]] = ("opens_at", "closes_at", "metric", "team_size")
    leaders: ClassVar[list[Any]] = []
    """Who leads, where `selectors` has filled it in."""

    @property
    def published_on(self) -> Any:
        """For lists: the day it opens."""
        return self.opens_at.date()

    @property
    def held(self) -> Any:
        """The challenge behind it, if anybody may see that: not a draft."""
        return self.challenge if self.challenge and self.challenge.is_visible else None

    @property
    def state(self) -> str:
        """ "upcoming", "open" or "closed", now; "final" once the challenge has its ranking."""
        if self.held:
            return str(self.held.state)
        return dates_state(self.opens_at, self.closes_at)

    @property
    def is_illustration(self) -> bool:
        """Whether it, or its challenge, is a sample."""
        return self.is_sample or bool(self.challenge and self.challenge.is_sample)

    def get_context(self, request: HttpRequest, *args: Any, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(request, *args, **kwargs)
        context["when"] = self.held or self
        return context

    def save(self, *args: Any, **kwargs: Any) -> Any:
        if self.challenge:
            for name in self.COPIED:
                setattr(self, name, getattr(self.challenge, name))
        return super().save(*args, **kwargs)

    def clean(self) -> None:
        super().clean()
        if self.challenge:
            return
        missing = {
            name: "Choose a challenge, or give it here."
            for name in ("opens_at", "closes_at", "metric")
            if not getattr(self, name)
        }
        if missing:
            raise ValidationError(missing)
        if self.closes_at <= self.opens_at:
            raise ValidationError({"closes_at": "It must close after it opens."})
