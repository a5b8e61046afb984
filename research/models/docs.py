"""The documentation: an index with the reference, and articles under it."""

from typing import Any, ClassVar

from django.db import models
from django.http import HttpRequest
from wagtail.admin.panels import FieldPanel
from wagtail.fields import StreamField
from wagtail.search import index

from research import blocks, selectors
from research.models.base import BasePage
from research.models.pages import StandardPage


class DocsPage(StandardPage):
    """The front of the documentation: ways in, then what can be read of the research."""

    parent_page_types: ClassVar[list[str]] = ["research.HomePage"]
    subpage_types: ClassVar[list[str]] = ["research.DocsSectionPage", "research.DocsArticlePage"]
    max_count = 1
    template = "research/docs_page.html"

    def get_context(self, request: HttpRequest, *args: Any, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(request, *args, **kwargs)
        context["tree"] = selectors.docs_tree(self, request)
        return context


class DocsSectionPage(BasePage):
    """A chapter: a sentence, and the list of its articles."""

    lede = models.TextField(max_length=300, blank=True)

    content_panels: ClassVar[list[Any]] = [*BasePage.content_panels, FieldPanel("lede")]
    parent_page_types: ClassVar[list[str]] = ["research.DocsPage"]
    subpage_types: ClassVar[list[str]] = ["research.DocsArticlePage"]
    template = "research/docs_section_page.html"

    def get_context(self, request: HttpRequest, *args: Any, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(request, *args, **kwargs)
        context["tree"] = selectors.docs_tree(request=request)
        articles = selectors.readable(self.get_children(), request)
        context["articles"] = list(articles.specific())
        return context


class DocsArticlePage(BasePage):
    """One article: prose, code in tabs, notes."""

    lede = models.TextField(max_length=300, blank=True)
    body = StreamField(blocks.ARTICLE, blank=True)

    content_panels: ClassVar[list[Any]] = [
        *BasePage.content_panels,
        FieldPanel("lede"),
        FieldPanel("body"),
    ]
    search_fields: ClassVar[list[Any]] = [
        *BasePage.search_fields,
        index.SearchField("lede"),
        index.SearchField("body"),
    ]
    parent_page_types: ClassVar[list[str]] = ["research.DocsPage", "research.DocsSectionPage"]
    subpage_types: ClassVar[list[str]] = []
    template = "research/docs_article_page.html"

    def get_context(self, request: HttpRequest, *args: Any, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(request, *args, **kwargs)
        context["tree"] = selectors.docs_tree(request=request)
        context["before"], context["after"] = selectors.docs_neighbours(self, context["tree"])
        return context
