"""The one ASGI application: pages, API, streams and static files."""

import json
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from moondream_site import proxies
from moondream_site.handler import get_handler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "moondream_site.settings.development")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY_BYTES = 32 * 1024 * 1024
"""A 20 MB image is 27 MB as base64; Django itself spools any length to disk before a view runs."""

_DRAINED_BYTES = 4 * MAX_BODY_BYTES

proxies.take_over()
_django: Any = get_handler()


class _TooLong(Exception):
    pass


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Django, behind a bound on the request's body, declared or not."""
    if scope["type"] != "http":
        await _django(scope, receive, send)
        return
    proxies.settle(scope)
    scope["received_at"] = time.time()  # deadlines are judged by it, however long the body takes
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        await _drain(receive)
        await _refuse(send)
        return
    read = 0

    async def bounded() -> MutableMapping[str, Any]:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > MAX_BODY_BYTES:
            raise _TooLong
        return message

    try:
        await _django(scope, bounded, send)
    except _TooLong:
        # Raised while Django reads the body, so nothing has been sent yet.
        await _drain(receive)
        await _refuse(send)


async def _drain(receive: Receive) -> None:
    """Read on and forget, within reason: a client cut off while it sends never sees the answer."""
    seen = 0
    while seen < _DRAINED_BYTES:
        message = await receive()
        seen += len(message.get("body", b""))
        if not message.get("more_body", False):
            return


async def _refuse(send: Send) -> None:
    body = json.dumps(
        {
            "error": {
                "message": f"The request is larger than {MAX_BODY_BYTES // 2**20} MB.",
                "type": "invalid_request_error",
                "code": "body_too_large",
                "hint": "Send a smaller image.",
            }
        }
    ).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
