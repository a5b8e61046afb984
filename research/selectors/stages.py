"""What the stages of the training link to."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.apps import apps

if TYPE_CHECKING:
    from research.models import NotebookPage, PaperPage


@dataclass(frozen=True, slots=True)
class StageLinks:
    """A paper with its section, here and in its PDF, and the notebook that runs the stage."""

    papers: list[tuple["PaperPage", str, str]]
    """Page, anchor (empty if it has no such section), and the PDF's address, at the section's page
    where that is known."""
    notebooks: list["NotebookPage"]


def stage_links(stages: Iterable[Any]) -> list[StageLinks]:
    """Of each stage of a pipeline, in order; three queries."""
    stages = list(stages)
    ids = {page.pk for stage in stages for page in stage.get("sources") or () if page is not None}
    papers, notebooks = _live("PaperPage", ids), _live("NotebookPage", ids)
    sections = apps.get_model("research", "PaperSection").objects.filter(paper__in=papers)
    numbers = {(s.paper_id, s.anchor): s.page for s in sections}

    def links(stage: Any) -> StageLinks:
        found, wanted = StageLinks([], []), stage.get("anchor") or ""
        for page in stage.get("sources") or ():
            key = page.pk if page is not None else 0
            if key in papers:
                anchor = wanted if (key, wanted) in numbers else ""
                number = numbers.get((key, anchor))
                pdf = papers[key].pdf_link
                at = f"#page={number}" if pdf and number else ""
                found.papers.append((papers[key], anchor, f"{pdf}{at}"))
            elif key in notebooks:
                found.notebooks.append(notebooks[key])
        return found

    return [links(stage) for stage in stages]


def _live(model: str, ids: set[int]) -> dict[int, Any]:
    pages = apps.get_model("research", model).objects.live().filter(pk__in=ids)
    return {
        page.pk: page for page in (pages.select_related("pdf") if model == "PaperPage" else pages)
    }
