"""A job's events as a Redis Stream: workers write, any number of readers follow and resume."""

import asyncio
import functools
import json
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import redis
import redis.asyncio
from django.conf import settings

TERMINAL = frozenset({"result", "error", "cancelled"})
START = "0-0"
_MAX_EVENTS = 8192
_BLOCK_MS = 5000

_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, redis.asyncio.Redis] = (
    weakref.WeakKeyDictionary()
)


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `id` is where a reader resumes after it."""

    id: str
    type: str
    data: dict[str, Any]

    @property
    def is_terminal(self) -> bool:
        return self.type in TERMINAL


def key(job_id: UUID | str, name: str = "events") -> str:
    """Redis key of something that belongs to a job."""
    return f"{settings.REDIS_PREFIX}job:{job_id}:{name}"


@functools.cache
def client() -> redis.Redis:
    """This process's synchronous client."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=3)


def _async_client() -> redis.asyncio.Redis:
    loop = asyncio.get_running_loop()
    if loop not in _loops:
        _loops[loop] = redis.asyncio.Redis.from_url(
            settings.REDIS_URL,
            socket_connect_timeout=3,
            # Above the time a read blocks for, or waiting would look like a lost connection.
            socket_timeout=_BLOCK_MS / 1000 + 10,
        )
    return _loops[loop]


def publish(job_id: UUID | str, kind: str, data: dict[str, Any]) -> bool:
    """Append an event; tells whether somebody asked to cancel the job (one round trip for both)."""
    with client().pipeline(transaction=False) as pipe:
        pipe.xadd(
            key(job_id), {"t": kind, "d": json.dumps(data)}, maxlen=_MAX_EVENTS, approximate=True
        )
        pipe.expire(key(job_id), settings.INFERENCE_STREAM_TTL_S)
        pipe.exists(key(job_id, "cancel"))
        return bool(pipe.execute()[2])


def request_cancel(job_id: UUID | str) -> None:
    """Ask the worker that has the job to stop."""
    client().set(key(job_id, "cancel"), 1, ex=settings.INFERENCE_STREAM_TTL_S)


def cancel_requested(job_id: UUID | str) -> bool:
    return bool(client().exists(key(job_id, "cancel")))


def at(event_id: str) -> str:
    """Where to read on after an event a client names; the beginning if it is none."""
    first, _, second = event_id.partition("-")
    known = len(event_id) < 40 and first.isascii() and first.isdigit() and second.isdigit()
    return event_id if known else START


def history(job_id: UUID | str) -> list[Event]:
    """All events so far."""
    entries: Any = client().xrange(key(job_id))
    return [_event(entry_id, fields) for entry_id, fields in entries]


async def follow(job_id: UUID | str, after: str = START) -> AsyncIterator[Event | None]:
    """Events after `after` as they come; None now and then when there is nothing new.

    Ends after a terminal event. The caller uses the None to keep a connection alive and to look
    whether the job has ended otherwise.
    """
    last = after
    while True:
        reply: Any = await _async_client().xread({key(job_id): last}, count=256, block=_BLOCK_MS)
        if not reply:
            yield None
            continue
        for entry_id, fields in reply[0][1]:
            event = _event(entry_id, fields)
            last = event.id
            yield event
            if event.is_terminal:
                return


def _event(entry_id: Any, fields: Any) -> Event:
    return Event(entry_id.decode(), fields[b"t"].decode(), json.loads(fields[b"d"]))
