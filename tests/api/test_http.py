"""What every address under `/v1` and `/api` does of HTTP: slashes, HEAD, OPTIONS, CORS, the models."""

import asyncio
import http.client
import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient, Client

from inference import places, selectors, services
from inference.world.samples import sample_bytes
from moondream_site import bodies
from moondream_site.handler import get_handler
from tests.images import data_url
from tests.live import LiveStack

pytestmark = pytest.mark.django_db
LAB = "https://lab.example.org"


@pytest.fixture(autouse=True)
def _variants(db: None) -> None:
    services.variants_sync()


@pytest.mark.parametrize(
    "path",
    [
        "/v1/detect",
        "/v1/detect/",
        "/v1//detect",
        "http://testserver//v1//detect//",
        "/v1/detect///",
    ],
)
def test_slashes_too_many_mean_nothing(client: Client, path: str) -> None:
    body = {"image_url": data_url(sample_bytes("night")), "object": " "}
    answer = client.post(path, body, content_type="application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "object_required")


@pytest.mark.parametrize("path", ["/v1/models/", "http://testserver//v1/models", "/api//leaderboards/", "/v1/chat/completions/"])  # fmt: skip
def test_no_redirect_is_ever_sent(client: Client, path: str) -> None:
    assert client.get(path).status_code in (200, 405)
    assert client.post(path, {}, content_type="application/json").status_code in (400, 405)


@pytest.mark.parametrize("path", ["/v1/variants", "/v1/models", "/v1/models/moondream", "/api/leaderboards", "/v1/nothing"])  # fmt: skip
def test_head_is_get_without_its_body(client: Client, path: str) -> None:
    got, bare = client.get(path), client.head(path)
    assert bare.content == b""
    assert bare.status_code == got.status_code
    assert dict(bare.headers) == dict(got.headers)


@pytest.mark.django_db(transaction=True)
async def test_head_of_a_stream_does_not_begin_it(async_client: AsyncClient) -> None:
    await sync_to_async(services.variants_sync)()
    job = (await async_client.post("/v1/jobs", {"skill": "caption", "sample": "night"})).json()
    sent: list[Any] = []

    coming = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        return coming.pop() if coming else await asyncio.Event().wait()  # type: ignore[return-value]

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "HEAD", "path": job["events_url"], "query_string": b"",
        "headers": [(b"host", b"testserver")], "server": ("testserver", 80), "client": ("198.51.100.1", 1),
    }  # fmt: skip
    async with asyncio.timeout(5):  # the job is never answered: its stream would not end
        await get_handler()(scope, receive, send)
    assert (sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])) == (200, b"")
    assert dict(sent[0]["headers"])[b"Content-Type"] == b"text/event-stream"
    assert places.PLACES.taken == 0
    await sync_to_async(connections.close_all)()


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/caption", "OPTIONS, POST"),
        ("/v1/models", "GET, HEAD, OPTIONS"),
        ("/api/leaderboards/colours/check", "OPTIONS, POST"),
    ],
)
def test_options_tells_what_is_allowed(client: Client, path: str, allowed: str) -> None:
    answer = client.options(path)
    assert (answer.status_code, answer["Allow"], answer.content) == (204, allowed, b"")
    assert client.options("/v1/nothing").status_code == 404


def _preflight(client: Client, path: str, origin: str = LAB, headers: str = "") -> Any:
    asked = {
        "Origin": origin, "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": headers,
    }  # fmt: skip
    return client.options(path, headers=asked)


def test_no_page_elsewhere_may_ask_by_default(client: Client) -> None:
    for answer in (_preflight(client, "/v1/caption"), client.get("/v1/models", headers={"Origin": LAB})):  # fmt: skip
        assert "Access-Control-Allow-Origin" not in answer


def test_pages_of_named_origins_may_ask(client: Client, settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = [LAB]
    sent = "authorization, content-type, idempotency-key, x-moondream-auth, x-stainless-retry-count"
    answer = _preflight(client, "/v1/chat/completions", headers=sent)
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == LAB
    assert "POST" in answer["Access-Control-Allow-Methods"]
    allowed = {name.strip() for name in answer["Access-Control-Allow-Headers"].split(",")}
    assert set(sent.split(", ")) <= allowed
    assert "Access-Control-Allow-Credentials" not in answer
    assert "Access-Control-Allow-Origin" not in _preflight(client, "/v1/caption", "https://evil.example")  # fmt: skip


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/none", "/v1/nothing", "/v1//models/", "/v1/caption"])  # fmt: skip
def test_errors_are_told_to_them_as_well(client: Client, settings: Any, path: str) -> None:
    settings.CORS_ALLOWED_ORIGINS = [LAB]
    answer = client.get(path, headers={"Origin": LAB})
    assert answer["Access-Control-Allow-Origin"] == LAB
    assert "retry-after" in answer["Access-Control-Expose-Headers"]
    assert "origin" in answer["Vary"].lower()


def test_a_refused_body_too(settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = [LAB]
    scope = {
        "type": "http", "path": "/v1/caption", "client": ("198.51.100.1", 1), "method": "POST",
        "headers": [(b"content-length", b"99999999"), (b"origin", LAB.encode())], "query_string": b"",
    }  # fmt: skip
    sent: list[Any] = []

    async def run() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        async def application(*_: Any) -> None:
            raise AssertionError

        await bodies.BoundedBodies(application)(scope, receive, send)

    asyncio.run(run())
    assert sent[0]["status"] == 413
    assert dict(sent[0]["headers"])[b"access-control-allow-origin"] == LAB.encode()
    assert json.loads(sent[1]["body"])["error"]["code"] == "body_too_large"


@pytest.mark.parametrize("path", ["/", "/api/leaderboards", "/playground/", "/v10", "/account/login/"])  # fmt: skip
def test_nothing_else_is_open_to_them(client: Client, settings: Any, path: str) -> None:
    settings.CORS_ALLOW_ALL_ORIGINS = True
    answer = client.get(path, headers={"Origin": LAB})
    assert "Access-Control-Allow-Origin" not in answer
    assert client.get("/v1/models", headers={"Origin": LAB})["Access-Control-Allow-Origin"] == "*"


def test_models_have_openais_shape(client: Client) -> None:
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    known = selectors.variants_available()
    assert [m["id"] for m in listed["data"]] == [v.slug for v in known]
    for model in listed["data"]:
        assert set(model) == {"id", "object", "created", "owned_by", "revision", "quantization"}
        assert model["object"] == "model"
        assert isinstance(model["created"], int)
        assert client.get(f"/v1/models/{model['id']}").json() == model
    # Names that clients send for the default, with the first-party prefix or without.
    for name in ("moondream", "moondream3-preview", "moondream/moondream3-preview"):
        assert client.get(f"/v1/models/{name}").json()["id"] == known[0].slug
    gone = client.get("/v1/models/gpt/4")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "variant_not_found")


def test_listing_models_costs_one_query(client: Client, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(1):
        client.get("/v1/models")


def test_a_large_form_is_taken(client: Client, django_user_model: Any) -> None:
    """50 MB are promised; other bodies stop at 32."""
    from io import BytesIO

    from pricing.services import key_make

    user = django_user_model.objects.create_user("ada", "ada@example.org", "x")
    _, secret = key_make(user=user, name="k", scopes=["infer", "submit"])
    file = BytesIO(bytes(50 * bodies.MB))
    file.name = "predictions.jsonl"
    answer = client.post(
        "/api/leaderboards/nothing/check", {"file": file, "split": "test"},
        headers={"Authorization": f"Bearer {secret}"},
    )  # fmt: skip
    assert (answer.status_code, answer.json()["code"]) == (404, "leaderboard_not_found")


@pytest.mark.live
def test_a_connection_goes_on_after_any_of_them(live_stack: LiveStack) -> None:
    """A body that should not be there would be read as the next answer's head."""
    connection = http.client.HTTPConnection("127.0.0.1", live_stack.port, timeout=20)
    for method, path, status in (
        ("HEAD", "/v1/models", 200), ("HEAD", "/api/leaderboards/export.jsonl", 200),
        ("HEAD", "/api/openapi.json", 200), ("HEAD", "/v1/caption", 405), ("HEAD", "/v1/nothing", 404),
        ("OPTIONS", "/v1/caption", 204), ("GET", "//v1//models/", 200), ("HEAD", "//v1/models", 200),
    ):  # fmt: skip
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read()
        assert (answer.status, bool(body)) == (status, method == "GET"), path
    connection.close()
