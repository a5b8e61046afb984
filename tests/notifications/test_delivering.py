"""Deliveries to real receivers: signed, tried again, given up, disabled, recovered; nothing twice."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection, connections, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError
from standardwebhooks import Webhook, WebhookVerificationError

from inference.sealing import seal
from notifications import kinds, services, targets
from notifications.models import Attempt, Delivery, Event, Subscription
from notifications.services import delivering
from tests.notifications.conftest import Make, deliver, happen, later, told
from tests.receivers import answers, endless, in_turn, read, said, served

pytestmark = pytest.mark.django_db
OK = answers(200, b"ok")


def again(row: Any) -> Any:
    row.refresh_from_db()
    return row


def test_the_official_library_verifies_what_arrives(subscription: Make) -> None:
    with served(said(answers(204))) as (url, got):
        row = subscription(url)
        delivery = told(row)
        assert deliver(row) == 1
    headers, body = read(got[0])
    verified = Webhook(row.secret).verify(body, headers)  # type: ignore[attr-defined]
    assert verified["type"] == "usage.alert"
    assert verified["data"]["id"] == delivery.event.uid
    assert verified["data"]["url"].startswith("http")
    assert headers["webhook-id"] == delivery.uid
    assert "." not in delivery.uid
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    assert len(body) < 20_000
    assert again(delivery).state == "delivered"


def test_what_was_changed_is_old_or_of_another_is_refused(subscription: Make) -> None:
    with served(said(OK)) as (url, got):
        row = subscription(url)
        told(row)
        deliver(row)
    headers, body = read(got[0])
    own = Webhook(row.secret)  # type: ignore[attr-defined]
    flipped = bytes([body[0] ^ 1]) + body[1:]
    old = headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) - 360)}
    stranger = Webhook("whsec_" + "A" * 43 + "=")
    for check, sent, with_headers in ((own, flipped, headers), (own, body, old), (stranger, body, headers)):  # fmt: skip
        with pytest.raises(WebhookVerificationError):
            check.verify(sent, with_headers)


def test_two_secrets_sign_while_they_rotate(subscription: Make) -> None:
    with served(said(OK)) as (url, got):
        row = subscription(url)
        former = row.secret  # type: ignore[attr-defined]
        latest = services.secret_rotate(subscription=row)
        told(row)
        deliver(row)
        Subscription.objects.update(former_secret_until=timezone.now())
        told(row)
        deliver(row)
    both, alone = (read(request) for request in got)
    for secret in (former, latest):
        assert Webhook(secret).verify(both[1], both[0])
    assert Webhook(latest).verify(alone[1], alone[0])
    with pytest.raises(WebhookVerificationError):
        Webhook(former).verify(alone[1], alone[0])


def test_a_failure_is_tried_again_under_the_same_id_and_a_success_never(subscription: Make) -> None:
    with served(in_turn(answers(500, b"oh no"), OK)) as (url, got):
        row = subscription(url)
        delivery = told(row)
        deliver(row)
        assert again(delivery).state == "pending"
        assert 3 < (delivery.due_at - timezone.now()).total_seconds() < 7
        assert deliver(row) == 0, "not before it is due"
        later(delivery)
        Attempt.objects.update(at=timezone.now() - timedelta(seconds=5))
        time.sleep(1.1)  # the time of a try has whole seconds
        deliver(row)
        assert again(delivery).state == "delivered"
        later(delivery)
        assert deliver(row) == services.sweep() == 0
    first, second = (read(request) for request in got)
    assert first[0]["webhook-id"] == second[0]["webhook-id"] == delivery.uid
    assert first[1] == second[1]
    assert int(second[0]["webhook-timestamp"]) > int(first[0]["webhook-timestamp"])
    tries = list(delivery.attempts.all())
    assert [one.status for one in tries] == [500, 200]
    assert tries[0].response_body == "oh no"
    assert tries[0].request_body == first[1].decode()
    assert tries[0].request_headers["webhook-id"] == delivery.uid


def test_who_asks_to_wait_is_left_alone_by_all_deliveries(subscription: Make) -> None:
    with served(in_turn(answers(429, Retry_After="1200"), OK)) as (url, got):
        row = subscription(url)
        first, second = told(row), told(row)
        assert deliver(row) == 1
        assert again(first).due_at > timezone.now() + timedelta(seconds=1190)
        assert again(second).tries == 0
        assert again(row).not_before > timezone.now() + timedelta(seconds=1190)
        assert services.sweep() == 0
        later(first)
        assert deliver(row) == 2
    assert len(got) == 3


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120), ("0", 0), ("-5", 0), ("99999999", delivering.LONGEST_WAIT_S), ("soon", None), ("nan", None),
     ("", None), ("Fri, 31 Dec 1999 23:59:59 GMT", 0), ("Fri, 31 Dec 2999 23:59:59 GMT", delivering.LONGEST_WAIT_S)],
)  # fmt: skip
def test_retry_after_as_it_may_be_written(text: str, seconds: float | None) -> None:
    assert delivering.wait_of(text) == seconds


def test_tries_go_on_for_more_than_a_day_and_then_end(subscription: Make) -> None:
    with served(said(answers(503))) as (url, got):
        row = subscription(url)
        delivery = told(row)
        waited = 0.0
        while again(delivery).state == "pending":
            deliver(row)
            delivery.refresh_from_db()
            if delivery.state == "pending":
                waited += (delivery.due_at - timezone.now()).total_seconds()
                later(delivery)
        assert delivery.state == "failed"
        assert delivery.tries == len(got) == len(delivering.DELAYS_S) + 1
        assert waited > 24 * 3600
        assert again(row).given_up == 1
        assert row.state == "active", "one alone is no reason to disable it"


def test_delays_differ(subscription: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(said(answers(500))) as (url, _):
        found = set()
        for _ in range(4):
            row = subscription(url)
            delivery = told(row)
            deliver(row)
            found.add(round((again(delivery).due_at - timezone.now()).total_seconds(), 1))
    assert len(found) > 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda connection, _: time.sleep(4), "timeout"),
        (endless(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n", 0.05), "timeout"),
        (said(b"garbage\r\n\r\n"), "broken"),
    ],
)
def test_a_receiver_that_hangs_costs_bounded_time(
    subscription: Make, monkeypatch: pytest.MonkeyPatch, answer: Any, error: str
) -> None:
    monkeypatch.setattr(targets, "SECONDS", 0.5)
    with served(answer) as (url, _):
        row = subscription(url)
        delivery, other = told(row), told(row)
        began = time.monotonic()
        assert deliver(row) == 1, "the other waits while the receiver is away"
        assert time.monotonic() - began < 3
    assert delivery.attempts.get().error == error
    assert again(delivery).state == again(other).state == "pending"
    assert again(row).busy_until is None


def test_a_receiver_that_streams_for_ever_has_it_and_its_answer_is_cut(
    subscription: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "SECONDS", 2)
    with served(endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000)) as (url, _):
        row = subscription(url)
        delivery = told(row)
        deliver(row)
    assert again(delivery).state == "delivered"
    assert len(delivery.attempts.get().response_body) == targets.MOST_BYTES + 1


def test_redirects_are_failures_and_not_followed(subscription: Make) -> None:
    with served(said(OK)) as (aim, reached), served(said(answers(307, Location=aim))) as (url, _):
        row = subscription(url)
        delivery = told(row)
        deliver(row)
        assert reached == []
    assert again(delivery).state == "pending"
    assert "redirects" in delivery.note


def test_an_address_that_turned_private_is_not_asked(subscription: Make, settings: Any) -> None:
    with served(said(OK)) as (url, got):
        row = subscription(url)
        delivery = told(row)
        settings.OUTBOUND_ALLOWED = []
        deliver(row)
        assert got == []
    assert delivery.attempts.get().error == "refused"
    assert again(delivery).state == "pending"


def test_one_that_is_gone_is_disabled_at_once_and_its_owner_told(subscription: Make) -> None:
    with served(said(answers(410))) as (url, got):
        row = subscription(url)
        told(row)
        waiting = told(row)
        deliver(row)
    assert again(row).state == "disabled"
    assert len(got) == 1
    assert again(waiting).state == "skipped"
    assert mail.outbox[-1].to == [row.user.email]
    assert str(row.pk) in mail.outbox[-1].body


def fail_for_days(row: Subscription, delivery: Delivery) -> None:
    """The last try of a delivery of one that has failed for six days."""
    past = timezone.now() - timedelta(days=6)
    Subscription.objects.filter(pk=row.pk).update(failing_since=past)
    Delivery.objects.filter(pk=delivery.pk).update(tries=len(delivering.DELAYS_S), created_at=past)
    later(delivery)
    deliver(row)


def test_lasting_failure_disables_and_who_comes_back_is_told_what_was_missed(
    subscription: Make,
) -> None:
    with served(in_turn(answers(500), OK)) as (url, got):
        row = subscription(url)
        lost = told(row)
        fail_for_days(row, lost)
        assert again(lost).state == "failed"
        assert again(row).state == "disabled"
        assert len(mail.outbox) == 1
        missed = told(row)
        assert missed.state == "skipped"
        assert deliver(row) == 0
        services.subscription_enable(subscription=row)
        services.subscription_test(subscription=row)
        services.events_spread()
        deliver(row)
        services.events_spread()
        deliver(row)
        types = [json.loads(read(request)[1])["type"] for request in got[1:]]
        assert types == ["webhook.test", "webhook.recovered"]
        recovered = json.loads(read(got[2])[1])["data"]
        assert recovered["missed"] == 2
        assert services.failed_repeat(subscription=row) == 2
        assert services.failed_repeat(subscription=row) == 0, "each is repeated once"
        deliver(row)
    ids = [read(request)[0]["webhook-id"] for request in got]
    assert len(set(ids)) == len(ids)
    repeated = {json.loads(read(request)[1])["data"]["id"] for request in got[3:]}
    assert repeated == {lost.event.uid, missed.event.uid}


def test_twenty_given_up_in_a_row_disable_too(subscription: Make) -> None:
    with served(said(answers(500))) as (url, _):
        row = subscription(url)
        Subscription.objects.update(given_up=delivering.GIVEN_UP_AT - 1)
        delivery = told(row)
        Delivery.objects.update(tries=len(delivering.DELAYS_S))
        deliver(row)
    assert again(delivery).state == "failed"
    assert again(row).state == "disabled"


def test_a_test_is_tried_once(subscription: Make) -> None:
    with served(said(answers(404, b"nothing here"))) as (url, _):
        row = subscription(url)
        services.subscription_test(subscription=row)
        services.events_spread()
        deliver(row)
    delivery = Delivery.objects.get()
    assert delivery.state == "failed"
    assert delivery.attempts.get().response_body == "nothing here"


def test_a_repeat_is_a_delivery_of_its_own(subscription: Make) -> None:
    with served(said(OK)) as (url, got):
        row = subscription(url)
        delivery = told(row)
        deliver(row)
        made = services.delivery_repeat(delivery=again(delivery))
        deliver(row)
        services.delivery_repeat(delivery=again(delivery))
        deliver(row)
    assert len({read(request)[0]["webhook-id"] for request in got}) == 3
    assert made.again == delivery
    # Forgetting the first one leaves its repeats, which are then of nothing.
    Delivery.objects.update(ended_at=timezone.now())
    Delivery.objects.filter(pk=delivery.pk).update(ended_at=timezone.now() - timedelta(days=31))
    services.purge()
    assert Delivery.objects.count() == 2


def test_slack_and_discord_are_written_to_in_their_own_way(subscription: Make) -> None:
    title = "<!channel> *A* & <http://evil.example|click> @everyone"
    with served(said(OK)) as (url, got):
        for target in ("slack", "discord"):
            row = subscription(url, target=target)
            told(row, title=title, text="More & more")
            deliver(row)
    slack, discord = (read(request) for request in got)
    assert "webhook-signature" not in slack[0]
    text = json.loads(slack[1])["text"]
    link, _, rest = text.partition("|")
    assert link.startswith("<http")
    assert "<!channel>" not in rest
    assert rest.count("<") == rest.count("|") == 0
    assert "&amp; more" in rest
    body = json.loads(discord[1])
    assert body["allowed_mentions"] == {"parse": []}
    assert "\\*A\\*" in body["content"]
    assert len(body["content"]) <= 2000


def test_a_hook_that_was_removed_in_a_chat_is_gone(subscription: Make) -> None:
    with served(said(answers(404, b"no_service"))) as (url, _):
        row = subscription(url, target="slack")
        told(row)
        deliver(row)
    assert again(row).state == "disabled"


def test_a_body_stays_small(subscription: Make) -> None:
    with served(said(OK)) as (url, got):
        row = subscription(url)
        told(row, title="日" * 5000, text="本" * 5000)
        deliver(row)
    assert len(read(got[0])[1]) < 20_000


def test_no_address_is_shown_where_it_is_secret(subscription: Make) -> None:
    row = subscription("https://hooks.example.org/services/SECRETPART")
    assert "SECRETPART" not in f"{row} {row.where}"
    assert "SECRETPART" not in Subscription.objects.values_list("url_sealed", flat=True).get()


# What is lost on the way.


def test_what_is_rolled_back_was_never_said(subscription: Make) -> None:
    row = subscription("http://127.0.0.1:9/")
    with transaction.atomic():
        happen(owner=row.user)
        transaction.set_rollback(True)
    assert not Event.objects.exists()


def test_nothing_is_lost_while_the_broker_is_away(
    subscription: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from notifications import tasks

    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("no broker")

    with monkeypatch.context() as patch:
        for task in (tasks.spread, tasks.deliver):
            patch.setattr(task, "apply_async", away)
        with served(said(OK)) as (url, _):
            row = subscription(url)
        event = happen(owner=row.user)
        assert not Delivery.objects.exists()
        services.events_spread()
    with served(said(OK)) as (url, got):
        Subscription.objects.update(url_sealed=seal(url))
        sent: list[Any] = []
        monkeypatch.setattr(tasks.deliver, "apply_async", lambda args, **_: sent.append(args[0]))
        assert services.sweep() == 1
        assert sent == [str(row.pk)]
        deliver(row)
    assert json.loads(read(got[0])[1])["data"]["id"] == event.uid


def test_a_worker_that_was_lost_leaves_its_delivery_to_another(subscription: Make) -> None:
    with served(said(OK)) as (url, got):
        row = subscription(url)
        delivery = told(row)
        held = timezone.now() + timedelta(seconds=30)
        Subscription.objects.update(busy_until=held, busy_with="12345678123456781234567812345678")
        assert deliver(row) == 0
        Subscription.objects.update(busy_until=timezone.now() - timedelta(seconds=1))
        assert services.sweep() == 1
        assert deliver(row) == 1
    assert read(got[0])[0]["webhook-id"] == delivery.uid


def test_a_worker_that_was_thought_lost_writes_nothing_over(
    subscription: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stood still for longer than its lease, and another has the subscription now."""
    real = targets.post

    def slow(row: Any, request: Any) -> Any:
        Subscription.objects.update(busy_with="12345678123456781234567812345678")
        return real(row, request)

    monkeypatch.setattr(targets, "post", slow)
    with served(said(answers(500))) as (url, _):
        row = subscription(url)
        delivery = told(row)
        deliver(row)
    assert again(delivery).tries == 0
    assert not Attempt.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_send_each_thing_once(subscription: Make) -> None:
    with served(said(OK)) as (url, got):
        row = subscription(url)
        for _ in range(5):
            happen(owner=row.user)

        def work(_: int) -> None:
            try:
                services.events_spread()
                deliver(row)
            finally:
                connections.close_all()

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(work, range(8)))
        services.events_spread()
        deliver(row)
    ids = [read(request)[0]["webhook-id"] for request in got]
    assert len(ids) == len(set(ids)) == 5
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}
    assert connection.vendor == "postgresql"


def test_old_deliveries_and_events_are_forgotten_and_what_is_told_once_stays_told(
    subscription: Make,
) -> None:
    with served(said(OK)) as (url, _):
        row = subscription(url)
        told(row)
        told(row, once="a-name")
        waiting = happen(owner=row.user)
        deliver(row)
    long_ago = timezone.now() - timedelta(days=200)
    Delivery.objects.update(ended_at=long_ago)
    Event.objects.update(occurred_at=long_ago)
    services.purge()
    assert not Delivery.objects.exists()
    assert set(Event.objects.values_list("once", flat=True)) == {None, "a-name"}
    assert Event.objects.filter(pk=waiting.pk).exists(), "nobody has spread it yet"
    assert services.event_make(kinds.USAGE_ALERT, title="x", path="/", once="a-name") is None
