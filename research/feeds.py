"""Feeds of what is published: RSS 2.0, Atom 1.0 (RFC 4287) and JSON Feed 1.1.

A summary is plain text. Each format is told so: Atom and JSON by name, RSS, whose descriptions are
HTML, by escaping it once more.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time
from hashlib import sha256
from typing import Any

from django.contrib.syndication.views import Feed
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import get_conditional_response
from django.utils.feedgenerator import Atom1Feed, Rss201rev2Feed
from django.utils.html import escape
from django.utils.http import quote_etag
from django.utils.xmlutils import SimplerXMLGenerator
from django.views.decorators.http import require_safe

from inference import site
from research import selectors

KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "all": ("Everything new", ("PaperPage", "NotebookPage", "DatasetPage", "ReleasePage", "ChallengePage")),
    "papers": ("Papers", ("PaperPage",)),
    "notebooks": ("Notebooks and datasets", ("NotebookPage", "DatasetPage")),
    "releases": ("Release notes", ("ReleasePage",)),
    "challenges": ("Challenges", ("ChallengePage",)),
}  # fmt: skip
COUNT = 40
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML 1.0 document can hold, in any form (production 2, Char)."""


def xml_text(text: str) -> str:
    """A text without what XML cannot hold: C0 controls, halves of surrogate pairs, U+FFFE, U+FFFF."""
    return _NO_XML.sub("", text)


def appeared_at(page: Any) -> datetime:
    """When a page came to this site; for one made without a revision, its own day."""
    when: datetime = (
        page.first_published_at
        or page.last_published_at
        or page.latest_revision_created_at
        or datetime.combine(page.published_on, time.min, UTC)
    )
    return when


def changed_at(page: Any) -> datetime:
    """When a page was last published: never before it came."""
    return max(page.last_published_at or appeared_at(page), appeared_at(page))


@dataclass(frozen=True, slots=True)
class Contents:
    """A feed's kind and pages, read once."""

    kind: str
    pages: list[Any]
    site: str
    """What the site is called."""

    @property
    def title(self) -> str:
        return f"{self.site}: {KINDS[self.kind][0].lower()}"


class AtomFeed(Atom1Feed):
    """Django's, whose summaries are said to be text, as they are."""

    def add_item_elements(self, handler: SimplerXMLGenerator, item: dict[str, Any]) -> None:
        super().add_item_elements(handler, {**item, "description": None})
        handler.addQuickElement("summary", item["description"], {"type": "text"})


class PagesFeed(Feed[Any, Contents]):
    """One kind of pages as RSS or Atom."""

    def __init__(self, generator: type[Any]) -> None:
        self.feed_type = generator

    def get_object(self, request: HttpRequest, contents: Contents) -> Contents:  # type: ignore[override]
        return contents

    def title(self, obj: Contents) -> str:
        return obj.title

    def description(self, obj: Contents) -> str:
        return f"{KINDS[obj.kind][0]} of {obj.site}."

    subtitle = description

    def link(self, obj: Contents) -> str:
        return "/research/"

    def feed_guid(self, obj: Contents) -> str:
        # One for ever, of this feed alone: not where it was asked for, nor the page it links to.
        return site.url(f"/feeds/{obj.kind}.atom")

    def author_name(self, obj: Contents) -> str:
        return obj.site

    def items(self, obj: Contents) -> list[Any]:
        return obj.pages

    def item_title(self, item: Any) -> str:
        return xml_text(item.title)

    def item_description(self, item: Any) -> str:
        text = xml_text(item.summary)
        return str(escape(text)) if issubclass(self.feed_type, Rss201rev2Feed) else text

    def item_link(self, item: Any) -> str:
        return str(item.url)

    def item_guid(self, item: Any) -> str:
        # The page's own name for ever: its address may change, its translation key does not.
        return f"urn:uuid:{item.translation_key}"

    item_guid_is_permalink = False

    def item_pubdate(self, item: Any) -> datetime:
        return appeared_at(item)

    def item_updateddate(self, item: Any) -> datetime:
        return changed_at(item)


_FEEDS = {"rss": PagesFeed(Rss201rev2Feed), "atom": PagesFeed(AtomFeed)}


@require_safe
def feed(request: HttpRequest, kind: str, form: str) -> HttpResponse:
    """One feed in one form; answers 304 to who has it already."""
    if kind not in KINDS:
        raise Http404
    pages = selectors.appeared(KINDS[kind][1], COUNT)
    # By what is in it, not by its newest day: a page that is taken out is gone at once.
    name = xml_text(selectors.site_name(request))
    stamp = [form, name, f"{request.scheme}://{request.get_host()}"]
    stamp += [f"{p.pk} {p.url} {changed_at(p)} {p.title} {p.summary}" for p in pages]
    etag = quote_etag(sha256("\n".join(stamp).encode()).hexdigest()[:32])
    known = get_conditional_response(request, etag=etag)
    if known is not None:
        return known
    contents = Contents(kind, pages, name)
    answer = (
        _json(request, contents) if form == "json" else _FEEDS[form](request, contents=contents)
    )
    answer["ETag"] = etag
    answer["Cache-Control"] = "public, max-age=0, must-revalidate"
    return answer


def _json(request: HttpRequest, contents: Contents) -> JsonResponse:
    full = request.build_absolute_uri
    body = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": contents.title,
        "home_page_url": full("/research/"),
        "feed_url": full(f"/feeds/{contents.kind}.json"),
        "language": "en",
        "authors": [{"name": contents.site, "url": full("/")}],
        "items": [
            {
                "id": f"urn:uuid:{p.translation_key}",
                "url": full(p.url),
                "title": xml_text(p.title),
                "content_text": xml_text(p.summary),
                "date_published": appeared_at(p).isoformat(),
                "date_modified": changed_at(p).isoformat(),
            }
            for p in contents.pages
        ],
    }
    answer = JsonResponse(body)
    answer["Content-Type"] = "application/feed+json; charset=utf-8"
    return answer
