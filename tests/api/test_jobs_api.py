"""`/v1/jobs`: asking without waiting, following, resuming, cancelling; and everybody's bad input."""

import json
from io import BytesIO
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient, Client
from PIL import Image

from inference import services, stream
from inference.models import Job, StoredImage
from inference.world.samples import sample_bytes
from pricing import throttling
from tests.images import data_url, encode, plain

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _variants(db: None, settings, tmp_path) -> None:
    settings.IMAGE_STORE_DIR = tmp_path / "images"
    services.variants_sync()


def _upload(data: bytes, name: str = "a.png") -> BytesIO:
    file = BytesIO(data)
    file.name = name
    return file


def _create(client: Client, **form: Any) -> Any:
    return client.post("/v1/jobs", {"skill": "caption", "sample": "night", **form})


def _error(response: Any) -> dict[str, Any]:
    body: dict[str, Any] = response.json()["error"]
    assert set(body) >= {"message", "type", "code"}
    assert body["message"]
    return body


def test_a_job_is_created_answered_and_read(client: Client) -> None:
    created = _create(client)
    assert created.status_code == 202
    job = created.json()
    assert job["status"] == "queued"
    services.job_run(job_id=job["id"], worker="w")
    read = client.get(f"/v1/jobs/{job['id']}").json()
    assert read["status"] == "succeeded"
    assert read["result"]["caption"]
    assert read["timings"]["total_ms"] > 0


def test_an_upload_can_be_asked_again_by_its_id(client: Client) -> None:
    first = client.post(
        "/v1/jobs", {"skill": "point", "object": "star", "image": _upload(sample_bytes("night"))}
    ).json()
    again = client.post(
        "/v1/jobs", {"skill": "detect", "object": "star", "image_id": first["image_id"]}
    )
    assert again.json()["image_id"] == first["image_id"]
    assert StoredImage.objects.count() == 1
    gone = client.post("/v1/jobs", {"skill": "caption", "image_id": "0" * 64})
    assert (gone.status_code, _error(gone)["code"]) == (400, "image_gone")


def test_the_idempotency_key_holds_per_caller(client: Client) -> None:
    headers = {"Idempotency-Key": "abc"}
    form = {"skill": "caption", "sample": "night"}
    first, again = (client.post("/v1/jobs", form, headers=headers) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    other = client.post("/v1/jobs", {**form, "length": "long"}, headers=headers)
    assert (other.status_code, _error(other)["code"]) == (409, "idempotency_conflict")
    elsewhere = client.post("/v1/jobs", form, headers=headers, REMOTE_ADDR="198.51.100.7")
    assert elsewhere.json()["id"] != first.json()["id"]


def test_cancelling_is_safe_to_repeat(client: Client) -> None:
    job = _create(client).json()
    for _ in range(2):
        assert client.post(job["cancel_url"]).json()["status"] == "cancelled"
    services.job_run(job_id=job["id"], worker="w")
    assert client.get(f"/v1/jobs/{job['id']}").json()["status"] == "cancelled"


async def _events(path: str, headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
    response: Any = await AsyncClient().get(path, headers=headers)
    assert response["Content-Type"] == "text/event-stream"
    assert "no-transform" in response["Cache-Control"]
    text = "".join([chunk.decode() async for chunk in response.streaming_content])
    events = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if lines:
            events.append({**lines, "data": json.loads(lines["data"])})
    return events


@pytest.mark.django_db(transaction=True)
async def test_events_can_be_read_again_from_where_a_reader_stopped(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    created = await async_client.post("/v1/jobs", {"skill": "caption", "sample": "night"})
    job = created.json()
    await sync_to_async(services.job_run)(job_id=job["id"], worker="w")
    everything = await _events(job["events_url"])
    assert [e["event"] for e in everything][-1] == "result"
    tokens = [e for e in everything if e["event"] == "token"]
    middle = tokens[len(tokens) // 2]
    rest = await _events(job["events_url"], {"Last-Event-ID": middle["id"]})
    assert rest == everything[everything.index(middle) + 1 :]
    # A made-up id is not believed, and not fatal.
    assert await _events(job["events_url"], {"Last-Event-ID": "x'; DROP"}) == everything

    # Once the stream has expired the saved job still tells the end.
    for key in stream.client().scan_iter(f"{settings.REDIS_PREFIX}job:*"):
        stream.client().delete(key)
    monkeypatch.setattr(stream, "_BLOCK_MS", 50)
    late = await _events(job["events_url"])
    assert [e["event"] for e in late] == ["result"]
    assert late[0]["data"]["result"] == everything[-1]["data"]["result"]
    await sync_to_async(connections.close_all)()


BAD_FILES = [
    pytest.param(b"", 400, "empty_image", id="0-bytes"),
    pytest.param(b"not an image", 415, "unsupported_image", id="text"),
    pytest.param(plain()[:-300], 400, "broken_image", id="truncated"),
    pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "unsupported_image", id="svg"),
    pytest.param(bytes(21 * 1024 * 1024), 413, "image_too_large", id="21MB"),
    pytest.param(encode(Image.new("RGB", (20_000, 10)), "PNG"), 400, "image_shape", id="20000x10"),
    pytest.param(
        encode(Image.new("1", (9000, 9000)), "PNG"), 413, "too_many_pixels", id="too-many-pixels"
    ),
]


@pytest.mark.parametrize(("data", "status", "code"), BAD_FILES)
def test_a_bad_file_is_refused_and_leaves_nothing(client, settings, data, status, code) -> None:
    answer = client.post("/v1/jobs", {"skill": "caption", "image": _upload(data)})
    if not data:
        # An empty upload is no upload for a form: the answer says an image is needed.
        assert answer.status_code == 400
        assert _error(answer)["code"] in ("image_required", "empty_image")
    else:
        assert (answer.status_code, _error(answer)["code"]) == (status, code)
        assert _error(answer)["hint"]
    assert not Job.objects.exists()
    assert not StoredImage.objects.exists()
    assert not [p for p in settings.IMAGE_STORE_DIR.rglob("*") if p.is_file()]


@pytest.mark.parametrize(("data", "status", "code"), BAD_FILES)
def test_a_bad_data_url_likewise(client: Client, data: bytes, status: int, code: str) -> None:
    answer = client.post(
        "/v1/caption", {"image_url": data_url(data)}, content_type="application/json"
    )
    assert (answer.status_code, _error(answer)["code"]) == (status, code)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({"skill": "segment"}, 400, "unsupported_skill"),
        ({"skill": ""}, 400, "unsupported_skill"),
        ({"skill": "caption", "length": "huge"}, 400, "bad_length"),
        ({"skill": "caption", "sample": "../../etc/passwd"}, 400, "unknown_sample"),
        ({"skill": "caption", "sample": ""}, 400, "image_required"),
        ({"skill": "query", "question": "   "}, 400, "question_required"),
        ({"skill": "query", "question": "?" * 5000}, 400, "question_too_long"),
        ({"skill": "detect"}, 400, "object_required"),
        ({"skill": "caption", "settings": "{"}, 400, "bad_settings"),
        ({"skill": "caption", "settings": "[1]"}, 400, "bad_settings"),
        ({"skill": "caption", "settings": '{"a":' * 60_000}, 400, "bad_settings"),
        ({"skill": "caption", "settings": '{"seed": ' + "9" * 900 + "}"}, 400, "bad_settings"),
        ({"skill": "caption", "settings": '{"top_p": NaN}'}, 400, "bad_settings"),
        ({"skill": "caption", "settings": '{"top_p": 1e999}'}, 400, "bad_settings"),
        ({"skill": "caption", "settings": '{"temperature": 5}'}, 400, "bad_settings"),
        ({"skill": "caption", "settings": '{"max_tokens": "many"}'}, 400, "bad_settings"),
        ({"skill": "caption", "variant": "nothing"}, 404, "variant_not_found"),
        ({"skill": "caption", "variant": "a\x00b"}, 400, "bad_request"),
    ],
)
def test_a_bad_form(client: Client, form: dict[str, str], status: int, code: str) -> None:
    answer = client.post("/v1/jobs", {"sample": "night", **form})
    assert (answer.status_code, _error(answer)["code"]) == (status, code)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "bad_json"),
        (b"\xff\xfe", "application/json", 400, "bad_json"),
        (b"[]", "application/json", 400, "invalid_field"),
        (b"null", "application/json", 400, "invalid_field"),
        (b"{}", "application/json", 400, "invalid_field"),
        (b'{"image_url": 5}', "application/json", 400, "invalid_field"),
        (b"image_url=x", "application/x-www-form-urlencoded", 415, "unsupported_content_type"),
        (b"hello", "text/plain", 415, "unsupported_content_type"),
        (b'{"image_url": "data:image/png;base64,%%%"}', "application/json", 400, "bad_image_url"),
        (b'{"image_url": "https://example.org/a.png"}', "application/json", 400, "remote_image"),
        (b'{"image_url": "x", "length": "huge"}', "application/json", 400, "invalid_field"),
        (b'{"image_url": "x", "settings": 3}', "application/json", 400, "invalid_field"),
    ],
)
def test_a_bad_body(client: Client, body: bytes, kind: str, status: int, code: str) -> None:
    answer = client.post("/v1/caption", body, content_type=kind)
    assert (answer.status_code, _error(answer)["code"]) == (status, code)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"question": "Why?", "reasoning": True, "stream": True}, "unsupported_reasoning"),
        ({"question": "Why?", "image_url": None}, "image_required"),
        ({"question": "Why?", "spatial_refs": [[0.5]]}, "bad_spatial_refs"),
        ({"question": "Why?", "spatial_refs": [[0.5, 7]]}, "bad_spatial_refs"),
        ({"question": "Why?", "settings": {"top_p": -1}}, "bad_settings"),
    ],
)
def test_what_the_model_cannot_do_is_said_before_a_stream_begins(client, body, code) -> None:
    url = data_url(sample_bytes("night"))
    answer = client.post("/v1/query", {"image_url": url, **body}, content_type="application/json")
    assert (answer.status_code, _error(answer)["code"]) == (400, code)


@pytest.mark.parametrize(
    "question",
    [
        "'; DROP TABLE inference_job; --",
        "<script>alert(1)</script>",
        "\u202e\ud7ff 漢字 🙂",
        "%s {0}",
    ],
)
def test_hostile_prompts_are_only_text(client: Client, question: str) -> None:
    created = _create(client, skill="query", question=question)
    assert created.status_code == 202
    services.job_run(job_id=created.json()["id"], worker="w")
    assert client.get(f"/v1/jobs/{created.json()['id']}").json()["status"] == "succeeded"


def test_a_prompt_with_a_nul_is_refused(client: Client) -> None:
    created = _create(client, skill="query", question="Why\u0000?")
    assert (created.status_code, _error(created)["code"]) == (400, "bad_request")
    assert not Job.objects.exists()


def test_no_such_job(client: Client) -> None:
    for method, path in (("get", ""), ("post", "/cancel"), ("get", "/events")):
        answer = getattr(client, method)(f"/v1/jobs/00000000-0000-0000-0000-000000000000{path}")
        assert (answer.status_code, _error(answer)["code"]) == (404, "job_not_found")
    assert client.get("/v1/jobs/not-a-uuid").status_code == 400
    assert _error(client.get("/v1/nothing"))["code"] == "not_found"


def test_wrong_method(client: Client) -> None:
    answer = client.get("/v1/caption")
    assert (answer.status_code, _error(answer)["code"]) == (405, "method_not_allowed")
    assert answer["Allow"] == "POST"


def test_too_many_questions_from_one_address(client: Client, monkeypatch) -> None:
    monkeypatch.setattr(throttling, "hit", lambda *_, **__: 7)
    answer = _create(client)
    assert (answer.status_code, _error(answer)["code"]) == (429, "rate_limited")
    assert answer["Retry-After"] == "7"


def test_a_full_queue_says_when_to_come_back(client: Client, settings) -> None:
    settings.INFERENCE_MAX_QUEUE_DEPTH = 0
    answer = _create(client)
    assert (answer.status_code, _error(answer)["code"]) == (429, "queue_full")
    assert int(answer["Retry-After"]) > 0


def test_the_queue_is_away(client: Client, monkeypatch) -> None:
    import redis

    from inference import selectors

    def away(_: str) -> int:
        raise redis.exceptions.ConnectionError("refused")

    monkeypatch.setattr(selectors, "queue_depth", away)
    answer = _create(client)
    assert (answer.status_code, _error(answer)["code"]) == (503, "queue_unavailable")
    assert not Job.objects.exists()


def test_reads_are_cheap(client: Client, django_assert_max_num_queries) -> None:
    job = _create(client).json()
    with django_assert_max_num_queries(1):
        client.get(f"/v1/jobs/{job['id']}")
    with django_assert_max_num_queries(1):
        client.get("/v1/variants")
    with django_assert_max_num_queries(9):
        _create(client)


def test_json_is_plain_ascii(client: Client) -> None:
    """One client decodes each network chunk by itself: a split character would be lost."""
    assert client.get("/v1/variants").content.isascii()
    job = _create(client, skill="query", question="漢字?").json()
    assert client.get(f"/v1/jobs/{job['id']}").content.isascii()
