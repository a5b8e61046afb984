"""`/readyz` asks the parts themselves, in time, and tells no more than their names."""

import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg_pool
import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from moondream_site.services import free_port
from moondream_site.services.embedded import Valkey
from status import readiness, selectors, services
from status.models import CheckResult

State = CheckResult.State


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_all", "_servers"):
        monkeypatch.setattr(readiness, name, readiness._Looker())
    monkeypatch.setattr(readiness, "_KEPT_S", 0.0)


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[str]:
    """A server that accepts and never answers."""
    valkey = Valkey(tmp_path / "valkey")
    url = valkey.start()
    assert valkey.process is not None
    valkey.process.send_signal(signal.SIGSTOP)
    yield url
    valkey.process.send_signal(signal.SIGCONT)
    valkey.stop()


def _cache_at(settings: Any, url: str) -> dict[str, Any]:
    return {"default": {**settings.CACHES["default"], "LOCATION": url}}


@pytest.mark.django_db
def test_all_is_well(client: Client) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"status": "ready", "database": "up", "broker": "up", "cache": "up"}
    assert "no-store" in response["Cache-Control"]
    assert client.get("/healthz").status_code == 200
    assert client.post("/healthz").status_code == 405


@pytest.mark.django_db
@pytest.mark.parametrize("part", ["broker", "cache"])
@pytest.mark.parametrize("how", ["away", "silent"])
def test_pages_are_served_without_broker_and_cache(
    client: Client, settings: Any, part: str, how: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("silent") if how == "silent" else ""
    url = url or f"redis://:hidden@127.0.0.1:{free_port()}/0"
    if part == "broker":
        settings.REDIS_URL = url
    else:
        settings.CACHES = _cache_at(settings, url)
    started = time.monotonic()
    response = client.get("/readyz")
    assert time.monotonic() - started < 3
    assert response.status_code == 200
    assert response.json() | {part: "up"} == {
        "status": "degraded", "database": "up", "broker": "up", "cache": "up",
    }  # fmt: skip
    assert response.json()[part] == "down"
    assert "hidden" not in response.content.decode()


@pytest.mark.django_db
def test_without_a_free_connection_no_reader_is_wanted(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = psycopg_pool.ConnectionPool("", min_size=0, max_size=1, open=False)
    monkeypatch.setattr(full, "connection", _no_connection)
    monkeypatch.setattr(type(connections["default"]), "pool", full)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["status"] == "unavailable"
    assert int(response["Retry-After"]) > 0


def _no_connection(timeout: float) -> Any:
    raise psycopg_pool.PoolTimeout("couldn't get a connection at 10.0.0.1")


@pytest.mark.django_db
def test_the_status_page_does_not_wait_for_checks_that_need_the_broker(settings: Any) -> None:
    services.checks_run()
    CheckResult.objects.update(state=State.UP)
    assert selectors.summary().state == State.UP
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    found = selectors.summary()
    assert (found.state, found.sentence) == (State.DOWN, "Not working: Job broker.")
    assert [c.state for c in found.components if c.component == "broker"] == [State.DOWN]
    CheckResult.objects.update(checked_at=timezone.now() - timedelta(hours=1))
    assert selectors.summary().sentence.startswith("Not working: Job broker. The last check is")
    CheckResult.objects.all().delete()
    assert selectors.summary().sentence == "Not working: Job broker."


@pytest.mark.django_db
def test_the_status_page_takes_no_second_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(readiness, "_database", lambda: asked.append("database"))
    services.checks_run()
    assert selectors.summary().components
    assert asked == []
    readiness.look()
    assert asked == ["database"]


@pytest.mark.django_db
def test_the_status_page_says_that_the_cache_is_away(settings: Any) -> None:
    services.checks_run()
    CheckResult.objects.update(state=State.UP)
    settings.CACHES = _cache_at(settings, f"redis://127.0.0.1:{free_port()}/0")
    found = selectors.summary()
    assert found.sentence == "Degraded: Job broker."
    assert "cache is away" in next(c.note for c in found.components if c.component == "broker")
