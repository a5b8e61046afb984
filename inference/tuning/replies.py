"""Waiting for a worker's answer longer than a client waits for a sign of life."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any
from uuid import UUID

import redis
from django.http import HttpRequest

from inference import answering, errors, places, sse, stream
from inference.database import in_thread
from inference.errors import DomainError, kind_of, openai_body
from inference.stream import Event
from inference.tuning import selectors, services
from inference.tuning.models import Operation

_PATIENCE_S = 20.0
"""How long the head of a reply waits: until then the status says what went wrong."""
_SIGN_S = 10.0
"""Between blanks, which mean nothing before JSON: official clients hang up after 60 silent seconds."""
_LIMIT_S = 1200.0


async def reply(
    request: HttpRequest, operation: Operation, to_reply: Callable[[dict[str, Any]], dict[str, Any]]
) -> sse.EventStream:
    """The operation's answer as JSON. What goes wrong within a while has its own status; after that the
    status is 200, and the body an error.

    Args:
        to_reply: makes the reply of the kept answer.

    Raises:
        DomainError: the operation failed, or nobody is there to do it.
    """
    with places.taken(request) as place:
        answer = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                answer = await _ended(operation.pk)
        response = sse.EventStream(place, _lines(operation.pk, answer, to_reply), broken=_broken)
        response["Content-Type"] = "application/json"
        return response


async def _lines(
    operation_id: UUID, answer: dict[str, Any] | None, to_reply: Callable[[dict[str, Any]], dict[str, Any]]
) -> AsyncIterator[str]:  # fmt: skip
    if answer is None:
        # Begun anew here: what the view began would look at the database by a thread that is gone.
        ending = asyncio.ensure_future(_ended(operation_id))
        try:
            while not ending.done():
                yield " "
                await asyncio.wait({ending}, timeout=_SIGN_S)
            answer = ending.result()
        finally:
            ending.cancel()
    yield json.dumps(to_reply(answer))
    # Only here has the caller been sent all of it; who hung up before comes again.
    await in_thread(services.operation_delivered)(operation_id=operation_id)


def _broken(error: DomainError) -> str:
    return json.dumps({"error": openai_body(error)})


async def _ended(operation_id: UUID) -> dict[str, Any]:
    """
    Raises:
        DomainError: it failed, or took too long.
    """

    def look() -> Event | None:
        found = selectors.operation_get(operation_id)
        return Event(stream.START, "result", {}) if found is None or found.is_finished else None

    following = answering.to_the_end(stream.follow(operation_id, part=stream.END), look)
    try:
        async with asyncio.timeout(_LIMIT_S), aclosing(following) as followed:
            async for event in followed:
                if event is not None:
                    break
    except TimeoutError as error:
        raise errors.TIMEOUT() from error
    except redis.exceptions.RedisError as error:
        raise errors.QUEUE_UNAVAILABLE() from error
    found = await in_thread(selectors.operation_get)(operation_id)
    if found is None:
        raise errors.CANCELLED("The fine-tune was deleted.")
    if found.status == Operation.Status.FAILED:
        raise kind_of(found.error_code)(found.error_message)
    return found.answer or {}
