"""What the checks found and what runs by the clock, in the admin."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import PeriodicTask, PeriodicTasks
from django_celery_beat.schedulers import ModelEntry
from kombu.exceptions import OperationalError
from wagtail.models import ModelLogEntry

from moondream_site.celery import app
from research.tasks import check_links
from status.models import CheckResult
from tests.admin.test_rooms import bulk, do, listing

pytestmark = pytest.mark.django_db
TASKS = "django_celery_beat_periodictask"


def beat_starts() -> None:
    """What it writes of the settings then."""
    for name, entry in settings.CELERY_BEAT_SCHEDULE.items():
        ModelEntry.from_entry(name, app=app, **entry)


@pytest.fixture
def schedules(starter: Any) -> None:
    beat_starts()


@pytest.mark.parametrize("name", ["status_checkresult", TASKS])
def test_admins_alone_see_them(member: Callable[[str], Client], name: str) -> None:
    seen = {
        g: member(g).get(listing(name)).status_code for g in ("Editors", "Moderators", "Admins")
    }
    assert seen == {"Editors": 302, "Moderators": 302, "Admins": 200}


def test_checks_are_found_and_exported(member: Callable[[str], Client]) -> None:
    for state, note in (("up", "Fine."), ("down", "=Not reachable")):
        CheckResult.objects.create(
            component="web", label="Website", state=state, note=note, checked_at=timezone.now()
        )
    admin = member("Admins")
    address = listing("status_checkresult")
    found = admin.get(f"{address}?state=down").content.decode()
    assert "=Not reachable" in found
    assert "Fine." not in found
    assert "'=Not reachable" in admin.get(f"{address}?export=csv").getvalue().decode()


def test_every_schedule_is_listed_with_when_it_runs(
    member: Callable[[str], Client], schedules: None
) -> None:
    text = member("Admins").get(listing(TASKS)).content.decode()
    for name in settings.CELERY_BEAT_SCHEDULE:
        assert name in text
    assert "every 15.0 seconds" in text or "every 15 seconds" in text


def test_one_is_switched_off_and_stays_so_until_it_is_switched_on(
    member: Callable[[str], Client], schedules: None
) -> None:
    row, admin = PeriodicTask.objects.get(name="research-links"), member("Admins")
    PeriodicTask.objects.filter(pk=row.pk).update(last_run_at=timezone.now())
    PeriodicTasks.objects.all().delete()
    assert "1 periodic task switched off" in do(admin, bulk(TASKS, "switch_off", row))
    row.refresh_from_db()
    assert (row.enabled, row.last_run_at) == (False, None)
    assert PeriodicTasks.last_change() is not None, "beat reads it again"
    assert "schedules that are switched off" in admin.get("/admin/").content.decode()
    assert row.name in admin.get(f"{listing(TASKS)}?enabled=false").content.decode()
    beat_starts()
    row.refresh_from_db()
    assert not row.enabled
    assert "switched on" in do(admin, bulk(TASKS, "switch_on", row))
    row.refresh_from_db()
    assert row.enabled
    actions = ModelLogEntry.objects.filter(object_id=str(row.pk)).values_list("action", flat=True)
    assert set(actions) == {"django_celery_beat.switch_off", "django_celery_beat.switch_on"}


def test_one_is_run_now(
    member: Callable[[str], Client], schedules: None,
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any,
) -> None:  # fmt: skip
    sent: list[Any] = []
    monkeypatch.setattr(check_links, "apply_async", lambda args, **more: sent.append((args, more)))
    row, admin = PeriodicTask.objects.get(name="research-links"), member("Admins")
    with django_capture_on_commit_callbacks(execute=True):
        assert "1 periodic task sent to the workers" in do(admin, bulk(TASKS, "run", row))
    assert sent == [((), {"kwargs": {}, "queue": None})]
    PeriodicTask.objects.filter(pk=row.pk).update(task="research.tasks.gone")
    assert "The code has no task research.tasks.gone" in do(admin, bulk(TASKS, "run", row))


@pytest.mark.django_db(transaction=True)
def test_without_a_broker_it_is_said(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    beat_starts()
    row = PeriodicTask.objects.get(name="research-links")

    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(check_links, "apply_async", away)
    assert "The job queue cannot be reached" in do(admin_client, bulk(TASKS, "run", row))


def test_a_schedule_is_not_edited_by_a_form(
    member: Callable[[str], Client], schedules: None
) -> None:
    row, admin = PeriodicTask.objects.first(), member("Admins")
    space = f"wagtailsnippets_{TASKS}"
    for view in ("edit", "delete"):
        assert (
            admin.post(reverse(f"{space}:{view}", args=[row.pk]), {"task": "x"}).status_code == 302
        )
    assert admin.post(reverse(f"{space}:add"), {"task": "x"}).status_code == 302
    assert PeriodicTask.objects.get(pk=row.pk).task == row.task
