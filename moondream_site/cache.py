"""Django's cache on Redis, which steps aside while its server is away.

A cache is a convenience: without it pages take longer, and none may fail. While the server is away
or silent, reads find nothing and writes are left out. Limits are the exception (`LIMITS`): somebody
who takes the cache down must not be rid of them, so they are counted in this process meanwhile.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import redis
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache, RedisCacheClient

from inference import redis_client
from inference.circuit_breaker import CircuitBreaker

logger = logging.getLogger(__name__)
T = TypeVar("T")

LIMITS = ("allauth", "throttle", "limit")
"""What the keys of limits begin with: allauth's of logins, ours of requests."""
_CONNECT_S, _ANSWER_S = 0.5, 1.0
_AGAIN_S = 5.0
"""Between attempts to reach a server that is away."""
_MOST_LOCAL = 10_000
_MOST_OWED = 1000
_UNANSWERED: Any = object()


class Server:
    """What all threads of this process share about one server: connections, and whether it is away."""

    def __init__(self, servers: list[str], options: dict[str, Any]) -> None:
        waits = redis_client.options(connect_s=_CONNECT_S, answer_s=_ANSWER_S)
        self.client = RedisCacheClient(servers, **waits | options)
        self.local = LocMemCache(
            f"limits:{','.join(servers)}", {"OPTIONS": {"MAX_ENTRIES": _MOST_LOCAL}}
        )
        self._lock = threading.Lock()
        self.breaker = CircuitBreaker(_AGAIN_S)
        self._owed: set[str] = set()
        """Keys that were written or deleted while it was away: what it holds of them is old."""

    @property
    def is_away(self) -> bool:
        return self.breaker.is_open

    def ask(self, call: Callable[[], T], default: T, changes: Iterable[str] = ()) -> T:
        """What a call of the server gives; the default while it is away.

        Args:
            changes: keys that the call writes or deletes.
        """
        if not self.breaker.may_ask():
            self._owe(changes)
            return default
        try:
            if self._owed:
                self._pay()
            answer = call()
        except redis.exceptions.ResponseError as error:  # as when it is full
            self.breaker.answered()
            logger.warning("The cache refused a command: %s", error)
            self._owe(changes)
            return default
        except redis.exceptions.RedisError as error:
            if self.breaker.failed():
                logger.warning("The cache is away (%s): pages are made anew", type(error).__name__)
            self._owe(changes)
            return default
        if self.breaker.answered():
            logger.warning("The cache is back")
        return answer

    def _owe(self, keys: Iterable[str]) -> None:
        with self._lock:
            if len(self._owed) < _MOST_OWED:
                self._owed.update(keys)

    def _pay(self) -> None:
        with self._lock:
            owed = list(self._owed)
        self.client.delete_many(owed)
        with self._lock:
            self._owed.difference_update(owed)


_servers: dict[str, Server] = {}
_making = threading.Lock()


class Cache(RedisCache):
    """See the module. Connections are the process's: Django makes a cache object for each thread, and
    under ASGI each request has a thread of its own, which would connect anew."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        options = params.get("OPTIONS", {})
        name = f"{server} {sorted(options.items())}"
        with _making:
            if name not in _servers:
                _servers[name] = Server(re.split("[;,]", server), options)
        self.server = _servers[name]

    @property
    def _cache(self) -> RedisCacheClient:
        return self.server.client

    def _asked(self, name: str, key: Any, *args: Any, default: Any, changes: bool = False) -> Any:
        """A command about one key; one about a limit is done in this process when it cannot be done
        on the server."""
        made = self.make_and_validate_key(key, version=args[-1])
        method = getattr(super(), name)
        answer = self.server.ask(lambda: method(key, *args), _UNANSWERED, [made] if changes else [])
        if answer is not _UNANSWERED:
            return answer
        if str(key).startswith(LIMITS):
            return getattr(self.server.local, name)(key, *args)
        return default

    def add(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        return bool(self._asked("add", key, value, timeout, version, default=True, changes=True))

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return self._asked("get", key, default, version, default=default)

    def set(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        self._asked("set", key, value, timeout, version, default=None, changes=True)

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return bool(self._asked("touch", key, timeout, version, default=False))

    def delete(self, key: Any, version: int | None = None) -> bool:
        return bool(self._asked("delete", key, version, default=False, changes=True))

    def has_key(self, key: Any, version: int | None = None) -> bool:
        return bool(self._asked("has_key", key, version, default=False))

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        found = self._asked("incr", key, delta, version, default=None, changes=True)
        if found is None:
            raise ValueError(f"Key {key!r} not found")  # what Django says of one that is not there
        return int(found)

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        method = super().get_many
        return dict(self.server.ask(lambda: method(keys, version), {}))

    def set_many(
        self, data: dict[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        method = super().set_many
        made = [self.make_and_validate_key(key, version=version) for key in data]
        return list(self.server.ask(lambda: method(data, timeout, version), list(data), made))

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        named, method = list(keys), super().delete_many
        made = [self.make_and_validate_key(key, version=version) for key in named]
        self.server.ask(lambda: method(named, version), None, made)

    def clear(self) -> bool:  # type: ignore[override]  # Django's own says so too
        """Forget what is kept under our prefix: the server may be somebody else's as well."""

        def clear() -> bool:
            client = self._cache.get_client(write=True)
            found = list(client.scan_iter(f"{self.key_prefix}:*", count=1000))
            return bool(found and client.delete(*found))

        return self.server.ask(clear, False)  # noqa: FBT003
