"""From a submitted job to its answer, without holding a thread while it is made."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import redis
from asgiref.sync import sync_to_async
from django.conf import settings

from inference import selectors, services, stream
from inference.errors import DomainError, InvalidInput, JobFailed, TimedOut
from inference.models import Job
from inference.stream import Event

logger = logging.getLogger(__name__)

_PATIENCE_S = 60
"""Beyond the job's own time limit: how long a caller waits in the queue."""

_REQUEST_FAULTS = frozenset({"invalid_request", "image_gone"})


async def events(job: Job, after: str = stream.START) -> AsyncIterator[Event | None]:
    """A job's events to its end, with None now and then as a sign of life.

    Also ends when the job has ended but its stream is gone (expired, or lost with its worker): the
    terminal event is then made from the saved job.
    """
    async for event in stream.follow(job.id, after):
        if event is None:
            saved = await sync_to_async(selectors.job_get)(job.id)
            if saved.is_finished:
                yield terminal_event(saved)
                return
        yield event


def terminal_event(job: Job) -> Event:
    """What a finished job's stream ends with, from the database."""
    if job.status == Job.Status.SUCCEEDED:
        data = {
            "skill": job.skill, "result": job.result, "timings": job.timings,
            "confidence": job.confidence, "tokens": job.tokens,
            "finish_reason": job.finish_reason, "variant": job.variant.slug, "attempt": job.attempt,
        }  # fmt: skip
        return Event(stream.START, "result", data)
    if job.status == Job.Status.CANCELLED:
        return Event(stream.START, "cancelled", {})
    return Event(
        stream.START, "error", {"code": job.error_code, "message": job.error_message, "hint": ""}
    )


async def answer(job: Job) -> dict[str, Any]:
    """Wait for a job's result; a caller who leaves cancels it.

    Raises:
        DomainError: the job failed, was cancelled, or took too long.
    """
    limit = settings.INFERENCE_JOB_TIME_LIMIT_S + _PATIENCE_S
    try:
        async with asyncio.timeout(limit):
            async for event in events(job):
                if event is not None and event.is_terminal:
                    return result_of(event)
    except TimeoutError as error:
        await cancel(job)
        raise TimedOut(
            "No answer in time: the workers are busy or away.", hint="Try again in a moment."
        ) from error
    except asyncio.CancelledError:
        await asyncio.shield(cancel(job))
        raise
    raise JobFailed("The answer was lost.")


def result_of(event: Event) -> dict[str, Any]:
    """The data of a terminal event.

    Raises:
        DomainError: it was not a result.
    """
    if event.type == "result":
        return event.data
    if event.type == "cancelled":
        raise DomainError("The job was cancelled.", code="cancelled")
    kind: type[DomainError] = InvalidInput if event.data["code"] in _REQUEST_FAULTS else JobFailed
    if event.data["code"] == "timeout":
        kind = TimedOut
    raise kind(event.data["message"], code=event.data["code"], hint=event.data.get("hint", ""))


async def cancel(job: Job) -> None:
    """Cancel a job whose caller is gone."""
    try:
        await sync_to_async(services.job_cancel)(job_id=job.id)
    except (DomainError, redis.exceptions.RedisError):
        logger.warning("Could not cancel job %s", job.id)


async def pieces(job: Job) -> AsyncIterator[str | None]:
    """The text of a job piece by piece (None = still waiting); leaving early cancels the job.

    Raises:
        DomainError: the job did not end well.
    """
    finished = False
    try:
        async for event in events(job):
            if event is None:
                yield None
            elif event.type == "token":
                yield event.data["text"]
            elif event.is_terminal:
                finished = True
                result_of(event)
    finally:
        if not finished:
            await asyncio.shield(cancel(job))
