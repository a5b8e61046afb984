"""Writes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.core.handlers.wsgi import WSGIRequest
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone
from wagtail.images import get_image_model
from wagtail.models import Page, ReferenceIndex

from research import links
from research.importing import Found
from research.models import Author, BrokenLink, NotebookPage, NotebookRun, PaperPage, PapersPage
from research.selectors import readable


@dataclass(frozen=True, slots=True)
class Execution:
    """How one notebook's run went."""

    source_path: str
    source: bytes
    seconds: float
    error: str = ""
    commit: str = ""


def notebook_run_record(execution: Execution) -> list[NotebookRun]:
    """Note a run on every page that lists the notebook; returns what was noted (none: not listed)."""
    return [
        NotebookRun.objects.create(
            notebook=page,
            state=NotebookRun.State.FAILED if execution.error else NotebookRun.State.PASSED,
            finished_at=timezone.now(),
            seconds=execution.seconds,
            commit=execution.commit,
            digest=hashlib.sha256(execution.source).hexdigest(),
            error=execution.error[:4000],
        )
        for page in NotebookPage.objects.filter(source_path=execution.source_path)
    ]


def links_check() -> int:
    """Look where the links of every published page lead; returns how many lead nowhere."""
    now = timezone.now()
    found = [
        BrokenLink(page=page, address=link.address, text=link.text, found_at=now)
        for page in readable(Page.objects.filter(depth__gt=1)).specific().iterator(chunk_size=50)
        for link in links.broken(page)
    ]
    with transaction.atomic():
        BrokenLink.objects.all().delete()
        BrokenLink.objects.bulk_create(found)
    return len(found)


def pictures_make(page_id: int) -> int:
    """Make the pictures of a page in the sizes in which it, and those above it, show them; returns how
    many were made. Its first reader need not wait, nor meet a storage that is away.

    Raises:
        DomainError, OSError: the storage is away.
    """
    renditions = get_image_model().get_rendition_model().objects
    page = readable(Page.objects.filter(pk=page_id)).specific().first()
    if page is None or not _has_pictures(page):
        return 0
    before = renditions.count()
    for shown in [*(above.specific for above in page.trail), page]:
        request = WSGIRequest(shown._get_dummy_headers())
        request.user = AnonymousUser()
        render_to_string(shown.get_template(request), shown.get_context(request), request)
    return int(renditions.count()) - before


def _has_pictures(page: Page) -> bool:
    """Whether it refers to a picture of the editors'."""
    kind = ContentType.objects.get_for_model(get_image_model())
    found: bool = (
        ReferenceIndex.get_references_for_object(page).filter(to_content_type=kind).exists()
    )
    return found


@transaction.atomic
def papers_import(*, papers: Sequence[Found], user: Any) -> list[PaperPage]:
    """Drafts of papers that were found, for an editor to finish: what is missing is asked for when one
    is published.

    Raises:
        ValidationError: there is no library to put them in.
    """
    library = PapersPage.objects.select_for_update().first()
    if library is None:
        raise ValidationError("There is no page for papers yet: make one under Research.")
    return [_paper_import(library, paper, user) for paper in papers]


def _paper_import(library: PapersPage, paper: Found, user: Any) -> PaperPage:
    page = PaperPage(
        live=False, owner=user, title=paper.title, kind=paper.kind, abstract=paper.abstract,
        published_on=paper.day or timezone.now().date(), venue=paper.venue, doi=paper.doi,
        arxiv_id=paper.arxiv_id, arxiv_class=paper.arxiv_class, source_url=paper.source_url,
        pdf_url=paper.pdf_url, licence=paper.licence, accent="purple",
    )  # fmt: skip
    page.authors.set(
        [
            Author(
                sort_order=order, name=one.name, is_group=one.is_group, orcid=one.orcid,
                affiliation=one.affiliation,
            )
            for order, one in enumerate(paper.authors)
        ]
    )  # fmt: skip
    library.add_child(instance=page)
    page.save_revision(user=user, log_action=True, clean=False)
    return page
