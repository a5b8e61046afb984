"""Lines of the ledger on their way to Stripe's meter: each counted once, whatever is lost."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from pricing import services
from pricing.models import Allotment, LedgerAccount, LedgerEntry, MeterEvent, Subscription
from pricing.services import metering
from tests.pricing.ledgers import bare, problems
from tests.pricing.stripe_double import StripeDouble, problem
from tests.pricing.test_billing import ada, double, in_the_month, paid, sold, told

__all__ = ["ada", "double", "in_the_month"]
pytestmark = pytest.mark.django_db
State = MeterEvent.State
PATH = "/v1/billing/meter_events"


@pytest.fixture
def account(double: StripeDouble, starter: Any, ada: Any) -> LedgerAccount:
    """Somebody whose images are charged one by one."""
    bare()
    sold(double, images=None, stripe_metered_price=double.price("images", None))
    paid(double, ada)
    return LedgerAccount.objects.get(user=ada)


def use(account: LedgerAccount, images: int = 1) -> None:
    for _ in range(images):
        subject = uuid4()
        metering.reserve(account, subject)
        metering.end(subject, 1)


def states() -> list[str]:
    return list(MeterEvent.objects.values_list("state", flat=True))


def test_each_line_is_told_once_by_its_own_id(double: StripeDouble, account: LedgerAccount) -> None:
    use(account, 3)
    subject = uuid4()
    metering.reserve(account, subject)
    metering.end(subject)  # given back: nothing was used
    assert services.meter_events_collect() == 3
    assert services.meter_events_collect() == 0
    assert services.meter_events_send() == 3
    assert services.meter_events_send() == 0
    lines = LedgerEntry.objects.filter(kind="settle").values_list("pk", flat=True)
    assert set(double.meters) == {f"ledger-{pk}" for pk in lines}
    sent = double.meters[f"ledger-{lines[0]}"]
    customer = Subscription.objects.get().customer.stripe_id
    assert sent["payload"] == {"stripe_customer_id": customer, "value": "1"}
    assert sent["event_name"] == "moondream_images"
    assert double.count("POST", PATH) == 3
    assert problems() == []


def test_an_answer_that_is_lost_counts_nothing_twice(double: StripeDouble, account: LedgerAccount) -> None:  # fmt: skip
    use(account)
    services.meter_events_collect()
    double.loses = lambda method, path: path == PATH
    assert services.meter_events_send() == 0
    assert states() == [State.WAITING]
    assert len(double.meters) == 1, "Stripe has counted it"
    double.loses = lambda method, path: False
    double.remembered.clear()  # as if another process asked, with another key
    MeterEvent.objects.update(next_at=timezone.now())
    assert services.meter_events_send() == 1
    event = MeterEvent.objects.get()
    assert (event.state, event.note, len(double.meters)) == (State.SENT, "it was counted before", 1)


def test_what_was_on_its_way_for_a_day_is_looked_up_instead(
    double: StripeDouble, account: LedgerAccount, admin_client: Client
) -> None:
    use(account)
    services.meter_events_collect()
    double.loses = lambda method, path: path == PATH
    services.meter_events_send()
    double.loses = lambda method, path: False
    double.remembered.clear()
    double.meters.clear()  # Stripe has forgotten the identifier, not the image
    MeterEvent.objects.update(
        first_at=timezone.now() - timedelta(hours=23, minutes=1), next_at=timezone.now()
    )
    assert services.meter_events_send() == 0
    assert states() == [State.UNCLEAR]
    assert double.meters == {}
    assert "may not have counted" in admin_client.get("/admin/").content.decode()
    services.meter_event_again(event=MeterEvent.objects.get())
    assert services.meter_events_send() == 1


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_while_stripe_is_away_lines_wait_ever_longer(double: StripeDouble, account: LedgerAccount, status: int) -> None:  # fmt: skip
    use(account, 2)
    services.meter_events_collect()
    double.fails = lambda method, path: problem(status, "not now", "api_error")
    waits = []
    for _ in range(4):
        MeterEvent.objects.update(next_at=timezone.now())
        before = double.count("POST", PATH)
        assert services.meter_events_send() == 0
        assert double.count("POST", PATH) - before <= 2, (
            "it stops at the first, asked twice at most"
        )
        waits.append(max(e.next_at for e in MeterEvent.objects.all() if e.next_at) - timezone.now())
    assert waits == sorted(waits)
    known = {e.first_at for e in MeterEvent.objects.all()}
    assert (None in known) or status >= 500, "who was turned away may come back any day"
    double.fails = lambda method, path: None
    MeterEvent.objects.update(next_at=timezone.now())
    assert services.meter_events_send() == 2


def test_what_stripe_refuses_waits_for_an_admin(double: StripeDouble, account: LedgerAccount) -> None:  # fmt: skip
    use(account)
    services.meter_events_collect()
    double.fails = lambda method, path: problem(400, "No meter has the event name moondream_images.")  # fmt: skip
    assert services.meter_events_send() == 0
    assert states() == [State.REFUSED]
    assert services.meter_events_send() == 0
    double.fails = lambda method, path: None
    services.meter_event_again(event=MeterEvent.objects.get())
    assert services.meter_events_send() == 1


def test_credits_and_what_was_used_before_are_not_charged(double: StripeDouble, account: LedgerAccount) -> None:  # fmt: skip
    use(account)
    services.meter_events_collect()
    now = timezone.now()
    Subscription.objects.update(started_at=now)
    pot = Allotment.objects.create(account=account, meter="images", kind="credit", starts_at=now, ends_at=now + timedelta(days=9), granted=5)  # fmt: skip
    metering.entry_make(pot, "grant", "issued", "available", 5)
    Allotment.objects.filter(kind="plan").update(ends_at=now)
    use(account)
    assert Allotment.objects.get(pk=pot.pk).used == 1
    assert services.meter_events_collect() == 0
    MeterEvent.objects.all().delete()
    assert services.meter_events_collect() == 0, "what was before the subscription"


def test_who_pays_by_the_month_alone_is_not_metered(double: StripeDouble, account: LedgerAccount) -> None:  # fmt: skip
    subscription = double.objects[Subscription.objects.get().stripe_id]
    subscription["items"]["data"] = subscription["items"]["data"][:1]
    told(double, "customer.subscription.updated", subscription)
    use(account)
    assert services.meter_events_collect() == 0


def test_a_line_of_a_transaction_that_ended_later_is_found_too(double: StripeDouble, account: LedgerAccount) -> None:  # fmt: skip
    use(account, 2)
    late = LedgerEntry.objects.filter(kind="settle").earliest("pk")
    services.meter_events_collect()
    MeterEvent.objects.filter(entry=late).delete()  # as if it had not been seen at the first look
    assert services.meter_events_collect() == 1
