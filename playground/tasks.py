"""Celery's way in; the work is in services."""

from celery import shared_task

from playground.sessions import services


@shared_task
def sessions_purge() -> None:
    """Delete sessions past their retention."""
    services.sessions_purge()
