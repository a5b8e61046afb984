"""Pages that are a stream of sections: the front page and the pages beside it."""

from typing import Any, ClassVar

from django.db import models
from wagtail.admin.panels import FieldPanel
from wagtail.fields import RichTextField, StreamField
from wagtail.search import index

from research import blocks, selectors
from research.models.base import BasePage


class HomePage(BasePage):
    """The front page: a stream of sections, one primary call each."""

    body = StreamField(blocks.SECTIONS, blank=True)

    content_panels: ClassVar[list[Any]] = [*BasePage.content_panels, FieldPanel("body")]
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
        *BasePage.content_panels,
        FieldPanel("eyebrow"),
        FieldPanel("headline"),
        FieldPanel("lede"),
        FieldPanel("body"),
    ]
    search_fields: ClassVar[list[Any]] = [
        *BasePage.search_fields,
        index.SearchField("headline"),
        index.SearchField("lede"),
        index.SearchField("body"),
    ]
    parent_page_types: ClassVar[list[str]] = ["research.HomePage"]
    subpage_types: ClassVar[list[str]] = ["research.LegalPage"]
    template = "research/standard_page.html"


class LegalPage(BasePage):
    """Terms, privacy, licences: plain text with the day from which it holds."""

    effective_on = models.DateField()
    body = RichTextField(features=["h2", "h3", "bold", "italic", "link", "ol", "ul"])

    content_panels: ClassVar[list[Any]] = [
        *BasePage.content_panels,
        FieldPanel("effective_on"),
        FieldPanel("body"),
    ]
    search_fields: ClassVar[list[Any]] = [*BasePage.search_fields, index.SearchField("body")]
    parent_page_types: ClassVar[list[str]] = ["research.HomePage", "research.StandardPage"]
    subpage_types: ClassVar[list[str]] = []
    template = "research/legal_page.html"

    @property
    def summary(self) -> str:
        return str(self.search_description) or selectors.plain(self.body, 200)
