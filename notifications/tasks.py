"""Celery's way in; the work is in services. Deliveries have a queue and a worker of their own: no
question waits behind a receiver that hangs."""

from uuid import UUID

from celery import shared_task

from notifications import services


@shared_task(queue="notify")
def spread() -> None:
    """Make the deliveries of what has happened; safe to run more than once."""
    services.events_spread()


@shared_task(queue="notify")
def deliver(subscription_id: str) -> None:
    """Send what is due of one subscription; safe to run more than once."""
    services.subscription_deliver(subscription_id=UUID(subscription_id))


@shared_task(queue="notify")
def sweep() -> None:
    """Find what a lost message or worker left."""
    services.sweep()


@shared_task(queue="notify")
def purge() -> None:
    """Forget what is old."""
    services.purge()
