"""Celery's way in."""

from celery import shared_task

from status import services


@shared_task(soft_time_limit=30)
def run_checks() -> None:
    """Check everything once a minute."""
    services.checks_run()
