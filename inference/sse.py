"""Server-sent events over HTTP (the WHATWG's HTML standard, 9.2)."""

import json
import logging
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import redis
from django.conf import settings
from django.http import HttpRequest, StreamingHttpResponse

from inference import errors, places
from inference.errors import DomainError
from inference.places import Place
from inference.stream import Event

logger = logging.getLogger(__name__)


class EventStream(StreamingHttpResponse):
    """Lines as an event stream that no proxy holds back; it has a place until it is closed."""

    def __init__(
        self, place: Place, lines: AsyncIterator[str], broken: Callable[[DomainError], str]
    ) -> None:
        super().__init__(_unbroken(lines, broken), content_type="text/event-stream")
        self["Cache-Control"] = "no-cache, no-transform"
        self["X-Accel-Buffering"] = "no"
        self._place = place
        place.is_handed_on = True
        # For one that is dropped before it is sent: nobody closes that.
        weakref.finalize(self, place.give_back)

    def close(self) -> None:
        self._place.give_back()
        super().close()


def response(request: HttpRequest, events: AsyncGenerator[Event | None, None]) -> EventStream:
    """A stream of events.

    Raises:
        Busy: too many are open.
    """
    with places.taken(request) as place:
        return EventStream(place, lines(events), broken=error_event)


async def lines(events: AsyncGenerator[Event | None, None]) -> AsyncIterator[str]:
    """Events in the standard's form; None becomes a comment that keeps the connection alive.

    Ends after `STREAM_MAX_S`: the reader comes back, with the last id it saw.
    """
    ends_at = time.monotonic() + settings.STREAM_MAX_S
    yield ": stream\n\n"
    async with aclosing(events):
        async for event in events:
            if event is None:
                yield ": waiting\n\n"
            else:
                yield f"id: {event.id}\nevent: {event.type}\ndata: {json.dumps(event.data)}\n\n"
            if time.monotonic() > ends_at:
                return


def error_event(error: DomainError) -> str:
    """What a stream that broke off ends with. It has no id: a reader resumes after the last it saw."""
    data = {"code": error.code, "message": error.message, "hint": error.hint}
    return f"event: error\ndata: {json.dumps(data)}\n\n"


async def _unbroken(
    lines: AsyncIterator[str], broken: Callable[[DomainError], str]
) -> AsyncIterator[str]:
    """The same lines. What goes wrong while they are made is their last one: the status is long sent,
    and whatever is raised here would leave the response unclosed."""
    made: Any = lines
    try:
        async for line in made:
            yield line
    except DomainError as error:
        yield broken(error)
    except redis.exceptions.RedisError as error:
        logger.warning("A stream broke off: %s", type(error).__name__)
        yield broken(errors.STREAM_INTERRUPTED())
    except Exception:
        logger.exception("A stream broke off")
        yield broken(errors.STREAM_INTERRUPTED())
    finally:
        await made.aclose()
