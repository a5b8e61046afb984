"""Streams and callers that wait: what they hold, what ends them, and how many there may be."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, RequestFactory

from inference import errors, places, sse, stream, stream_reader
from inference.errors import Busy, DomainError
from inference.loops import PerLoop
from inference.places import Places
from inference.stream import Event
from inference.world.samples import sample_bytes
from moondream_site.handler import Handler
from moondream_site.services import free_port
from tests.images import data_url

NIGHT = data_url(sample_bytes("night"), "image/webp")
QUESTION = {"question": "Why?", "image_url": NIGHT}
PARTS = [{"type": "text", "text": "Why?"}, {"type": "image_url", "image_url": {"url": NIGHT}}]
CHAT = {"messages": [{"role": "user", "content": PARTS}]}


@pytest.fixture
def own_places(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Places:
    """Places nobody has taken: two for an address, three in all."""
    settings.STREAMS_MAX_PER_ADDRESS, settings.STREAMS_MAX = 2, 3
    own = Places()
    monkeypatch.setattr(places, "PLACES", own)
    return own


@pytest.fixture
def valkey_away(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[None]:
    """Nothing listens where streams are."""
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    monkeypatch.setattr(stream, "reader", PerLoop(stream.reader._make))
    stream.client.cache_clear()
    yield
    stream.client.cache_clear()


@pytest.mark.parametrize(
    ("named", "read_from"),
    [
        ("1700000000000-0", "1700000000000-0"),
        (f"{2**64 - 1}-{2**64 - 1}", f"{2**64 - 1}-{2**64 - 1}"),
        ("99999999999999999999-0", stream.START),
        (f"{2**64}-0", stream.START),
        (f"0-{2**64}", stream.START),
        ("1-²", stream.START),
        ("١-0", stream.START),
        ("1", stream.START),
        ("1-", stream.START),
        ("1-0\n", stream.START),
        ("$", stream.START),
        ("-1-0", stream.START),
        ("", stream.START),
    ],
)
def test_only_ids_that_the_server_takes_are_passed_on(named: str, read_from: str) -> None:
    assert stream.at(named) == read_from
    stream.client().xread({"no-such-stream": stream.at(named)})  # it would refuse others


async def test_followers_share_connections_and_miss_nothing() -> None:
    count = 30

    async def follow(name: str) -> list[int]:
        events = stream.follow(name)
        return [e.data["n"] async for e in events if e is not None]

    async def client_count() -> int:
        return len(await sync_to_async(stream.client().client_list)())

    before = await client_count()
    tasks = [asyncio.create_task(follow(f"shared-{n % 3}")) for n in range(count)]
    await asyncio.sleep(0.3)  # all of them wait now
    assert await client_count() - before <= stream_reader._CONNECTIONS + 1
    for n in range(20):
        for name in range(3):
            await sync_to_async(stream.publish)(f"shared-{name}", "token", {"n": n})
    for name in range(3):
        await sync_to_async(stream.publish)(f"shared-{name}", "result", {"n": 20})
    async with asyncio.timeout(3):  # long before the reader would look again by itself
        assert await asyncio.gather(*tasks) == [list(range(21))] * count


async def test_a_new_follower_is_heard_while_others_wait() -> None:
    first = asyncio.create_task(_last(stream.follow("old")))
    await asyncio.sleep(0.2)
    second = asyncio.create_task(_last(stream.follow("new", stream.FROM_NOW)))
    await asyncio.sleep(0.2)
    await sync_to_async(stream.publish)("new", "result", {"who": "new"})
    async with asyncio.timeout(2):
        assert (await second).data == {"who": "new"}
    await sync_to_async(stream.publish)("old", "result", {"who": "old"})
    async with asyncio.timeout(2):
        assert (await first).data == {"who": "old"}


async def test_who_comes_later_gets_all_and_who_was_there_nothing_twice() -> None:
    publish = sync_to_async(stream.publish)
    for n in range(300):  # more than one read brings
        await publish("long", "token", {"n": n})
    ahead = stream.follow("long", stream.FROM_NOW)
    first = asyncio.ensure_future(anext(ahead))
    await asyncio.sleep(0.2)
    behind = asyncio.create_task(_numbers(stream.follow("long")))
    await publish("long", "token", {"n": 300})
    seen = await first
    assert seen is not None
    assert seen.data["n"] == 300
    await publish("long", "result", {"n": 301})
    async with asyncio.timeout(2):
        assert await _numbers(ahead) == [301]
        assert await behind == list(range(302))


async def test_one_follower_after_another_needs_one_connection() -> None:
    publish, client = sync_to_async(stream.publish), sync_to_async(stream.client().info)
    await publish("warm", "result", {"n": 0})
    await _numbers(stream.follow("warm"))
    before = (await client("stats"))["total_connections_received"]
    for n in range(5):
        await publish(f"next-{n}", "result", {"n": n})
        assert await _numbers(stream.follow(f"next-{n}")) == [n]
    # One may be opened to ring while the other waits.
    assert (await client("stats"))["total_connections_received"] - before <= 1


async def test_the_end_alone_can_be_waited_for() -> None:
    publish = sync_to_async(stream.publish)
    await publish("whole", "token", {"n": 1}, after=[("stage", {"n": 0})])
    end = asyncio.create_task(_numbers(stream.follow("whole", part=stream.END)))
    await asyncio.sleep(0.1)
    await publish("whole", "result", {"n": 3}, after=[("log", {"n": 2})])
    async with asyncio.timeout(2):
        assert await end == [3]
        assert await _numbers(stream.follow("whole")) == [0, 1, 2, 3]
    await sync_to_async(stream.forget)("whole")
    assert not await sync_to_async(stream.client().exists)(
        stream.key("whole"), stream.key("whole", stream.END)
    )


async def _numbers(events: AsyncIterator[Event | None]) -> list[int]:
    return [e.data["n"] async for e in events if e is not None]


async def _last(events: AsyncIterator[Event | None]) -> Event:
    seen = [e async for e in events if e is not None]
    return seen[-1]


async def test_from_now_on_leaves_out_the_past_and_nothing_after(monkeypatch: Any) -> None:
    monkeypatch.setattr(stream, "_BLOCK_MS", 50)
    publish = sync_to_async(stream.publish)
    await publish("board", "top", {"model": "old"})
    events = stream.follow("board", stream.FROM_NOW)
    assert await anext(events) is None
    await publish("board", "top", {"model": "between two reads"})
    told = await anext(events)
    assert told is not None
    assert told.data == {"model": "between two reads"}
    await events.aclose()  # type: ignore[attr-defined]


def test_places_are_limited_by_address_and_in_all(own_places: Places) -> None:
    def ask(address: str) -> Any:
        request = RequestFactory().get("/", REMOTE_ADDR=address)
        return places.taken(request)

    with ask("10.0.0.1"), ask("10.0.0.1"):
        with pytest.raises(Busy) as refused, ask("10.0.0.1"):
            pass
        assert (refused.value.status, refused.value.code) == (429, "too_many_streams")
        assert refused.value.retry_after > 0
        with ask("10.0.0.2"):
            with pytest.raises(Busy) as refused, ask("10.0.0.3"):
                pass
            assert (refused.value.status, refused.value.code) == (503, "streams_full")
        with pytest.raises(ZeroDivisionError), ask("10.0.0.2"):
            raise ZeroDivisionError
    assert own_places.taken == 0
    # A /64 is one subscriber; an IPv4 address is itself however it is written.
    with ask("2001:db8::1"), ask("2001:db8::ffff:2"), pytest.raises(Busy), ask("2001:db8::3"):
        pass
    with ask("10.0.0.9"), ask("::ffff:10.0.0.9"), pytest.raises(Busy), ask("10.0.0.9"):
        pass
    assert own_places.taken == 0


@pytest.mark.django_db(transaction=True)
async def test_a_refused_stream_is_a_problem_and_makes_no_job(
    own_places: Places, variants: Any
) -> None:
    from inference.models import Job

    client: Any = AsyncClient()
    created = (await client.post("/v1/jobs", {"skill": "caption", "sample": "night"})).json()
    kept = [await client.get(created["events_url"]) for _ in range(2)]
    assert own_places.taken == 2
    refused = await client.get(created["events_url"])
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) > 0
    assert refused.json()["error"]["code"] == "too_many_streams"
    count = await sync_to_async(Job.objects.count)()
    asked = await client.post(
        "/v1/query", {**QUESTION, "stream": True}, content_type="application/json"
    )
    assert asked.status_code == 429
    assert await sync_to_async(Job.objects.count)() == count
    for response in kept:
        response.close()
        response.close()
    assert own_places.taken == 0
    await sync_to_async(connections.close_all)()


def test_a_stream_that_is_never_sent_gives_its_place_back(own_places: Places) -> None:
    response = sse.response(RequestFactory().get("/"), stream.follow("dropped"))
    assert own_places.taken == 1
    del response
    gc.collect()
    assert own_places.taken == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["events", "wait", "stream", "chat"])
async def test_with_valkey_away_nothing_streams_and_503_says_when_to_return(
    path: str, own_places: Places, variants: Any, request: pytest.FixtureRequest
) -> None:
    client: Any = AsyncClient()
    created = (await client.post("/v1/jobs", {"skill": "caption", "sample": "night"})).json()
    request.getfixturevalue("valkey_away")
    if path == "events":
        response = await client.get(created["events_url"])
    else:
        address = "/v1/chat/completions" if path == "chat" else "/v1/query"
        body = CHAT if path == "chat" else {**QUESTION, "stream": path == "stream"}
        response = await client.post(address, body, content_type="application/json")
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "queue_unavailable"
    assert int(response["Retry-After"]) > 0
    assert own_places.taken == 0
    await sync_to_async(connections.close_all)()


@pytest.mark.parametrize("error", [RuntimeError("secret"), errors.TIMEOUT("Told.")])
@pytest.mark.parametrize("first", [True, False])
async def test_a_stream_that_breaks_ends_with_an_error_and_is_closed(
    error: Exception, first: bool, own_places: Places
) -> None:
    async def events() -> AsyncIterator[Event | None]:
        if not first:
            yield Event("7-0", "token", {"text": "A"})
        raise error

    request = RequestFactory().get("/")
    sent, response = await _send(sse.response(request, events()))
    text = b"".join(m.get("body", b"") for m in sent).decode()
    last = [block for block in text.split("\n\n") if block][-1]
    assert last.startswith("event: error\ndata: {")
    assert "id:" not in last  # a reader resumes after the last event it saw
    assert ("timeout" if isinstance(error, DomainError) else "stream_interrupted") in last
    assert "secret" not in text
    assert sent[-1].get("more_body", False) is False
    assert response.closed
    assert own_places.taken == 0


async def test_a_client_who_leaves_frees_the_place(own_places: Places) -> None:
    ended = asyncio.Event()

    async def events() -> AsyncIterator[Event | None]:
        try:
            while True:
                yield None
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    request = RequestFactory().get("/")
    _, response = await _send(sse.response(request, events()), leave_after_s=0.1)
    assert response.closed
    assert ended.is_set()
    assert own_places.taken == 0


async def test_a_response_that_cannot_be_sent_is_closed_all_the_same() -> None:
    response = HttpResponse("text")
    closed: list[bool] = []
    response.close = lambda: closed.append(True)  # type: ignore[method-assign]

    async def broken_off(message: Any) -> None:
        raise OSError

    await _send(response, send=broken_off)
    assert closed == [True]


async def _send(
    response: Any, *, leave_after_s: float = 60, send: Any = None
) -> tuple[list[dict[str, Any]], Any]:
    """Send a response through the handler → (ASGI messages, response); the client may leave."""

    class One(Handler):
        def load_middleware(self, is_async: bool = False) -> None:
            pass

        async def get_response_async(self, request: HttpRequest) -> Any:
            return response

    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.sleep(leave_after_s)
        return {"type": "http.disconnect"}

    sent: list[dict[str, Any]] = []

    async def keep(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "scheme": "http",
        "http_version": "1.1",
    }  # fmt: skip
    async with asyncio.timeout(5):
        await One()(scope, receive, send or keep)
    return sent, response
