"""Maps of attention, as they are asked for and refused."""

import base64
import json
from typing import Any

import pytest
from django.test import Client

from inference import services
from inference.models import Job, Variant
from inference.world.samples import SAMPLES, sample_bytes

pytestmark = pytest.mark.django_db


def job_of(client: Client, **form: Any) -> Any:
    return client.post(
        "/v1/jobs", {"skill": "query", "question": "How many?", "sample": SAMPLES[0].slug, **form}
    )


@pytest.mark.parametrize("skill", ["query", "caption"])
def test_each_token_has_its_map(client: Client, starter, settings, tmp_path, skill: str) -> None:
    settings.IMAGE_STORE_DIR = tmp_path
    job = Job.objects.get(pk=job_of(client, skill=skill, attention="true").json()["id"])
    services.job_run(job_id=job.pk, worker="test")
    job.refresh_from_db()
    assert job.status == "succeeded", job.error_message
    assert job.result is not None
    found = job.result["attention"]
    text = job.result["answer" if skill == "query" else "caption"]
    assert "".join(found["pieces"]).split() == text.split() or "".join(
        found["pieces"]
    ) == text.replace(" ", "")
    maps = base64.b64decode(found["maps"])
    assert len(maps) == len(found["pieces"]) * found["grid"] ** 2
    assert len(found["peaks"]) == len(found["image_share"]) == len(found["pieces"])
    assert job.outside_world is False


@pytest.mark.parametrize("fault", ["boxes", "cloud", "reasoning"])
def test_what_cannot_have_them(client: Client, starter, fault: str) -> None:
    url = f"data:image/webp;base64,{base64.b64encode(sample_bytes(SAMPLES[0].slug)).decode()}"
    match fault:
        case "boxes":
            answer = job_of(client, skill="detect", object="star", attention="true")
        case "cloud":
            Variant.objects.create(slug="away", name="Away", backend="remote", enabled=True)
            answer = job_of(client, attention="true", variant="away")
        case _:
            body = {
                "image_url": url,
                "question": "How many?",
                "attention": True,
                "spatial_refs": [[0.5, 0.5]],
            }
            answer = client.post("/v1/query", json.dumps(body), content_type="application/json")
    assert answer.status_code == 400, answer.content
    assert answer.json()["error"]["code"] == "unsupported_parameter"
    assert (
        "ttention maps" in answer.json()["error"]["message"]
        or "looks" in answer.json()["error"]["message"]
    )
