"""Guided projects at each of their steps; a worker is stood for where one would be needed."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from inference.models import Job
from inference.tuning.models import Checkpoint, StepRecord, TuningRun
from inference.tuning.services import trials
from playground.models import GuidedProject
from tests.inference.tuning.conftest import private
from tests.playground.sessions.conftest import finish
from tests.playground.tuning.conftest import group

__all__ = ["private"]
URL = "/playground/guided/"
REWARD = {
    "name": "Mine", "normalise": "weights", "set": "scenes-caption", "aim": "short-captions",
    "t0-type": "cider", "t0-weight": "1", "t1-type": "brevity", "t1-weight": "0.5", "t1-p-wish": "8",
    "t1-p-limit": "30", "reference": "Two stars and a heart.",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _store(settings, tmp_path, starter) -> None:
    settings.IMAGE_STORE_DIR = tmp_path / "images"


@pytest.fixture(autouse=True)
def sampler(monkeypatch) -> dict[str, Any]:
    """Stands for the worker that samples answers for a check."""
    state: dict[str, Any] = {"flat": [True, False, False], "is_away": False}

    def send(task, name, mine, *args, lost, **options):
        if not state["is_away"]:
            told = {"groups": [group()] * 3, "flat": state["flat"], "seconds": 2.4}
            trials.stream.publish(name, "result", told)
            trials.stream.client().delete(mine)

    monkeypatch.setattr(trials, "send_on_commit", send)
    return state


def at(project: GuidedProject, step: str) -> str:
    return f"{URL}{project.pk}/{step}/"


def train(run: TuningRun, *, steps: int = 8, status: str = "succeeded") -> None:
    """As if a worker had trained it."""
    for step in range(1, steps + 1):
        StepRecord.objects.create(
            finetune=run.finetune,
            step=step,
            metrics={"reward": step / 10, "step_s": 0.5},
            rollouts=[],
        )
    kept = Checkpoint.objects.create(
        finetune=run.finetune, step=steps, folder=f"tuning/{run.finetune_id}/{steps}-a", is_kept=True,
        files={"adapter_config.json": 2, "adapter_model.safetensors": 900},
    )  # fmt: skip
    run.finetune.step, run.finetune.head = steps, kept
    run.finetune.save()
    terms = {"cider": 0.2, "brevity": 0.4}
    before = {"reward": 0.25, "terms": terms, "length": 20.0, "count": 60}
    run.status, run.finish_reason, run.spent_s = status, "steps", 31.0
    run.measured = {"before": before, "after": {**before, "reward": 0.6, "length": 9.0}}
    run.finished_at = timezone.now()
    run.save()


def answer_all(text: str = "") -> None:
    """Answer what waits; a tuned model says it in fewer words."""
    for job in Job.objects.filter(status=Job.Status.QUEUED):
        finish(job)
        said = text or ("Two stars." if job.adapter else "Two stars and a heart on black.")
        key = "caption" if job.skill == "caption" else "answer"
        Job.objects.filter(pk=job.pk).update(result={key: said})


Go = Callable[..., GuidedProject]


@pytest.fixture
def go() -> Go:
    """Take a visitor to a step, as if all before it were done."""

    def go(client: Client, step: str, **first: Any) -> GuidedProject:
        answer = client.post(URL, {"sample": "night", **first})
        assert answer.status_code == 302, answer.content
        project = GuidedProject.objects.latest("created_at")
        sent = {
            "ask": {"skill": "caption"}, "reward": {**REWARD, "do": "save"},
            "train": {"do": "start", "steps": "8"}, "evaluate": {"do": "ask"},
        }  # fmt: skip
        for name, fields in sent.items():
            if name == step:
                break
            client.post(at(project, name), fields)
            if name == "train":
                train(TuningRun.objects.latest("created_at"))
            answer_all()
        project.refresh_from_db()
        return project

    return go
