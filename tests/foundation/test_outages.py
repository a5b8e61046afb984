"""A web server under production's settings, beside a Valkey that is killed, silent, or back: what each
kind of request gets, and how soon. Also that whoever leaves a stream leaves nothing behind."""

import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from bench.site import Site
from inference.world.samples import sample_bytes
from moondream_site.services.embedded import Valkey
from tests.images import data_url
from tests.live import LiveStack

pytestmark = pytest.mark.live
QUESTION = json.dumps(
    {"question": "How many?", "image_url": data_url(sample_bytes("night"), "image/webp")}
)
READER = {"Cookie": "sessionid=0123456789abcdefghijklmnopqrstuv"}  # never served from kept pages
PAGES = ("/", "/leaderboards/", "/playground/", "/research/papers/", "/status/")


class Web:
    """The server, its two Valkeys, and a client of it."""

    def __init__(self, folder: Path, database: str) -> None:
        self.broker = Valkey(folder / "broker")
        self.cache = Valkey(folder / "cache", cache_mb=16)
        self.database = database
        self.site = Site(
            folder / "web",
            {
                "DATABASE_URL": database, "REDIS_URL": self.broker.start(),
                "CACHE_URL": self.cache.start(), "REDIS_PREFIX": "outages:",
                "ANON_RATE": "100000/m", "INFERENCE_MAX_QUEUE_AGE_S": "1000000", "STREAMS_MAX_PER_ADDRESS": "30",
            },
        )  # fmt: skip

    def ask(
        self, method: str, path: str, body: str = "", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        """(status, body, headers); a stream's body is left unread, its connection open."""
        link = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=20)
        kind = {"Content-Type": "application/json"} if body else {}
        link.request(method, path, body or None, {**kind, **(headers or {})})
        response = link.getresponse()
        if response.headers.get_content_type() == "text/event-stream":
            self.open.append((link, response))
            return response.status, b"", response.headers
        return response.status, response.read(), response.headers

    open: list[tuple[http.client.HTTPConnection, http.client.HTTPResponse]] = []

    def leave(self) -> None:
        """Close every stream and every request that waits."""
        for link, response in self.open:
            response.close()
            link.close()
        self.open.clear()

    def job(self) -> dict[str, Any]:
        """A new job, which nobody works on."""
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        status, body, _ = self.ask("POST", "/v1/jobs", "skill=caption&sample=night", form)
        assert status == 202, body
        made: dict[str, Any] = json.loads(body)
        return made

    def in_use(self) -> int:
        """Database connections in use, the most in the last moment."""
        return max(self.site.connections(time.time() - 0.2))

    def pages_answer(self, within_s: float = 5) -> None:
        for path in PAGES:
            started = time.monotonic()
            assert self.ask("GET", path, headers=READER)[0] == 200, path
            assert time.monotonic() - started < within_s, path

    def ready(self) -> dict[str, str]:
        """What /readyz says, older than it keeps its answer."""
        time.sleep(1.1)  # it asks the parts once a second
        status, body, _ = self.ask("GET", "/readyz")
        found: dict[str, str] = json.loads(body)
        assert status == 200
        return found


def _wait_until(happened: Any, patience_s: float = 15) -> None:
    deadline = time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def started(live_stack: LiveStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    web = Web(tmp_path_factory.mktemp("outages"), live_stack.env["DATABASE_URL"])
    try:
        with web.site:
            yield web
    finally:
        web.broker.stop()
        web.cache.stop()
        live_stack.cancel_questions()  # no worker takes this site's, and later tests wait for none


@pytest.fixture
def web(started: Web) -> Iterator[Web]:
    yield started
    started.leave()
    for valkey in (started.broker, started.cache):
        if valkey.process is not None and valkey.process.poll() is None:
            valkey.process.send_signal(signal.SIGCONT)
        else:
            valkey.start()


def _stop(valkey: Valkey, how: str) -> None:
    assert valkey.process is not None
    os.kill(valkey.process.pid, signal.SIGKILL if how == "killed" else signal.SIGSTOP)
    if how == "killed":
        valkey.process.wait()


def test_streams_hold_no_connections_whatever_id_they_name(web: Web) -> None:
    job = web.job()
    for last in ("99999999999999999999-0", "18446744073709551616-1", "1-²", "x" * 500, "0-0", ""):
        for path in (job["events_url"], "/api/leaderboards/counting/events"):
            headers = {"Last-Event-ID": last.encode("latin1", "replace").decode("latin1")}
            assert web.ask("GET", path, headers=headers)[0] in (200, 404)
    _wait_until(lambda: web.in_use() == 0)
    web.pages_answer()
    web.leave()
    _wait_until(lambda: web.in_use() == 0)


def test_places_run_out_by_address_and_come_back(web: Web) -> None:
    events = web.job()["events_url"]
    states = [web.ask("GET", events)[0] for _ in range(31)]
    assert states == [200] * 30 + [429]
    web.leave()
    _wait_until(lambda: web.ask("GET", events)[0] == 200)


def test_a_caller_who_leaves_cancels_what_was_asked_and_holds_nothing(web: Web) -> None:
    def cancelled() -> int:
        with psycopg.connect(web.database) as connection:
            found = connection.execute(
                "SELECT count(*) FROM inference_job WHERE status = 'cancelled' AND skill = 'query'"
            ).fetchone()
        assert found is not None
        return int(found[0])

    def send(headers: dict[str, str]) -> http.client.HTTPConnection:
        link = http.client.HTTPConnection("127.0.0.1", web.site.port)
        link.request("POST", "/v1/query", QUESTION, {"Content-Type": "application/json", **headers})
        return link

    before = cancelled()
    plain = [send({"X-Moondream-Auth": f"caller-{n}"}) for n in range(12)]
    returning = send({"Idempotency-Key": "comes-back"})
    time.sleep(2)  # all of them wait
    _wait_until(lambda: web.in_use() == 0)
    web.pages_answer()
    for link in (*plain, returning):
        link.close()
    _wait_until(lambda: cancelled() == before + 12)
    _wait_until(lambda: web.in_use() == 0)
    time.sleep(0.5)
    assert cancelled() == before + 12  # the one with a key may come back for its answer


@pytest.mark.parametrize("how", ["killed", "silent"])
def test_without_the_broker_the_api_says_when_to_return_and_pages_stay(web: Web, how: str) -> None:
    job = web.job()
    assert web.ask("GET", job["events_url"])[0] == 200
    _stop(web.broker, how)
    for method, path, body in (
        ("POST", "/v1/query", QUESTION),
        ("POST", "/v1/query", QUESTION.replace("{", '{"stream": true, ', 1)),
        ("GET", job["events_url"], ""),
    ):
        started = time.monotonic()
        status, text, headers = web.ask(method, path, body)
        assert time.monotonic() - started < 10
        assert status == 503, text
        assert json.loads(text)["error"]["code"] == "queue_unavailable"
        assert int(headers["Retry-After"]) > 0
    assert web.ask("POST", job["cancel_url"])[0] in (200, 503)
    # The stream that was open says so, and ends.
    _, response = web.open[0]
    text = response.read()
    assert b"stream_interrupted" in text or b"event: cancelled" in text
    web.pages_answer()
    assert web.ask("GET", "/healthz")[0] == 200
    assert web.ready() == {"status": "degraded", "database": "up", "broker": "down", "cache": "up"}
    assert b"Not working" in web.ask("GET", "/status/")[1]
    _wait_until(lambda: web.in_use() == 0)


@pytest.mark.parametrize("how", ["killed", "silent"])
def test_without_the_cache_pages_are_made_anew(web: Web, how: str) -> None:
    web.pages_answer()
    _stop(web.cache, how)
    web.pages_answer(within_s=6)
    assert web.ask("GET", "/")[0] == 200
    assert web.ask("GET", "/account/login/")[0] == 200
    assert web.job()["status"] == "queued"
    assert web.ready()["cache"] == "down"
    assert web.cache.process is not None
    if how == "silent":
        web.cache.process.send_signal(signal.SIGCONT)
    else:
        web.cache.start()
    client = redis.Redis.from_url(web.cache.url)
    _wait_until(lambda: web.ask("GET", "/")[0] == 200 and client.dbsize() > 0)


def test_the_first_requests_after_both_were_restarted_work(web: Web) -> None:
    web.pages_answer()
    job = web.job()
    assert web.ask("GET", job["events_url"])[0] == 200
    web.broker.stop()
    web.cache.stop()
    web.broker.start()
    web.cache.start()
    assert web.ask("GET", "/")[0] == 200
    web.job()
    assert web.ask("GET", job["events_url"])[0] == 200
    status, text, _ = web.ask("POST", "/v1/query", QUESTION.replace("{", '{"stream": true, ', 1))
    assert status == 200, text
    web.pages_answer()
    assert web.ready()["status"] == "ready"
