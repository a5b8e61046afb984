"""What the stages of the training link to."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef
from django.db.models.functions import JSONArray
from wagtail.models import Page

from inference import page_cache
from research.selectors.readable import readable

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
    """Of each stage of a pipeline, in order; one query."""
    stages = list(stages)
    ids = {page.pk for stage in stages for page in stage.get("sources") or () if page is not None}
    known = ("stages", frozenset(ids))
    pages = page_cache.remember(known, lambda: _live(ids)) if ids else {}

    def links(stage: Any) -> StageLinks:
        found = StageLinks([], [])
        for source in stage.get("sources") or ():
            page: Any = pages.get(source.pk) if source is not None else None
            if hasattr(page, "paperpage"):
                numbers = dict(page.sections_known)
                anchor = stage.get("anchor") if stage.get("anchor") in numbers else ""
                number, pdf = numbers.get(anchor), page.paperpage.pdf_link
                found.papers.append((page.paperpage, anchor, f"{pdf}#page={number}" if pdf and number else pdf))  # fmt: skip
            elif hasattr(page, "notebookpage"):
                found.notebooks.append(page.notebookpage)
        return found

    return [links(stage) for stage in stages]


def _live(ids: set[int]) -> dict[int, Any]:
    """Papers, with the anchors and PDF pages of their sections, and notebooks."""
    sections = apps.get_model("research", "PaperSection").objects.filter(paper=OuterRef("pk"))
    pages = (
        readable(Page.objects.filter(pk__in=ids))
        .select_related("paperpage__pdf", "notebookpage")
        .annotate(sections_known=ArraySubquery(sections.values(pair=JSONArray("anchor", "page"))))
    )
    return {page.pk: page for page in pages}
