"""Bounds on what requests bring: how much, how fast, and how much of it at once.

Django spools a body of any length to disk before a view runs, and a JSON view then holds it in memory
several times over; so it is bounded here, before either.
"""

import asyncio
import io
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
from typing import Any, cast

from corsheaders.middleware import CorsMiddleware
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse

from inference import addresses
from inference.errors import DomainError
from moondream_site import errors, problems

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

MB = 2**20
MAX_BODY_BYTES = 32 * MB
"""A 20 MB image is 27 MB as base64."""
MAX_FORM_BYTES = 51 * MB
"""A form with a file of predictions, which may have 50 MB (`leaderboard.scoring.MAX_BYTES`)."""
IN_FLIGHT_BYTES = 256 * MB
"""What all requests together may hold until they are answered, or have let go of it; those of one
network, half of it."""
FREE_BYTES = 64 * 1024
"""What each may send besides: pages and forms go on while uploads wait."""
PATIENCE_S = 10.0
"""How long a request waits for others to be answered."""
BODY_S = 120.0
"""How long a body may be on its way."""
_DRAINED_BYTES = 4 * MAX_BODY_BYTES
_DRAIN_S = 10.0


class Refused(Exception):
    """Why a body is not read. It goes through Django, which must not take it for an error of a view."""

    def __init__(self, error: DomainError) -> None:
        super().__init__(error.message)
        self.error = error


class Held:
    """Bytes that requests hold: of each network, and in all. Views let go of theirs from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_network: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return self._by_network.total()

    def take(self, network: str, more: int) -> bool:
        """Hold so many more, if there is room."""
        with self._lock:
            has_room = (
                self._by_network.total() + more <= IN_FLIGHT_BYTES
                and self._by_network[network] + more <= IN_FLIGHT_BYTES // 2
            )
            if has_room:
                self._by_network[network] += more
            return has_room

    def give_back(self, network: str, count: int) -> None:
        """Hold so many less."""
        with self._lock:
            self._by_network[network] -= count
            if self._by_network[network] <= 0:
                del self._by_network[network]


class BoundedBodies:
    """ASGI middleware around one application."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._held = Held()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer 413, 408 or 503 instead of the application where a bound is met."""
        body = _Body(scope, receive, self._held)
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            scope["body_done"] = body.release
            await body.admit()
            await self._application(scope, body.receive, sending)
        except Refused as refusal:
            # Raised while the body is read, so nothing has been sent yet.
            if started:
                raise
            await _drain(receive)
            await _refuse(scope, send, refusal.error)
        finally:
            body.release()


class _Body:
    def __init__(self, scope: Message, receive: Receive, held: Held) -> None:
        self._scope, self._receive, self._held = scope, receive, held
        self._network = addresses.network((scope.get("client") or ("",))[0])
        self._read = self._counted = 0
        self._ends_at = time.monotonic() + BODY_S
        self._whole = self._is_released = False
        headers = dict(scope["headers"])
        self._declared = headers.get(b"content-length")
        is_form = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        self._limit = MAX_FORM_BYTES if is_form else MAX_BODY_BYTES

    async def admit(self) -> None:
        """Judge a body by the length it declares, and wait until there is room for all of it: were
        room given piece by piece, many would begin and none would end."""
        declared = self._declared or b"0"
        if not declared.isdigit():
            return
        if len(declared) > 18 or int(declared) > self._limit:
            raise self._too_large()
        await self._hold(int(declared))

    async def receive(self) -> Message:
        """The next message, counted."""
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout(self._ends_at - time.monotonic()):
                message = await self._receive()
        except TimeoutError as error:
            raise Refused(errors.BODY_TOO_SLOW(
                f"The request took longer than {BODY_S:.0f} s to arrive."
            )) from error  # fmt: skip
        self._read += len(message.get("body", b""))
        if self._read > self._limit:
            raise self._too_large()
        await self._hold(self._read)
        if not message.get("more_body", False):
            self._whole = True
            self._tell_length()
        return message

    async def _hold(self, size: int) -> None:
        more = max(0, size - FREE_BYTES) - self._counted
        if more <= 0 or self._is_released:
            return
        until = time.monotonic() + PATIENCE_S
        while not self._held.take(self._network, more):
            if time.monotonic() > until:
                raise Refused(errors.UPLOADS_BUSY())
            await asyncio.sleep(0.05)  # until another request ends
        self._counted += more

    def release(self) -> None:
        """The request is answered, or nothing of its body is kept any more."""
        self._is_released = True
        counted, self._counted = self._counted, 0
        self._held.give_back(self._network, counted)

    def _tell_length(self) -> None:
        """Django takes a body without a length for empty, and does not bound it."""
        if self._declared is None and self._read:
            kept = [(n, v) for n, v in self._scope["headers"] if n.lower() != b"transfer-encoding"]
            self._scope["headers"] = [*kept, (b"content-length", str(self._read).encode())]

    def _too_large(self) -> Refused:
        return Refused(errors.BODY_TOO_LARGE(
            f"The request is larger than {self._limit // MB} MB.",
            hint="Send a smaller file."
        ))  # fmt: skip


async def _drain(receive: Receive) -> None:
    """Read on and forget, within reason: a client cut off while it sends never sees the answer."""
    seen = 0
    try:
        async with asyncio.timeout(_DRAIN_S):
            while seen < _DRAINED_BYTES:
                message = await receive()
                seen += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


async def _refuse(scope: Message, send: Send, error: DomainError) -> None:
    response = _shaped(scope, error)
    response["Content-Length"] = str(len(response.content))
    response["Connection"] = "close"
    headers = [(n.lower().encode(), v.encode("latin-1")) for n, v in response.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})


def _shaped(scope: Message, error: DomainError) -> HttpResponse:
    """The refusal as the reader of the address expects it; pages elsewhere that may ask may read it."""
    is_page = b"text/html" in dict(scope["headers"]).get(b"accept", b"")
    if is_page and not problems.wants_json(scope["path"]):
        page = f"<!doctype html><title>{error.status}</title><h1>{escape(error.message)}</h1><p>{escape(error.hint)}"
        return HttpResponse(page, status=error.status)
    cors = CorsMiddleware(lambda request: problems.problem(request.path, error))
    return cast("HttpResponse", cors(ASGIRequest({"method": "POST", **scope}, io.BytesIO())))
