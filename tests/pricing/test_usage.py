"""What an account has used: the page, CSV, the API, the forecast, mails."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.test import Client
from django.utils import timezone

from pricing import selectors, services
from pricing.models import Allotment, Meter, UsageDay
from pricing.selectors import usage as reading
from pricing.services import metering
from pricing.services.metering import What
from tests.pricing.ledgers import account, bare, plan, take

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(starter: Any) -> Any:
    bare()
    plan(images=100, training_minutes=10)
    user = get_user_model().objects.create_user("ada", "ada@example.org", "pw")
    key, _ = services.key_make(user=user, name="=lab", scopes=["infer"])
    what = What(variant="moondream", skill="caption", source="api", key_id=key.pk)
    for n in range(5):
        metering.end(take(account(), what=what), n % 2, seconds=0.5)
    metering.end(
        take(account(), what=What(variant="moondream", skill="query", source="playground")), 1
    )
    metering.end(take(account(), meter=Meter.TRAINING, least=60, most=120, what=What(adapter="x", source="run", skill="tune")), 90)  # fmt: skip
    take(account())
    return user


def test_the_page_shows_it_by_everything(ada: Any, django_assert_max_num_queries: Any) -> None:
    client = Client()
    client.force_login(ada)
    with django_assert_max_num_queries(12):
        page = client.get("/account/usage/").content.decode()
    for word in (
        "=lab",
        "moondream",
        "caption",
        "query",
        "this site, signed in",
        "96</span> left",
        "1.5",
    ):
        assert word in page, word
    assert client.get("/account/usage/?month=2020-01").status_code == 200
    assert client.get("/account/usage/?month=nonsense").status_code == 200
    other = Client()
    other.force_login(get_user_model().objects.create_user("eve"))
    assert "=lab" not in other.get("/account/usage/").content.decode()


def test_csv_holds_no_formula(ada: Any) -> None:
    client = Client()
    client.force_login(ada)
    answer = client.get("/account/usage.csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert {row["key"] for row in rows} == {"'=lab", ""}
    assert sum(int(row["amount"]) for row in rows if row["meter"] == "images") == 3


def test_the_api_tells_the_same_to_a_key_that_may_read(ada: Any) -> None:
    _, reads = services.key_make(user=ada, name="r", scopes=["read"])
    _, asks = services.key_make(user=ada, name="i", scopes=["infer"])
    assert Client().get("/api/usage").status_code == 401
    assert Client().get("/api/usage", HTTP_AUTHORIZATION=f"Bearer {asks}").status_code == 403
    sent = {"HTTP_AUTHORIZATION": f"Bearer {reads}"}
    told = Client().get("/api/usage", **sent).json()
    images = told["meters"]["images"]
    assert (images["limit"], images["used"], images["reserved"], images["left"]) == (100, 3, 1, 96)
    assert told["meters"]["training"]["used"] == 1.5
    assert sum(row["amount"] for row in told["rows"] if row["meter"] == "images") == 3
    assert Client().get("/api/usage?month=2026-13", **sent).status_code == 400
    assert Client().get("/api/usage?month=2020-01", **sent).json()["rows"] == []


def test_a_forecast_goes_by_the_last_days_that_are_over() -> None:
    now = datetime(2026, 12, 11, 12, tzinfo=UTC)
    rows = [
        UsageDay(meter="images", day=(now - timedelta(days=n)).date(), amount=70 if n else 5)
        for n in range(8)
    ]
    assert reading._forecast(Meter.IMAGES, rows, now, 1) == 495 + 70 * 20
    assert reading._forecast(Meter.IMAGES, rows, now.replace(day=1), 1) is None


def test_a_month_that_has_not_been_used_is_whole() -> None:
    bare()
    plan(images=100, training_minutes=10)
    user = get_user_model().objects.create_user("eve")
    images, training = selectors.usage_of(user).allowances
    assert (images.limit, images.left, training.left) == (100, 100, 10)


def test_each_mark_is_told_once(ada: Any) -> None:
    assert services.usage_alerts() == 0
    pot = Allotment.objects.get(meter="images")
    Allotment.objects.filter(pk=pot.pk).update(used=80, held=0)
    assert [services.usage_alerts() for _ in range(2)] == [1, 0]
    Allotment.objects.filter(pk=pot.pk).update(used=100)
    assert [services.usage_alerts() for _ in range(2)] == [1, 0]
    assert [letter.subject for letter in mail.outbox] == [
        "[Moondream hub] 80 % of your images are used", "[Moondream hub] 100 % of your images are used",
    ]  # fmt: skip
    assert "80 of 100 images" in mail.outbox[0].body
    Allotment.objects.filter(pk=pot.pk).update(alerted=0, ends_at=timezone.now())
    assert services.usage_alerts() == 0
