"""Visitors with something saved."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from inference.models import Job

ANSWERS: dict[str, dict[str, Any]] = {
    "caption": {"caption": "Three moons."}, "query": {"answer": "two"},
    "detect": {"objects": [{"x_min": 0.1, "y_min": 0.2, "x_max": 0.5, "y_max": 0.6}]},
    "point": {"points": [{"x": 0.25, "y": 0.75}]},
}  # fmt: skip
Save = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def _store(settings, tmp_path) -> None:
    settings.IMAGE_STORE_DIR = tmp_path


def ask(client: Client, **form: Any) -> Job:
    """A job that this visitor asked, which nobody answered yet."""
    answer = client.post("/v1/jobs", {"skill": "caption", "sample": "night", **form})
    assert answer.status_code == 202, answer.content
    return Job.objects.get(pk=answer.json()["id"])


def finish(job: Job) -> None:
    """Give a job the answer of its skill."""
    Job.objects.filter(pk=job.pk).update(
        status=Job.Status.SUCCEEDED, result=ANSWERS[job.skill], confidence=0.9, finished_at=timezone.now(),
        timings={"queue_ms": 1.0, "encode_ms": 20.0, "first_token_ms": 25.0, "total_ms": 40.0},
    )  # fmt: skip


@pytest.fixture
def save(starter) -> Save:
    """Ask as a visitor, answer it, and save it."""

    def save(client: Client, *, session: str = "", answered: bool = True, name: str = "", **form: Any) -> dict[str, Any]:  # fmt: skip
        job = ask(client, **form)
        if answered:
            finish(job)
        sent = {"job": str(job.pk), "session": session, "image_name": name, "sample": form.get("sample", "night")}  # fmt: skip
        response = client.post("/playground/runs/", sent)
        assert response.status_code == 201, response.content
        return {**response.json(), "job": job.pk}

    return save
