"""Buying a plan and what follows: against a double of Stripe, with what an adversary would try."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import connections
from django.test import Client
from django.utils import timezone
from wagtail.models import Site

from inference.errors import DomainError
from pricing import errors, selectors, services
from pricing.models import (
    BillingCustomer,
    Invoice,
    InvoiceSettings,
    LedgerAccount,
    PaymentEvent,
    Plan,
    PlanVersion,
    Subscription,
)
from pricing.periods import begins, month_after, month_of
from pricing.services import subscriptions
from pricing.services.payment_events import TRIES
from tests.pricing.ledgers import bare, plan
from tests.pricing.stripe_double import KEY, SECRET, StripeDouble, signed

pytestmark = pytest.mark.django_db
HOOK = "/stripe/webhook"
State = PaymentEvent.State


@pytest.fixture
def double(settings: Any) -> Iterator[StripeDouble]:
    with StripeDouble() as made:
        settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRETS = KEY, [SECRET]
        settings.STRIPE_API_BASE = settings.STRIPE_PAGES = made.url
        settings.STRIPE_PAGES = [made.url]
        yield made


def sold(double: StripeDouble, slug: str = "pro", dollars: int = 49, **fields: Any) -> PlanVersion:
    price = double.price(slug, dollars)
    return plan(slug, role="", monthly_dollars=Decimal(dollars), stripe_price=price, **fields)


@pytest.fixture(autouse=True)
def in_the_month(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a test that runs in the first hour of a month is in its middle."""
    monkeypatch.setattr(subscriptions, "LATE", timedelta(0))


@pytest.fixture
def pro(double: StripeDouble, starter: Any) -> PlanVersion:
    bare()
    plan("small", images=5)
    InvoiceSettings.objects.create(
        site=Site.objects.get(), seller_name="A lab", seller_address="A street 1\nVienna"
    )
    return sold(double, images=100)


@pytest.fixture
def ada() -> Any:
    return get_user_model().objects.create_user("ada", "ada@example.org", "pw")


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def subscribe(client: Client, slug: str = "pro", **more: Any) -> Any:
    return client.post("/account/billing/checkout/", {"plan": slug, **more})


def send(event: dict[str, Any], **how: Any) -> Any:
    body, signature = signed(event, **how)
    return Client().post(HOOK, body, content_type="application/json", HTTP_STRIPE_SIGNATURE=signature)  # fmt: skip


def told(double: StripeDouble, kind: str, about: dict[str, Any], **more: Any) -> PaymentEvent:
    """An event that arrives and is carried out, as the worker does."""
    event = double.event(kind, about, **more)
    assert send(event).status_code == 200
    kept = PaymentEvent.objects.get(stripe_id=event["id"])
    services.event_run(event_id=kept.pk)
    kept.refresh_from_db()
    return kept


def paid(double: StripeDouble, user: Any, slug: str = "pro") -> dict[str, Any]:
    """Somebody who has bought a plan."""
    address = services.checkout_begin(user=user, plan_slug=slug)
    subscription = double.pay(address.rsplit("/", 1)[-1])
    told(double, "customer.subscription.created", subscription)
    return subscription


def plan_of(user: Any, month: Any = None) -> str:
    account = LedgerAccount.objects.get(user=user)
    pk = account.plan_in(month or month_of(timezone.now()))
    return Plan.objects.get(pk=pk).slug if pk else ""


NEXT = month_after(month_of(timezone.now()))


# Without keys.


def test_without_keys_nothing_is_sold_and_no_page_speaks_of_it(starter: Any, ada: Any) -> None:
    bare()
    plan("pro", role="", monthly_dollars=Decimal(49), stripe_price="price_pro")
    client = signed_in(ada)
    assert "billing" not in client.get("/account/").content.decode()
    prices = client.get("/pricing/").content.decode()
    assert "Nothing is charged on this server." in prices
    page = client.get("/account/billing/").content.decode()
    assert "Nothing is charged on this server." in page
    for word in ("Subscribe<span", "billing/checkout", "billing/portal", "Stripe", "test mode"):
        assert word not in prices, word
        assert word not in page, word
    for name in ("checkout", "portal", "check"):
        assert client.post(f"/account/billing/{name}/", {"plan": "pro"}).status_code == 404
    assert Client().post(HOOK, b"{}", content_type="application/json").status_code == 404
    assert not BillingCustomer.objects.exists()
    assert services.meter_events_send() == services.meter_events_collect() == 0
    assert services.billing_reconcile() == 0


def test_half_a_configuration_and_a_live_key_by_mistake_stop_the_start(monkeypatch: Any) -> None:
    import runpy

    from django.core.exceptions import ImproperlyConfigured

    base = "moondream_site.settings.base"
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_1")
    with pytest.raises(ImproperlyConfigured, match="STRIPE_WEBHOOK_SECRETS"):
        runpy.run_module(base)
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRETS", "whsec_1,whsec_2")
    assert runpy.run_module(base)["STRIPE_WEBHOOK_SECRETS"] == ["whsec_1", "whsec_2"]
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_live_1")
    with pytest.raises(ImproperlyConfigured, match="real money"):
        runpy.run_module(base)
    monkeypatch.setenv("STRIPE_LIVE", "true")
    assert runpy.run_module(base)["STRIPE_SECRET_KEY"] == "sk_live_1"


# Checkout.


def test_a_plan_is_bought_and_holds_at_once(double: StripeDouble, pro: PlanVersion, ada: Any) -> None:  # fmt: skip
    client = signed_in(ada)
    page = client.get("/account/billing/")
    assert "Subscribe<span" in page.content.decode()
    assert double.url in page["Content-Security-Policy"]
    answer = subscribe(client)
    assert answer.status_code == 303
    session = answer["Location"].rsplit("/", 1)[-1]
    asked = next(form for m, p, form in double.asked if p == "/v1/checkout/sessions")
    assert asked["line_items"] == {"0": {"price": pro.stripe_price, "quantity": "1"}}
    anchor = int(asked["subscription_data"]["billing_cycle_anchor"])
    assert datetime.fromtimestamp(anchor, UTC) == begins(NEXT), "months are the calendar's"
    assert plan_of(ada) == "", "nothing is given before it is paid"
    subscription = double.pay(session)
    event = told(double, "checkout.session.completed", double.objects[session])
    assert event.state == State.DONE
    assert plan_of(ada) == "pro"
    assert selectors.usage_of(ada).allowances[0].limit == 100
    text = client.get("/account/billing/").content.decode()
    assert "Pro</strong>" in text
    assert "Change plan or card, or cancel" in text
    assert "Subscribe<span" not in text
    assert Subscription.objects.get().stripe_id == subscription["id"]


def test_what_a_browser_sends_decides_neither_price_nor_payer(
    double: StripeDouble, pro: PlanVersion, ada: Any
) -> None:
    cheap = double.price("cheap", 1)
    eve = get_user_model().objects.create_user("eve", "eve@example.org")
    victim = services.customer_of(ada)
    client = signed_in(eve)
    forged = {
        "price": cheap, "stripe_price": cheap, "line_items[0][price]": cheap, "quantity": "0", "amount": "1",
        "customer": victim.stripe_id, "client_reference_id": str(victim.account_id), "success_url": "https://evil.example",
    }  # fmt: skip
    assert subscribe(client, **forged).status_code == 303
    asked = [form for m, p, form in double.asked if p == "/v1/checkout/sessions"][-1]
    assert asked["line_items"] == {"0": {"price": pro.stripe_price, "quantity": "1"}}
    own = BillingCustomer.objects.get(account__user=eve)
    assert asked["customer"] == own.stripe_id != victim.stripe_id
    assert asked["success_url"].startswith("http://localhost:8000/account/billing/")
    assert client.post("/account/billing/portal/", forged).status_code == 303
    asked = [form for m, p, form in double.asked if p == "/v1/billing_portal/sessions"][-1]
    assert asked["customer"] == own.stripe_id


@pytest.mark.parametrize("slug", ["small", "no-such-plan", "", "hidden", "price_pro", "x" * 500])
def test_only_what_is_sold_can_be_bought(double: StripeDouble, pro: PlanVersion, ada: Any, slug: str) -> None:  # fmt: skip
    hidden = sold(double, "hidden", 1).plan
    hidden.is_shown = False
    hidden.save()
    answer = subscribe(signed_in(ada), slug)
    assert (answer.status_code, answer["Location"]) == (302, "/account/billing/")
    assert double.count("POST", "/v1/checkout/sessions") == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"unit_amount": 100}, {"currency": "eur"}, {"active": False},
        {"recurring": {"interval": "year", "interval_count": 1, "usage_type": "licensed"}},
        {"recurring": None},
    ],
)  # fmt: skip
def test_a_price_that_is_another_at_stripe_is_not_charged(
    double: StripeDouble, pro: PlanVersion, ada: Any, changed: dict[str, Any]
) -> None:
    double.prices[pro.stripe_price] |= changed
    with pytest.raises(DomainError) as refused:
        services.checkout_begin(user=ada, plan_slug="pro")
    assert refused.value.kind is errors.PRICE_DIFFERS
    assert double.count("POST", "/v1/checkout/sessions") == 0


def test_a_double_click_opens_one_page(double: StripeDouble, pro: PlanVersion, ada: Any) -> None:
    client = signed_in(ada)
    first, second = subscribe(client), subscribe(client)
    assert first["Location"] == second["Location"]
    assert double.count("POST", "/v1/checkout/sessions") == 1
    assert double.count("POST", "/v1/customers") == 1
    sold(double, "max", 99)
    other = subscribe(client, "max")
    assert other["Location"] != first["Location"]
    session = first["Location"].rsplit("/", 1)[-1]
    assert double.objects[session]["status"] == "expired", "two open pages would be two payments"
    double.pay(other["Location"].rsplit("/", 1)[-1])
    again = subscribe(client, "max")
    assert again["Location"] == "/account/billing/", "it was paid, though no event has told of it"
    assert plan_of(ada) == "max"
    assert double.count("POST", "/v1/checkout/sessions") == 2


@pytest.mark.django_db(transaction=True)
def test_clicks_at_the_same_moment_open_one_page(double: StripeDouble, starter: Any) -> None:
    bare()
    sold(double)
    user = get_user_model().objects.create_user("ada", "ada@example.org")
    found: list[str] = []

    def click() -> None:
        try:
            found.append(services.checkout_begin(user=user, plan_slug="pro"))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=click) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert double.count("POST", "/v1/checkout/sessions") == 1
    made = [o for o in double.objects.values() if o["object"] == "customer"]
    assert len(made) == 1 == BillingCustomer.objects.count()


def test_an_answer_that_is_lost_makes_no_second_customer_or_page(
    double: StripeDouble, pro: PlanVersion, ada: Any
) -> None:
    double.loses = lambda method, path: path in ("/v1/customers", "/v1/checkout/sessions")
    client = signed_in(ada)
    answer = subscribe(client)
    assert answer["Location"] == "/account/billing/"
    page = client.get("/account/billing/").content.decode()
    assert "does not answer. Nothing was charged." in page
    double.loses = lambda method, path: path == "/v1/checkout/sessions"
    subscribe(client)
    double.loses = lambda method, path: False
    assert subscribe(client).status_code == 303
    kinds = [o["object"] for o in double.objects.values()]
    assert (kinds.count("customer"), kinds.count("checkout.session")) == (1, 1)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_when_stripe_refuses_or_is_away_the_page_says_so(
    double: StripeDouble, pro: PlanVersion, ada: Any, status: int
) -> None:
    double.fails = lambda method, path: (status, {"error": {"type": "api_error", "message": "sk_test_secret"}})  # fmt: skip
    client = signed_in(ada)
    page = client.post("/account/billing/checkout/", {"plan": "pro"}, follow=True).content.decode()
    assert "The payment service does not answer. Nothing was charged." in page
    assert "sk_test" not in page
    assert client.get("/account/billing/").status_code == 200, "reading it asks nobody"


def test_nobody_without_an_account_buys_and_the_portal_is_for_customers(
    double: StripeDouble, pro: PlanVersion, ada: Any
) -> None:
    for name in ("checkout", "portal", "check"):
        answer = Client().post(f"/account/billing/{name}/", {"plan": "pro"})
        assert answer["Location"].startswith("/account/login/")
        assert signed_in(ada).get(f"/account/billing/{name}/").status_code == 405
    page = signed_in(ada).post("/account/billing/portal/", follow=True).content.decode()
    assert "you have bought no plan" in page
    assert double.count("POST", "/v1/billing_portal/sessions") == 0


# Events.


def test_only_what_stripe_signed_lately_is_taken(double: StripeDouble, pro: PlanVersion, settings: Any) -> None:  # fmt: skip
    event = double.event("customer.subscription.updated", {"id": "sub_1", "object": "subscription", "customer": "cus_1"})  # fmt: skip
    body, signature = signed(event)
    post = lambda b, s: Client().post(HOOK, b, content_type="application/json", **({"HTTP_STRIPE_SIGNATURE": s} if s is not None else {}))  # noqa: E731  # fmt: skip
    forged = body.replace(b"cus_1", b"cus_2")
    t, v1 = signature.split(",")
    bad = [
        (body, None), (body, ""), (body, "t=,v1="), (body, "nonsense"), (forged, signature), (body, t),
        (body, v1), (body, f"t={int(time.time()) + 1},{v1}"), (body, f"{t},v0={v1[3:]}"),
        (body, f"{t},v1={'0' * 64}"), (b"", signature), (body + b" ", signature), (body, f"{t},{v1[:-1]}é"),
    ]  # fmt: skip
    for b, s in bad:
        answer = post(b, s)
        assert answer.status_code == 400, s
        assert answer.json()["error"] == "bad_signature"
    for how in ({"secret": "whsec_other"}, {"at": time.time() - 301}, {"at": time.time() - 86400}):
        assert send(event, **how).status_code == 400, how
    assert not PaymentEvent.objects.exists()
    assert send(event, at=time.time() - 200).status_code == 200
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new", SECRET]
    assert send(event, secret="whsec_new").status_code == 200, "secrets are changed without a gap"
    assert Client().get(HOOK).status_code == 405


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b"{", b'"x"', b'{"object": "event"}', b"\xff\xfe", b'{"id": "e", "data": {"object": 1}, "created": 1}'])  # fmt: skip
def test_what_is_signed_and_no_event_is_refused_in_words(double: StripeDouble, body: bytes) -> None:
    import hmac

    stamp = int(time.time())
    mac = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, "sha256").hexdigest()
    answer = Client().post(HOOK, body, content_type="application/json", HTTP_STRIPE_SIGNATURE=f"t={stamp},v1={mac}")  # fmt: skip
    assert answer.status_code == 400
    assert not PaymentEvent.objects.exists()


def test_an_event_too_large_is_not_read(double: StripeDouble) -> None:
    answer = Client().post(HOOK, b" " * (513 * 1024), content_type="application/json")
    assert answer.status_code == 413


def test_an_event_that_is_sent_again_is_carried_out_once(
    double: StripeDouble, pro: PlanVersion, ada: Any
) -> None:
    subscription = paid(double, ada)
    invoice = double.invoice(subscription)
    event = double.event("invoice.paid", invoice)
    for _ in range(3):
        assert send(event).status_code == 200
    kept = PaymentEvent.objects.get(stripe_id=event["id"])
    for _ in range(3):
        services.event_run(event_id=kept.pk)
    told(double, "invoice.paid", invoice)  # another event of the same
    assert Invoice.objects.count() == 1
    assert len([m for m in mail.outbox if "Invoice" in m.subject]) <= 1
    kept.refresh_from_db()
    assert (kept.state, kept.attempts) == (State.DONE, 1)


def test_events_in_any_order_leave_what_is(double: StripeDouble, pro: PlanVersion, ada: Any) -> None:  # fmt: skip
    """An event that comes late shows an old state: what counts is what Stripe has now."""
    subscription = paid(double, ada)
    old = double.event("customer.subscription.updated", dict(subscription))
    double.cancel(subscription)
    told(double, "customer.subscription.deleted", subscription)
    assert Subscription.objects.get().status == "canceled"
    send(old)
    services.event_run(event_id=PaymentEvent.objects.get(stripe_id=old["id"]).pk)
    assert Subscription.objects.get().status == "canceled"
    assert LedgerAccount.objects.get(user=ada).coming_from == NEXT
    # And one that is about what was not told of yet.
    eve = get_user_model().objects.create_user("eve", "eve@example.org")
    theirs = double.subscribe(services.customer_of(eve).stripe_id, pro.stripe_price)
    told(double, "customer.subscription.updated", theirs)
    assert plan_of(eve) == "pro"
    told(double, "customer.subscription.created", theirs)
    assert Subscription.objects.filter(customer__account__user=eve).count() == 1


def test_events_of_strangers_change_nothing(double: StripeDouble, pro: PlanVersion, ada: Any) -> None:  # fmt: skip
    subscription = paid(double, ada)
    eve = get_user_model().objects.create_user("eve", "eve@example.org")
    hers = services.customer_of(eve)
    stranger = told(double, "customer.subscription.updated", {**subscription, "customer": "cus_unknown"})  # fmt: skip
    assert (stranger.state, stranger.note) == (State.IGNORED, "no account here is this customer")
    # The event names her as its customer, and another's subscription, invoice and session.
    wrong = told(double, "customer.subscription.updated", {**subscription, "customer": hers.stripe_id})  # fmt: skip
    assert wrong.note == "it is another customer's"
    invoice = double.invoice(subscription)
    assert told(double, "invoice.paid", {**invoice, "customer": hers.stripe_id}).note == "nothing to invoice"  # fmt: skip
    session = next(o for o in double.objects.values() if o["object"] == "checkout.session")
    assert told(double, "checkout.session.completed", {**session, "customer": hers.stripe_id}).note == "it is another customer's"  # fmt: skip
    assert plan_of(eve) == ""
    assert not Invoice.objects.exists()
    live = told(double, "customer.subscription.updated", subscription, livemode=True)
    other = told(double, "charge.succeeded", {"id": "ch_1", "object": "charge", "customer": hers.stripe_id})  # fmt: skip
    assert live.state == other.state == State.IGNORED


def test_a_price_of_no_plan_changes_nothing_and_is_told(double: StripeDouble, pro: PlanVersion, ada: Any) -> None:  # fmt: skip
    subscription = paid(double, ada)
    double.item_set(subscription, double.price("made_by_hand", 1))
    event = told(double, "customer.subscription.updated", subscription)
    assert event.note == "no plan here has its price: the account keeps its plan"
    assert plan_of(ada) == "pro"


def test_what_fails_is_tried_again_and_then_waits_for_an_admin(
    double: StripeDouble, pro: PlanVersion, ada: Any
) -> None:
    subscription = paid(double, ada)
    double.cancel(subscription)
    double.fails = lambda method, path: (503, {"error": {"type": "api_error", "message": "away"}})
    event = told(double, "customer.subscription.deleted", subscription)
    assert (event.state, event.attempts) == (State.FAILED, 1)
    assert services.events_due() == 0, "not at once"
    waits = []
    for _ in range(TRIES - 1):
        event.refresh_from_db()
        waits.append(event.next_at - timezone.now())
        PaymentEvent.objects.filter(pk=event.pk).update(next_at=timezone.now())
        assert services.events_due() == 1
    assert waits == sorted(waits)
    event.refresh_from_db()
    assert event.next_at is None
    assert services.events_due() == 0
    assert plan_of(ada, NEXT) == "pro"
    double.fails = lambda method, path: None
    services.event_again(event=event)
    assert services.events_due() == 1
    event.refresh_from_db()
    assert event.state == State.DONE
    assert plan_of(ada, NEXT) == ""


def test_what_no_event_told_is_found(double: StripeDouble, pro: PlanVersion, ada: Any) -> None:
    customer = services.customer_of(ada)
    double.subscribe(customer.stripe_id, pro.stripe_price)
    assert services.billing_reconcile() == 1
    assert plan_of(ada) == "pro"
    assert signed_in(ada).post("/account/billing/check/").status_code == 302


# The plan that follows.


def test_who_cancels_keeps_the_plan_for_the_month(double: StripeDouble, pro: PlanVersion, ada: Any) -> None:  # fmt: skip
    services.plan_set(user=ada, plan=plan("gift", role="", images=7).plan)
    subscription = paid(double, ada)
    assert plan_of(ada) == "pro"
    subscription["cancel_at_period_end"] = True
    told(double, "customer.subscription.updated", subscription)
    page = signed_in(ada).get("/account/billing/").content.decode()
    assert "It was cancelled and ends on" in page
    for _ in range(2):  # cancelled twice
        double.cancel(subscription)
        told(double, "customer.subscription.deleted", subscription)
    assert (plan_of(ada), plan_of(ada, NEXT)) == ("pro", "gift")
    page = signed_in(ada).get("/account/billing/").content.decode()
    assert f"from {NEXT:%-d %B %Y} Gift" in page
    assert selectors.usage_of(ada).allowances[0].limit == 100
    assert services.plans_arrive() == 0
    paid(double, ada)
    assert (plan_of(ada), plan_of(ada, NEXT)) == ("pro", "pro"), "and may come back"
    account = LedgerAccount.objects.get(user=ada)
    assert BillingCustomer.objects.get(account=account).plan_before.slug == "gift"


def test_what_ends_with_the_month_ends_with_it(double: StripeDouble, pro: PlanVersion, ada: Any, monkeypatch: Any) -> None:  # fmt: skip
    monkeypatch.setattr(subscriptions, "LATE", timedelta(hours=1))
    subscription = paid(double, ada)
    month = begins(month_of(timezone.now()))
    for late, ends in ((timedelta(0), ""), (timedelta(minutes=59), ""), (timedelta(hours=2), "pro")):  # fmt: skip
        customer = BillingCustomer.objects.get()
        LedgerAccount.objects.filter(user=ada).update(
            plan=pro.plan, coming_plan=None, coming_from=None
        )
        BillingCustomer.objects.update(plan_applied=pro.plan, plan_before=None)
        double.cancel(subscription, at=int((month + late).timestamp()))
        services.subscription_sync(customer=customer, stripe_id=subscription["id"])
        assert plan_of(ada) == ends, late
        assert plan_of(ada, NEXT) == ""


def test_more_holds_at_once_and_less_from_the_next_month(double: StripeDouble, pro: PlanVersion, ada: Any) -> None:  # fmt: skip
    big = sold(double, "max", 99, images=1000)
    subscription = paid(double, ada)
    double.item_set(subscription, big.stripe_price)
    told(double, "customer.subscription.updated", subscription)
    assert (plan_of(ada), plan_of(ada, NEXT)) == ("max", "max")
    double.item_set(subscription, pro.stripe_price)
    told(double, "customer.subscription.updated", subscription)
    assert (plan_of(ada), plan_of(ada, NEXT)) == ("max", "pro"), "the month stays as large as it is"
    told(double, "customer.subscription.updated", subscription)
    assert (plan_of(ada), plan_of(ada, NEXT)) == ("max", "pro")
    double.item_set(subscription, big.stripe_price)
    told(double, "customer.subscription.updated", subscription)
    assert (plan_of(ada), plan_of(ada, NEXT)) == ("max", "max"), "back before the month ended"
    double.item_set(subscription, pro.stripe_price)
    told(double, "customer.subscription.updated", subscription)
    double.cancel(subscription)
    told(double, "customer.subscription.deleted", subscription)
    assert (plan_of(ada), plan_of(ada, NEXT)) == ("max", "")
    LedgerAccount.objects.update(coming_from=month_of(timezone.now()))
    assert plan_of(ada) == "", "it holds without a task"
    assert services.plans_arrive() == 1
    assert services.plans_arrive() == 0


def test_an_overdue_payment_keeps_the_plan_until_stripe_gives_up(
    double: StripeDouble, pro: PlanVersion, ada: Any, django_capture_on_commit_callbacks: Any
) -> None:
    subscription = paid(double, ada)
    subscription["status"] = "past_due"
    told(double, "customer.subscription.updated", subscription)
    with django_capture_on_commit_callbacks(execute=True):
        told(double, "invoice.payment_failed", {"id": "in_9", "object": "invoice", "customer": subscription["customer"]})  # fmt: skip
    assert [m.subject for m in mail.outbox] == ["[Moondream hub] A payment did not succeed"]
    assert plan_of(ada, NEXT) == "pro"
    page = signed_in(ada).get("/account/billing/").content.decode()
    assert "A payment did not succeed." in page
    subscription["status"] = "unpaid"
    told(double, "customer.subscription.updated", subscription)
    assert (plan_of(ada), plan_of(ada, NEXT)) == ("pro", "")
    subscription["status"] = "active"
    told(double, "customer.subscription.updated", subscription)
    assert (plan_of(ada), plan_of(ada, NEXT)) == ("pro", "pro")


@pytest.mark.parametrize("status", ["incomplete", "incomplete_expired", "paused"])
def test_what_is_not_paid_gives_nothing(double: StripeDouble, pro: PlanVersion, ada: Any, status: str) -> None:  # fmt: skip
    customer = services.customer_of(ada)
    subscription = double.subscribe(customer.stripe_id, pro.stripe_price, status=status)
    told(double, "customer.subscription.created", subscription)
    assert plan_of(ada) == ""


def test_what_an_admin_gave_stays(double: StripeDouble, pro: PlanVersion, ada: Any) -> None:
    subscription = paid(double, ada)
    gift = plan("gift", role="", images=7).plan
    services.plan_set(user=ada, plan=gift)
    told(double, "customer.subscription.updated", subscription)
    assert plan_of(ada) == "gift"
    assert "gave your account another plan" in signed_in(ada).get("/account/billing/").content.decode()  # fmt: skip
    double.cancel(subscription)
    told(double, "customer.subscription.deleted", subscription)
    assert plan_of(ada, NEXT) == "gift"


def test_two_subscriptions_give_the_dearer_plan(double: StripeDouble, pro: PlanVersion, ada: Any) -> None:  # fmt: skip
    big = sold(double, "max", 99)
    first = paid(double, ada)
    second = double.subscribe(first["customer"], big.stripe_price)
    told(double, "customer.subscription.created", second)
    assert plan_of(ada) == "max"
    double.cancel(second)
    told(double, "customer.subscription.deleted", second)
    assert (plan_of(ada), plan_of(ada, NEXT)) == ("max", "pro")


def test_an_account_that_goes_pays_no_more(
    double: StripeDouble, pro: PlanVersion, ada: Any, monkeypatch: Any, django_capture_on_commit_callbacks: Any
) -> None:  # fmt: skip
    from pricing import tasks

    subscription = paid(double, ada)
    queued: list[int] = []
    monkeypatch.setattr(tasks.customer_end, "apply_async", lambda args: queued.extend(args))
    with django_capture_on_commit_callbacks(execute=True):
        ada.delete()
    tasks.customer_end(*queued)
    assert double.objects[subscription["id"]]["status"] == "canceled"
    again = double.subscribe(subscription["customer"], pro.stripe_price)
    assert services.billing_reconcile() == 1, "a message that was lost"
    assert again["status"] == "canceled"
    assert services.customer_end(customer=BillingCustomer.objects.get()) == 0


# What editors write.


def test_a_version_that_holds_may_be_sold_and_a_price_is_one_plan_s(double: StripeDouble, pro: PlanVersion) -> None:  # fmt: skip
    held = plan("other", role="", monthly_dollars=Decimal(9))
    held.stripe_price = "price_other"
    held.full_clean()
    held.save()
    held.stripe_price = "price_another"
    with pytest.raises(ValidationError, match="holds already"):
        held.full_clean()
    for bad in (
        {"stripe_price": pro.stripe_price}, {"stripe_metered_price": pro.stripe_price},
        {"stripe_price": "prod_1"}, {"monthly_dollars": None, "stripe_price": "price_9"},
        {"stripe_price": "", "stripe_metered_price": "price_9"},
        {"stripe_price": "price_9", "stripe_metered_price": "price_9"},
    ):  # fmt: skip
        fields = {
            "holds_from": NEXT,
            "monthly_dollars": Decimal(9),
            "stripe_price": "price_8",
        } | bad
        with pytest.raises(ValidationError):
            PlanVersion(plan=held.plan, **fields).full_clean()


def test_prices_say_what_is_sold(double: StripeDouble, pro: PlanVersion) -> None:
    page = Client().get("/pricing/").content.decode()
    assert "/account/billing/?plan=pro" in page
    assert "no money is taken" in page
    assert "Nothing is charged on this server" not in page


def test_the_page_reads_little(double: StripeDouble, pro: PlanVersion, ada: Any, django_assert_max_num_queries: Any) -> None:  # fmt: skip
    paid(double, ada)
    client = signed_in(ada)
    client.get("/account/billing/")
    asked = len(double.asked)
    with django_assert_max_num_queries(14):
        client.get("/account/billing/")
    assert len(double.asked) == asked, "reading asks nobody"
