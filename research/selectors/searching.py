"""Searching pages: by the beginnings of words without accents, by identifiers, by error codes, and
by what a word was meant to be where nothing is spelled so.

Each page is indexed with `words_of` beside Wagtail's own fields. PostgreSQL's search alone would find
no part of a word, no café for a cafe, and no arXiv number with its version.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from anyascii import anyascii
from django.apps import apps
from django.db.models import Q
from django.utils.html import strip_tags
from rapidfuzz import process
from rapidfuzz.distance import OSA
from wagtail.models import Page
from wagtail.search import index

from inference.errors import catalogue
from research.selectors.readable import readable

if TYPE_CHECKING:
    from research.models import BasePage

MAX_HITS = 200
MAX_SPELLINGS = 8
_ARXIV = re.compile(
    r"(?:https?://)?(?:(?:www\.|export\.)?arxiv\.org/(?:abs|pdf|html|ps|format)/|arxiv[:\s]\s*)?"
    r"((?:\d{4}\.\d{4,5}|[a-z-]+(?:\.[a-z]{2})?/\d{7}))(?:v\d+)?(?:\.pdf)?/?",
    re.I,
)
_DOI = re.compile(
    r"(?:(?:https?://)?(?:dx\.|www\.)?doi\.org/|doi[:\s]\s*)?(10\.\d{4,9}(?:\.\d+)*/\S+)", re.I
)
_WORD = re.compile(r"[a-z0-9_]{2,}")
_ARXIV_DOI = "10.48550/arxiv."


@dataclass(frozen=True, slots=True)
class Found:
    """Keys of the pages that were found, best first."""

    ids: list[int]
    spelled: str = ""
    """What was searched for instead, where nothing is spelled as it was asked."""


def fold(text: str) -> str:
    """A text in small ASCII letters: of every script, without accents."""
    return str(anyascii(text)).lower()


def words_of(page: "BasePage") -> str:
    """What a page is found by, folded: its texts, tags and identifiers."""
    texts = [page.summary, *(str(getattr(page, name, "")) for name in ("headline", "lede"))]
    texts += _indexed(page, page.get_search_fields())
    texts += [tag.name for tag in page.tags.all()] if hasattr(page, "tags") else []
    return " ".join(dict.fromkeys(fold(" ".join(texts)).split())) + " ".join(
        fold(f" {name}") for name in page.identifiers
    )


def _indexed(thing: Any, fields: Iterable[Any]) -> Iterator[str]:
    """The texts of a thing's search fields, and of what is related to it."""
    for field in fields:
        if isinstance(field, index.RelatedFields):
            for other in getattr(thing, field.field_name).all():
                yield from _indexed(other, field.fields)
        elif isinstance(field, index.SearchField) and field.field_name != "search_words":
            value = field.get_value(thing)
            texts = value if isinstance(value, list) else [value]
            yield from (strip_tags(str(text)) for text in texts if text)


def search_pages(query: str, count: int = 30) -> tuple[list[Any], str]:
    """Published pages that a query (as `words` gives it) finds, best first, and what was searched
    for instead. A page found by an error's code has its place in `found_at`."""
    found = search(query, readable(Page.objects.all()))
    by_id = {page.pk: page for page in Page.objects.filter(pk__in=found.ids[:count]).specific()}
    pages = [by_id[pk] for pk in found.ids[:count] if pk in by_id]
    code = _error_code(query)
    for page in pages:
        page.found_at = f"#error-{code}" if code and _lists_errors(page) else ""
    return sorted(pages, key=lambda page: not page.found_at), found.spelled


def search(query: str, pages: Any) -> Found:
    """Those of some pages that a query finds."""
    found = _matching(query, pages)
    if found or not query:
        return Found(found)
    for spelled in _respelled(query, pages):
        found = _matching(spelled, pages)
        if found:
            return Found(found, spelled)
    return Found([])


def _matching(query: str, pages: Any) -> list[int]:
    named = _named(query, pages)
    tokens = _tokens(query)
    if not tokens:
        return named
    begin = [Q(index_entries__body_text__regex=_begins(token)) for token in tokens]
    begun = dict(pages.filter(*begin).values_list("pk", "title")[:MAX_HITS])
    ranked = [hit.pk for hit in Page.objects.live().search(query, operator="and")[:MAX_HITS]]
    places = {pk: place for place, pk in enumerate(ranked)}
    stemmed = pages.filter(pk__in=ranked).values_list("pk", "title")
    titles = begun | dict(stemmed)

    def order(pk: int) -> tuple[bool, bool, int, str]:
        title = fold(titles[pk])
        in_title = all(re.search(rf"\b{re.escape(token)}", title) for token in tokens)
        return title != fold(query), not in_title, places.get(pk, MAX_HITS), title

    return list(dict.fromkeys([*named, *sorted(titles, key=order)]))


def _named(query: str, pages: Any) -> list[int]:
    """Papers whose DOI or arXiv number is the query, in whatever form it was copied; the list of
    errors, if it is the code of one."""
    here = Q()
    for asked in {query, unquote(query)}:
        here |= _identified(asked)
    named = (
        apps.get_model("research", "PaperPage").objects.filter(here).values("pk") if here else []
    )
    if _error_code(query):
        articles = apps.get_model("research", "DocsArticlePage").objects.all()
        named = [page.pk for page in articles if _lists_errors(page)]
    return list(pages.filter(pk__in=named).values_list("pk", flat=True)) if named else []


def _identified(asked: str) -> Q:
    here = Q()
    arxiv = _ARXIV.fullmatch(asked.strip("\"'<>()[]{}., "))
    doi = _DOI.fullmatch(asked.strip("\"'., "))
    if doi:
        here |= Q(doi__iexact=doi[1])
        if doi[1].lower().startswith(_ARXIV_DOI):
            arxiv = _ARXIV.fullmatch(doi[1][len(_ARXIV_DOI) :])
    if arxiv:
        number = re.escape(arxiv[1])
        here |= Q(arxiv_id__iregex=rf"^{number}(v\d+)?$") | Q(doi__iexact=_ARXIV_DOI + arxiv[1])
    return here


def _tokens(query: str) -> list[str]:
    """The words of a query, folded, without signs around them."""
    tokens = (re.sub(r"^\W+|\W+$", "", word) for word in fold(query).split())
    return list(dict.fromkeys(filter(None, tokens)))


def _begins(token: str) -> str:
    """PostgreSQL's pattern of a word that begins so; `\\m` is where one begins."""
    return r"\m" + re.sub(r"(\W)", r"\\\1", token)


def _respelled(query: str, pages: Any) -> list[str]:
    """The query with each word that no page has replaced by near ones that pages have, the nearest
    first; empty if for one of them there is none: one slip in four or five letters, two in more."""
    known: set[str] = set()
    for text in pages.values_list("index_entries__body_text", flat=True):
        known.update(_WORD.findall(fold(text or "")))
    asked = _WORD.findall(fold(query))
    said = product(*(_near(word, sorted(known)) for word in asked))
    return [text for text in map(" ".join, islice(said, MAX_SPELLINGS)) if text != " ".join(asked)]


def _near(word: str, known: list[str]) -> list[str]:
    if any(other.startswith(word) for other in known):
        return [word]
    slips = 0 if len(word) < 4 else 1 if len(word) < 6 else 2
    near = process.extract(word, known, scorer=OSA.distance, score_cutoff=slips, limit=4)
    return [found for found, *_ in near] if slips else []


def _error_code(query: str) -> str:
    asked = query.strip().lower()
    return next((kind.code for kind in catalogue() if kind.code == asked), "")


def _lists_errors(page: Any) -> bool:
    body = getattr(page, "body", None)
    return any(getattr(block, "block_type", "") == "errors" for block in body or ())
