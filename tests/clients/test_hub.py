"""moondream_hub.py waits where a hub asks for it."""

import email.utils
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from leaderboard import moondream_hub as hub


class Hub(ThreadingHTTPServer):
    """Answers with what is in `script`, one entry a request: a status and a Retry-After."""

    script: list[tuple[int, str | None]]
    bodies: list[bytes]


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        status, wait = self.server.script.pop(0) if self.server.script else (200, None)
        self.send_response(status)
        if wait is not None:
            self.send_header("Retry-After", wait)
        self.end_headers()
        self.wfile.write(b'{"title": "told", "id": "1"}')

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Hub]:
    made = Hub(("127.0.0.1", 0), _Handler)
    made.script, made.bodies = [], []
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr("leaderboard.moondream_hub.time.sleep", slept.append)
    return slept


def board(server: Hub) -> hub.Board:
    return hub.Board(f"http://127.0.0.1:{server.server_port}", "b", key="mdh_x")


def test_the_documented_submit_loop_outlives_429_and_503(server: Hub, waits: list[float]) -> None:
    server.script = [(429, "7"), (503, "2"), (429, None)]
    made = board(server).submit([{"id": "1"}], model_name="m", wait=False)
    assert made["id"] == "1"
    assert len(server.bodies) == 4
    assert len(set(server.bodies)) == 1  # the same predictions, whole, each time
    for waited, asked in zip(waits, (7, 2, 4), strict=True):
        assert asked <= waited <= 1.2 * asked


def test_a_date_is_waited_for(server: Hub, waits: list[float]) -> None:
    server.script = [(429, email.utils.formatdate(time.time() + 30, usegmt=True))]
    board(server).about()
    assert 28 <= waits[0] <= 37


def test_it_gives_up_in_bounds(server: Hub, waits: list[float]) -> None:
    server.script = [(429, "1")] * 20
    with pytest.raises(hub.HubError) as told:
        board(server).about()
    assert told.value.status == 429
    assert len(server.bodies) == 8
    # Longer than its patience it does not wait at all.
    server.script, server.bodies = [(429, "100000")], []
    with pytest.raises(hub.HubError):
        board(server).about()
    assert len(server.bodies) == 1


def test_other_refusals_are_told_at_once(server: Hub, waits: list[float]) -> None:
    for status in (400, 403, 404, 500):
        server.script = [(status, "1")]
        with pytest.raises(hub.HubError):
            board(server).about()
    assert not waits


@pytest.mark.parametrize(
    "value", [None, "", "soon", "-5", "0", "9" * 400, "Mon, 99 Foo 2020", "1e9"]
)
def test_an_odd_retry_after_never_raises(value: str | None) -> None:
    assert 1 <= hub.retry_after(value, 1) <= 110_000
