"""Writes: running the checks and keeping what they found; what runs by the clock."""

import json
from datetime import timedelta
from typing import Any

from celery import current_app
from django.utils import timezone
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from inference import errors as inference_errors
from inference.messages import send_on_commit
from status import checks, errors
from status.models import CheckResult

KEPT = timedelta(days=90)


def checks_run() -> list[CheckResult]:
    """Run every check, save the results, forget what is older than 90 days."""
    now = timezone.now()
    results = [
        CheckResult(
            component=o.component, label=o.label, state=o.state, latency_ms=o.latency_ms,
            note=o.note, checked_at=now,
        )
        for o in checks.run_all()
    ]  # fmt: skip
    CheckResult.objects.bulk_create(results)
    CheckResult.objects.filter(checked_at__lt=now - KEPT).delete()
    return results


def schedule_switch(*, task: PeriodicTask, enabled: bool) -> None:
    """Switch a scheduled task on or off; beat reads it within seconds. It stays so when beat starts
    again."""
    # As the scheduler's own: what beat writes of its runs meanwhile stays.
    changed: dict[str, Any] = (
        {"enabled": enabled} if enabled else {"enabled": False, "last_run_at": None}
    )
    PeriodicTask.objects.filter(pk=task.pk).update(**changed)
    PeriodicTasks.update_changed()


def schedule_run(*, task: PeriodicTask) -> None:
    """Send a scheduled task to the workers once, now.

    Raises:
        QueueUnavailable: the broker cannot be reached.
        NotFound: the code has no task of this name.
    """
    current_app.loader.import_default_modules()
    code = current_app.tasks.get(task.task)
    if code is None:
        raise errors.UNKNOWN_TASK(f"The code has no task {task.task}.")

    def lost(error: Exception) -> None:
        raise inference_errors.QUEUE_UNAVAILABLE() from error

    args, kwargs = json.loads(task.args or "[]"), json.loads(task.kwargs or "{}")
    send_on_commit(code, *args, lost=lost, kwargs=kwargs, queue=task.queue or None)
