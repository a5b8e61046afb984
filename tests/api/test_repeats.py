"""Idempotency-Key: what a repeated request gets, and which keys are kept."""

import json
import socket
import time
import urllib.request
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import Client

from inference import answering, errors, selectors, services, stream
from inference.errors import DomainError, ErrorKind
from inference.models import Job
from inference.services import settling
from inference.world.samples import sample_bytes
from pricing.services import key_make
from tests.images import data_url
from tests.live import LiveStack

URL = data_url(sample_bytes("night"))
FORM = {"skill": "caption", "sample": "night"}


@pytest.fixture(autouse=True)
def _variants(db: None, settings: Any, tmp_path: Any) -> None:
    settings.IMAGE_STORE_DIR = tmp_path
    services.variants_sync()


def _made(client: Client, **form: str) -> dict[str, Any]:
    answer = client.post("/v1/jobs", {**FORM, **form}, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 202
    job: dict[str, Any] = answer.json()
    return job


def _change(job: dict[str, Any], **fields: Any) -> None:
    Job.objects.filter(pk=job["id"]).update(**fields)


def test_what_is_on_its_way_or_answered_is_given_again(client: Client) -> None:
    first = _made(client)
    assert _made(client)["id"] == first["id"]
    _change(first, status=Job.Status.RUNNING)
    assert _made(client)["id"] == first["id"]
    _change(first, status=Job.Status.SUCCEEDED, result={"caption": "A star."})
    assert _made(client)["result"] == {"caption": "A star."}
    assert Job.objects.count() == 1


def test_a_cancelled_job_is_asked_anew(client: Client) -> None:
    first = _made(client)
    client.post(first["cancel_url"])
    second = _made(client)
    assert second["id"] != first["id"]
    assert second["status"] == "queued"
    assert _made(client)["id"] == second["id"]
    # The first one is still there for who has its id.
    assert client.get(f"/v1/jobs/{first['id']}").json()["status"] == "cancelled"


def test_one_that_is_about_to_be_cancelled_too(client: Client) -> None:
    first = _made(client)
    _change(first, status=Job.Status.RUNNING)
    stream.request_cancel(first["id"])
    assert _made(client)["id"] != first["id"]


@pytest.mark.parametrize(
    ("kind", "is_given_again"),
    [
        (errors.INVALID_REQUEST, True),
        (errors.CLOUD_REFUSED, True),
        (errors.IMAGE_GONE, True),
        (errors.TIMEOUT, False),
        (errors.WORKER_LOST, False),
        (errors.INTERNAL_ERROR, False),
        (errors.CLOUD_UNREACHABLE, False),
        (errors.CLOUD_FAULT, False),
    ],
)
def test_a_fault_of_ours_is_not_the_answer(client: Client, kind: ErrorKind, is_given_again: bool) -> None:  # fmt: skip
    first = _made(client)
    settling.fail(selectors.job_get(first["id"]), kind())
    assert (_made(client)["id"] == first["id"]) is is_given_again


def test_the_key_of_a_cancelled_job_is_not_for_another_request(client: Client) -> None:
    client.post(_made(client)["cancel_url"])
    other = client.post("/v1/jobs", {**FORM, "length": "long"}, headers={"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")


def test_what_is_asked_anew_waits_like_everybody(client: Client, settings: Any) -> None:
    client.post(_made(client)["cancel_url"])
    settings.INFERENCE_MAX_QUEUE_DEPTH = 0
    answer = client.post("/v1/jobs", FORM, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 429


JSON_BODIES: dict[str, dict[str, Any]] = {
    "/v1/caption": {"image_url": URL},
    "/v1/query": {"image_url": URL, "question": "Why?"},
    "/v1/detect": {"image_url": URL, "object": "star"},
    "/v1/point": {"image_url": URL, "object": "star"},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Why?"}]},
}


@pytest.mark.parametrize("path", [*JSON_BODIES, "/v1/jobs", "/api/leaderboards/none/submissions"])
@pytest.mark.parametrize("key", ["k" * 129, "k" * 4000, "a\tb", "a\x7f"])
def test_a_key_that_cannot_be_kept_is_refused_everywhere(
    client: Client, django_user_model: Any, path: str, key: str
) -> None:
    user = django_user_model.objects.create_user("ada", "ada@example.org", "x")
    _, secret = key_make(user=user, name="k", scopes=["infer", "submit"])
    headers = {"Idempotency-Key": key, "Authorization": f"Bearer {secret}"}
    if path in JSON_BODIES:
        answer = client.post(path, JSON_BODIES[path], "application/json", headers=headers)
        error = answer.json()["error"]
    else:
        from django.core.files.uploadedfile import SimpleUploadedFile

        form = {**FORM, "model_name": "A model", "file": SimpleUploadedFile("p.jsonl", b"{}")}
        answer = client.post(path, form, headers=headers)
        error = answer.json().get("error") or answer.json()
    assert (answer.status_code, error["code"]) == (400, "bad_idempotency_key")
    assert not Job.objects.exists()


def test_the_longest_key_is_kept(client: Client) -> None:
    headers = {"Idempotency-Key": "k" * 128}
    first, again = (client.post("/v1/jobs", FORM, headers=headers).json() for _ in range(2))
    assert first["id"] == again["id"]


def test_the_reference_names_the_header(client: Client) -> None:
    paths = client.get("/api/openapi.json").json()["paths"]
    for path in (*JSON_BODIES, "/v1/jobs", "/api/leaderboards/{slug}/submissions"):
        (header,) = [p for p in paths[path]["post"]["parameters"] if p["in"] == "header"]
        assert (header["name"], header["schema"]["maxLength"]) == ("Idempotency-Key", 128)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("key", ["", "k"])
async def test_who_waited_long_enough_may_come_back_with_the_key(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    await sync_to_async(services.variants_sync)()
    image = await sync_to_async(services.image_store)(data=sample_bytes("night"))
    job = await sync_to_async(services.job_submit)(
        skill="caption",
        variant_slug=None,
        image=image,
        params={},
        caller="api",
        idempotency_key=key,
    )
    monkeypatch.setattr(answering, "_limit_s", lambda: 0.2)
    with pytest.raises(DomainError) as caught:
        await answering.answer(job)
    assert caught.value.code == "timeout"
    saved = await sync_to_async(selectors.job_get)(job.id)
    assert saved.status == ("queued" if key else "cancelled")
    await sync_to_async(connections.close_all)()


@pytest.mark.live
@pytest.mark.parametrize("stream", [False, True])
def test_a_dropped_connection_and_the_same_again(live_stack: LiveStack, stream: bool) -> None:
    """The retry gets the answer of what the first request began."""
    asked = {"image_url": URL, "length": "long", "stream": stream}
    body = json.dumps(asked).encode()
    key = f"dropped-{stream}"
    head = (
        "POST /v1/caption HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Idempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", live_stack.port)) as connection:
            connection.sendall(head.encode() + body)
            time.sleep(0.03)  # it may have begun, and is not done
    first, second = (_caption(live_stack, body, key) for _ in range(2))
    assert first == second
    assert first[0]
    assert first[1]


def _caption(stack: LiveStack, body: bytes, key: str) -> tuple[str, str]:
    """A caption, streamed or not, and the job it is of."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    request = urllib.request.Request(f"{stack.base_url}/v1/caption", body, headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        text = response.read().decode()
    if not text.startswith(("data:", ":")):
        answer = json.loads(text)
        return answer["caption"], answer["request_id"]
    lines = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    return "".join(line["chunk"] for line in lines), lines[-1]["request_id"]
