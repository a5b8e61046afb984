"""Subscriptions of accounts and of the public: confirmed, changed, ended by one click; mails and digests."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from django.core import mail
from django.test import Client
from django.utils import timezone

from notifications import services, signing
from notifications.models import Delivery, Event, Subscription
from notifications.services import Wanted
from notifications.services.spreading import due_of
from pricing import mails
from tests.notifications.conftest import Make, deliver, happen
from tests.notifications.test_events import paper

pytestmark = pytest.mark.django_db
FORM = {"target": "email", "email": "ada@example.org", "kinds": ["paper.published"], "frequency": "at_once"}  # fmt: skip


def link_in(letter: Any, part: str) -> str:
    found = re.search(rf"https?://\S*{part}\S*", letter.body)
    assert found is not None
    return urlsplit(found[0]).path


def confirmed(client: Client, **form: Any) -> Subscription:
    assert client.post("/subscriptions/", FORM | form).status_code == 200
    link = link_in(mail.outbox[-1], "/confirm/")
    assert client.get(link).status_code == 200
    assert Subscription.objects.latest("created_at").state == "unconfirmed", "a look is no answer"
    assert client.post(link).status_code == 200
    row = Subscription.objects.latest("created_at")
    assert row.state == "active"
    return row


def spread_later() -> None:
    """What has just been published, as if it had been after the subscription."""
    Event.objects.filter(spread_at=None).update(occurred_at=timezone.now())
    services.events_spread()


def test_mail_is_sent_only_once_confirmed_and_ends_with_one_click(
    client: Client, starter: Any
) -> None:
    Event.objects.update(spread_at=timezone.now())
    client.post("/subscriptions/", FORM)
    paper("Too early")
    services.events_spread()
    assert not Delivery.objects.exists()
    Subscription.objects.all().delete()
    row = confirmed(client)
    paper("Small models")
    spread_later()
    assert deliver(row) == 1
    letter = mail.outbox[-1]
    assert letter.to == ["ada@example.org"]
    assert "New paper: Small models" in letter.subject
    assert "/research/papers/" in letter.body
    assert letter.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    address = letter.extra_headers["List-Unsubscribe"].strip("<>")
    assert address.startswith(django_settings.WAGTAILADMIN_BASE_URL)
    # As a mail program does it: no cookie, no token of a form, no redirect.
    program = Client(enforce_csrf_checks=True)
    for _ in range(2):
        answer = program.post(urlsplit(address).path, {"List-Unsubscribe": "One-Click"})
        assert answer.status_code == 200
    assert not Subscription.objects.exists()
    assert client.get(link_in(letter, "/subscriptions/")).status_code == 404


def test_looking_at_the_link_ends_nothing(client: Client, starter: Any) -> None:
    row = confirmed(client)
    path = f"/subscriptions/{signing.leave_token(row.pk)}/unsubscribe/"
    assert client.get(path).status_code == 200
    assert Subscription.objects.exists()


@pytest.mark.parametrize("path", ["", "unsubscribe/"])
def test_links_that_were_made_up(client: Client, starter: Any, path: str) -> None:
    row = confirmed(client)
    token = signing.leave_token(row.pk)
    for wrong in (row.pk.hex, f"{token}x", token[:-1], signing.confirm_token(row.pk), "a:b"):
        for answer in (client.get(f"/subscriptions/{wrong}/{path}"), client.post(f"/subscriptions/{wrong}/{path}")):  # fmt: skip
            assert answer.status_code == 404, wrong
    assert client.post(f"/subscriptions/confirm/{token}/").status_code == 404
    assert Subscription.objects.exists()


def test_a_link_that_confirms_works_for_seven_days(
    client: Client, starter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/subscriptions/", FORM)
    link = link_in(mail.outbox[-1], "/confirm/")
    monkeypatch.setattr(signing, "CONFIRM_S", -1)
    assert client.post(link).status_code == 404
    Subscription.objects.update(created_at=timezone.now() - timedelta(days=9))
    services.purge()
    assert not Subscription.objects.exists()


def test_nobody_learns_who_subscribes_and_nobody_is_flooded(client: Client, starter: Any) -> None:
    confirmed(client)
    answers = [client.post("/subscriptions/", FORM) for _ in range(4)]
    assert {answer.status_code for answer in answers} == {200}
    assert len(mail.outbox) == 1, "one mail within ten minutes"
    for _ in range(9):
        Subscription.objects.update(asked_at=timezone.now() - timedelta(hours=1))
        client.post("/subscriptions/", FORM)
    assert Subscription.objects.count() == 5
    assert Subscription.objects.filter(state="active").count() == 1


def test_public_ones_choose_nothing_private(client: Client, starter: Any) -> None:
    answer = client.post("/subscriptions/", FORM | {"kinds": ["usage.alert"]})
    assert answer.status_code == 422
    assert not mail.outbox
    assert b"usage.alert" not in client.get("/subscriptions/?target=webhook").content


def test_a_public_webhook_is_confirmed_by_mail_and_its_secret_shown_then(
    client: Client, starter: Any
) -> None:
    url = "https://hooks.example.org/x"
    client.post("/subscriptions/", FORM | {"target": "webhook", "url": url})
    link = link_in(mail.outbox[-1], "/confirm/")
    shown = client.post(link).content.decode()
    row = Subscription.objects.get()
    assert signing.PREFIX in shown
    assert signing.PREFIX not in client.post(link).content.decode()
    assert row.user is None
    from notifications.targets import secrets_of

    assert secrets_of(row)[0] in shown.replace("&#x2B;", "+")


def test_choosing_otherwise_by_the_link(client: Client, starter: Any) -> None:
    row = confirmed(client)
    page = f"/subscriptions/{signing.leave_token(row.pk)}/"
    assert client.get(page).status_code == 200
    sent = {"kinds": ["release.published"], "frequency": "weekly", "email": "other@example.org", "target": "webhook"}  # fmt: skip
    assert client.post(page, sent).status_code == 302
    row.refresh_from_db()
    assert (row.kinds, row.frequency) == (["release.published"], "weekly")
    assert (row.email, row.target) == ("ada@example.org", "email")
    assert client.post(page, {"kinds": []}).status_code == 422


def test_digests_are_one_mail(client: Client, starter: Any) -> None:
    Event.objects.update(spread_at=timezone.now())
    row = confirmed(client, frequency="daily")
    for title in ("First", "Second"):
        paper(title)
    spread_later()
    assert deliver(row) == 0
    due = row.deliveries.first().due_at
    assert (due.hour, due.minute) == (7, 0)
    assert timezone.now() < due <= timezone.now() + timedelta(days=1)
    Delivery.objects.update(due_at=timezone.now())
    before = len(mail.outbox)
    assert deliver(row) == 1
    assert len(mail.outbox) == before + 1
    assert "First" in mail.outbox[-1].body
    assert "Second" in mail.outbox[-1].body
    assert "2 news" in mail.outbox[-1].subject
    assert set(row.deliveries.values_list("state", flat=True)) == {"delivered"}


@pytest.mark.parametrize(
    ("now", "daily", "weekly"),
    [
        (datetime(2026, 12, 1, 6, 59, tzinfo=UTC), datetime(2026, 12, 1, 7, tzinfo=UTC), datetime(2026, 12, 7, 7, tzinfo=UTC)),
        (datetime(2026, 12, 1, 7, 0, tzinfo=UTC), datetime(2026, 12, 2, 7, tzinfo=UTC), datetime(2026, 12, 7, 7, tzinfo=UTC)),
        (datetime(2026, 12, 7, 6, 0, tzinfo=UTC), datetime(2026, 12, 7, 7, tzinfo=UTC), datetime(2026, 12, 7, 7, tzinfo=UTC)),
        (datetime(2026, 12, 7, 8, 0, tzinfo=UTC), datetime(2026, 12, 8, 7, tzinfo=UTC), datetime(2026, 12, 14, 7, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_when_digests_are_due(now: datetime, daily: datetime, weekly: datetime) -> None:
    for frequency, due in (("daily", daily), ("weekly", weekly), ("at_once", now)):
        assert due_of(Subscription(target="email", frequency=frequency), now) == due


def test_a_mail_server_that_is_away_loses_nothing(
    client: Client, starter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = confirmed(client)
    Event.objects.update(spread_at=timezone.now())
    paper("Later")
    spread_later()

    def away(*_: Any) -> None:
        raise OSError("no mail server")

    with monkeypatch.context() as patch:
        patch.setattr(mails, "send_one", away)
        deliver(row)
    delivery = row.deliveries.get()
    assert delivery.state == "pending"
    assert delivery.attempts.get().error == "mail"
    Delivery.objects.update(due_at=timezone.now())
    Subscription.objects.update(not_before=None)
    deliver(row)
    assert "Later" in mail.outbox[-1].subject


# Of accounts.


def test_mail_to_another_address_than_ones_own_is_confirmed_by_it(
    client: Client, starter: Any, person: Callable[[str], Any]
) -> None:
    ada = person("ada")
    own, _ = services.subscription_make(user=ada, wanted=Wanted("email", ["usage.alert"], email="ADA@example.org"))  # fmt: skip
    assert own.state == "active"
    other, _ = services.subscription_make(user=ada, wanted=Wanted("email", ["usage.alert"], email="bea@example.org"))  # fmt: skip
    assert other.state == "unconfirmed"
    assert mail.outbox[-1].to == ["bea@example.org"]
    happen(owner=ada)
    services.events_spread()
    assert other.deliveries.count() == 0
    client.post(link_in(mail.outbox[-1], "/confirm/"))
    other.refresh_from_db()
    assert other.state == "active"


def test_what_is_wrong_is_said_at_its_field(starter: Any, person: Callable[[str], Any]) -> None:
    from inference.errors import DomainError

    ada = person("ada")
    good = {"target": "webhook", "kinds": ["paper.published"], "url": "https://hooks.example.org/"}
    for field, wrong in (
        ("url", {"url": "http://hooks.example.org/"}), ("url", {"url": "https://10.0.0.1/"}), ("url", {"url": ""}),
        ("kinds", {"kinds": []}), ("kinds", {"kinds": ["no.such"]}), ("kinds", {"kinds": ["webhook.test"]}),
        ("target", {"target": "pigeon"}), ("boards", {"boards": ["no-such"]}), ("name", {"name": "x" * 81}),
        ("frequency", {"frequency": "hourly"}), ("email", {"target": "email", "email": "no address"}),
    ):  # fmt: skip
        with pytest.raises(DomainError) as error:
            services.subscription_make(user=ada, wanted=Wanted(**(good | wrong)))  # type: ignore[arg-type]
        assert error.value.extra["field"] == field
    for _ in range(20):
        services.subscription_make(user=ada, wanted=Wanted(**good))  # type: ignore[arg-type]
    with pytest.raises(DomainError):
        services.subscription_make(user=ada, wanted=Wanted(**good))  # type: ignore[arg-type]


def test_pages_of_ones_own(
    client: Client, starter: Any, subscription: Make, django_assert_max_num_queries: Any
) -> None:
    rows = [subscription("https://hooks.example.org/SECRET")]
    rows += [subscription(user=rows[0].user, name=f"n{n}") for n in range(9)]
    client.force_login(rows[0].user)
    client.get("/account/webhooks/")
    with django_assert_max_num_queries(8):
        listed = client.get("/account/webhooks/").content.decode()
    assert "n8" in listed
    assert "SECRET" not in listed
    Event.objects.all().delete()
    for _ in range(30):
        happen(owner=rows[0].user)
    services.events_spread()
    page = f"/account/webhooks/{rows[0].pk}/"
    with django_assert_max_num_queries(11):
        shown = client.get(page).content.decode()
    assert "Page 1 of 2" in shown
    delivery = rows[0].deliveries.first()
    assert delivery.uid in client.get(f"{page}deliveries/{delivery.uid}/").content.decode()
    assert client.post(page, {"kinds": ["paper.published"], "name": "Lab bot"}).status_code == 302
    for action, state in (("pause", "paused"), ("enable", "active")):
        client.post(f"{page}{action}/")
        rows[0].refresh_from_db()
        assert rows[0].state == state
    before = rows[0].secret_sealed
    client.post(f"{page}rotate/")
    rows[0].refresh_from_db()
    assert rows[0].secret_sealed != before
    assert rows[0].former_secret_sealed == before
    stranger = Client()
    stranger.force_login(rows[0].user.__class__.objects.create_user("eve", "eve@example.org", "pw"))
    for path in (page, f"{page}deliveries/{delivery.uid}/"):
        assert stranger.get(path).status_code == 404
    for path in (f"{page}delete/", f"{page}test/", f"{page}deliveries/{delivery.uid}/redeliver/"):
        assert stranger.post(path).status_code == 404
    client.post(f"{page}delete/")
    assert not Subscription.objects.filter(pk=rows[0].pk).exists()


def test_without_a_mail_server_nothing_is_promised(
    client: Client, starter: Any, settings: Any
) -> None:
    settings.SENDS_MAIL = False
    assert 'name="email"' not in client.get("/subscriptions/").content.decode()
    client.post("/subscriptions/", FORM)
    assert not Subscription.objects.exists()
