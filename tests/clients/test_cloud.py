"""The cloud backend, with this project's own server standing for the service."""

import urllib.error
from email.message import Message
from typing import Any

import pytest

from inference import backends, services, stream
from inference.backends.cloud import _told
from inference.models import Job
from inference.world.samples import sample_bytes
from tests.live import LiveStack


@pytest.fixture
def cloud(db: None, settings, tmp_path, live_stack: LiveStack):
    settings.IMAGE_STORE_DIR = tmp_path
    settings.MOONDREAM_API_KEY = "a key"
    settings.MOONDREAM_ENDPOINT = f"{live_stack.base_url}/v1/"
    backends._backend.cache_clear()
    variants = services.variants_sync()
    yield next(v for v in variants if v.backend == "cloud")
    backends._backend.cache_clear()


def _ask(skill: str, **params: object) -> Any:
    job = services.job_submit(
        skill=skill, variant_slug="moondream-cloud", params=params, caller="t",
        image=services.image_store(data=sample_bytes("night")),
    )  # fmt: skip
    services.job_run(job_id=job.id, worker="w")
    job.refresh_from_db()
    return job


def test_every_skill_through_the_service(cloud) -> None:
    caption = _ask("caption", length="long")
    assert caption.status == Job.Status.SUCCEEDED, caption.error_message
    tokens = [e.data["text"] for e in stream.history(caption.id) if e.type == "token"]
    assert len(tokens) > 3
    assert "".join(tokens) == caption.result["caption"]
    assert caption.confidence is None
    assert _ask("query", question="What color is the background?").result == {"answer": "black"}
    assert _ask("detect", object="stars").result["objects"]
    assert _ask("point", object="stars").result["points"]


def test_a_refusal_is_told(cloud) -> None:
    job = _ask("query", question="é漢 " * 600)
    assert job.status == Job.Status.FAILED
    job = _ask("query", question="Why?", reasoning=True)
    assert (job.status, job.error_code) == (Job.Status.FAILED, "cloud_refused")


def test_a_service_that_is_away(cloud, settings) -> None:
    settings.MOONDREAM_ENDPOINT = "http://127.0.0.1:9/v1"
    backends._backend.cache_clear()
    job = _ask("caption")
    assert (job.status, job.error_code) == (Job.Status.FAILED, "cloud_unreachable")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "cloud_unauthorised"),
        (429, "cloud_rate_limited"),
        (400, "cloud_refused"),
        (502, "cloud_fault"),
    ],
)
def test_every_status_has_its_words(status: int, code: str) -> None:
    told = _told(urllib.error.HTTPError("http://x", status, "secret", Message(), None))
    assert told.code == code
    assert told.hint
    assert "secret" not in told.message


def test_without_a_key_there_is_no_cloud(db, settings) -> None:
    settings.MOONDREAM_API_KEY = "a key"
    services.variants_sync()
    settings.MOONDREAM_API_KEY = ""
    assert all(v.backend != "cloud" for v in services.variants_sync())
