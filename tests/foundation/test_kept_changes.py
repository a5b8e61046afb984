"""Whatever a kept page shows, a change of it changes the page: at once, however it was written."""

import contextlib
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import connection, transaction
from django.db.models import F, Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from wagtail.models import Page

from inference import page_cache
from leaderboard.models import (
    Benchmark,
    Challenge,
    Entry,
    LogLine,
    Phase,
    ReportedFigure,
    Split,
    Submission,
    TableState,
    Team,
)
from research.models import BasePage, NavigationLink, PaperPage
from status.models import CheckResult
from tests.foundation.test_page_cache import entries

pytestmark = pytest.mark.django_db
BOARD = "/leaderboards/world-vqa/"
FIXED = ["/leaderboards/", BOARD, f"{BOARD}log/", f"{BOARD}public/", "/status/",
         "/status/summary.json", "/docs/api/", "/docs/api/try/"]  # fmt: skip
UNSHOWN = {"django_content_type"}
"""Tables that a page reads and that nobody writes."""


def version(topic: str = page_cache.PAGES) -> Any:
    return cache.get(page_cache.version_key(topic))


def kept_addresses() -> Iterator[str]:
    """One of each kind of page."""
    yield from FIXED
    seen = set()
    for page in Page.objects.live().filter(depth__gt=1).specific():
        if type(page) not in seen and isinstance(page, BasePage):
            seen.add(type(page))
            yield page.url
    yield Submission.objects.filter(entry__isnull=False).first().entry.get_absolute_url()


@pytest.fixture
def public(starter: Any) -> Submission:
    """An entry on the table of the starter's first leaderboard."""
    split = Split.objects.get(benchmark__slug="world-vqa", ranks=True)
    made = Submission.objects.create(
        split=split, team=Team.objects.create(name="Quartz"), model_name="Xylophone", file="x",
        status=Submission.Status.SCORED,
    )  # fmt: skip
    Entry.objects.create(
        benchmark=split.benchmark, submission=made, model_name="Xylophone", team_name="Quartz",
        provenance="verified", scored_at=timezone.now(), score=0.5, rank=1,
        figures={split.benchmark.primary_metric: {"value": 0.5, "low": 0.4, "high": 0.6}},
    )  # fmt: skip
    return made


def test_every_kept_page_reads_only_what_is_watched(client: Client, public: Submission) -> None:
    unwatched: dict[str, set[str]] = {}
    for address in kept_addresses():
        before = entries()
        with CaptureQueriesContext(connection) as asked:
            assert client.get(address).status_code == 200, address
        assert entries() - before, f"{address} is not kept"
        read = {t for q in asked for t in re.findall(r'(?:FROM|JOIN) "(\w+)"', q["sql"])}
        if missing := read - page_cache.watched() - UNSHOWN:
            unwatched[address] = missing
    assert unwatched == {}


def test_whatever_is_written_to_a_table_that_is_shown_counts(starter: Any) -> None:
    """Every model of every room whose rows a kept page shows, all rows written at once."""
    models = [m for m in apps.get_models(include_auto_created=True) if m._meta.db_table in page_cache.watched()]  # fmt: skip
    assert len(models) > 40
    for model in models:
        topic = page_cache.STATUS if model is CheckResult else page_cache.PAGES
        shown = (
            "stale_since" if model is TableState else model._meta.local_concrete_fields[-1].attname
        )
        before, field = version(topic), shown
        model._base_manager.all().update(**{field: F(field)})
        assert version(topic) != before, model
        before = version(topic)
        model._base_manager.none().delete()
        assert version(topic) == before, "nothing was written"


WAYS = ("save", "update", "bulk", "raw", "add")


def write(row: Model, field: str, value: str, way: str) -> None:
    """Give a row another value in one of the ways there are."""
    manager, meta = type(row)._default_manager, row._meta
    setattr(row, field, value)
    if way == "save":
        row.save()
    elif way == "update":
        manager.filter(pk=row.pk).update(**{field: value})
    elif way == "bulk":
        manager.bulk_update([row], [field])
    elif way == "raw":
        with connection.cursor() as cursor:
            column = meta.get_field(field).column
            sql = f'UPDATE {meta.db_table} SET {column} = %s WHERE "{meta.pk.column}" = %s'
            cursor.execute(sql, [value, row.pk])
    else:
        manager.filter(pk=row.pk).delete()
        manager.bulk_create([row])


@pytest.mark.parametrize("way", WAYS)
def test_a_row_written_in_any_way_changes_what_is_answered(
    client: Client, public: Submission, challenge: Challenge, way: str
) -> None:
    CheckResult.objects.create(component="web", label="x", state="up", checked_at=timezone.now())
    here = challenge.get_absolute_url()
    entry = public.entry.get_absolute_url()
    paper = PaperPage.objects.get(slug="qlora")
    shown: list[tuple[Model, str, str]] = [
        (ReportedFigure.objects.filter(is_shown=True).first(), "model", "/leaderboards/"),
        (NavigationLink.objects.first(), "label", "/leaderboards/"),
        (NavigationLink.objects.first(), "label", BOARD),
        (NavigationLink.objects.first(), "label", "/"),
        (CheckResult.objects.first(), "label", "/status/"),
        (CheckResult.objects.first(), "label", "/status/summary.json"),
        (public.entry, "model_name", BOARD),
        (paper.authors.first(), "name", paper.url),
        (LogLine.objects.create(benchmark=challenge.benchmark, actor="a", action="x", text="x"), "text",
         "/leaderboards/world-vqa/log/"),
    ]  # fmt: skip
    if way != "add":  # others refer to these rows
        shown += [
            (challenge.benchmark, "title", "/leaderboards/"), (challenge.benchmark, "title", BOARD),
            (challenge, "title", here), (public.team, "name", entry), (public, "model_name", entry),
            (challenge.phases.first(), "name", here),
        ]  # fmt: skip
    for number, (row, field, address) in enumerate(shown):
        client.get(address)
        value = f"Quartz{way}{number}"
        write(row, field, value, way)
        if isinstance(row, Team) or (isinstance(row, Submission) and way == "save"):
            public.refresh_from_db()
        assert value in client.get(address).content.decode(), (address, row, field)


@pytest.fixture
def challenge(starter: Any) -> Challenge:
    """Open, on the starter's first leaderboard, with one phase that tells its standings."""
    benchmark, now = Benchmark.objects.get(slug="world-vqa"), timezone.now()
    made = Challenge.objects.create(
        slug="quartz", title="Quartz", summary="x", benchmark=benchmark,
        opens_at=now - timedelta(days=1), closes_at=now + timedelta(days=1),
    )  # fmt: skip
    Phase.objects.create(
        challenge=made, name="one", split=benchmark.splits.all()[0], starts_at=made.opens_at,
        ends_at=made.closes_at,
    )  # fmt: skip
    return made


def test_a_draft_changes_no_page(starter: Any) -> None:
    page = PaperPage.objects.get(slug="qlora")
    before = version()
    page.title = "Another"
    page.save_revision()
    assert version() == before
    page.save_revision().publish()
    assert version() != before


def test_what_is_rolled_back_changes_none_and_what_is_committed_does_so_at_the_end(
    starter: Any,
) -> None:
    link, before = NavigationLink.objects.first(), version()

    def in_vain() -> None:
        with contextlib.suppress(ZeroDivisionError), transaction.atomic():
            link.save()
            raise ZeroDivisionError

    in_vain()
    assert version() == before
    with transaction.atomic():
        in_vain()
        link.save()  # after one that came to nothing
        with transaction.atomic():
            link.save()
        assert version() == before, "not before it is committed"
    assert version() != before


def test_reading_and_what_no_page_shows_change_none(client: Client, public: Submission) -> None:
    before = version()
    Submission.objects.select_for_update(of=("self",)).get(pk=public.pk)
    Submission.objects.filter(pk=public.pk).update(attempt=3, error_code="x")
    TableState.objects.update(failures=1, generation=F("generation") + 1)
    Submission.objects.create(split=public.split, team=public.team, model_name="Queued", file="x")
    client.get("/leaderboards/")
    assert version() == before


def test_a_page_is_kept_until_a_challenge_begins_or_ends(
    client: Client, challenge: Challenge, monkeypatch: Any
) -> None:
    """Nothing is written then."""
    for path in ("/", "/leaderboards/", challenge.get_absolute_url()):
        for name, seconds in (("closes_at", 90), ("freeze_at", 60), ("opens_at", 30)):
            Challenge.objects.update(**{name: timezone.now() + timedelta(seconds=seconds)})
            request = client.get(path).wsgi_request
            address = page_cache.address_of(request)
            until = cache.get(address.key())[3]
            assert 0 < until - timezone.now().timestamp() <= seconds, (path, name)
            real = page_cache.time.time
            monkeypatch.setattr(page_cache.time, "time", lambda now=real: now() + 95)
            _, *rest = cache.get(address.key())[1:]
            assert not page_cache.Kept(address.key(), *rest).answers(address, rest[0])
            monkeypatch.setattr(page_cache.time, "time", real)


def test_htmx_gets_its_part_and_nobody_else_does(client: Client, public: Submission) -> None:
    part = {"HX-Request": "true"}
    for address in (BOARD, "/status/"):
        whole = client.get(address)
        partly = client.get(address, headers=part)
        assert b"<html" in whole.content
        assert b"<html" not in partly.content
        for _ in range(2):
            assert client.get(address).content == whole.content
            assert client.get(address, headers=part).content == partly.content
            boosted = client.get(address, headers={**part, "HX-Boosted": "true"})
            assert boosted.content == whole.content
        assert "HX-Request" in whole["Vary"]
        assert "HX-Request" in partly["Vary"]
