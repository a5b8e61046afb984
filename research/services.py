"""Writes."""

import hashlib
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone
from wagtail.models import Page

from research import links
from research.models import BrokenLink, NotebookPage, NotebookRun
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
