"""Celery's way in; the work is in services."""

from celery import shared_task

from pricing import services


@shared_task
def ledger_sweep() -> None:
    """End reservations that nobody else will."""
    services.holds_sweep()


@shared_task
def usage_alerts() -> None:
    """Mails about what is nearly used up."""
    services.usage_alerts()


@shared_task
def times_measure() -> None:
    """What answers took, for what they cost."""
    services.times_measure()


@shared_task
def ledger_daily() -> None:
    """Write off what has lapsed, and note what accounts keep."""
    services.allotments_lapse()
    services.storage_record(services.storage_owners())
