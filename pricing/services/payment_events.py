"""What Stripe tells us: kept once by its id, answered at once, carried out by a worker.

None is believed beyond its signature: what it is about is read from Stripe again (`subscriptions`, `invoices`).
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from inference.errors import DomainError
from inference.messages import send_on_commit
from pricing import errors, mails, stripe_api
from pricing.models import BillingCustomer, PaymentEvent
from pricing.services.invoices import credit_note_issue, invoice_issue
from pricing.services.subscriptions import moment, subscription_sync

logger = logging.getLogger(__name__)
State = PaymentEvent.State
TOLERANCE_S = 300
"""How long after it was signed an event is taken, as Stripe's library has it."""
TRIES = 10
_FIRST_WAIT = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(hours=6)


def event_receive(*, body: bytes, signature: str) -> PaymentEvent:
    """Keep an event, once; who sent it before is told that it is known.

    Raises:
        InvalidInput: it was not signed with one of our secrets, or too long ago.
        NotFound: nothing is sold here.
    """
    event = _verified(body, signature)
    subject = event["data"]["object"]
    is_customer = subject.get("object") == "customer"
    customer = subject.get("id") if is_customer else stripe_api.id_of(subject.get("customer"))
    wanted = event["type"] in _HANDLERS and bool(event["livemode"]) == stripe_api.is_live()
    found, is_new = PaymentEvent.objects.get_or_create(
        stripe_id=event["id"],
        defaults={
            "type": event["type"][:80], "object_id": str(subject.get("id") or "")[:120],
            "customer_id": str(customer or "")[:80], "is_live": bool(event["livemode"]),
            "happened_at": moment(event["created"]) or timezone.now(),
            "state": State.RECEIVED if wanted else State.IGNORED,
            "next_at": timezone.now() + _FIRST_WAIT if wanted else None,
            "note": "" if wanted else "of another kind or mode",
        },
    )  # fmt: skip
    if is_new and wanted:
        from pricing.tasks import payment_event_run

        send_on_commit(payment_event_run, found.pk, lost=_late)
    return found


def _late(error: Exception) -> None:
    """Nothing is lost: `events_due` finds it in a minute."""
    logger.warning("No worker could be told of an event: %s", error)


def _verified(body: bytes, signature: str) -> dict[str, Any]:
    import stripe

    stripe_api.client()
    for secret in settings.STRIPE_WEBHOOK_SECRETS:
        try:
            event = stripe.Webhook.construct_event(body, signature, secret, TOLERANCE_S)
            made = stripe_api.plain(event)
            if isinstance(made["data"]["object"], dict) and made["id"] and made["created"]:
                return {"livemode": False, **made}
        except stripe.SignatureVerificationError:
            continue
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise errors.BAD_SIGNATURE("It is no event.") from error
    raise errors.BAD_SIGNATURE()


@transaction.atomic
def event_run(*, event_id: int) -> None:
    """Carry an event out, unless it was. What fails is tried again, ever later, and then waits for an admin."""
    event = PaymentEvent.objects.select_for_update().get(pk=event_id)
    if event.state in (State.DONE, State.IGNORED):
        return
    event.attempts += 1
    try:
        with transaction.atomic():
            event.state, event.note = _carried_out(event)
        event.next_at = None
    except DomainError as error:
        event.state, event.note = State.FAILED, error.whole[:300]
        wait = min(_FIRST_WAIT * 2 ** (event.attempts - 1), _LONGEST_WAIT)
        event.next_at = timezone.now() + wait if event.attempts < TRIES else None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        # Not the shape that the library's version of the API has: nothing comes of trying again soon.
        logger.exception("The event %s could not be read", event.stripe_id)
        event.state, event.note = State.FAILED, f"{type(error).__name__}: {error}"[:300]
        event.next_at = None
    event.save()


def _carried_out(event: PaymentEvent) -> tuple[str, str]:
    customer = (
        BillingCustomer.objects.filter(stripe_id=event.customer_id).select_related("account__user").first()
    )  # fmt: skip
    if customer is None:
        return State.IGNORED, "no account here is this customer"
    return State.DONE, _HANDLERS[event.type](customer, event)[:300]


def _session(customer: BillingCustomer, event: PaymentEvent) -> str:
    with stripe_api.asking():
        remote = stripe_api.plain(
            stripe_api.client().v1.checkout.sessions.retrieve(event.object_id)
        )
    subscription = stripe_api.id_of(remote.get("subscription"))
    if not subscription:
        return "no subscription came of it"
    return _subscription_of(customer, subscription, event)


def _subscription(customer: BillingCustomer, event: PaymentEvent) -> str:
    return _subscription_of(customer, event.object_id, event)


def _subscription_of(customer: BillingCustomer, stripe_id: str, event: PaymentEvent) -> str:
    found = subscription_sync(customer=customer, stripe_id=stripe_id, at=event.happened_at)
    if found is None:
        return "it is another customer's"
    if found.plan is None:
        logger.error("The subscription %s has a price of no plan here", stripe_id)
        return "no plan here has its price: the account keeps its plan"
    return str(found)


def _paid(customer: BillingCustomer, event: PaymentEvent) -> str:
    invoice = invoice_issue(customer=customer, stripe_id=event.object_id)
    return f"invoice {invoice}" if invoice else "nothing to invoice"


def _credited(customer: BillingCustomer, event: PaymentEvent) -> str:
    invoice = credit_note_issue(customer=customer, stripe_id=event.object_id)
    return f"credit note {invoice}" if invoice else "nothing to correct"


def _unpaid(customer: BillingCustomer, event: PaymentEvent) -> str:
    from django.urls import reverse

    user = customer.account.user
    if user is not None:
        mails.send_to(user, mails.PAYMENT_FAILED, reverse("billing"))
    return "told" if user is not None else "nobody to tell"


_HANDLERS: dict[str, Callable[[BillingCustomer, PaymentEvent], str]] = {
    "checkout.session.completed": _session,
    "checkout.session.async_payment_succeeded": _session,
    "customer.subscription.created": _subscription,
    "customer.subscription.updated": _subscription,
    "customer.subscription.deleted": _subscription,
    "customer.subscription.paused": _subscription,
    "customer.subscription.resumed": _subscription,
    "invoice.paid": _paid,
    "invoice.payment_failed": _unpaid,
    "credit_note.created": _credited,
}
"""What each kind of event makes us do; at Stripe the endpoint is set to send these."""


def events_due() -> int:
    """Carry out what a lost message left, and what is to be tried again; how many."""
    due = PaymentEvent.objects.filter(next_at__lte=timezone.now())
    found = list(due.order_by("pk").values_list("pk", flat=True)[:100])
    for pk in found:
        event_run(event_id=pk)
    return len(found)


def event_again(*, event: PaymentEvent) -> None:
    """Let a failed event be tried anew, as an admin asks once its cause is gone."""
    PaymentEvent.objects.filter(pk=event.pk, state=State.FAILED).update(
        attempts=0, next_at=timezone.now()
    )
