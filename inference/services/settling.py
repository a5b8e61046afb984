"""Ending a job: once, and with its stream closed."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Field
from django.utils import timezone

from inference import errors, metering, selectors, signals, stream
from inference.errors import DomainError
from inference.models import Job


def settle(job: Job, *, from_status: str, **fields: Any) -> bool:
    """Move a job to its end, once: False when it is no longer in `from_status`."""
    fields["finished_at"] = timezone.now()
    changed = _update(job, from_status, fields)
    if changed:
        for name, value in fields.items():
            setattr(job, name, value)
        if job.is_metered:
            metering.meter().job_ended(job)
        signals.job_finished.send(Job, job=job)
    return changed


def _update(job: Job, from_status: str, fields: Mapping[str, Any]) -> bool:
    """Write fields of a job that is in a status. As the ORM's `update`, which takes three times as long
    to put the statement together as this takes to run it; every question pays for it."""
    columns: list[Field[Any, Any]] = [Job._meta.get_field(name) for name in fields]  # type: ignore[misc]
    values = [
        column.get_db_prep_save(value, connection)
        for column, value in zip(columns, fields.values(), strict=True)
    ]
    assigned = ", ".join(f"{column.column} = %s" for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE inference_job SET {assigned} WHERE id = %s AND status = %s",  # noqa: S608  # columns' names
            [*values, job.pk, from_status],
        )
        return bool(cursor.rowcount)


def settle_cancelled(job: Job, *, from_status: str) -> None:
    if settle(job, from_status=from_status, status=Job.Status.CANCELLED):
        tell(job, "cancelled", {})


def fail(job: Job, error: DomainError, *, after: Sequence[stream.New] = ()) -> None:
    """End a job with what its asker is told."""
    done = settle(
        job,
        from_status=job.status,
        status=Job.Status.FAILED,
        error_code=error.code,
        error_message=error.message,
    )
    if done:
        tell(job, "error", error.payload, after=after)


def tell(job: Job, kind: str, data: dict[str, Any], *, after: Sequence[stream.New] = ()) -> None:
    """Close the stream of a job that has ended. Readers also find its end in the database, so that
    nothing is lost when the stream cannot be written."""
    stream.publish_if_reachable(job.id, kind, data, after=after)


def job_timed_out(*, job_id: UUID | str) -> None:
    """End a job that took longer than its limit."""
    job = selectors.job_get(job_id)
    if not job.is_finished:
        limit = settings.INFERENCE_JOB_TIME_LIMIT_S
        fail(job, errors.TIMEOUT(f"The answer took longer than {limit} s and was stopped."))
