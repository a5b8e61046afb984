"""Citations of a paper: BibTeX, RIS, CSL-JSON, CITATION.cff, and Google Scholar's meta tags."""

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from research.models import Author, PaperPage

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip
_SMALL = {"a", "an", "the", "on", "of", "for", "in", "and", "with", "to", "are", "is", "all", "you"}


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _escape(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in text)


def _protect(title: str) -> str:
    """Braces around words with a capital after the first letter, which styles would lower."""
    words = (f"{{{_escape(w)}}}" if re.search(r".[A-Z]", w) else _escape(w) for w in title.split())
    return " ".join(words)


def authors(paper: "PaperPage") -> list["Author"]:
    """The authors in order."""
    return list(paper.authors.all())


def citation_key(paper: "PaperPage") -> str:
    """firstauthorYEARword, from what does not change: "zhai2023sigmoid"."""
    people = authors(paper)
    family = _ascii(people[0].family) if people else "anonymous"
    words = re.findall(r"[A-Za-z0-9]+", _ascii(paper.title))
    word = next((w for w in words if w.lower() not in _SMALL), "paper")
    return re.sub(r"\W", "", f"{family}{paper.published_on.year}{word}".lower())


def bibtex(paper: "PaperPage", url: str) -> str:
    """One BibTeX entry; arXiv papers carry eprint fields as arXiv's own export does."""
    kinds = {"paper": "inproceedings", "article": "article", "report": "techreport"}
    kind = kinds.get(paper.kind, "misc")
    venue = {"inproceedings": "booktitle", "article": "journal", "techreport": "institution"}
    names = [f"{{{_escape(a.name)}}}" if a.is_group else _escape(a.name) for a in authors(paper)]
    fields = {
        "title": _protect(paper.title),
        "author": " and ".join(names),
        "year": str(paper.published_on.year),
        "month": paper.published_on.strftime("%b").lower(),
        venue.get(kind, "howpublished"): _escape(paper.venue),
        "doi": paper.doi,
        "eprint": paper.arxiv_id,
        "archivePrefix": "arXiv" if paper.arxiv_id else "",
        "primaryClass": paper.arxiv_class if paper.arxiv_id else "",
        "url": paper.home_link or url,
    }
    lines = ",\n".join(
        # A month is a macro of BibTeX, not a text.
        f"  {k} = {v}" if k == "month" else f"  {k} = {{{v}}}"
        for k, v in fields.items()
        if v
    )
    return f"@{kind}{{{citation_key(paper)},\n{lines}\n}}\n"


def ris(paper: "PaperPage", url: str) -> str:
    """One RIS record (Reference Manager's tagged format)."""
    kinds = {"paper": "CONF", "article": "JOUR", "report": "RPRT"}
    rows = [("TY", kinds.get(paper.kind, "GEN"))]
    rows += [("AU", a.name if not a.given else f"{a.family}, {a.given}") for a in authors(paper)]
    rows += [
        ("TI", paper.title), ("PY", str(paper.published_on.year)),
        ("DA", paper.published_on.strftime("%Y/%m/%d")), ("T2", paper.venue), ("DO", paper.doi),
        ("AB", " ".join(paper.abstract.split())), ("UR", paper.home_link or url),
        ("L1", paper.pdf_link),
    ]  # fmt: skip
    rows = [(tag, value) for tag, value in rows if value]
    # RIS lines end with carriage return and line feed; the record ends with an empty ER.
    return "".join(f"{tag}  - {value}\r\n" for tag, value in rows) + "ER  - \r\n"


def csl(paper: "PaperPage", url: str) -> str:
    """CSL-JSON, version 1.0.2, as reference managers read it: a list of one item."""
    kinds = {"paper": "paper-conference", "article": "article-journal", "report": "report"}
    day = paper.published_on
    people = [
        {"literal": a.name} if not a.given else {"family": a.family, "given": a.given}
        for a in authors(paper)
    ]
    item: dict[str, Any] = {
        "id": citation_key(paper), "type": kinds.get(paper.kind, "article"),
        "title": paper.title, "author": people,
        "issued": {"date-parts": [[day.year, day.month, day.day]]},
        "container-title": paper.venue, "DOI": paper.doi, "abstract": paper.abstract,
        "number": f"arXiv:{paper.arxiv_id}" if paper.arxiv_id else "",
        "URL": paper.home_link or url,
    }  # fmt: skip
    return json.dumps([{k: v for k, v in item.items() if v}], ensure_ascii=False, indent=2) + "\n"


def cff(paper: "PaperPage", url: str) -> str:
    """CITATION.cff, version 1.2.0."""
    people = [
        {"name": a.name} if not a.given
        else {"family-names": a.family, "given-names": a.given}
        | ({"orcid": f"https://orcid.org/{a.orcid}"} if a.orcid else {})
        for a in authors(paper)
    ]  # fmt: skip
    record: dict[str, Any] = {
        "cff-version": "1.2.0", "message": "If you use this work, please cite it.",
        "title": paper.title,
        "authors": people, "date-released": paper.published_on.isoformat(),
        "doi": paper.doi, "url": paper.home_link or url, "license": paper.licence,
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
        tags.append(("citation_author", author.name))
        if author.orcid:
            tags.append(("citation_author_orcid", f"https://orcid.org/{author.orcid}"))
    tags += [
        ("citation_publication_date", day), ("citation_online_date", day), (venue, paper.venue),
        ("citation_doi", paper.doi), ("citation_arxiv_id", paper.arxiv_id),
        ("citation_abstract_html_url", absolute(paper.url)),
        ("citation_pdf_url", absolute(paper.pdf_link) if paper.pdf_link else ""),
    ]  # fmt: skip
    return [(name, value) for name, value in tags if value]
