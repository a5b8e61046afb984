"""Plans: versions with a date from which they hold, that no form changes once they do."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from pricing import selectors, services
from pricing.models import Plan, PlanVersion
from pricing.periods import month_after, month_before, month_of
from tests.pricing.ledgers import bare, plan

pytestmark = pytest.mark.django_db
NOW = month_of(timezone.now())


@pytest.fixture(autouse=True)
def no_plans(db: None) -> None:
    bare()


def version(of: PlanVersion, **fields: Any) -> PlanVersion:
    return PlanVersion(plan=of.plan, **fields)


def test_a_month_goes_by_the_version_that_held_when_it_began() -> None:
    first = plan(images=5)
    later = version(first, holds_from=month_after(NOW), images=9)
    later.full_clean()
    later.save()
    assert selectors.plans_of(NOW).default.images == 5
    assert selectors.plans_of(month_after(NOW)).default.images == 9
    assert selectors.plans_of(month_before(NOW)).default.images == 5, "before the first, the first"


def test_a_version_that_holds_is_not_changed_and_a_new_one_waits_for_a_month() -> None:
    first = plan(images=5)
    first.full_clean()
    first.images = 6
    with pytest.raises(ValidationError, match="holds already"):
        first.full_clean()
    for day in (NOW, NOW - timedelta(days=40), month_after(NOW) + timedelta(days=1)):
        with pytest.raises(ValidationError):
            version(first, holds_from=day).full_clean()
    coming = version(first, holds_from=month_after(NOW), images=7)
    coming.save()
    coming.images = 8
    coming.full_clean()
    coming.holds_from = NOW
    with pytest.raises(ValidationError, match="has begun"):
        coming.full_clean()


def test_admins_change_plans_by_a_form_that_keeps_what_holds(
    starter: Any, admin_client: Client
) -> None:
    bare()
    services.plans_load()
    made = Plan.objects.get(slug="starter")
    held = made.versions.get()
    address = f"/admin/snippets/pricing/plan/edit/{made.pk}/"
    assert admin_client.get(address).status_code == 200
    row = {
        "id": held.pk, "holds_from": held.holds_from.isoformat(), "monthly_dollars": "0.00",
        "images": "10000", "concurrent": "16", "training_minutes": "300", "margin_percent": "0.00",
        "ORDER": "1",
    }  # fmt: skip
    new = {"id": "", "holds_from": month_after(NOW).isoformat(), "images": "20000", "margin_percent": "0", "ORDER": "2"}  # fmt: skip

    def sent(*rows: dict[str, Any]) -> dict[str, Any]:
        form = {
            "name": "Starter", "slug": "starter", "audience": "All", "role": "default", "position": "1",
            "is_shown": "on", "versions-TOTAL_FORMS": len(rows), "versions-INITIAL_FORMS": 1,
            "versions-MIN_NUM_FORMS": 0, "versions-MAX_NUM_FORMS": 1000,
        }  # fmt: skip
        for number, one in enumerate(rows):
            form |= {f"versions-{number}-{name}": value for name, value in one.items()}
        return form

    assert admin_client.post(address, sent(row, new)).status_code == 302
    assert list(made.versions.order_by("holds_from").values_list("images", flat=True)) == [
        10_000,
        20_000,
    ]
    for bad in (row | {"images": "1"}, row | {"DELETE": "on"}):
        admin_client.post(address, sent(bad))
        held.refresh_from_db()
        assert held.images == 10_000


def test_every_role_is_one_plan_s_and_starter_plans_are_made_once() -> None:
    services.plans_load()
    services.plans_load()
    assert Plan.objects.count() == len({p.slug for p in Plan.objects.all()}) == 5
    plans = selectors.plans_of(NOW)
    assert (plans.default.slug, plans.trial.slug) == ("starter", "trial")
    assert plans.trial.images is None, "nobody without an account is limited by default"
    research = next(t for t in plans.shown if t.slug == "research")
    assert (research.images, research.benchmarks_only) == (1_000_000, True)
