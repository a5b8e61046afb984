"""Kept pages from this process's memory, before Django begins: an ASGI middleware.

It remembers what Django finally answered with a page that `inference.page_cache` keeps, with all
headers that other middleware set. A request with the same key is answered with it while the versions
of what it is about are those from before the page was made, as read after the request came: what was
published or restricted meanwhile is never sent. Requests that come together share one such read.

Kept pages are not counted against anybody's limit: sending one costs less than counting it.
"""

import asyncio
import contextvars
import io
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.core.cache.backends.redis import RedisSerializer
from django.core.exceptions import SuspiciousOperation
from django.core.handlers.asgi import ASGIRequest
from django.utils.cache import get_conditional_response
from redis.exceptions import RedisError

from inference import redis_client
from inference.circuit_breaker import CircuitBreaker
from inference.loops import PerLoop
from inference.page_cache import KEPT, TOPICS, Address, Kept, address_of, version_key

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

MEMORY = 32 * 2**20
"""Bytes of all remembered pages; the least recently sent make room."""
_ANSWER_S = 0.5
_SERIALIZER: Any = RedisSerializer()
"""How Django's cache writes a value."""
_OF_BODIES = (b"content-length", b"content-type")


@dataclass(frozen=True, slots=True)
class Page:
    """An answer as it was sent."""

    kept: Kept
    headers: list[tuple[bytes, bytes]]
    body: bytes


Versions = dict[str, str | None]


class TopicVersions:
    """The versions of what kept pages are about, for one event loop. While the cache is away Django
    answers."""

    def __init__(self) -> None:
        location = settings.CACHES["default"]["LOCATION"]
        url = location if isinstance(location, str) else location[0]
        self._client = redis_client.async_client(url, connections=2, answer_s=_ANSWER_S)
        self._keys = [cache.make_key(version_key(topic)) for topic in TOPICS]
        self._running: asyncio.Task[Versions | None] | None = None
        self._next: asyncio.Task[Versions | None] | None = None
        self._breaker = CircuitBreaker()

    async def read(self) -> Versions | None:
        """As they are after this was called; None while the cache is away."""
        if self._next is None:
            if not self._breaker.may_ask():
                return None
            reading = self._read_after(self._running)
            # It serves all requests: it must not keep the context of the one that was first.
            self._next = asyncio.create_task(reading, context=contextvars.Context())
        return await asyncio.shield(self._next)

    async def _read_after(self, earlier: "asyncio.Task[Versions | None] | None") -> Versions | None:
        if earlier is not None:
            await asyncio.wait([earlier])
        self._running, self._next = self._next, None
        try:
            found = await self._client.mget(self._keys)
        except RedisError:
            self._breaker.failed()
            return None
        self._breaker.answered()
        read = [None if value is None else _SERIALIZER.loads(value) for value in found]
        return dict(zip(TOPICS, read, strict=True))


_versions = PerLoop(TopicVersions)


class KeptPages:
    """Around the application whose kept pages these are."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._pages: OrderedDict[str, Page] = OrderedDict()
        self._bytes = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Send the page, or have it made and remember it."""
        request, address = _kept_request(scope)
        versions = await _versions().read() if address else None
        if request is None or address is None or versions is None:
            await self._application(scope, receive, send)
            return
        page = self._found(address, versions)
        if page is not None and await _send(page, request, send):
            return
        answer = _Answer(send)
        await self._application(scope, receive, answer)
        kept = scope.get(KEPT)
        if kept is not None and scope["method"] == "GET" and answer.is_whole:
            self._remember(Page(kept, answer.headers, b"".join(answer.parts)))

    def _found(self, address: Address, versions: Versions) -> Page | None:
        for key in address.keys:
            page = self._pages.get(key)
            if page is not None and page.kept.answers(address, versions):
                self._pages.move_to_end(key)
                return page
        return None

    def _remember(self, page: Page) -> None:
        old = self._pages.pop(page.kept.key, None)
        self._bytes += len(page.body) - (len(old.body) if old else 0)
        self._pages[page.kept.key] = page
        while self._bytes > MEMORY:
            _, dropped = self._pages.popitem(last=False)
            self._bytes -= len(dropped.body)


class _Answer:
    """Passes an answer on, and keeps it when it is a whole page."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.headers: list[tuple[bytes, bytes]] = []
        self.parts: list[bytes] = []
        self._is_page = self.is_whole = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.headers = list(message["headers"])
            names = {name.lower() for name, _ in self.headers}
            self._is_page = message["status"] == 200 and b"set-cookie" not in names
        elif self._is_page:
            self.parts.append(message.get("body", b""))
            self.is_whole = not message.get("more_body", False)
        await self._send(message)


def _kept_request(scope: Message) -> tuple[ASGIRequest | None, Address | None]:
    """The request and the address of the page that it is for, if that may be a kept one."""
    if scope.get("method") not in ("GET", "HEAD"):
        return None, None
    try:
        request = ASGIRequest(scope, io.BytesIO())
        return request, address_of(request)
    except (SuspiciousOperation, ValueError):  # Django says what is wrong with it
        return None, None


async def _send(page: Page, request: ASGIRequest, send: Send) -> bool:
    """Send a page, or that the client has it already; False where Django has to refuse a condition."""
    etag = next((v.decode() for n, v in page.headers if n.lower() == b"etag"), None)
    conditional = get_conditional_response(request, etag=etag)
    status, headers = 200, page.headers
    body = page.body if request.method == "GET" else b""
    if conditional is not None:
        if conditional.status_code != 304:
            return False
        status, body = 304, b""
        headers = [pair for pair in headers if pair[0].lower() not in _OF_BODIES]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    return True
