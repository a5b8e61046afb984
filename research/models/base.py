"""What every page has."""

import copy
from http import HTTPMethod
from typing import Any, ClassVar

from django.db import models
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import cached_property
from wagtail.admin.panels import FieldPanel, MultiFieldPanel
from wagtail.fields import StreamField
from wagtail.models import Page, PageViewRestriction
from wagtail.search import index
from wagtail.url_routing import RouteResult

from inference import page_cache
from research import addresses, blocks, structured
from research.selectors import searching

PROSE: list[str] = ["h3", "bold", "italic", "link", "code", "ol", "ul"]
"""What running text on these pages may hold."""

_DEEPEST = 8
"""Parts of an address that are looked for among the pages."""


class Accent(models.TextChoices):
    BLUE = "blue"
    PURPLE = "purple"
    TEAL = "teal"
    GREEN = "green"
    AMBER = "amber"
    SLATE = "slate"


class BasePage(Page):
    """An accent that orients the reader, and words for search engines and shared links."""

    accent = models.CharField(max_length=10, choices=Accent.choices, default=Accent.BLUE)

    date_field: ClassVar[str] = "published_on"
    """By which a list of such pages is ordered, newest first."""

    allowed_http_methods: ClassVar[list[HTTPMethod]] = [
        HTTPMethod.GET, HTTPMethod.HEAD, HTTPMethod.OPTIONS,
    ]  # fmt: skip

    base_form_class = addresses.PageForm
    copy_form_class = addresses.PageCopyForm

    promote_panels: ClassVar[list[Any]] = [*Page.promote_panels, FieldPanel("accent")]

    search_fields: ClassVar[list[Any]] = [*Page.search_fields, index.SearchField("search_words")]

    class Meta:
        abstract = True

    def can_move_to(self, parent: Page) -> bool:
        return bool(super().can_move_to(parent)) and not addresses.is_taken(parent, self.slug)

    def route(self, request: HttpRequest, path_components: list[str]) -> RouteResult:
        """Wagtail's, with one query for all pages on the way instead of two for each, and none while
        nothing that is shown has changed; editors get what the database has now."""
        parts = path_components[:_DEEPEST]
        if not parts:
            return super().route(request, path_components)
        user = getattr(request, "user", None)
        if user is not None and user.has_perm("wagtailadmin.access_admin"):
            way = self._way(parts)
        else:
            known = ("way", self.pk, *parts)
            way = page_cache.remember(
                known, lambda: self._way(parts), worth=lambda way: len(way) == len(parts)
            )
        # A reader's own: what is noted on it for an answer is not the next reader's.
        page = copy.copy(way[-1])
        page.trail = [self, *way[:-1]]
        return page.route(request, path_components[len(way) :])

    def _way(self, parts: list[str]) -> list[Page]:
        """The pages below this one that an address names, one after another, the last of them as its
        own kind.

        Raises:
            Http404: there is none, or not of the whole address; a page answers for what is left of it.
        """
        below = Page.objects.filter(
            path__startswith=self.path, slug__in=parts, depth__gt=self.depth,
            depth__lte=self.depth + len(parts),
        )  # fmt: skip
        known = {(page.path[: -page.steplen], page.slug): page for page in below}
        way: list[Page] = []
        for part in parts:
            page = known.get((way[-1].path if way else self.path, part))
            if page is None:
                break
            way.append(page)
        if not way:
            raise Http404
        way[-1] = way[-1].specific
        way[-1].read_whole()
        return way

    def read_whole(self) -> None:
        """Read what its page shows of it beside its own row, once for all readers."""

    @cached_property
    def trail(self) -> list[Page]:
        """The pages above this one, the outermost first, as far as it is of the site."""
        return list(self.get_ancestors().filter(depth__gt=1))

    @property
    def search_words(self) -> str:
        """All that the page is found by, in plain small letters."""
        return searching.words_of(self)

    @property
    def identifiers(self) -> list[str]:
        """Names others know the page by, as a DOI."""
        return []

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        if kwargs.get("update_fields") is not None:  # the note of a revision: no words change
            return
        # Wagtail indexes a page before its tags, authors and sections are saved with it. As it is
        # stored: this one may carry the words of a draft.
        index.insert_or_update_object(type(self).objects.get(pk=self.pk))

    @property
    def summary(self) -> str:
        """One or two plain sentences for cards, feeds and search results."""
        return str(self.search_description or getattr(self, "lede", ""))

    @property
    def markdown_url(self) -> str:
        """Address of the page as Markdown."""
        return "/index.md" if self.depth == 2 else f"{self.url.rstrip('/')}.md"

    def serve(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The page; readers without a session get it from the page cache until it changes."""
        response: HttpResponseBase = super().serve(request, *args, **kwargs)
        page_cache.keep(response)
        return response

    def get_view_restrictions(self) -> QuerySet[PageViewRestriction]:
        """Wagtail's own, of the page and of those above it, without reading these first: their paths
        begin this page's. An alias has the restrictions of its source."""
        paths = [self.path[:end] for end in range(self.steplen, len(self.path) + 1, self.steplen)]
        here = models.Q(page__path__in=paths, page__alias_of=None)
        for alias in ("page__aliases", "page__aliases__aliases"):
            here |= models.Q(**{f"{alias}__path__in": paths})
        return PageViewRestriction.objects.filter(here).distinct()

    def structured_data(self, request: HttpRequest) -> dict[str, Any]:
        """schema.org description of the page, for its JSON-LD."""
        return structured.web_page(self, request)


class ClaimPage(BasePage):
    """A page that opens with a claim and a sentence or two, then lists what is under it."""

    headline = models.CharField(max_length=140)
    lede = models.TextField(max_length=400, blank=True)

    content_panels: ClassVar[list[Any]] = [
        *BasePage.content_panels,
        FieldPanel("headline"),
        FieldPanel("lede"),
    ]

    class Meta:
        abstract = True


class DetailsMixin(models.Model):
    """Pictures, tables, films, formulas and more words, under what the page says."""

    details = StreamField(
        blocks.DETAILS, blank=True, help_text="Pictures, tables, films, formulas, under the text."
    )

    class Meta:
        abstract = True


class SampleMixin(models.Model):
    """Content that illustrates and is not a real result says so wherever it is shown."""

    is_sample = models.BooleanField(
        "sample",
        default=False,
        help_text="Illustrates; not a real item. It is labelled “sample” everywhere.",
    )

    class Meta:
        abstract = True


def grouped(*names: str, heading: str) -> MultiFieldPanel:
    """Fields under one heading."""
    return MultiFieldPanel([FieldPanel(name) for name in names], heading=heading)
