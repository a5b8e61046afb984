"""A whole hub behind the remote backend."""

from typing import Any

import pytest

from inference import backends, services, stream
from inference.models import Job, RemoteServer
from inference.remote import probe
from inference.world.samples import sample_bytes
from tests.live import LiveStack


@pytest.fixture
def remote(db: None, settings: Any, tmp_path: Any, live_stack: LiveStack) -> None:
    settings.IMAGE_STORE_DIR = tmp_path
    settings.INFERENCE_VARIANTS_KEPT_S = 0
    backends._remote.cache_clear()
    link = services.link_read(
        address=f"{live_stack.base_url}/v1", key="", model="moondream-embedded-int8"
    )
    services.remote_save(server=RemoteServer(name="Other hub"), link=link, found=probe(link))


def _ask(skill: str, **params: object) -> Any:
    job = services.job_submit(
        skill=skill, variant_slug="other-hub", params=params, caller="t",
        image=services.image_store(data=sample_bytes("night")),
    )  # fmt: skip
    services.job_run(job_id=job.id, worker="w")
    job.refresh_from_db()
    return job


def test_every_skill_through_another_hub(remote: None) -> None:
    variant = RemoteServer.objects.get().variant
    assert variant is not None
    assert (variant.model_name, variant.lacks) == ("moondream-embedded-int8", [])
    assert variant.parameters is None or variant.parameters > 10**6
    caption = _ask("caption", length="long")
    assert caption.status == Job.Status.SUCCEEDED, caption.error_message
    tokens = [e.data["text"] for e in stream.history(caption.id) if e.type == "token"]
    assert len(tokens) > 3
    assert "".join(tokens) == caption.result["caption"]
    assert _ask("query", question="What color is the background?").result == {"answer": "black"}
    boxes = _ask("detect", object="stars")
    assert boxes.result["objects"]
    assert boxes.confidence is not None
    assert _ask("point", object="stars").result["points"]


def test_what_the_other_hub_refuses_is_refused_here_in_the_same_words(remote: None) -> None:
    job = _ask("query", question="Why?", reasoning=True)
    assert (job.status, job.error_code) == (Job.Status.FAILED, "unsupported_reasoning")
