"""Clients of the Redis protocol, each with a time-out on its socket."""

from typing import Any

import redis
import redis.asyncio
import redis.asyncio.retry
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECT_S = 2.0
ANSWER_S = 2.0
"""A server that accepts and does not answer counts as away after this."""


def options(*, connect_s: float = CONNECT_S, answer_s: float = ANSWER_S) -> dict[str, Any]:
    """For a synchronous client: a connection that a restarted server has closed is opened once more;
    a server that is silent is not asked again."""
    return {
        "socket_connect_timeout": connect_s,
        "socket_timeout": answer_s,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 1, (redis.exceptions.ConnectionError,)),
    }


def sync_client(url: str, **waits: Any) -> redis.Redis:
    """A synchronous client, with waits other than those of `options` where they are named."""
    return redis.Redis.from_url(url, **options() | waits)


def async_client(url: str, *, connections: int, answer_s: float = ANSWER_S) -> redis.asyncio.Redis:
    """An asynchronous client with at most so many connections; others wait for one."""
    once = redis.asyncio.retry.Retry(NoBackoff(), 1, (redis.exceptions.ConnectionError,))
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url, max_connections=connections, timeout=ANSWER_S + CONNECT_S,
        **options(answer_s=answer_s) | {"retry": once},
    )  # fmt: skip
    return redis.asyncio.Redis.from_pool(pool)
