"""Runs against a running stack: a web server, a worker that answers, and one that trains."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from inference.engine.rewards import PRESETS
from inference.world.samples import sample_bytes
from tests.images import data_url
from tests.live import LiveStack

pytestmark = pytest.mark.live
COUNTS = {"source": "world", "preset": "counts", "count": 60, "seed": 1}
REWARD = PRESETS["count-right"].reward.to_dict()
PLAN = {"groups": 2, "group_size": 4, "max_tokens": 8, "temperature": 1.5, "refills": 0}


@pytest.fixture(scope="module")
def stack(live_stack: LiveStack) -> Iterator[LiveStack]:
    live_stack.start_trainer()
    yield live_stack
    live_stack.end_worker("trainer")


@pytest.fixture(autouse=True)
def _none_left(stack: LiveStack) -> Iterator[None]:
    """A visitor has one run at a time."""
    yield
    for run in stack.get("/v1/tuning/runs"):
        stack.post(f"/v1/tuning/runs/{run['id']}/cancel", {})


def start(stack: LiveStack, **plan: Any) -> dict[str, Any]:
    code, run = stack.post(
        "/v1/tuning/runs", {"data": COUNTS, "reward": REWARD, "settings": PLAN | plan}
    )
    assert code == 202, run
    return run


def follow(
    stack: LiveStack, run: dict[str, Any], after: str = ""
) -> Iterator[tuple[str, str, Any]]:
    """(id, kind, data) of each event, to the last."""
    headers = {"Last-Event-ID": after} if after else {}
    request = urllib.request.Request(stack.base_url + run["events_url"], headers=headers)
    with urllib.request.urlopen(request, timeout=90) as response:
        fields: dict[str, str] = {}
        for line in response:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "event" in fields:
                yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
                fields = {}


def wait_for(stack: LiveStack, run: dict[str, Any], kind: str, **which: Any) -> tuple[str, Any]:
    for key, said, data in follow(stack, run):
        if said == kind and which.items() <= data.items():
            return key, data
    raise AssertionError(f"no {kind}\n{stack.logs()}")


def state(stack: LiveStack, run: dict[str, Any]) -> dict[str, Any]:
    found = stack.get(f"/v1/tuning/runs/{run['id']}")
    assert isinstance(found, dict)
    return found


def test_a_visitor_trains_and_follows_it(stack) -> None:
    run = start(stack, steps=6)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(
            f"{stack.base_url}/v1/tuning/runs/{'0' * 8}-0000-0000-0000-{'0' * 12}"
        )
    assert refused.value.code == 404
    code, told = stack.post("/v1/tuning/runs", {"data": COUNTS, "reward": REWARD})
    assert (code, told["error"]["code"]) == (429, "too_many_runs")
    events = list(follow(stack, run))
    assert events[-1][1] == "result", events[-1]
    assert [data["step"] for _, kind, data in events if kind == "step"] == [1, 2, 3, 4, 5, 6]
    # Somebody who comes later, or again, sees the same; and the table has it when the stream is gone.
    third = next(key for key, kind, data in events if kind == "step" and data["step"] == 3)
    again = list(follow(stack, run, after=third))
    assert [data["step"] for _, kind, data in again if kind == "step"] == [4, 5, 6]
    steps = stack.get(f"/v1/tuning/runs/{run['id']}/steps")
    assert [s["step"] for s in steps] == [1, 2, 3, 4, 5, 6]
    assert stack.get(f"/v1/tuning/runs/{run['id']}/steps/2/rollouts")[0]["answers"]
    assert set(state(stack, run)["measured"]) == {"before", "after"}


@pytest.mark.parametrize("change", ["cancel", "pause"])
def test_a_worker_stops_within_two_seconds(stack, change) -> None:
    run = start(stack, steps=500, groups=8, group_size=16, max_tokens=32)
    wait_for(stack, run, "step", step=2)
    asked = time.monotonic()
    code, _ = stack.post(f"/v1/tuning/runs/{run['id']}/{change}", {})
    assert code == 200
    wished = {"cancel": "cancelled", "pause": "paused"}[change]
    while state(stack, run)["status"] != wished:
        assert time.monotonic() - asked < 10, stack.logs()
        time.sleep(0.05)
    spent = time.monotonic() - asked
    assert spent < 3  # two, and what a busy machine adds
    # The worker is free: another run of it begins.
    if change == "pause":
        code, _ = stack.post(f"/v1/tuning/runs/{run['id']}/resume", {})
        assert code == 200
        before = state(stack, run)["step"]
        wait_for(stack, run, "step", step=before + 2)
        stack.post(f"/v1/tuning/runs/{run['id']}/cancel", {})


def test_questions_do_not_wait_behind_it(stack) -> None:
    run = start(stack, steps=500, groups=8, group_size=16)
    wait_for(stack, run, "step", step=1)
    code, answer = stack.post(
        "/v1/query",
        {"image_url": data_url(sample_bytes("night")), "question": "What color is the triangle?"},
    )
    assert (code, answer["answer"]) == (200, "blue")
    assert answer["metrics"]["ttft_ms"] < 5000


def test_a_killed_worker_loses_no_stored_step(stack) -> None:
    run = start(stack, steps=40, groups=4, group_size=8)
    seen: list[tuple[str, Any]] = []
    ended = threading.Event()

    def watch() -> None:
        for _, kind, data in follow(stack, run):
            seen.append((kind, data))
        ended.set()

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    wait_for(stack, run, "checkpoint")
    stack.kill_worker("trainer")
    stored = state(stack, run)["step"]
    told = max(data["step"] for kind, data in seen if kind == "checkpoint")
    assert 40 > stored >= told > 0
    stack.start_trainer()
    assert ended.wait(90), stack.logs()
    kinds = [kind for kind, _ in seen]
    assert kinds[-1] == "result", seen[-1]
    after = [data["step"] for kind, data in seen if kind == "checkpoint" and data["step"] > stored]
    assert after == sorted(set(after))
    assert [s["step"] for s in stack.get(f"/v1/tuning/runs/{run['id']}/steps")] == list(
        range(1, 41)
    )
