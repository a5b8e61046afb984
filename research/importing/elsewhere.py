"""Papers that Crossref, DataCite and arXiv know. Only they are asked, whatever an editor types: hosts are
fixed, answers are bounded in size and time."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
import httpx
import orjson
from defusedxml import DefusedXmlException
from django.core.exceptions import ValidationError

from research.importing.found import (
    MOST_AUTHORS,
    Author,
    Found,
    address_of,
    arxiv_of,
    day_of,
    doi_of,
    licence_of,
    line,
    orcid_of,
    paragraphs,
)

SECONDS = 10.0
"""For one question, with what it is sent on to."""
MOST_BYTES = 2 * 2**20
MOST_HOPS = 3
CSL = "application/vnd.citationstyles.csl+json"


@dataclass(frozen=True, slots=True)
class Service:
    """Somebody who is asked: where, and who may answer in their place."""

    name: str
    address: str
    hosts: frozenset[str]


DOI = Service(
    "The DOI registry", "https://doi.org/",
    frozenset({"doi.org", "api.crossref.org", "data.crossref.org", "data.crosscite.org", "data.datacite.org"}),
)  # fmt: skip
ARXIV = Service(
    "arXiv", "https://export.arxiv.org/api/query", frozenset({"export.arxiv.org", "arxiv.org"})
)
_ATOM = {"a": "http://www.w3.org/2005/Atom", "x": "http://arxiv.org/schemas/atom"}


def by_doi(doi: str) -> Found:
    """
    Raises:
        ValidationError: nobody knows it, or nobody answers.
    """
    answer = _ask(DOI, DOI.address + quote(doi, safe="/"), accept=CSL)
    if answer is None:
        raise ValidationError(f"No paper is registered as {doi}.")
    try:
        data = orjson.loads(answer)
    except orjson.JSONDecodeError:
        data = None
    if not isinstance(data, dict) or not data.get("title"):
        raise ValidationError(f"{doi} is registered, but not with a title.")
    return _of_csl(data, doi)


def by_arxiv(number: str) -> Found:
    """
    Raises:
        ValidationError: arXiv does not know it, or does not answer.
    """
    answer = _ask(ARXIV, f"{ARXIV.address}?id_list={quote(number, safe='/')}&max_results=1")
    try:
        entry = defusedxml.ElementTree.fromstring(answer or b"").find("a:entry", _ATOM)
    except (ParseError, DefusedXmlException):
        entry = None
    if entry is None or arxiv_of(_text(entry, "a:id")) == "":
        raise ValidationError(f"arXiv has no paper {number}.")
    return _of_atom(entry, number)


def _ask(service: Service, address: str, *, accept: str = "*/*") -> bytes | None:
    """What a service answers; None for 404.

    Raises:
        ValidationError: it does not answer in time, at too great a length, or with an error.
    """
    until = time.monotonic() + SECONDS
    headers = {"Accept": accept, "User-Agent": "moondream-hub (import of papers)"}
    try:
        with httpx.Client(timeout=SECONDS / 2, headers=headers, follow_redirects=False) as client:
            for _ in range(MOST_HOPS + 1):
                _check_host(service, address)
                status, body, onward = _one(client, address, until)
                if not onward:
                    break
                address = urljoin(address, onward)
    except httpx.HTTPError as error:
        raise _silent(service, "cannot be reached from here") from error
    if status in (400, 404, 410):
        return None
    if onward or status != 200:
        raise _silent(service, f"answers with {status}")
    return body


def _one(client: httpx.Client, address: str, until: float) -> tuple[int, bytes, str]:
    """(status, body, where it sends on to) of one request."""
    with client.stream("GET", address) as answer:
        body = bytearray()
        for piece in answer.iter_bytes(64 * 1024):
            body += piece
            if len(body) > MOST_BYTES or time.monotonic() > until:
                raise httpx.ReadError("too much, or too slow")
        onward = answer.headers.get("location", "") if answer.is_redirect else ""
        return answer.status_code, bytes(body), onward


def _check_host(service: Service, address: str) -> None:
    parts = urlsplit(address)
    own = urlsplit(service.address)
    is_own = (parts.scheme, parts.netloc) == (own.scheme, own.netloc)
    if not is_own and not (parts.scheme == "https" and parts.netloc in service.hosts):
        raise _silent(service, "sends on to somewhere else")


def _silent(service: Service, what: str) -> ValidationError:
    return ValidationError(f"{service.name} {what}. Paste the paper's BibTeX instead.")


def _first(value: Any) -> Any:
    """Crossref has lists where CSL-JSON has texts."""
    return value[0] if isinstance(value, list) and value else ("" if value == [] else value)


def _of_csl(data: Mapping[str, Any], doi: str) -> Found:
    kinds = {"paper-conference": "paper", "proceedings-article": "paper", "article-journal": "article",
             "journal-article": "article", "report": "report", "thesis": "report"}  # fmt: skip
    issued = data.get("issued") or data.get("published") or {}
    parts = _first(issued.get("date-parts")) if isinstance(issued, dict) else []
    day, is_whole = day_of(parts if isinstance(parts, list) else [])
    doi = doi_of(str(data.get("DOI") or "")) or doi
    arxiv = arxiv_of(doi)
    licences = data.get("license") or data.get("copyright") or ""
    first = _first(licences)
    people = data.get("author") if isinstance(data.get("author"), list) else []
    publisher = data.get("publisher") if kinds.get(str(data.get("type"))) == "report" else ""
    return Found(
        title=line(_first(data.get("title")), 255), source="DataCite" if arxiv else "the DOI registry",
        kind=kinds.get(str(data.get("type")), "preprint"),
        authors=[made for one in (people or [])[:MOST_AUTHORS] if (made := _csl_author(one))],
        abstract=paragraphs(data.get("abstract")), published_on=day, is_whole_date=is_whole,
        venue=line(_first(data.get("container-title")) or publisher, 200), doi=doi, arxiv_id=arxiv,
        licence=licence_of(first.get("URL") if isinstance(first, dict) else first),
    )  # fmt: skip


def _csl_author(one: Any) -> Author | None:
    if not isinstance(one, dict):
        return None
    affiliation = _first(one.get("affiliation")) or ""
    where = affiliation.get("name", "") if isinstance(affiliation, dict) else affiliation
    orcid, where = orcid_of(one.get("ORCID")), line(where, 160)
    group = one.get("literal") or one.get("name")
    if group:
        return Author(line(group, 200), is_group=True, orcid=orcid, affiliation=where)
    particles = (one.get("dropping-particle"), one.get("non-dropping-particle"), one.get("family"))
    family = " ".join(str(part) for part in particles if part)
    parts = [family, one.get("suffix"), one.get("given")]
    name = line(", ".join(str(part) for part in parts if part), 200)
    return Author(name, orcid=orcid, affiliation=where) if name else None


def _text(entry: Element, path: str) -> str:
    return " ".join((entry.findtext(path, "", _ATOM) or "").split())


def _of_atom(entry: Element, number: str) -> Found:
    day, is_whole = day_of(_text(entry, "a:published")[:10].split("-"))
    primary = entry.find("x:primary_category", _ATOM)
    doi = doi_of(_text(entry, "x:doi"))
    return Found(
        title=line(_text(entry, "a:title"), 255), source="arXiv",
        authors=[
            Author(line(_text(one, "a:name"), 200), affiliation=line(_text(one, "x:affiliation"), 160))
            for one in entry.findall("a:author", _ATOM)[:MOST_AUTHORS]
        ],
        abstract=paragraphs(entry.findtext("a:summary", "", _ATOM)), published_on=day,
        is_whole_date=is_whole, venue=line(_text(entry, "x:journal_ref"), 200), doi=doi,
        kind="article" if _text(entry, "x:journal_ref") else "preprint",
        arxiv_id=number, arxiv_class=(primary.get("term", "") if primary is not None else "")[:20],
        source_url=address_of(""),
    )  # fmt: skip
