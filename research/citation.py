"""Citations of a paper: BibTeX, RIS, CSL-JSON, CITATION.cff, and Google Scholar's meta tags."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin

import yaml
from anyascii import anyascii

if TYPE_CHECKING:
    from research.models import Author, PaperPage

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    # BibTeX counts braces also behind a backslash.
    "{": r"\textbraceleft{}", "}": r"\textbraceright{}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip
_SMALL = {"a", "an", "the", "on", "of", "for", "in", "and", "with", "to", "are", "is", "all", "you"}
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_CFF_DOI = re.compile(r"10\.\d{4,9}(\.\d+)?/[A-Za-z0-9:/_;\-.()\[\]\\]+")
"""What the schema of CITATION.cff takes as a DOI."""


def _line(text: str) -> str:
    """A text on one line, without controls: what is in a value never begins another."""
    return _CONTROL.sub("", " ".join(text.split()))


def _escape(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in _line(text))


def _verbatim(text: str) -> str:
    """An identifier or address as BibTeX takes it without LaTeX, its braces encoded."""
    return re.sub(r"[{}\\\s]", lambda found: quote(found[0]), text)


def _protect(title: str) -> str:
    """Braces around words with a capital after the first letter, which styles would lower."""
    words = (
        f"{{{_escape(word)}}}" if any(c.isupper() for c in word[1:]) else _escape(word)
        for word in _line(title).split()
    )
    return " ".join(words)


def _bibtex_name(author: "Author") -> str:
    """A name that BibTeX reads in our parts: a group in braces; given name first where that is
    enough, the family name in braces if it has several words."""
    name = author.parts
    family = _escape(name.family)
    if author.is_group:
        return f"{{{family}}}"
    if not name.given:
        return f"{{{_escape(name.text)}}}" if name.suffix else _escape(name.text)
    if name.particle or name.suffix or any(word[0].islower() for word in name.given.split()):
        parts = (name.sorted_by, name.suffix, name.given)
        return ", ".join(_escape(part) for part in parts if part)
    return f"{_escape(name.given)} {{{family}}}" if " " in family else _escape(name.text)


def _person(author: "Author") -> dict[str, str]:
    """A name of CSL-JSON."""
    if author.is_group:
        return {"literal": author.text}
    name = author.parts
    parts = {
        "family": name.family, "given": name.given,
        "non-dropping-particle": name.particle, "suffix": name.suffix,
    }  # fmt: skip
    return {key: value for key, value in parts.items() if value}


def _cff_person(author: "Author") -> dict[str, str]:
    if author.is_group:
        return {"name": author.text}
    name = author.parts
    parts = {
        "family-names": name.family, "given-names": name.given, "name-particle": name.particle,
        "name-suffix": name.suffix,
        "orcid": f"https://orcid.org/{author.orcid}" if author.orcid else "",
    }  # fmt: skip
    return {key: value for key, value in parts.items() if value}


def _ris_name(author: "Author") -> str:
    """ "Family, Given, Suffix", as RIS has it; what has no given name has no comma of ours."""
    name = author.parts
    if author.is_group or not name.given:
        return _line(author.text)
    return _line(", ".join(filter(None, (name.sorted_by, name.given, name.suffix))))


def authors(paper: "PaperPage") -> list["Author"]:
    """The authors in order."""
    return list(paper.authors.all())


def citation_key(paper: "PaperPage") -> str:
    """firstauthorYEARword, from what does not change: "zhai2023sigmoid"."""
    people = authors(paper)
    family = anyascii(people[0].parts.family) if people else "anonymous"
    words = re.findall(r"[A-Za-z0-9]+", anyascii(paper.title))
    word = next((w for w in words if w.lower() not in _SMALL), "paper")
    return re.sub(r"[^a-z0-9]", "", f"{family}{paper.published_on.year}{word}".lower())


def bibtex(paper: "PaperPage", url: str) -> str:
    """One BibTeX entry; arXiv papers carry eprint fields as arXiv's own export does."""
    kinds = {"paper": "inproceedings", "article": "article", "report": "techreport"}
    kind = kinds.get(paper.kind, "misc")
    venue = {"inproceedings": "booktitle", "article": "journal", "techreport": "institution"}
    fields = {
        "title": _protect(paper.title),
        "author": " and ".join(map(_bibtex_name, authors(paper))),
        "year": str(paper.published_on.year),
        "month": paper.published_on.strftime("%b").lower(),
        venue.get(kind, "howpublished"): _escape(paper.venue),
        "doi": _verbatim(paper.doi),
        "eprint": paper.arxiv_id,
        "archivePrefix": "arXiv" if paper.arxiv_id else "",
        "primaryClass": paper.arxiv_class if paper.arxiv_id else "",
        "url": _verbatim(paper.home_link or url),
    }
    lines = ",\n".join(
        # A month is a macro of BibTeX, not a text.
        f"  {k} = {v}" if k == "month" else f"  {k} = {{{v}}}"
        for k, v in fields.items()
        if v
    )
    return f"@{kind}{{{citation_key(paper)},\n{lines}\n}}\n"


def _ris_link(address: str) -> str:
    """An address without the sign that parts several."""
    return address.replace(";", "%3B")


def ris(paper: "PaperPage", url: str) -> str:
    """One RIS record (Reference Manager's tagged format)."""
    kinds = {"paper": "CONF", "article": "JOUR", "report": "RPRT"}
    rows = [("TY", kinds.get(paper.kind, "GEN"))]
    rows += [("AU", _ris_name(author)) for author in authors(paper)]
    rows += [
        ("TI", paper.title), ("PY", str(paper.published_on.year)),
        ("DA", paper.published_on.strftime("%Y/%m/%d")), ("T2", paper.venue), ("DO", paper.doi),
        ("AB", paper.abstract), ("UR", _ris_link(paper.home_link or url)),
        ("L1", _ris_link(urljoin(url, paper.pdf_link)) if paper.pdf_link else ""),
    ]  # fmt: skip
    rows = [(tag, _line(value)) for tag, value in rows if value]
    # RIS lines end with carriage return and line feed; the record ends with an empty ER.
    return "".join(f"{tag}  - {value}\r\n" for tag, value in rows) + "ER  - \r\n"


def csl(paper: "PaperPage", url: str) -> str:
    """CSL-JSON, version 1.0.2, as reference managers read it: a list of one item."""
    kinds = {"paper": "paper-conference", "article": "article-journal", "report": "report"}
    day = paper.published_on
    people = [_person(author) for author in authors(paper)]
    item: dict[str, Any] = {
        "id": citation_key(paper), "type": kinds.get(paper.kind, "article"),
        "title": paper.title, "author": people,
        "issued": {"date-parts": [[day.year, day.month, day.day]]},
        "container-title": paper.venue, "DOI": paper.doi, "abstract": paper.abstract,
        "number": f"arXiv:{paper.arxiv_id}" if paper.arxiv_id else "",
        "URL": paper.home_link or url,
    }  # fmt: skip
    return json.dumps([{k: v for k, v in item.items() if v}], ensure_ascii=False, indent=2) + "\n"


def _cff_licence(expression: str) -> Any:
    """One identifier, or a list of those to choose from; what the file cannot say is left out."""
    choices = expression.split(" OR ")
    if any(" " in choice for choice in choices):
        return ""
    return choices if len(choices) > 1 else expression


def cff(paper: "PaperPage", url: str) -> str:
    """CITATION.cff, version 1.2.0."""
    people = [_cff_person(author) for author in authors(paper)]
    record: dict[str, Any] = {
        "cff-version": "1.2.0", "message": "If you use this work, please cite it.",
        "title": paper.title,
        "authors": people, "date-released": paper.published_on.isoformat(),
        "doi": paper.doi if _CFF_DOI.fullmatch(paper.doi) else "",
        "url": paper.home_link or url, "license": _cff_licence(paper.licence),
    }  # fmt: skip
    # The file's own types are software and dataset; a paper is named as what to cite instead.
    record["preferred-citation"] = {
        "type": "conference-paper" if paper.kind == "paper" else "article",
        "title": paper.title, "authors": people, "year": paper.published_on.year,
        "month": paper.published_on.month,
    }  # fmt: skip
    kept = {k: v for k, v in record.items() if v}
    return str(yaml.safe_dump(kept, sort_keys=False, allow_unicode=True))


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a citation."""

    label: str
    extension: str
    content_type: str
    write: Callable[["PaperPage", str], str]


FORMS: dict[str, Form] = {
    "bib": Form("BibTeX", "bib", "application/x-bibtex; charset=utf-8", bibtex),
    "ris": Form("RIS", "ris", "application/x-research-info-systems; charset=utf-8", ris),
    "json": Form("CSL-JSON", "json", "application/vnd.citationstyles.csl+json", csl),
    "cff": Form("CITATION.cff", "cff", "application/yaml; charset=utf-8", cff),
}


def meta_tags(paper: "PaperPage", absolute: Callable[[str], str]) -> list[tuple[str, str]]:
    """Highwire names, one `citation_author` an author, as Google Scholar's guide asks."""
    day = paper.published_on.strftime("%Y/%m/%d")
    venue = {"paper": "citation_conference_title", "article": "citation_journal_title"}.get(
        paper.kind, "citation_technical_report_institution"
    )
    tags = [("citation_title", paper.title)]
    for author in authors(paper):
        tags.append(("citation_author", author.text))
        if author.orcid:
            tags.append(("citation_author_orcid", f"https://orcid.org/{author.orcid}"))
    tags += [
        ("citation_publication_date", day), ("citation_online_date", day), (venue, paper.venue),
        ("citation_doi", paper.doi), ("citation_arxiv_id", paper.arxiv_id),
        ("citation_abstract_html_url", absolute(paper.url)),
        ("citation_pdf_url", absolute(paper.pdf_link) if paper.pdf_link else ""),
    ]  # fmt: skip
    return [(name, value) for name, value in tags if value]
