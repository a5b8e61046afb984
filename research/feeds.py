"""Feeds of what is published: RSS 2.0, Atom 1.0 (RFC 4287) and JSON Feed 1.1.

A summary is plain text. Each format is told so: Atom and JSON by name, RSS, whose descriptions are
HTML, by escaping it once more.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

from django.contrib.syndication.views import Feed
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import get_conditional_response
from django.utils.feedgenerator import Atom1Feed, Rss201rev2Feed
from django.utils.html import escape
from django.utils.http import http_date, quote_etag
from django.utils.xmlutils import SimplerXMLGenerator
from django.views.decorators.http import require_safe

from inference import site
from leaderboard import selectors as leaderboard
from research import selectors


@dataclass(frozen=True, slots=True)
class Item:
    """One entry, whatever it tells of."""

    id: str
    """An IRI of its own for ever."""
    title: str
    text: str
    path: str
    """On this site."""
    at: datetime
    changed_at: datetime
    """Never before `at`."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a feed is made of."""

    title: str
    home: str
    """The page that shows the same to people."""
    items: Callable[[int], list[Item]]
    """The newest so many, newest first, of what everybody may read."""


KINDS: dict[str, Source] = {}
"""All feeds by name. Rooms above add theirs (`register`)."""
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


def _pages(models: tuple[str, ...]) -> Callable[[int], list[Item]]:
    def items(count: int) -> list[Item]:
        return [
            Item(
                # The page's own name for ever: its address may change, its translation key does not.
                f"urn:uuid:{page.translation_key}", page.title, page.summary, str(page.url),
                appeared_at(page), changed_at(page),
            )
            for page in selectors.appeared(models, count)
        ]  # fmt: skip

    return items


def _boards(count: int) -> list[Item]:
    """New entries of leaderboards, and who leads one now."""
    return [
        Item(
            f"urn:uuid:{uuid5(NAMESPACE_OID, news.key)}", news.title, news.text, news.path, news.at, news.at
        )
        for news in leaderboard.news(count)
    ]  # fmt: skip


def register(name: str, source: Source) -> None:
    """Add a feed; what is in it is in the feed of everything too."""
    KINDS[name] = source


def _everything(count: int) -> list[Item]:
    found = _pages(_ALL)(count)
    for name, source in KINDS.items():
        if name not in _OF_PAGES:
            found += source.items(count)
    return newest(found, count)


def newest(items: Iterable[Item], count: int) -> list[Item]:
    """The newest of some, newest first."""
    return sorted(items, key=lambda item: item.at, reverse=True)[:count]


_ALL = ("PaperPage", "NotebookPage", "DatasetPage", "ReleasePage", "ChallengePage")
_OF_PAGES = ("all", "papers", "notebooks", "releases", "challenges")
register("all", Source("Everything new", "/research/", _everything))
register("papers", Source("Papers", "/research/papers/", _pages(("PaperPage",))))
register(
    "notebooks",
    Source(
        "Notebooks and datasets", "/research/notebooks/", _pages(("NotebookPage", "DatasetPage"))
    ),
)
register("releases", Source("Release notes", "/research/releases/", _pages(("ReleasePage",))))
register("challenges", Source("Challenges", "/research/challenges/", _pages(("ChallengePage",))))
register("leaderboards", Source("Leaderboards", "/leaderboards/", _boards))


@dataclass(frozen=True, slots=True)
class Contents:
    """A feed's kind and items, read once."""

    kind: str
    items: list[Item]
    site: str
    """What the site is called."""

    @property
    def source(self) -> Source:
        return KINDS[self.kind]

    @property
    def title(self) -> str:
        return f"{self.site}: {self.source.title.lower()}"


if TYPE_CHECKING:
    _Feed = Feed[Any, Contents]
else:
    _Feed = (
        Feed  # has no parameters but for type checkers; rooms above import this while they start
    )


class AtomFeed(Atom1Feed):
    """Django's, whose summaries are said to be text, as they are."""

    def add_item_elements(self, handler: SimplerXMLGenerator, item: dict[str, Any]) -> None:
        super().add_item_elements(handler, {**item, "description": None})
        handler.addQuickElement("summary", item["description"], {"type": "text"})


class PagesFeed(_Feed):
    """One kind of pages as RSS or Atom."""

    def __init__(self, generator: type[Any]) -> None:
        self.feed_type = generator

    def get_object(self, request: HttpRequest, contents: Contents) -> Contents:  # type: ignore[override]
        return contents

    def title(self, obj: Contents) -> str:
        return obj.title

    def description(self, obj: Contents) -> str:
        return f"{obj.source.title} of {obj.site}."

    subtitle = description

    def link(self, obj: Contents) -> str:
        return obj.source.home

    def feed_guid(self, obj: Contents) -> str:
        # One for ever, of this feed alone: not where it was asked for, nor the page it links to.
        return site.url(f"/feeds/{obj.kind}.atom")

    def author_name(self, obj: Contents) -> str:
        return obj.site

    def items(self, obj: Contents) -> list[Item]:
        return obj.items

    def item_title(self, item: Item) -> str:  # type: ignore[override]
        return xml_text(item.title)

    def item_description(self, item: Item) -> str:  # type: ignore[override]
        text = xml_text(item.text)
        return str(escape(text)) if issubclass(self.feed_type, Rss201rev2Feed) else text

    def item_link(self, item: Item) -> str:
        return item.path

    def item_guid(self, item: Item) -> str:
        return item.id

    item_guid_is_permalink = False

    def item_pubdate(self, item: Item) -> datetime:
        return item.at

    def item_updateddate(self, item: Item) -> datetime:
        return item.changed_at


_FEEDS = {"rss": PagesFeed(Rss201rev2Feed), "atom": PagesFeed(AtomFeed)}


@require_safe
def feed(request: HttpRequest, kind: str, form: str) -> HttpResponse:
    """One feed in one form; answers 304 to who has it already."""
    if kind not in KINDS:
        raise Http404
    items = KINDS[kind].items(COUNT)
    # By what is in it, not by its newest day: a page that is taken out is gone at once.
    name = xml_text(selectors.site_name(request))
    stamp = [form, name, f"{request.scheme}://{request.get_host()}"]
    stamp += [f"{i.id} {i.path} {i.changed_at} {i.title} {i.text}" for i in items]
    etag = quote_etag(sha256("\n".join(stamp).encode()).hexdigest()[:32])
    latest = max((i.changed_at for i in items), default=None)
    modified = int(latest.timestamp()) if latest else None
    known = get_conditional_response(request, etag=etag, last_modified=modified)
    if known is not None:
        answer = known
    elif form == "json":
        answer = _json(request, Contents(kind, items, name))
    else:
        answer = _FEEDS[form](request, contents=Contents(kind, items, name))
    answer["ETag"] = etag
    if modified is not None:
        answer["Last-Modified"] = http_date(modified)
    else:  # Django's is the present time where there is nothing
        answer.headers.pop("Last-Modified", None)
    answer["Cache-Control"] = "public, max-age=0, must-revalidate"
    return answer


def _json(request: HttpRequest, contents: Contents) -> JsonResponse:
    full = request.build_absolute_uri
    body = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": contents.title,
        "home_page_url": full(contents.source.home),
        "feed_url": full(f"/feeds/{contents.kind}.json"),
        "language": "en",
        "authors": [{"name": contents.site, "url": full("/")}],
        "items": [
            {
                "id": i.id,
                "url": full(i.path),
                "title": xml_text(i.title),
                "content_text": xml_text(i.text),
                "date_published": i.at.isoformat(),
                "date_modified": i.changed_at.isoformat(),
            }
            for i in contents.items
        ],
    }
    answer = JsonResponse(body)
    answer["Content-Type"] = "application/feed+json; charset=utf-8"
    return answer
