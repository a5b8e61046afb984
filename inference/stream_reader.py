"""One reader of Redis Streams for all who follow one in this process.

A blocking read for each follower would take a connection each. Here one connection waits for all
streams that are followed, and hands their followers what came.
"""

import asyncio
import contextlib
import contextvars
import logging
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import redis
import redis.asyncio
from django.conf import settings

from inference import redis_client
from inference.loops import PerLoop

logger = logging.getLogger(__name__)

_BLOCK_MS = 5000
_CONNECTIONS = 8
_COUNT = 256
_AGAIN_S = 0.5
"""Between attempts to wait again, after the server was away."""


class Watch:
    """One follower of one stream, and how far it has followed it."""

    def __init__(self, reader: "StreamReader", name: str, last: str) -> None:
        self._reader, self._name = reader, name
        self.last = last
        """Id of the newest entry that was handed over."""
        self._entries: list[Any] = []
        self._error: redis.exceptions.RedisError | None = None
        self._news = asyncio.Event()

    async def entries(self, patience_s: float) -> list[Any]:
        """The next entries, waited for; none when none came in that time.

        Raises:
            RedisError: the server is away, or does not answer.
        """
        if not self._entries and self._error is None:
            await self._reader.expect(self._name, self.last)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await self._news.wait()
        self._news.clear()
        found, self._entries = self._entries, []
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return found

    def hand(self, entries: list[Any]) -> None:
        """Take what was read, as far as it is new here."""
        new = [entry for entry in entries if _order(entry[0].decode()) > _order(self.last)]
        if new:
            self.last = new[-1][0].decode()
            self._entries += new
            self._news.set()

    def fail(self, error: redis.exceptions.RedisError) -> None:
        """Have the follower told that nothing can be read."""
        self._error = error
        self._news.set()


class StreamReader:
    """For the event loop it is made in."""

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._client = redis_client.async_client(url, connections=_CONNECTIONS)
        # Written to when the blocking read has to begin again, with other streams.
        self._bell = f"{prefix}reader:{secrets.token_hex(8)}"
        self._bell_at = "0-0"
        self._watches: dict[str, set[Watch]] = {}
        self._read_to: dict[str, str] = {}
        """By stream: the entry after which it is read on, for whoever has followed it least far."""
        self._task: asyncio.Task[None] | None = None

    async def ping(self) -> None:
        await self._client.ping()

    async def last_id(self, name: str) -> str:
        """Id of a stream's newest entry."""
        newest: Any = await self._client.xrevrange(name, count=1)
        return str(newest[0][0].decode()) if newest else "0-0"

    @contextlib.contextmanager
    def watched(self, name: str, after: str) -> Iterator[Watch]:
        """Follow a stream after an id while the body runs."""
        watch = Watch(self, name, after)
        self._watches.setdefault(name, set()).add(watch)
        try:
            yield watch
        finally:
            watches = self._watches[name]
            watches.discard(watch)
            if not watches:
                del self._watches[name]
                self._read_to.pop(name, None)

    async def expect(self, name: str, after: str) -> None:
        """Have the blocking read include what comes to a stream after an id."""
        known = self._read_to.get(name)
        if known is None or _order(after) < _order(known):
            self._read_to[name] = after
            if self._task is not None:
                async with self._client.pipeline(transaction=False) as pipe:
                    pipe.xadd(self._bell, {"": ""}, maxlen=1)
                    pipe.expire(self._bell, 60)
                    await pipe.execute()
        if self._task is None:
            # It serves all requests: it must not keep the context of the one that was first.
            self._task = asyncio.create_task(self._wait(), context=contextvars.Context())

    async def _wait(self) -> None:
        """Wait for news of all streams, over and over, and hand them to their followers. It goes on for
        as long as one read blocks after the last has left: another often comes, and needs no new
        connection then."""
        # Above the time a read blocks for, or waiting would look like a lost connection.
        patience_s = _BLOCK_MS / 1000 + redis_client.ANSWER_S
        client = redis_client.async_client(self._url, connections=1, answer_s=patience_s)
        try:
            while self._watches:
                try:
                    await self._wait_once(client)
                except redis.exceptions.RedisError as error:
                    logger.warning("Streams cannot be read: %s", type(error).__name__)
                    for watch in [watch for each in self._watches.values() for watch in each]:
                        watch.fail(error)
                    await asyncio.sleep(_AGAIN_S)
        finally:
            # Before anything is waited for: who comes now must not ring for one that has ended.
            self._task = None
            await client.aclose()

    async def _wait_once(self, client: redis.asyncio.Redis) -> None:
        wanted: dict[Any, Any] = {self._bell: self._bell_at, **self._read_to}
        reply: Any = await client.xread(wanted, count=_COUNT, block=_BLOCK_MS)
        for key, entries in reply or []:
            name = key.decode()
            if name == self._bell:
                self._bell_at = entries[-1][0].decode()
            else:
                self._hand(name, entries, wanted)

    def _hand(self, name: str, entries: list[Any], wanted: Mapping[str, str]) -> None:
        """Hand entries that came after `wanted` to the followers who have all before."""
        watches = self._watches.get(name)
        if not watches:
            return
        for watch in watches:
            # Who came while this was read, and has followed less far, is served by the next read.
            if _order(watch.last) >= _order(wanted[name]):
                watch.hand(entries)
        self._read_to[name] = min((watch.last for watch in watches), key=_order)


def _order(entry_id: str) -> tuple[int, int]:
    first, _, second = entry_id.partition("-")
    return int(first), int(second)


reader = PerLoop(lambda: StreamReader(settings.REDIS_URL, settings.REDIS_PREFIX))
"""The running event loop's."""
