"""One reader of Redis Streams for all who follow one in this process.

A blocking read for each follower would take a connection each. Here one connection waits for all
streams that are followed, and tells their followers; these read what is new over a few shared ones.
"""

import asyncio
import contextlib
import contextvars
import logging
import secrets
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import redis
import redis.asyncio
from django.conf import settings

from inference import redis_client

logger = logging.getLogger(__name__)

_BLOCK_MS = 5000
_CONNECTIONS = 8
_COUNT = 256
_AGAIN_S = 0.5
"""Between attempts to wait again, after the server was away."""


class Watch:
    """One follower of one stream."""

    def __init__(self, reader: "StreamReader", name: str) -> None:
        self._reader, self._name = reader, name
        self.news = asyncio.Event()

    async def news_after(self, last: str, patience_s: float) -> bool:
        """Wait for an event after `last`; False when there was none in that time."""
        self.news.clear()
        await self._reader.expect(self._name, last)
        try:
            async with asyncio.timeout(patience_s):
                await self.news.wait()
        except TimeoutError:
            return False
        return True


class StreamReader:
    """For the event loop it is made in."""

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._client = redis_client.async_client(url, connections=_CONNECTIONS)
        # Written to when the blocking read has to begin again, with other streams.
        self._bell = f"{prefix}reader:{secrets.token_hex(8)}"
        self._bell_at = "0-0"
        self._watches: dict[str, set[Watch]] = {}
        self._seen: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    async def ping(self) -> None:
        await self._client.ping()

    async def last_id(self, name: str) -> str:
        """Id of a stream's newest entry."""
        newest: Any = await self._client.xrevrange(name, count=1)
        return str(newest[0][0].decode()) if newest else "0-0"

    async def read(self, name: str, after: str) -> list[Any]:
        """What is there after an id, without waiting."""
        reply: Any = await self._client.xread({name: after}, count=_COUNT)
        return reply[0][1] if reply else []

    @contextlib.contextmanager
    def watched(self, name: str) -> Iterator[Watch]:
        """Be told of a stream's news while the body runs."""
        watch = Watch(self, name)
        self._watches.setdefault(name, set()).add(watch)
        try:
            yield watch
        finally:
            watches = self._watches[name]
            watches.discard(watch)
            if not watches:
                del self._watches[name]
                self._seen.pop(name, None)
            if not self._watches and self._task is not None:
                self._task.cancel()
                self._task = None

    async def expect(self, name: str, last: str) -> None:
        """Have the blocking read include what comes to a stream after `last`."""
        known = self._seen.get(name)
        if known is None or _order(last) < _order(known):
            self._seen[name] = last
            if self._task is not None and not self._task.done():
                async with self._client.pipeline(transaction=False) as pipe:
                    pipe.xadd(self._bell, {"": ""}, maxlen=1)
                    pipe.expire(self._bell, 60)
                    await pipe.execute()
        if self._task is None or self._task.done():
            # It serves all requests: it must not keep the context of the one that was first.
            self._task = asyncio.create_task(self._wait(), context=contextvars.Context())

    async def _wait(self) -> None:
        """Wait for news of all streams, over and over, and tell their followers."""
        # Above the time a read blocks for, or waiting would look like a lost connection.
        patience_s = _BLOCK_MS / 1000 + redis_client.ANSWER_S
        client = redis_client.async_client(self._url, connections=1, answer_s=patience_s)
        try:
            while self._watches:
                try:
                    await self._wait_once(client)
                except redis.exceptions.RedisError as error:
                    # The followers meet the same fault when they read, and tell their clients.
                    logger.warning("Streams cannot be read: %s", type(error).__name__)
                    self._tell(self._watches)
                    await asyncio.sleep(_AGAIN_S)
        finally:
            await client.aclose()

    async def _wait_once(self, client: redis.asyncio.Redis) -> None:
        wanted: dict[Any, Any] = {self._bell: self._bell_at, **self._seen}
        reply: Any = await client.xread(wanted, count=_COUNT, block=_BLOCK_MS)
        for key, entries in reply or []:
            name, newest = key.decode(), entries[-1][0].decode()
            if name == self._bell:
                self._bell_at = newest
            elif name in self._seen:
                self._seen[name] = newest
                self._tell([name])

    def _tell(self, names: Iterable[str]) -> None:
        for name in names:
            for watch in self._watches.get(name, ()):
                watch.news.set()


def _order(entry_id: str) -> tuple[int, int]:
    first, _, second = entry_id.partition("-")
    return int(first), int(second)


_readers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, StreamReader] = (
    weakref.WeakKeyDictionary()
)


def reader() -> StreamReader:
    """The running event loop's."""
    loop = asyncio.get_running_loop()
    if loop not in _readers:
        _readers[loop] = StreamReader(settings.REDIS_URL, settings.REDIS_PREFIX)
    return _readers[loop]
