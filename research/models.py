"""What editors publish: pages of StreamField sections, and the site's navigation."""

from typing import Any, ClassVar

from django.db import models
from django.http import HttpRequest
from modelcluster.fields import ParentalKey
from modelcluster.models import ClusterableModel
from wagtail.admin.panels import FieldPanel, InlinePanel
from wagtail.contrib.settings.models import BaseSiteSetting, register_setting
from wagtail.fields import StreamField
from wagtail.models import Orderable, Page
from wagtail.search import index

from research import blocks, selectors


class Accent(models.TextChoices):
    BLUE = "blue"
    PURPLE = "purple"
    TEAL = "teal"
    GREEN = "green"
    AMBER = "amber"
    SLATE = "slate"


class BasePage(Page):
    """What every page has: an accent that orients the reader, and text for search engines."""

    accent = models.CharField(max_length=10, choices=Accent.choices, default=Accent.BLUE)

    promote_panels: ClassVar[list[Any]] = [*Page.promote_panels, FieldPanel("accent")]

    class Meta:
        abstract = True


class HomePage(BasePage):
    """The front page: a stream of sections, one primary call each."""

    body = StreamField(blocks.SECTIONS, blank=True)

    content_panels: ClassVar[list[Any]] = [*Page.content_panels, FieldPanel("body")]
    max_count = 1
    parent_page_types: ClassVar[list[str]] = ["wagtailcore.Page"]
    template = "research/home_page.html"


class StandardPage(BasePage):
    """A page with a purpose: eyebrow, claim, and sections."""

    eyebrow = models.CharField(max_length=60, blank=True)
    headline = models.CharField(max_length=140, help_text="A claim, not a label.")
    lede = models.TextField(max_length=400, blank=True)
    body = StreamField(blocks.SECTIONS, blank=True)

    content_panels: ClassVar[list[Any]] = [
        *Page.content_panels,
        FieldPanel("eyebrow"),
        FieldPanel("headline"),
        FieldPanel("lede"),
        FieldPanel("body"),
    ]
    search_fields: ClassVar[list[Any]] = [
        *Page.search_fields,
        index.SearchField("headline"),
        index.SearchField("lede"),
        index.SearchField("body"),
    ]
    parent_page_types: ClassVar[list[str]] = ["research.HomePage"]
    subpage_types: ClassVar[list[str]] = []
    template = "research/standard_page.html"


class DocsPage(StandardPage):
    """The documentation: editors' sections, then the reference made from the API's own schema."""

    parent_page_types: ClassVar[list[str]] = ["research.HomePage"]
    subpage_types: ClassVar[list[str]] = []
    max_count = 1
    template = "research/docs_page.html"

    def get_context(self, request: HttpRequest, *args: Any, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(request, *args, **kwargs)
        context["reference"] = selectors.api_reference()
        context["base_url"] = f"{request.scheme}://{request.get_host()}/v1"
        return context


@register_setting(icon="bars")
class Navigation(BaseSiteSetting, ClusterableModel):
    """The header's links, the announcement bar and the footer."""

    announcement = models.CharField(max_length=160, blank=True, help_text="Empty: no bar.")
    announcement_link = models.CharField(max_length=200, blank=True)
    footer_text = models.TextField(blank=True)

    panels: ClassVar[list[Any]] = [
        InlinePanel("links", label="Header link"),
        FieldPanel("announcement"),
        FieldPanel("announcement_link"),
        FieldPanel("footer_text"),
    ]

    class Meta:
        verbose_name = "navigation"


class NavigationLink(Orderable):
    """One link of the header. An address rather than a page: some rooms are not in the CMS."""

    navigation = ParentalKey(Navigation, related_name="links", on_delete=models.CASCADE)
    label = models.CharField(max_length=30)
    url = models.CharField(max_length=200)

    panels: ClassVar[list[Any]] = [FieldPanel("label"), FieldPanel("url")]
