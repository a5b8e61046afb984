"""Celery's way in; the work is in services."""

import logging

from celery import shared_task

from inference.messages import send_on_commit
from pricing import services
from pricing.models import BillingCustomer

logger = logging.getLogger(__name__)


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
def payment_event_run(event_id: int) -> None:
    """Carry out what Stripe told."""
    services.event_run(event_id=event_id)


@shared_task
def billing_work() -> None:
    """Carry out events that are due, and bring Stripe's meter what was used."""
    services.events_due()
    services.meter_events_collect()
    services.meter_events_send()


@shared_task
def billing_reconcile() -> None:
    """Read from Stripe what no event may have told of."""
    services.billing_reconcile()


@shared_task
def customer_end(customer_id: int) -> None:
    """End what an account that is gone paid for."""
    services.customer_end(customer=BillingCustomer.objects.get(pk=customer_id))


@shared_task
def ledger_daily() -> None:
    """Write off what has lapsed, and note what accounts keep."""
    services.plans_arrive()
    services.allotments_lapse()
    services.storage_record(services.storage_owners())


@shared_task(soft_time_limit=3600, time_limit=3660)
def data_export_make(export_id: int) -> None:
    """Make an archive of a person's data; safe to deliver more than once."""
    services.export_make(export_id=export_id)


@shared_task(soft_time_limit=3600, time_limit=3660)
def account_erase(deletion_id: int) -> None:
    """Erase an account; safe to deliver more than once."""
    services.account_erase(deletion_id=deletion_id)


@shared_task
def personal_care() -> None:
    """Archives that were lost or are past their time, and accounts that are to be erased."""
    services.exports_care()
    for deletion_id in services.deletions_due():
        send_on_commit(account_erase, deletion_id, lost=_erased_later)


def _erased_later(error: Exception) -> None:
    # `personal_care` comes back to it.
    logger.warning("An account waits for the broker to be erased: %s", error)
