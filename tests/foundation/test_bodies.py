"""Bounds on the bodies of requests."""

import asyncio
import json
from typing import Any

import pytest

from moondream_site import bodies
from moondream_site.bodies import MB, BoundedBodies


async def _hold(scope: Any, receive: Any, send: Any) -> None:
    """Reads the whole body, as Django does, then answers with its length."""
    read = 0
    while True:
        message = await receive()
        read += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    waits = scope.get("until")
    if waits is not None:
        await waits.wait()
    length = dict(scope["headers"]).get(b"content-length", b"")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d %s" % (read, length)})


def _scope(path: str = "/v1/query", client: str = "198.51.100.1", **headers: str) -> dict[str, Any]:
    named = [(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()]
    return {"type": "http", "path": path, "client": (client, 1), "headers": named}


async def _send(
    app: BoundedBodies, scope: dict[str, Any], chunks: list[bytes], pause_s: float = 0
) -> tuple[int, dict[bytes, bytes], bytes]:
    left = list(chunks)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause_s)
        body = left.pop(0) if left else b""
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def one(scope: dict[str, Any], chunks: list[bytes], pause_s: float = 0) -> Any:
    return asyncio.run(_send(BoundedBodies(_hold), scope, chunks, pause_s))


def test_a_declared_length_is_refused_at_once() -> None:
    for length in (33 * MB, 10**30):
        status, headers, body = one(_scope(content_length=str(length)), [b""])
        assert status == 413
        assert headers[b"content-type"] == b"application/json"
        assert json.loads(body)["error"]["code"] == "body_too_large"


def test_chunks_are_counted() -> None:
    status, _, body = one(_scope(transfer_encoding="chunked"), [bytes(MB)] * 33)
    assert status == 413
    assert json.loads(body)["error"]["code"] == "body_too_large"


def test_a_body_without_a_length_gets_one() -> None:
    """Django takes it for empty otherwise, and its own limits do not see it."""
    status, _, body = one(_scope(transfer_encoding="chunked"), [b"abc", b"de"])
    assert (status, body) == (200, b"5 5")


def test_a_form_may_hold_a_file_of_predictions() -> None:
    from leaderboard.scoring import MAX_BYTES

    form = {"content_type": "multipart/form-data; boundary=x"}
    path = "/api/leaderboards/b/submissions"
    assert one(_scope(path, **form), [bytes(MB)] * (MAX_BYTES // MB))[0] == 200
    status, headers, body = one(_scope(path, **form), [bytes(MB)] * (MAX_BYTES // MB + 2))
    assert status == 413
    assert headers[b"content-type"] == b"application/problem+json"
    assert json.loads(body)["type"] == "urn:moondream:problem:body_too_large"
    status, headers, _ = one(
        _scope("/playground/", accept="text/html", content_length=str(99 * MB)), [b""]
    )
    assert (status, headers[b"content-type"]) == (413, b"text/html; charset=utf-8")


def test_a_slow_body_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_S", 0.3)
    monkeypatch.setattr(bodies, "_DRAIN_S", 0.1)
    status, _, body = one(_scope(), [b"x"] * 100, pause_s=0.05)
    assert status == 408
    assert json.loads(body)["error"]["code"] == "body_too_slow"


def test_many_large_bodies_wait_or_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """32 uploads at once are held to the budget; small requests pass meanwhile."""
    monkeypatch.setattr(bodies, "PATIENCE_S", 0.2)
    monkeypatch.setattr(bodies, "_DRAIN_S", 0.1)

    async def run() -> None:
        app, until = BoundedBodies(_hold), asyncio.Event()
        block = bytes(MB)

        def start(client: str, size: int) -> Any:
            scope = _scope(client=client, content_length=str(size * MB)) | {"until": until}
            return asyncio.create_task(_send(app, scope, [block] * size))

        tasks = [start(f"198.51.100.{n}", 20) for n in range(32)]
        await asyncio.sleep(1)
        held = sum(not t.done() for t in tasks)
        assert held * 20 * MB <= bodies.IN_FLIGHT_BYTES
        assert held == 12
        small = await _send(app, _scope(), [b"x" * 1000])
        assert small[0] == 200
        until.set()
        answers = [await t for t in tasks]
        refused = [a for a in answers if a[0] == 503]
        assert len(refused) == 20
        assert all(int(a[1][b"retry-after"]) >= 1 for a in refused)
        assert app._held.total == 0  # and all of it is given back
        # One network alone gets half.
        until.clear()
        tasks = [start(f"2001:db8::{n:x}", 20) for n in range(12)]
        await asyncio.sleep(1)
        assert sum(not t.done() for t in tasks) == 6
        until.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())


def test_what_is_let_go_makes_room() -> None:
    """A caller who waits for an answer no longer holds the image."""
    held: list[int] = []

    async def view(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        held.append(app._held.total)
        scope["body_done"]()
        held.append(app._held.total)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = BoundedBodies(view)
    asyncio.run(_send(app, _scope(), [bytes(MB)]))
    assert held == [MB - bodies.FREE_BYTES, 0]


def test_room_that_becomes_free_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "IN_FLIGHT_BYTES", 2 * MB)

    async def run() -> None:
        app, until = BoundedBodies(_hold), asyncio.Event()
        first = asyncio.create_task(_send(app, _scope() | {"until": until}, [bytes(MB)]))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(_send(app, _scope(), [bytes(MB)]))
        await asyncio.sleep(0.2)
        assert not second.done()
        until.set()
        assert (await second)[0] == 200
        await first

    asyncio.run(run())
