"""What is known of a paper before there is a page of it; every text fits its field."""

import re
import unicodedata
from dataclasses import asdict, dataclass, field
from datetime import date
from html import unescape
from typing import Any
from urllib.parse import unquote

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.utils.html import strip_tags

from research.validators import validate_arxiv_id, validate_doi, validate_licence, validate_orcid

MOST_AUTHORS = 500
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]|[\ud800-\udfff]")
_ARXIV_DOI = re.compile(r"10\.48550/arxiv\.(.+)", re.IGNORECASE)
_ARXIV_ADDRESS = re.compile(
    r"(?:https?://)?(?:www\.|export\.)?arxiv\.org/(?:abs|pdf|html|format)/(.+?)(?:\.pdf)?/?(?:[?#].*)?",
    re.IGNORECASE,
)
_DOI_ADDRESS = re.compile(r"(?:https?://)?(?:dx\.|www\.)?doi\.org/(.+)", re.IGNORECASE)
_CC = re.compile(
    r"https?://creativecommons\.org/(?:licenses/(by(?:-nc)?(?:-nd|-sa)?)/(\d\.\d)|publicdomain/zero/(\d\.\d))"
)


@dataclass(frozen=True, slots=True)
class Author:
    """A name as `research.names` reads it, or a group's."""

    name: str
    is_group: bool = False
    orcid: str = ""
    affiliation: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A paper that was found."""

    title: str
    source: str
    """Where it was found, in words: "Crossref", "arXiv", the key of a BibTeX entry."""
    kind: str = "preprint"
    authors: list[Author] = field(default_factory=list)
    abstract: str = ""
    published_on: str = ""
    """ISO date; empty where nobody says when."""
    is_whole_date: bool = True
    """Otherwise month or day are guessed: the first."""
    venue: str = ""
    doi: str = ""
    arxiv_id: str = ""
    arxiv_class: str = ""
    source_url: str = ""
    pdf_url: str = ""
    licence: str = ""
    notes: list[str] = field(default_factory=list)
    """What an editor has to look at."""

    def as_data(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_data(cls, data: dict[str, Any]) -> "Found":
        return cls(**{**data, "authors": [Author(**author) for author in data["authors"]]})

    @property
    def day(self) -> date | None:
        return date.fromisoformat(self.published_on) if self.published_on else None


def line(text: Any, most: int) -> str:
    """A text on one line, without markup and controls, of at most so many characters."""
    plain = " ".join(paragraphs(text, most * 4).split())
    return plain if len(plain) <= most else plain[: most - 1].rstrip() + "…"


def paragraphs(text: Any, most: int = 20_000) -> str:
    """A text as it is read: markup of JATS and HTML out, characters in one form."""
    spaced = re.sub(r"</?(?:jats:)?(?:p|title|sec|br)\b[^>]*>", "\n", str(text or ""))
    # A "<" of a formula begins no tag.
    plain = unescape(strip_tags(re.sub(r"<(?![a-zA-Z/!])", "&lt;", spaced)))
    plain = _CONTROL.sub("", unicodedata.normalize("NFC", plain))
    return re.sub(r"[ \t]*\n\s*", "\n", plain).strip()[:most]


def doi_of(text: str) -> str:
    """The bare DOI that a text is, with or without its address; empty for anything else."""
    text = text.strip().strip("<>").rstrip(".,;")
    address = _DOI_ADDRESS.fullmatch(text)
    if address:
        text = unquote(address[1])
    text = re.sub(r"^(?:doi|DOI)\s*[:=]?\s*", "", text)
    address = _DOI_ADDRESS.fullmatch(text)
    return _valid(unquote(address[1]) if address else text, validate_doi, 255)


def arxiv_of(text: str) -> str:
    """The bare arXiv id that a text is, of either scheme, from whatever form; empty for anything else."""
    text = re.sub(r"\s*\[[\w.-]+\]$", "", text.strip())  # "arXiv:2303.15343 [cs.CV]"
    address = _ARXIV_ADDRESS.fullmatch(text) or _ARXIV_DOI.fullmatch(doi_of(text))
    text = address[1] if address else re.sub(r"^arxiv\s*:\s*", "", text, flags=re.IGNORECASE)
    scheme, slash, number = text.partition("/")
    if slash:
        archive, dot, group = scheme.partition(".")
        text = f"{archive.lower()}{dot}{group.upper()}/{number}"
    return _valid(re.sub(r"V(\d+)$", r"v\1", text), validate_arxiv_id, 40)


def _valid(text: str, check: Any, most: int) -> str:
    try:
        check(text)
    except ValidationError:
        return ""
    return text if len(text) <= most else ""


def orcid_of(text: Any) -> str:
    return _valid(str(text or "").rstrip("/").rpartition("/")[2], validate_orcid, 19)


def address_of(text: Any) -> str:
    """An https or http address that fits; empty for anything else."""
    text = str(text or "").strip()
    try:
        URLValidator(schemes=["https", "http"])(text)
    except ValidationError:
        return ""
    return text if len(text) <= 200 else ""


def licence_of(text: Any) -> str:
    """SPDX of a Creative Commons address, or what is SPDX already."""
    match = _CC.match(str(text or ""))
    if match and match[3]:
        return f"CC0-{match[3]}"
    if match:
        return f"CC-{match[1].upper()}-{match[2]}"
    text = str(text or "")
    return _valid(text, validate_licence, 60) if re.match(r"(?:CC|MIT|Apache)", text) else ""


def day_of(parts: list[Any]) -> tuple[str, bool]:
    """(ISO date or "", whether all of it was given) of [year, month, day], of which the last may be
    missing."""
    numbers = []
    for part in parts[:3]:
        try:
            numbers.append(int(part))
        except (TypeError, ValueError):
            break
    if not numbers or not 1500 <= numbers[0] <= 2200:
        return "", False
    try:
        day = date(*[*numbers, 1, 1][:3])
    except ValueError:
        day, numbers = date(numbers[0], 1, 1), numbers[:1]
    return day.isoformat(), len(numbers) == 3
