"""Whether this process can serve pages now: asked of the parts themselves, and answered in time."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connections

from inference import redis_client

_PATIENCE_S = 2.0
_KEPT_S = 1.0
"""However often it is asked, the parts are asked this often at most."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Which parts answer."""

    database: bool
    broker: bool
    cache: bool


def _database() -> None:
    # By the pool that pages use: one without a free connection is no use to them either.
    pool: Any = connections["default"].pool  # type: ignore[attr-defined]
    pool.open()
    with pool.connection(timeout=_PATIENCE_S * 0.75) as connection:
        connection.execute("SELECT 1")


def _answers(url: str) -> None:
    waits = redis_client.options(connect_s=_PATIENCE_S / 2, answer_s=_PATIENCE_S / 2)
    with redis_client.sync_client(url, **waits) as client:
        client.ping()


def _broker() -> None:
    _answers(settings.REDIS_URL)


def _cache() -> None:
    _answers(settings.CACHES["default"]["LOCATION"])


class _Looker:
    """Asks parts at once. One that hangs keeps its thread, and is not asked again meanwhile."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=3, thread_name_prefix="readiness")
        self._asked: dict[str, Future[None]] = {}
        self._lock = threading.Lock()
        self._found: dict[str, bool] = {}
        self._found_at = float("-inf")

    def look(self, parts: dict[str, Callable[[], None]]) -> dict[str, bool]:
        """Which of the parts answer, by their names."""
        with self._lock:
            if time.monotonic() - self._found_at > _KEPT_S:
                for name, ask in parts.items():
                    if name not in self._asked or self._asked[name].done():
                        self._asked[name] = self._threads.submit(ask)
                wait(self._asked.values(), timeout=_PATIENCE_S)
                self._found = {
                    name: asked.done() and asked.exception() is None
                    for name, asked in self._asked.items()
                }
                self._found_at = time.monotonic()
            return self._found


_all, _servers = _Looker(), _Looker()


def look() -> Readiness:
    """What answers now, or did within the last second; takes two seconds at most."""
    return Readiness(**_all.look({"database": _database, "broker": _broker, "cache": _cache}))


def look_at_servers() -> Readiness:
    """The same for who reads the database anyway, and needs no second connection to ask for it."""
    return Readiness(database=True, **_servers.look({"broker": _broker, "cache": _cache}))
