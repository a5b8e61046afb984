"""Server-sent events over HTTP (the WHATWG's HTML standard, 9.2)."""

import json
from collections.abc import AsyncIterator

from django.http import StreamingHttpResponse

from inference.stream import Event


def response(lines: AsyncIterator[str]) -> StreamingHttpResponse:
    """Lines as an event stream that no proxy holds back."""
    made = StreamingHttpResponse(lines, content_type="text/event-stream")
    made["Cache-Control"] = "no-cache, no-transform"
    made["X-Accel-Buffering"] = "no"
    return made


async def lines(events: AsyncIterator[Event | None]) -> AsyncIterator[str]:
    """Events in the standard's form; None becomes a comment that keeps the connection alive."""
    yield ": stream\n\n"
    async for event in events:
        if event is None:
            yield ": waiting\n\n"
        else:
            yield f"id: {event.id}\nevent: {event.type}\ndata: {json.dumps(event.data)}\n\n"
