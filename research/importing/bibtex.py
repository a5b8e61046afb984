"""Papers of a BibTeX text. Nothing is asked of anybody."""

import re
from typing import Any

from django.core.exceptions import ValidationError
from pybtex.database import Entry, Person, parse_string
from pybtex.exceptions import PybtexError
from pybtex.richtext import Text

from research.importing.found import (
    MOST_AUTHORS,
    Author,
    Found,
    address_of,
    arxiv_of,
    day_of,
    doi_of,
    line,
    paragraphs,
)

_JOINED_MACRO = re.compile(r"@\s*string\s*[{(][^@]*?#", re.IGNORECASE)
MOST_JOINS = 100
"""Signs "#" in one text: each may repeat a macro."""
_NO_TEXT = re.compile(
    r"\\(?:textbf|textit|textsc|texttt|textrm|textsf|emph|mbox|text|em|bf|it|sc|tt)\b\s*"
)
_DOTLESS = re.compile(r"\\(['`^\"~=uv])\s*(?:\{\\([ij])\}|\\([ij])(?![a-zA-Z])\s?)")
"""An accent over the i without its dot, as LaTeX has it."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_KINDS = {
    "inproceedings": "paper", "conference": "paper", "proceedings": "paper", "incollection": "paper",
    "article": "article", "techreport": "report", "report": "report", "manual": "report",
    "phdthesis": "report", "mastersthesis": "report", "thesis": "report",
}  # fmt: skip


def papers(text: str) -> list[Found]:
    """
    Raises:
        ValidationError: it is not read as BibTeX, with the line that is wrong.
    """
    if _JOINED_MACRO.search(text) or text.count("#") > MOST_JOINS:
        raise ValidationError("Write macros out: texts joined by # are not read here.")
    try:
        entries = parse_string(text, "bibtex").entries
        return [_paper(key, entry) for key, entry in entries.items()]
    except PybtexError as error:
        raise ValidationError(f"This is not read as BibTeX: {error}.") from error
    except RecursionError:
        raise ValidationError("Its braces are nested too deep.") from None


def plain(tex: Any) -> str:
    """LaTeX as text: accents as letters, braces and fonts out, formulas as they are."""
    source = _DOTLESS.sub(r"\\\1{\2\3}", _NO_TEXT.sub("", str(tex or "")))
    try:
        return str(Text.from_latex(source).render_as("text"))
    except PybtexError:  # its braces do not match
        return re.sub(r"[{}]", "", source)


def _paper(key: str, entry: Entry) -> Found:
    fields = {name.lower(): value for name, value in entry.fields.items()}
    arxiv = _arxiv(fields)
    doi = doi_of(plain(fields.get("doi", "")))
    day, is_whole = _day(fields)
    people = entry.persons.get("author") or entry.persons.get("editor") or []
    notes = []
    if any(_is_others(person) for person in people):
        notes.append("The entry says “and others”: add who is missing.")
    url = address_of(fields.get("url") or fields.get("howpublished") or "")
    is_arxiv_alone = arxiv and entry.type.lower() in ("misc", "article", "unpublished", "online")
    venue = _venue(fields)
    kind = "preprint" if is_arxiv_alone and not _is_journal(venue) else _KINDS.get(entry.type.lower(), "preprint")  # fmt: skip
    return Found(
        title=line(plain(fields.get("title")), 255), source=f"BibTeX entry {key[:80]}", kind=kind,
        authors=[_author(person) for person in people if not _is_others(person)][:MOST_AUTHORS],
        abstract=paragraphs(plain(fields.get("abstract"))), published_on=day, is_whole_date=is_whole,
        venue="" if is_arxiv_alone and not _is_journal(venue) else venue, doi=doi, arxiv_id=arxiv,
        arxiv_class=line(fields.get("primaryclass"), 20) if arxiv else "",
        source_url="" if doi_of(url) or arxiv_of(url) else url, notes=notes,
    )  # fmt: skip


def _is_journal(venue: str) -> bool:
    return bool(venue) and not re.match(r"(?:arxiv|corr)\b", venue, re.IGNORECASE)


def _venue(fields: dict[str, str]) -> str:
    names = ("booktitle", "journal", "journaltitle", "institution", "school", "publisher")
    return line(plain(next((fields[name] for name in names if fields.get(name)), "")), 200)


def _arxiv(fields: dict[str, str]) -> str:
    """From eprint, or from the address, the DOI or the journal, as exports have it."""
    archive = (fields.get("archiveprefix") or fields.get("eprinttype") or "arxiv").lower()
    given = fields.get("eprint", "") if archive == "arxiv" else ""
    mentioned = re.search(
        r"arxiv\s*:\s*([\w./-]+)", plain(fields.get("journal", "")), re.IGNORECASE
    )
    options = (
        given,
        fields.get("url", ""),
        fields.get("doi", ""),
        mentioned[1] if mentioned else "",
    )
    return next(filter(None, (arxiv_of(plain(option)) for option in options)), "")


def _day(fields: dict[str, str]) -> tuple[str, bool]:
    given = re.fullmatch(r"(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?", fields.get("date", "").strip())
    if given:
        return day_of([part for part in given.groups() if part])
    year = re.search(r"\d{4}", fields.get("year", ""))
    month = plain(fields.get("month", "")).strip().lower()
    number = _MONTHS.index(month[:3]) + 1 if month[:3] in _MONTHS else month
    day = re.sub(r"\D", "", fields.get("day", ""))
    return day_of([year[0] if year else "", number, day])


def _is_others(person: Person) -> bool:
    return str(person).strip().lower() in ("others", "et al.", "al.")


def _author(person: Person) -> Author:
    """The name in the form that `research.names` reads in the same parts."""
    last = " ".join(person.last_names)
    if not (person.first_names or person.prelast_names) and re.fullmatch(r"\{.*\}", last):
        return Author(line(plain(last), 200), is_group=True)
    family = " ".join((*person.prelast_names, *person.last_names))
    given = " ".join((*person.first_names, *person.middle_names))
    parts = [plain(part) for part in (family, " ".join(person.lineage_names), given) if part]
    return Author(line(", ".join(parts), 200))
