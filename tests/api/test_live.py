"""What only a running stack can show: lost workers, cancelled readers, and staying alive."""

import itertools
import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from inference.world.samples import sample_bytes
from tests.images import data_url, encode
from tests.live import LiveStack

pytestmark = pytest.mark.live
NIGHT = data_url(sample_bytes("night"), "image/webp")
_PATIENCE_S = 90


@pytest.fixture(autouse=True)
def _one_worker_and_an_empty_queue(live_stack: LiveStack) -> Iterator[None]:
    """Tests that stop the worker or fill the queue neither meet others' questions nor hurt later tests."""
    live_stack.wait_until_idle()
    yield
    live_stack.restore_worker()


def _submit(stack: LiveStack, **form: str) -> dict[str, Any]:
    boundary = "----test"
    fields = {"skill": "caption", "sample": "night", "length": "long", **form}
    body = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'
        for k, v in fields.items()
    )
    request = urllib.request.Request(
        f"{stack.base_url}/v1/jobs",
        f"{body}--{boundary}--\r\n".encode(),
        {"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        job: dict[str, Any] = json.load(response)
    return job


def _follow(stack: LiveStack, job: dict[str, Any], until: str = "") -> list[dict[str, Any]]:
    """Events of a job to its end, or up to and with the first of type `until`."""
    deadline = time.monotonic() + _PATIENCE_S
    events: list[dict[str, Any]] = []
    current: dict[str, Any] = {}
    with urllib.request.urlopen(stack.base_url + job["events_url"], timeout=60) as response:
        for raw in response:
            # A stream of a job that nobody answers never falls silent: it says that it waits.
            assert time.monotonic() < deadline, f"no end after {_PATIENCE_S} s: {events}"
            line = raw.decode().rstrip("\n")
            if line.startswith("event: "):
                current["type"] = line[7:]
            elif line.startswith("data: "):
                current["data"] = json.loads(line[6:])
            elif not line and current:
                events.append(current)
                if current["type"] == until:
                    return events
                current = {}
    return events


def _tokens(events: list[dict[str, Any]]) -> str:
    return "".join(e["data"]["text"] for e in events if e["type"] == "token")


def test_a_killed_workers_job_is_answered_once(live_stack: LiveStack) -> None:
    whole = _follow(live_stack, _submit(live_stack))[-1]["data"]["result"]["caption"]
    job = _submit(live_stack)
    _follow(live_stack, job, until="token")
    live_stack.kill_worker()
    live_stack.start_worker()
    events = _follow(live_stack, job)
    assert [e["type"] for e in events].count("result") == 1
    assert events[-1]["data"]["result"]["caption"] == whole
    assert _tokens(events) == whole, "nothing was said twice"
    assert live_stack.get(f"/v1/jobs/{job['id']}")["status"] == "succeeded"


def test_a_worker_that_is_stopped_finishes_what_it_has(live_stack: LiveStack) -> None:
    job = _submit(live_stack)
    _follow(live_stack, job, until="token")
    live_stack.end_worker()
    events = _follow(live_stack, job)
    live_stack.bring_back_worker()
    assert events[-1]["type"] == "result"
    assert events[-1]["data"]["attempt"] == 1


def test_a_worker_without_time_hands_back_what_it_has(live_stack: LiveStack) -> None:
    """Whatever was running when the time was up is answered by the next worker, and all of it once."""
    live_stack.end_worker()
    live_stack.bring_back_worker(INFERENCE_SHUTDOWN_S="0.05", INFERENCE_BATCH="1")
    jobs = [_submit(live_stack) for _ in range(20)]
    _follow(live_stack, jobs[2], until="token")
    live_stack.end_worker()
    told = [live_stack.get(f"/v1/jobs/{job['id']}")["status"] for job in jobs]
    # How many are answered before the signal is seen depends on what else the machine does.
    assert "succeeded" not in told[-3:], "it stopped in the middle"
    live_stack.bring_back_worker()
    for job in jobs:
        events = _follow(live_stack, job)
        assert [e["type"] for e in events].count("result") == 1
        assert _tokens(events) == events[-1]["data"]["result"]["caption"], "nothing was said twice"


def test_a_worker_above_its_memory_limit_is_replaced(live_stack: LiveStack) -> None:
    live_stack.end_worker()
    # Any process that holds the model is above it. A fresh one has to load it within the job's time.
    live_stack.start_worker(
        INFERENCE_WORKER_MEMORY_MB="100",
        INFERENCE_JOB_TIME_LIMIT_S="60",
        INFERENCE_VISIBILITY_TIMEOUT_S="70",
    )
    processes = []
    for _ in range(2):
        job = _submit(live_stack)
        _follow(live_stack, job, until="token")
        processes.append(live_stack.worker_processes())
        events = _follow(live_stack, job)
        assert [e["type"] for e in events].count("result") == 1
        assert events[-1]["data"]["attempt"] == 1
        assert live_stack.get(f"/v1/jobs/{job['id']}")["status"] == "succeeded"
    for before, after in itertools.pairwise(processes):
        assert before - after, "the one that answered is gone"
        assert after - before, "another took its place"


def test_a_running_job_can_be_cancelled(live_stack: LiveStack) -> None:
    # Sampling at a high temperature rarely ends early: there is time to cancel.
    job = _submit(
        live_stack,
        settings=json.dumps({"temperature": 2, "top_p": 1, "max_tokens": 300, "seed": 1}),
    )
    _follow(live_stack, job, until="token")
    live_stack.post(job["cancel_url"], {})
    events = _follow(live_stack, job)
    assert events[-1]["type"] == "cancelled", events[-1]
    assert live_stack.get(f"/v1/jobs/{job['id']}")["status"] == "cancelled"


def test_a_reader_who_leaves_cancels(live_stack: LiveStack) -> None:
    before = time.time()
    request = urllib.request.Request(
        f"{live_stack.base_url}/v1/caption",
        json.dumps({
            "image_url": NIGHT, "stream": True,
            "settings": {"temperature": 2, "top_p": 1, "max_tokens": 350, "seed": 2},
        }).encode(),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=20) as response:
        lines = (line for line in response if not line.startswith(b":"))
        assert next(lines).startswith(b"data: ")
    assert time.time() - before < 20
    # The worker is free again for the next question at once.
    code, body = live_stack.post("/v1/query", {"image_url": NIGHT, "question": "Is there a star?"})
    assert code == 200, body


def test_the_worker_lives_through_every_bad_image(live_stack: LiveStack) -> None:
    from PIL import Image

    for bad in (b"", b"x" * 100, sample_bytes("night")[:500], b"<svg/>", bytes(22_000_000)):
        code, body = live_stack.post("/v1/caption", {"image_url": data_url(bad)})
        assert 400 <= code < 500
        assert body["error"]["message"]
    tiny = data_url(encode(Image.new("RGB", (1, 1))))
    assert live_stack.post("/v1/caption", {"image_url": tiny})[0] == 200
    code, body = live_stack.post("/v1/caption", {"image_url": "x" * 40_000_000})
    assert code == 413
    assert live_stack.post("/v1/caption", {"image_url": NIGHT})[0] == 200


def test_pages_answer(live_stack: LiveStack) -> None:
    for path in ("/", "/product/", "/research/", "/pricing/", "/docs/", "/playground/", "/status/"):
        with urllib.request.urlopen(live_stack.base_url + path) as response:
            assert response.read().count(b"<h1") == 1, path


def test_a_worker_keeps_its_connection_and_takes_another_when_that_is_cut(
    live_stack: LiveStack,
) -> None:
    question = {"image_url": NIGHT, "question": "Is there a star?"}

    def backends() -> set[int]:
        with psycopg.connect(live_stack.admin_url) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s", [live_stack.database]
            )
            return {row[0] for row in rows}

    assert live_stack.post("/v1/query", question)[0] == 200
    before = backends()
    for _ in range(3):
        assert live_stack.post("/v1/query", question)[0] == 200
    assert backends() == before, "nobody connected anew"
    with psycopg.connect(live_stack.admin_url, autocommit=True) as connection:
        for pid in before:
            connection.execute("SELECT pg_terminate_backend(%s)", [pid])
    assert live_stack.post("/v1/query", question)[0] == 200
    assert not backends() & before
