"""Feeds of what is published: RSS 2.0, Atom 1.0 and JSON Feed 1.1."""

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from django.contrib.syndication.views import Feed
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import get_conditional_response
from django.utils.feedgenerator import Atom1Feed, Rss201rev2Feed
from django.utils.http import quote_etag
from django.views.decorators.http import require_safe

from research import selectors

KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "all": ("Everything new", ("PaperPage", "NotebookPage", "DatasetPage", "ReleasePage", "ChallengePage")),
    "papers": ("Papers", ("PaperPage",)),
    "notebooks": ("Notebooks and datasets", ("NotebookPage", "DatasetPage")),
    "releases": ("Release notes", ("ReleasePage",)),
    "challenges": ("Challenges", ("ChallengePage",)),
}  # fmt: skip
COUNT = 40


def items(kind: str) -> list[Any]:
    """The newest pages of a feed, newest first by the day they appeared here."""
    found = [page for model in KINDS[kind][1] for page in selectors.latest(model, COUNT)]
    return sorted(found, key=_appeared, reverse=True)[:COUNT]


def _appeared(page: Any) -> datetime:
    when: datetime = page.first_published_at or datetime.combine(
        page.published_on, datetime.min.time(), UTC
    )
    return when


@dataclass(frozen=True, slots=True)
class Contents:
    """A feed's kind and pages, read once."""

    kind: str
    pages: list[Any]

    @property
    def title(self) -> str:
        return f"Moondream hub: {KINDS[self.kind][0].lower()}"


class PagesFeed(Feed[Any, Contents]):
    """One kind of pages as RSS or Atom."""

    def __init__(self, generator: type[Any]) -> None:
        self.feed_type = generator

    def get_object(self, request: HttpRequest, contents: Contents) -> Contents:  # type: ignore[override]
        return contents

    def title(self, obj: Contents) -> str:
        return obj.title

    def description(self, obj: Contents) -> str:
        return f"{KINDS[obj.kind][0]} on the Moondream hub."

    subtitle = description

    def link(self, obj: Contents) -> str:
        return "/research/"

    def author_name(self, obj: Contents) -> str:
        return "Moondream hub"

    def items(self, obj: Contents) -> list[Any]:
        return obj.pages

    def item_title(self, item: Any) -> str:
        return str(item.title)

    def item_description(self, item: Any) -> str:
        return str(item.summary)

    def item_link(self, item: Any) -> str:
        return str(item.url)

    def item_guid(self, item: Any) -> str:
        # The page's own name for ever: its address may change, its translation key does not.
        return f"urn:uuid:{item.translation_key}"

    item_guid_is_permalink = False

    def item_pubdate(self, item: Any) -> datetime:
        return _appeared(item)

    def item_updateddate(self, item: Any) -> datetime:
        return item.last_published_at or _appeared(item)


_FEEDS = {"rss": PagesFeed(Rss201rev2Feed), "atom": PagesFeed(Atom1Feed)}


@require_safe
def feed(request: HttpRequest, kind: str, form: str) -> HttpResponse:
    """One feed in one form; answers 304 to who has it already."""
    if kind not in KINDS:
        raise Http404
    pages = items(kind)
    # By what is in it, not by its newest day: a page that is taken out is gone at once.
    stamp = [form, request.get_host(), *(f"{p.pk} {p.last_published_at}" for p in pages)]
    etag = quote_etag(sha256("\n".join(stamp).encode()).hexdigest()[:32])
    known = get_conditional_response(request, etag=etag)
    if known is not None:
        return known
    contents = Contents(kind, pages)
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
        "authors": [{"name": "Moondream hub", "url": full("/")}],
        "items": [
            {
                "id": f"urn:uuid:{p.translation_key}",
                "url": full(p.url),
                "title": p.title,
                "content_text": p.summary,
                "date_published": _appeared(p).isoformat(),
                "date_modified": (p.last_published_at or _appeared(p)).isoformat(),
            }
            for p in contents.pages
        ],
    }
    answer = JsonResponse(body)
    answer["Content-Type"] = "application/feed+json; charset=utf-8"
    return answer
