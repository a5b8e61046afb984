"""Which papers of a list are in the library already."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q

from research.importing.found import Found
from research.models import PaperPage

ARXIV_DOI = "10.48550/arxiv."


@dataclass(frozen=True, slots=True)
class Twin:
    """A page of the library that may be the same paper."""

    page: PaperPage
    is_same: bool
    """By its DOI or arXiv id; otherwise by its title alone."""


def papers_like(papers: Sequence[Found]) -> list[Twin | None]:
    """For each paper the page that is the same, drafts too; one query."""
    wanted = Q(pk=None)
    for paper in papers:
        wanted |= Q(title__iexact=paper.title) | Q(draft_title__iexact=paper.title)
        for name in _names(paper.doi, paper.arxiv_id):
            wanted |= Q(doi__iexact=name) | Q(arxiv_id__istartswith=name)
    pages = list(PaperPage.objects.filter(wanted))
    by_name = {name: page for page in pages for name in _names(page.doi, page.arxiv_id)}
    by_title = {title.lower(): page for page in pages for title in (page.title, page.draft_title)}
    return [_twin(paper, by_name, by_title) for paper in papers]


def _twin(
    paper: Found, by_name: dict[str, PaperPage], by_title: dict[str, PaperPage]
) -> Twin | None:
    for name in _names(paper.doi, paper.arxiv_id):
        if name in by_name:
            return Twin(by_name[name], is_same=True)
    same = by_title.get(paper.title.lower())
    return Twin(same, is_same=False) if same else None


def _names(doi: str, arxiv_id: str) -> list[str]:
    """What a paper is known by, in one form: an arXiv id without its version, and as a DOI."""
    number = arxiv_id.lower().partition("v")[0] if not arxiv_id[:1].isalpha() else _old(arxiv_id)
    names = [doi.lower()] if doi else []
    if number:
        names += [number, ARXIV_DOI + number]
    elif doi.lower().startswith(ARXIV_DOI):
        names.append(doi.lower().removeprefix(ARXIV_DOI))
    return names


def _old(arxiv_id: str) -> str:
    archive, _, number = arxiv_id.lower().partition("/")
    return f"{archive}/{number.partition('v')[0]}"
