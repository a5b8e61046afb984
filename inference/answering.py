"""From a submitted job to its answer, without holding a database connection while it is made."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, ParamSpec, TypeVar

import redis
from django.conf import settings
from django.db import DatabaseError

from inference import errors, selectors, services, stream
from inference.database import in_thread
from inference.errors import DomainError, kind_of, payload
from inference.loops import PerLoop
from inference.models import Job
from inference.stream import Event

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")

_PATIENCE_S = 60
"""Beyond the job's own time limit: how long a caller waits in the queue."""


def events(
    job: Job, after: str = stream.START, *, part: str = stream.EVENTS
) -> AsyncGenerator[Event | None, None]:
    """A job's events to its end, or its end alone, with None now and then as a sign of life."""

    def ended() -> Event | None:
        saved = selectors.job_get(job.id)
        return terminal_event(saved) if saved.is_finished else None

    return to_the_end(stream.follow(job.id, after, part=part), ended)


async def to_the_end(
    following: AsyncGenerator[Event | None, None], ended: Callable[[], Event | None]
) -> AsyncGenerator[Event | None, None]:
    """A stream's events to the end of what they tell of, with None now and then as a sign of life.

    Args:
        ended: the last event as the database knows it, or None. It is asked when nothing comes: what
            the stream tells of may have ended while the stream is gone (expired, or lost with its
            worker).
    """
    async with aclosing(following) as followed:
        async for event in followed:
            if event is None:
                last = await look(ended)
                if last is not None:
                    yield last
                    return
            yield event


_turn = PerLoop(lambda: asyncio.Semaphore(1))


async def look(read: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Read from the database on behalf of a stream, one stream at a time.

    Streams that were opened together look together; all of them at once would take every
    connection from the pages.
    """
    async with _turn():
        return await in_thread(read)(*args, **kwargs)


def terminal_event(job: Job) -> Event:
    """What a finished job's stream ends with, from the database."""
    if job.status == Job.Status.SUCCEEDED:
        data = {
            "skill": job.skill, "result": job.result, "timings": job.timings,
            "confidence": job.confidence, "tokens": job.tokens, "outside_world": job.outside_world,
            "finish_reason": job.finish_reason, "variant": job.model_name, "attempt": job.attempt,
        }  # fmt: skip
        return Event(stream.START, "result", data)
    if job.status == Job.Status.CANCELLED:
        return Event(stream.START, "cancelled", {})
    return Event(stream.START, "error", payload(job.error_code, job.error_message))


async def answer(job: Job) -> dict[str, Any]:
    """Wait for a job's result; a caller who leaves, or has waited long enough, lets it go (`left`).

    Raises:
        DomainError: the job failed, was cancelled, or took too long.
    """
    try:
        ending = events(job, part=stream.END)
        async with asyncio.timeout(_limit_s()), aclosing(ending) as told:
            async for event in told:
                if event is not None and event.is_terminal:
                    return result_of(event)
    except TimeoutError as error:
        await left(job)
        raise _too_late() from error
    except redis.exceptions.RedisError as error:
        await left(job)
        raise errors.QUEUE_UNAVAILABLE("The answers of the workers cannot be read.") from error
    except asyncio.CancelledError:
        await asyncio.shield(left(job))
        raise
    raise errors.INTERNAL_ERROR("The answer was lost.")


def _limit_s() -> float:
    return float(settings.INFERENCE_JOB_TIME_LIMIT_S + _PATIENCE_S)


def _too_late() -> DomainError:
    return errors.TIMEOUT(
        "No answer in time: the workers are busy or away.", hint="Try again in a moment."
    )


def result_of(event: Event) -> dict[str, Any]:
    """The data of a terminal event.

    Raises:
        DomainError: it was not a result.
    """
    if event.type == "result":
        return event.data
    if event.type == "cancelled":
        raise errors.CANCELLED()
    told = event.data
    raise kind_of(told["code"])(told["message"], hint=told.get("hint") or None)


async def left(job: Job) -> None:
    """The caller is gone: nobody waits for the job, and it is cancelled. One with an idempotency key
    may come back for the answer, and another request with the same key may be waiting for it now."""
    if not job.idempotency_key:
        await cancel(job)


async def cancel(job: Job) -> None:
    """Cancel a job that nobody waits for."""
    try:
        await in_thread(services.job_cancel)(job_id=job.id)
    except (DomainError, redis.exceptions.RedisError, DatabaseError):
        logger.warning("Could not cancel job %s", job.id)


async def told(job: Job) -> AsyncGenerator[Event | None, None]:
    """A job's tokens and, at its end, its result (None = still waiting); leaving early cancels the job.

    Raises:
        DomainError: the job did not end well, or not in time.
        RedisError: the stream cannot be read.
    """
    finished = has_text = False
    ends_at = time.monotonic() + _limit_s()
    try:
        async with aclosing(events(job)) as followed:
            async for event in followed:
                if event is not None and event.is_terminal:
                    finished = True
                    result = result_of(event)["result"]
                    text = result.get("caption") or result.get("answer")
                    if text and not has_text:  # the stream had expired; the answer is kept
                        yield Event(event.id, "token", {"text": text})
                if event is None or event.type in ("token", "result"):
                    has_text = has_text or event is not None
                    yield event
                if not finished and time.monotonic() > ends_at:
                    raise _too_late()
    finally:
        if not finished:
            await asyncio.shield(left(job))
