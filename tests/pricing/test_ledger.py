"""The ledger: what is reserved is ended once, and the balance is the sum, whoever dies."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone

from inference.errors import DomainError
from pricing import errors, services
from pricing.models import (
    Allotment,
    Hold,
    KeyMonth,
    LedgerAccount,
    LedgerEntry,
    Meter,
    RegisteredImage,
    UsageDay,
)
from pricing.services import metering
from pricing.services.metering import What
from tests.pricing.ledgers import account, bare, plan, problems, take
from tests.templates import with_database

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_plans(db: None) -> None:
    """Each test makes its own, also where starter content is there."""
    bare()


def test_a_reservation_is_settled_or_released_once() -> None:
    plan(images=10)
    ada = account()
    one, two = take(ada), take(ada)
    pot = Allotment.objects.get()
    assert (pot.granted, pot.held, pot.used, pot.left) == (10, 2, 0, 8)
    assert metering.end(one, 1, seconds=0.5)
    assert metering.end(two)
    assert not metering.end(one, 1)
    assert not metering.end(one)
    assert not metering.end(two, 1)
    assert not metering.end(uuid4(), 1)
    pot.refresh_from_db()
    assert (pot.held, pot.used, pot.left) == (0, 1, 9)
    kinds = list(LedgerEntry.objects.values_list("kind", flat=True))
    assert kinds == ["grant", "reserve", "reserve", "settle", "release"]
    day = UsageDay.objects.get()
    assert (day.amount, day.requests, day.seconds) == (1, 1, 0.5)
    assert problems() == []


def test_the_same_subject_reserves_once() -> None:
    plan(images=10)
    ada, subject = account(), uuid4()
    for _ in range(3):
        assert metering.reserve(ada, subject).amount == 1
    assert Hold.objects.count() == 1
    assert problems() == []


def test_what_is_used_of_a_longer_reservation_counts_and_the_rest_comes_back() -> None:
    plan(training_minutes=10)
    ada = account()
    first = take(ada, meter=Meter.TRAINING, least=30, most=400)
    second = uuid4()
    assert metering.reserve(ada, second, meter=Meter.TRAINING, least=30, most=400).amount == 200
    with pytest.raises(DomainError) as refused:
        take(ada, meter=Meter.TRAINING, least=30, most=60)
    assert refused.value.kind is errors.TRAINING_SPENT
    metering.end(first, 100)
    metering.end(second, 1000)  # more than it holds is not counted
    pot = Allotment.objects.get()
    assert (pot.used, pot.held, pot.left) == (300, 0, 300)
    assert problems() == []


def test_no_row_of_the_ledger_is_changed_or_deleted_by_any_way() -> None:
    plan(images=10)
    take(account())
    entry = LedgerEntry.objects.latest("pk")
    entry.amount = 5
    ways: list[Callable[[], Any]] = [
        entry.save, entry.delete,
        lambda: LedgerEntry.objects.update(amount=5),
        lambda: LedgerEntry.objects.all()._raw_delete("default"),
        lambda: connection.cursor().execute("UPDATE pricing_ledgerentry SET amount = amount"),
        lambda: connection.cursor().execute("TRUNCATE pricing_ledgerentry CASCADE"),
    ]  # fmt: skip
    for way in ways:
        with (
            pytest.raises(DatabaseError, match=r"append-only|protected|violates|pending trigger"),
            transaction.atomic(),
        ):
            way()
    assert problems() == []


def test_a_refusal_says_what_was_used_what_is_left_when_and_where() -> None:
    plan("tiny", images=2)
    ada = account()
    metering.end(take(ada), 1)
    take(ada)
    with pytest.raises(DomainError) as refused:
        take(ada)
    error = refused.value
    assert (error.status, error.code) == (402, "images_spent")
    assert error.extra | {"resets_at": "", "usage_url": "", "more_url": ""} == {
        "meter": "images", "plan": "Tiny", "limit": 2, "used": 1, "reserved": 1, "left": 0,
        "resets_at": "", "usage_url": "", "more_url": "",
    }  # fmt: skip
    back = datetime.fromisoformat(error.extra["resets_at"])
    assert back > timezone.now()
    assert back.day == 1
    assert error.extra["usage_url"].endswith("/account/usage/")
    assert problems() == []


def test_as_many_at_a_time_as_the_plan_says() -> None:
    plan(images=100, concurrent=2)
    ada = account()
    first = take(ada)
    take(ada)
    with pytest.raises(DomainError) as refused:
        take(ada)
    assert (refused.value.status, refused.value.code) == (429, "too_many_at_once")
    assert refused.value.retry_after >= 1
    metering.end(first)
    take(ada)
    take(account("bob"))  # another's are another's
    assert problems() == []


def test_a_key_s_own_limit_holds_within_the_account_s() -> None:
    plan(images=100)
    ada = account()
    narrow = What(key_id=7, key_limit=3)
    subjects = [take(ada, what=narrow) for _ in range(3)]
    with pytest.raises(DomainError) as refused:
        take(ada, what=narrow)
    assert (refused.value.status, refused.value.code) == (402, "key_spent")
    assert refused.value.extra["limit"] == 3
    take(ada, what=What(key_id=8))
    metering.end(subjects[0], 1)
    metering.end(subjects[1])
    take(ada, what=narrow)
    assert KeyMonth.objects.get().taken == 3
    assert problems() == []


def test_a_month_begins_anew_and_what_was_left_lapses() -> None:
    plan(images=5)
    ada = account()
    now = timezone.now()
    metering.end(take(ada, at=now), 1)
    late = take(ada, at=now)
    later = (now.replace(day=1) + timedelta(days=40)).replace(day=2)
    assert metering.reserve(ada, uuid4(), at=later).left == 4
    first, second = Allotment.objects.order_by("starts_at")
    assert first.period != second.period
    assert services.allotments_lapse() == 0
    Allotment.objects.filter(pk=first.pk).update(ends_at=now - timedelta(seconds=1))
    assert services.allotments_lapse() == 1
    assert services.allotments_lapse() == 0
    first.refresh_from_db()
    assert (first.used, first.held, first.lapsed, first.left) == (1, 1, 3, 0)
    metering.end(late)
    assert services.allotments_lapse() == 1
    assert problems() == []


def credit(of: LedgerAccount, amount: int, days: float) -> Allotment:
    now = timezone.now()
    made = Allotment.objects.create(
        account=of, meter="images", kind="credit", starts_at=now, ends_at=now + timedelta(days=days), granted=amount
    )  # fmt: skip
    metering.entry_make(made, "grant", "issued", "available", amount)
    return made


def test_what_ends_soonest_is_used_first_and_one_reservation_may_use_several() -> None:
    plan(images=10, training_minutes=1)
    ada = account()
    far, soon = credit(ada, 5, 400), credit(ada, 2, 0.0001)
    for _ in range(14):
        metering.end(take(ada), 1)
    used = dict(Allotment.objects.filter(meter="images").values_list("kind", "used"))
    soon.refresh_from_db()
    far.refresh_from_db()
    assert (soon.used, far.used) == (2, 2)
    assert used
    whole = metering.reserve(ada, uuid4(), least=3, most=3)
    assert whole.amount == 3
    assert problems() == []


def test_research_is_for_registered_images_and_credits_for_any() -> None:
    plan("research", images=5, benchmarks_only=True)
    RegisteredImage.objects.create(sha256="a" * 64, dataset="A benchmark", file="a.png")
    ada = account()
    known, other = What(image="a" * 64), What(image="b" * 64)
    take(ada, what=known)
    for what in (other, What()):
        with pytest.raises(DomainError) as refused:
            take(ada, what=what)
        assert (refused.value.status, refused.value.code) == (403, "image_not_registered")
        assert "/account/credits/" in refused.value.hint
    grant = credit(ada, 1, 30)
    take(ada, what=known)
    grant.refresh_from_db()
    assert grant.held == 0, "a registered image uses the plan's"
    take(ada, what=other)
    with pytest.raises(DomainError):
        take(ada, what=other)
    assert problems() == []


def test_a_changed_plan_touches_no_month_that_has_begun() -> None:
    small = plan("small", images=5)
    ada = account()
    take(ada)
    big = plan("big", role="", images=50)
    user = get_user_model().objects.get()
    ada = services.plan_set(user=user, plan=big.plan, note="asked")
    assert metering.reserve(ada, uuid4()).left == 49
    ada = services.plan_set(user=user, plan=None)
    assert metering.reserve(ada, uuid4()).left == 3, "it goes on with what was left"
    small.images = 1000
    small.save()
    assert metering.reserve(ada, uuid4()).left == 2
    assert problems() == []


def test_without_plans_use_is_counted_and_nothing_is_refused() -> None:
    ada = account()
    for _ in range(50):
        metering.end(take(ada), 1)
    assert Allotment.objects.get().granted is None
    assert UsageDay.objects.get().amount == 50
    assert problems() == []


def test_what_an_account_keeps_is_noted_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    user = get_user_model().objects.create_user("ada")
    monkeypatch.setattr(metering, "stored_bytes", lambda who: 3 * 2**20 + 1)
    assert services.storage_record([user.pk]) == 1
    assert services.storage_record([user.pk]) == 0
    assert UsageDay.objects.get().amount == 4
    assert problems() == []


def test_one_statement_each(django_assert_num_queries: Any) -> None:
    plan(images=10)
    ada, subject = account(), uuid4()
    from pricing.selectors import plans_now

    plans_now()
    with django_assert_num_queries(2):  # one of them reads the plans, which a process remembers
        metering.reserve(ada, subject)
    with django_assert_num_queries(1):
        metering.end(subject, 1)


# Whoever dies, and however many come at once.


def _something(rng: random.Random, of: LedgerAccount, subject: UUID) -> None:
    """What a web process or a worker may do at any moment."""
    of_images = bool(subject.int % 3)
    match rng.randrange(5):
        case 0 | 1:
            with contextlib.suppress(DomainError):
                if of_images:
                    metering.reserve(of, subject, what=What(key_id=1, key_limit=50, skill="query"))
                else:
                    metering.reserve(of, subject, meter=Meter.TRAINING, least=5, most=rng.randrange(5, 300))  # fmt: skip
        case 2:
            metering.end(subject, rng.randrange(0, 400), seconds=1.0)
        case 3:
            metering.end(subject)
        case 4:  # one that is lost in the middle: what it did is rolled back
            with contextlib.suppress(RuntimeError), transaction.atomic():
                metering.end(subject, 1)
                raise RuntimeError


@pytest.mark.django_db
def test_who_waited_and_brings_an_earlier_clock_finds_the_month() -> None:
    plan(images=5)
    of, now = account(), timezone.now()
    metering.reserve(of, uuid4(), at=now)
    late = metering.reserve(of, uuid4(), at=now - timedelta(milliseconds=5))
    assert (late.outcome, late.granted, late.held) == ("ok", 5, 2)
    assert problems() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_balance_is_the_sum_whatever_happens_at_once(seed: int) -> None:
    """Workers reserve, end, end again and come late, on accounts they share, until nothing is left."""
    plan(images=60, training_minutes=20, concurrent=9)
    names = ["ada", "bob"]
    accounts = {name: account(name) for name in names}
    subjects = [uuid4() for _ in range(150)]

    def work(number: int) -> None:
        rng = random.Random(f"{seed} {number}")
        try:
            for _ in range(60):
                subject = rng.choice(subjects)
                _something(rng, accounts[names[subject.int % 2]], subject)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert problems() == []
    for subject in subjects:
        metering.end(subject, subject.int % 2)
    assert problems() == []
    assert not Hold.objects.exists()


_KILLED = """
import itertools, os, random, django
django.setup()
from uuid import UUID, uuid4
from pricing.models import LedgerAccount
from pricing.services import metering
account = LedgerAccount.objects.get()
print("begins", flush=True)
for n in itertools.count():
    subject = uuid4()
    metering.reserve(account, subject, least=1, most=1)
    if n % 3:
        metering.end(subject, n % 2)
"""


@pytest.mark.django_db(transaction=True)
def test_whoever_is_killed_leaves_a_sound_ledger_and_nothing_held_for_long() -> None:
    plan(images=10_000_000)
    account()
    name = str(connection.settings_dict["NAME"])
    url = with_database(os.environ["DATABASE_URL"], name)
    env = os.environ | {
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "moondream_site.settings.test",
    }
    workers = [
        subprocess.Popen([sys.executable, "-c", _KILLED], env=env, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    for number, worker in enumerate(workers):
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"begins\n"
        time.sleep(0.2 + 0.1 * number)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        worker.stdout.close()
    assert LedgerEntry.objects.count() > 30
    assert problems() == []
    assert Hold.objects.exists()
    with pytest.raises(DatabaseError, match="append-only"):
        connection.cursor().execute("TRUNCATE pricing_ledgerentry CASCADE")
    assert services.holds_sweep() == 0, "what is young may be under way"
    Hold.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    assert services.holds_sweep() > 0
    assert not Hold.objects.exists()
    assert problems() == []


def test_months_follow_each_other() -> None:
    from pricing import periods

    assert periods.month_after(datetime(2026, 12, 1, tzinfo=UTC).date()).isoformat() == "2027-01-01"
    assert periods.month_before(datetime(2027, 1, 1, tzinfo=UTC).date()).isoformat() == "2026-12-01"
    for text in ("2026-1", "2026-13", "26-01", "", "2026-01-01", "२०२६-१२"):
        assert periods.month_read(text) is None, text
    assert periods.month_read("2026-12") is not None
