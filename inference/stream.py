"""A job's events as a Redis Stream: workers write, any number of readers follow and resume."""

import contextlib
import functools
import json
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import redis
from django.conf import settings

from inference import redis_client
from inference.stream_reader import reader

TERMINAL = frozenset({"result", "error", "cancelled"})
START = "0-0"
FROM_NOW = "$"
EVENTS, END = "events", "end"
"""Parts of a job's stream: all events, and the terminal one alone, for who waits for nothing else."""
_MAX_EVENTS = 8192
_BLOCK_MS = 5000
_ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")
_LARGEST = 2**64 - 1
"""Of either half of a stream's id."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `id` is where a reader resumes after it."""

    id: str
    type: str
    data: dict[str, Any]

    @property
    def is_terminal(self) -> bool:
        return self.type in TERMINAL


def key(job_id: UUID | str, name: str = EVENTS) -> str:
    """Redis key of something that belongs to a job."""
    return f"{settings.REDIS_PREFIX}job:{job_id}:{name}"


@functools.cache
def client() -> redis.Redis:
    """This process's synchronous client."""
    return redis_client.sync_client(settings.REDIS_URL)


New = tuple[str, dict[str, Any]]
"""A kind and its data: an event that was not written yet."""


def publish(
    job_id: UUID | str, kind: str, data: dict[str, Any], *, after: Sequence[New] = ()
) -> bool:
    """Append an event; tells whether somebody asked to cancel the job (one round trip for all).

    Args:
        after: events that come before it.
    """
    return publish_all([(job_id, [*after, (kind, data)])])[0]


def publish_all(news: Sequence[tuple[UUID | str, Sequence[New]]]) -> list[bool]:
    """Append events to the streams of several jobs in one round trip; tells of each job whether somebody
    asked to cancel it."""
    with client().pipeline(transaction=False) as pipe:
        for job_id, events in news:
            name = key(job_id)
            for each in events:
                _append(pipe, name, each)
                if each[0] in TERMINAL:
                    _append(pipe, key(job_id, END), each)
                    pipe.expire(key(job_id, END), settings.INFERENCE_STREAM_TTL_S)
            pipe.expire(name, settings.INFERENCE_STREAM_TTL_S)
        for job_id, _ in news:
            pipe.exists(key(job_id, "cancel"))
        return [bool(asked) for asked in pipe.execute()[-len(news) :]] if news else []


def _append(pipe: redis.client.Pipeline, name: str, event: New) -> None:
    fields: Any = {"t": event[0], "d": json.dumps(event[1])}
    pipe.xadd(name, fields, maxlen=_MAX_EVENTS, approximate=True)


def publish_if_reachable(
    name: UUID | str, kind: str, data: dict[str, Any], *, after: Sequence[New] = ()
) -> None:
    """Append an event for who is looking; without Redis nobody is told. Readers must find it in the
    database as well."""
    with contextlib.suppress(redis.exceptions.RedisError):
        publish(name, kind, data, after=after)


def forget(job_id: UUID | str) -> None:
    """Delete a stream."""
    client().delete(key(job_id), key(job_id, END))


def forget_if_reachable(job_id: UUID | str) -> None:
    """`forget` for what runs out by itself in the end."""
    with contextlib.suppress(redis.exceptions.RedisError):
        forget(job_id)


def request_cancel(job_id: UUID | str) -> None:
    """Ask the worker that has the job to stop."""
    client().set(key(job_id, "cancel"), 1, ex=settings.INFERENCE_STREAM_TTL_S)


def cancel_requested(job_id: UUID | str) -> bool:
    """Whether that was asked."""
    return bool(client().exists(key(job_id, "cancel")))


def cancel_withdraw(job_id: UUID | str) -> None:
    """Take that back: the job goes on."""
    client().delete(key(job_id, "cancel"))


def at(event_id: str) -> str:
    """Where to read on after an event a client names; the beginning if it is none.

    A stream's id is two unsigned 64-bit integers; the server refuses others.
    """
    match = _ID.fullmatch(event_id)
    return event_id if match and all(int(half) <= _LARGEST for half in match.groups()) else START


def history(job_id: UUID | str) -> list[Event]:
    """All events so far."""
    entries: Any = client().xrange(key(job_id))
    return [_event(entry_id, fields) for entry_id, fields in entries]


async def check() -> None:
    """Ask for a sign of life, before a stream begins whose status can't be changed any more.

    Raises:
        RedisError: the server is away, or does not answer.
    """
    await reader().ping()


async def follow(
    job_id: UUID | str, after: str = START, *, part: str = EVENTS
) -> AsyncGenerator[Event | None, None]:
    """Events after `after` as they come; None now and then when there is nothing new.

    Ends after a terminal event. The caller uses the None to keep a connection alive and to look
    whether the job has ended otherwise. `FROM_NOW` leaves out what is there already, and `END` all but
    the terminal event.

    Raises:
        RedisError: the server is away, or does not answer.
    """
    name, shared = key(job_id, part), reader()
    last = await shared.last_id(name) if after == FROM_NOW else after
    with shared.watched(name, last) as watch:
        while True:
            entries = await watch.entries(_BLOCK_MS / 1000)
            for entry_id, fields in entries:
                event = _event(entry_id, fields)
                yield event
                if event.is_terminal:
                    return
            if not entries:
                yield None


def _event(entry_id: Any, fields: Any) -> Event:
    return Event(entry_id.decode(), fields[b"t"].decode(), json.loads(fields[b"d"]))
