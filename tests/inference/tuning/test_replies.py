"""Replies that take longer than a client waits for a sign of life."""

import asyncio
import json
import threading
import time

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient

from inference.tuning import replies, services
from inference.tuning.models import Operation
from pricing.services import key_make
from tests.inference.tuning.test_operations import SEEN, TAUGHT

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def headers(who):
    return {"X-Moondream-Auth": key_make(user=who.user, name="k", scopes=["finetune"])[1]}


@pytest.fixture
def finetune(who, variants):
    return services.finetune_get_or_make(name="counts", rank=8, who=who)


def answered(after_s: float = 0.0) -> threading.Thread:
    """A worker that answers the next call that waits, in a thread."""

    def run() -> None:
        time.sleep(after_s)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            waiting = Operation.objects.filter(status="queued").first()
            if waiting is not None:
                services.operation_run(operation_id=waiting.pk)
                break
            time.sleep(0.02)
        connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def look(read):
    """What the database says, read in a thread of its own."""

    def run():
        try:
            return read()
        finally:
            connections.close_all()

    return sync_to_async(run, thread_sensitive=False)()


async def post(path, body, headers):
    return await AsyncClient().post(
        f"/v1/tuning/{path}", body, content_type="application/json", headers=headers
    )


async def asked(path, body, headers, after_s: float = 0.0):
    """The response to a call that is answered once its head is sent, and its body."""
    response = await post(path, body, headers)
    working = answered(after_s)
    told = b"".join([piece async for piece in response.streaming_content])
    await asyncio.to_thread(working.join)
    return response, told


async def test_blanks_come_first_and_then_the_answer(finetune, headers, monkeypatch):
    monkeypatch.setattr(replies, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(replies, "_SIGN_S", 0.05)
    request = {"finetune_id": finetune.pk, "request": SEEN, "num_rollouts": 2}
    response, body = await asked("rollouts", request, headers, after_s=0.3)
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert body.startswith(b"   ")
    told = json.loads(body)
    assert told["request"] == SEEN
    assert len(told["rollouts"]) == 2
    assert (await look(Operation.objects.get)).delivered_at is not None


async def test_what_goes_wrong_after_the_head_is_an_error_in_the_body(
    finetune, headers, monkeypatch
):
    monkeypatch.setattr(replies, "_PATIENCE_S", 0.05)
    bad = {"skill": "query", "output": {}, "finish_reason": "stop"}
    group = {"mode": "rl", "request": SEEN, "rollouts": [bad], "rewards": [1]}
    request = {"finetune_id": finetune.pk, "groups": [group]}
    response, body = await asked("train_step", request, headers)
    assert response.status_code == 200
    assert json.loads(body)["error"]["code"] == "bad_tuning_request"
    assert (await look(Operation.objects.get)).delivered_at is None


async def test_what_goes_wrong_before_it_has_its_status(finetune, headers):
    bad = {"skill": "query", "output": {}, "finish_reason": "stop"}
    group = {"mode": "rl", "request": SEEN, "rollouts": [bad], "rewards": [1]}

    working = answered()
    response = await post("train_step", {"finetune_id": finetune.pk, "groups": [group]}, headers)
    await asyncio.to_thread(working.join)
    assert response.status_code == 422
    assert response.json()["error"]["code"] == "bad_tuning_request"


async def test_a_reader_who_hangs_up_is_answered_again(finetune, headers, monkeypatch):
    """The step was trained, its answer was not received: the same request gets it."""
    monkeypatch.setattr(replies, "_PATIENCE_S", 0.05)
    request = {"finetune_id": finetune.pk, "groups": TAUGHT}
    response = await post("train_step", request, headers)
    lines = aiter(response.streaming_content)
    await anext(lines)
    await lines.aclose()  # the caller is gone
    await asyncio.to_thread(answered().join)
    response = await post("train_step", request, headers)
    body = b"".join([piece async for piece in response.streaming_content])
    assert json.loads(body)["step"] == 1
    response, body = await asked("train_step", request, headers)
    assert json.loads(body)["step"] == 2
