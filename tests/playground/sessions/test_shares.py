"""Links that show a run: to whoever has them, until they end."""

import io
import json
import re
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.test import AsyncClient, Client
from django.utils import timezone
from PIL import Image

from inference import stream
from inference.models import Job
from playground.models import Share
from tests.images import plain
from tests.playground.sessions.conftest import finish

pytestmark = pytest.mark.django_db


def share(client: Client, saved, **fields: str) -> str:
    """A link's path."""
    address = f"/playground/runs/{saved['run']}/share/"
    answer = client.post(address, fields, headers={"Accept": "application/json"})
    assert answer.status_code == 201, answer.content
    path: str = answer.json()["url"].removeprefix("http://testserver")
    return path


@pytest.mark.parametrize("skill", ["caption", "query", "detect", "point"])
def test_a_stranger_sees_the_run_and_nothing_else(client: Client, save, skill: str) -> None:
    first = save(client, skill="query", question="The secret one?")
    fields = {"caption": {}, "query": {"question": "How many?"}}.get(skill, {"object": "star"})
    settings = json.dumps({"temperature": 0.5, "seed": 3})
    saved = save(client, skill=skill, session=first["session"], settings=settings, **fields)
    path = share(client, saved)
    stranger = Client()
    page = stranger.get(path)
    text = page.content.decode()
    expected = {"caption": "Three moons.", "query": "two", "detect": "1 box for", "point": "1 point for"}  # fmt: skip
    assert expected[skill] in text
    assert "temperature" in text
    assert "moondream-embedded" in text
    assert "The secret one?" not in text
    assert str(saved["job"]) not in text, "who has the link has not the job"
    assert page["X-Robots-Tag"] == "noindex, nofollow"
    assert page["Referrer-Policy"] == "no-referrer"
    assert "no-store" in page["Cache-Control"]
    assert stranger.get(f"{path}image/")["Content-Type"] in (
        "image/webp",
        "image/png",
        "image/jpeg",
    )
    card = Image.open(io.BytesIO(stranger.get(f"{path}card.png").content))
    assert card.size == (1200, 630)
    assert f'property="og:image" content="http://testserver{path}card.png"' in text
    again = stranger.get(f"{path}run/").json()
    assert again["settings"] == {"temperature": 0.5, "seed": 3}
    assert "job" not in again
    assert COOKIE_FREE not in page.cookies


COOKIE_FREE = "visitor"


def test_an_ended_link_shows_nothing_anywhere(client: Client, save) -> None:
    saved = save(client)
    revoked, expired = share(client, saved), share(client, saved, days="1")
    stranger = Client()
    token = revoked.split("/")[-2]
    assert stranger.post(f"{revoked}revoke/").status_code == 404
    assert stranger.get(revoked).status_code == 200
    assert client.post(f"{revoked}revoke/").status_code == 302
    Share.objects.exclude(token=token).update(expires_at=timezone.now() - timedelta(seconds=1))
    for path in (revoked, expired):
        for part in ("", "image/", "card.png", "run/", "embed/", "events/"):
            assert stranger.get(path + part).status_code == 404, part
    assert "ss-link" not in client.get(saved["url"]).content.decode()
    assert client.post(f"{revoked}revoke/").status_code == 302, "it may be said twice"


def test_a_deleted_run_takes_its_links_along(client: Client, save) -> None:
    saved = save(client)
    path = share(client, saved)
    client.post(f"{saved['url']}delete/")
    assert Client().get(path).status_code == 404


@pytest.mark.parametrize("days", ["2", "-1", "x", "99999999999"])
def test_a_link_lasts_as_long_as_is_offered(client: Client, save, days: str) -> None:
    saved = save(client)
    answer = client.post(
        f"/playground/runs/{saved['run']}/share/",
        {"days": days},
        headers={"Accept": "application/json"},
    )
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "bad_expiry"


def test_links_cannot_be_guessed(client: Client, save) -> None:
    saved = save(client)
    tokens = {share(client, saved).split("/")[-2] for _ in range(5)}
    assert len(tokens) == 5
    assert all(len(token) >= 24 for token in tokens)
    assert Client().get("/playground/shared/x/").status_code == 404


def test_in_a_frame_of_another_site(client: Client, save) -> None:
    saved = save(client, skill="query", question="</title><script>alert(1)</script>")
    path = share(client, saved)
    page = client.get(f"{path}embed/")
    assert "X-Frame-Options" not in page
    policy = page["Content-Security-Policy"]
    assert "frame-ancestors *" in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert b"<script" not in page.content
    assert "frame-ancestors 'self'" in client.get(path)["Content-Security-Policy"]
    assert client.get(path)["X-Frame-Options"] == "SAMEORIGIN"
    assert b"<script>alert" not in client.get(path).content
    code = client.get(saved["url"]).content.decode()
    assert re.search(r"&lt;iframe src=\"http://testserver" + re.escape(path) + "embed/", code)


def test_a_picture_of_any_shape_and_words_of_any_length(client: Client, save) -> None:
    file = SimpleUploadedFile("a.png", plain(10, 600))
    saved = save(client, skill="query", image=file, sample="", question="why " * 400)
    path = share(client, saved)
    assert client.get(f"{path}card.png").status_code == 200
    Job.objects.update(image=None)  # purged by hand
    Share.objects.update(expires_at=None)
    assert client.get(path).status_code == 200
    assert client.get(f"{path}image/").status_code == 404


@pytest.mark.django_db(transaction=True)
async def test_before_the_answer_is_there_it_is_followed(async_client: AsyncClient, save) -> None:
    def given() -> tuple[str, Job]:
        client = Client()
        saved = save(client, answered=False, skill="query", question="How many?")
        path = share(client, saved)
        assert "Waiting for a worker" in client.get(path).content.decode()
        job = Job.objects.get(pk=saved["job"])
        finish(job)
        stream.publish(job.pk, "token", {"text": "two"})
        stream.publish(job.pk, "result", {"result": {"answer": "two"}})
        return path, job

    path, job = await sync_to_async(given)()
    response = await async_client.get(f"{path}events/")
    text = b"".join([part async for part in response.streaming_content]).decode()
    assert "event: token" in text
    assert "event: result" in text
    assert str(job.pk) not in text
    await sync_to_async(connections.close_all)()
