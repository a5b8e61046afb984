"""Celery's way in; the work is in services."""

from typing import Any

from celery import Task, shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings

from inference import services


@shared_task(
    bind=True,
    soft_time_limit=settings.INFERENCE_JOB_TIME_LIMIT_S,
    time_limit=settings.INFERENCE_JOB_TIME_LIMIT_S + 5,
)
def run_job(self: Task[Any, Any], job_id: str) -> None:
    """Answer one job; safe to deliver more than once."""
    try:
        services.job_run(job_id=job_id, worker=self.request.hostname or "worker")
    except SoftTimeLimitExceeded:
        services.job_timed_out(job_id=job_id)


@shared_task
def purge() -> None:
    """Remove images and jobs past their retention."""
    services.purge()


@shared_task
def rescue() -> None:
    """End or re-queue jobs whose worker vanished without a trace."""
    services.rescue()
