"""The cache while its server is away, silent, full, or back: pages never fail for it."""

import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.cache import caches
from django.test import Client

from moondream_site import cache as module
from moondream_site.cache import Cache
from moondream_site.services.embedded import EmbeddedServices, Valkey


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    valkey = Valkey(tmp_path / "cache", cache_mb=3)
    valkey.start()
    yield valkey
    valkey.stop()


@pytest.fixture
def cache(server: Valkey, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """A cache of its own, which asks a server that was away again at once."""
    monkeypatch.setattr(module, "_AGAIN_S", 0.0)
    return Cache(server.url, {"KEY_PREFIX": "here"})


def test_it_is_djangos_cache_while_all_is_well(cache: Cache) -> None:
    cache.set("a", {"b": 1})
    assert cache.get("a") == {"b": 1}
    assert cache.add("a", 2) is False
    assert cache.get_many(["a", "c"]) == {"a": {"b": 1}}
    cache.set("n", 1)
    assert cache.incr("n", 2) == 3
    assert "n" in cache
    assert cache.touch("n", 10)
    assert cache.delete("n")
    with pytest.raises(ValueError, match="not found"):
        cache.incr("n")
    assert cache.set_many({"x": 1, "y": 2}) == []
    cache.delete_many(["x"])
    assert cache.get_or_set("y", 3) == 2
    assert cache.get("x", "gone") == "gone"


def test_clearing_leaves_what_others_keep_on_the_server(cache: Cache, server: Valkey) -> None:
    other = Cache(server.url, {"KEY_PREFIX": "queue"})
    other.set("kept", 1)
    cache.set("mine", 1)
    cache.clear()
    assert cache.get("mine") is None
    assert other.get("kept") == 1


def test_it_holds_to_its_bytes_and_drops_the_oldest(cache: Cache) -> None:
    for n in range(60):
        cache.set(f"page-{n}", os.urandom(100_000))  # 6 MB into 3
    kept = cache.get_many([f"page-{n}" for n in range(60)])
    assert 0 < len(kept) < 30
    assert "page-59" in kept


@pytest.mark.parametrize("how", ["killed", "silent"])
def test_without_its_server_reads_find_nothing_and_nothing_is_raised(
    cache: Cache, server: Valkey, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache.server.breaker, "again_s", 60.0)
    cache.set("a", 1)
    assert server.process is not None
    if how == "killed":
        server.process.kill()
        server.process.wait()
    else:
        server.process.send_signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        assert cache.get("a", "default") == "default"
        assert time.monotonic() - started < 2
        started = time.monotonic()  # who comes next does not wait for it again
        cache.set("a", 2)
        assert cache.get_many(["a"]) == {}
        assert cache.set_many({"a": 1}) == ["a"]
        cache.delete_many(["a"])
        assert cache.delete("a") is False
        assert cache.add("a", 1) is True
        assert "a" not in cache
        assert cache.touch("a") is False
        assert cache.clear() is False
        with pytest.raises(ValueError, match="not found"):
            cache.incr("a")
        assert time.monotonic() - started < 0.5
    finally:
        server.process.send_signal(signal.SIGCONT) if how == "silent" else None


def test_the_first_command_after_a_restart_works(cache: Cache, server: Valkey) -> None:
    """Its pooled connections are dead then."""
    cache.set("a", 1)
    server.stop()
    server.start()
    cache.set("a", 2)
    assert cache.get("a") == 2
    assert not cache.server.is_away


def test_what_was_written_while_it_was_away_is_not_read_in_its_old_form(
    cache: Cache, server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("session", "generation", "untouched"):
        cache.set(key, "old")
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    cache.delete("session")
    cache.set("generation", "new")
    server.process.send_signal(signal.SIGCONT)
    assert cache.get("untouched") == "old"
    # A write that timed out may still have reached the server: old it is not.
    assert cache.get("session") is None
    assert cache.get("generation") in (None, "new")


def test_limits_are_counted_here_while_it_is_away(
    cache: Cache, server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        cache.server.breaker, "again_s", 600
    )  # counting here is the point, not asking again
    server.stop()
    cache.set("throttle:10.0.0.1", [1.0], 60)
    assert cache.get("throttle:10.0.0.1") == [1.0]
    assert cache.add("allauth:rl:login:lock", 1, 10) is True
    assert cache.add("allauth:rl:login:lock", 1, 10) is False
    assert cache.get("pages:x") is None
    for n in range(module._MOST_LOCAL + 100):
        cache.set(f"throttle:{n}", [1.0], 60)
    assert len(vars(cache.server.local)["_cache"]) <= module._MOST_LOCAL


def test_threads_share_the_connections(server: Valkey) -> None:
    before, after = (Cache(server.url, {"KEY_PREFIX": "one"}) for _ in range(2))
    assert before._cache is after._cache


@pytest.mark.django_db
def test_signing_in_and_out_needs_no_cache(
    client: Client, django_user_model: Any, settings: Any, server: Valkey, caplog: Any
) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": server.url}}
    caches.close_all()
    django_user_model.objects.create_user("reader", "reader@example.org", "a long passphrase")
    server.stop()
    with caplog.at_level(logging.WARNING):
        page = client.post(
            "/account/login/", {"login": "reader@example.org", "password": "a long passphrase"}
        )
        assert page.status_code == 302
        assert client.get("/account/").status_code == 200
        for _ in range(8):
            refused = Client().post(
                "/account/login/", {"login": "reader@example.org", "password": "a guess"}
            )
        assert refused.status_code == 429 or "too many" in refused.content.decode().lower()
    client.post("/account/logout/")
    assert client.get("/account/").status_code == 302


def test_the_embedded_cache_is_a_server_of_its_own_with_a_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.delenv("CACHE_URL", raising=False)
    with EmbeddedServices(tmp_path) as services:
        found = services.environment
        broker, cache = (
            redis.Redis.from_url(found[name]).config_get("maxmemory*")
            for name in ("REDIS_URL", "CACHE_URL")
        )
    assert (broker["maxmemory"], broker["maxmemory-policy"]) == ("0", "noeviction")
    assert (cache["maxmemory"], cache["maxmemory-policy"]) == (str(64 * 2**20), "allkeys-lru")


def test_a_broker_that_is_named_is_the_caches_too_unless_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://broker/0")
    monkeypatch.delenv("CACHE_URL", raising=False)
    assert EmbeddedServices(tmp_path).environment["CACHE_URL"] == "redis://broker/0"
    monkeypatch.setenv("CACHE_URL", "redis://cache/0")
    assert EmbeddedServices(tmp_path).environment["CACHE_URL"] == "redis://cache/0"
