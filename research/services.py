"""Writes."""

import hashlib
from dataclasses import dataclass

from django.utils import timezone

from research.models import NotebookPage, NotebookRun


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
