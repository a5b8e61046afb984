"""Runs as the console shows them, with figures and answers of a run that was."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from inference import services as inference
from inference.tuning import services
from inference.tuning.models import Checkpoint, StepRecord, TuningRun
from inference.tuning.who import Who
from tests.inference.tuning.conftest import COUNT_RIGHT, COUNTS, private

__all__ = ["private"]


@pytest.fixture
def user(db: None) -> Any:
    return get_user_model().objects.create_user("ada", "ada@example.org", "x")


@pytest.fixture
def ada(user: Any, client: Client) -> Client:
    client.force_login(user)
    return client


@pytest.fixture
def variants(db: None) -> Any:
    return inference.variants_sync()


def answer(text: str, reward: float, *terms: float | None) -> dict[str, Any]:
    return {"output": {"answer": text}, "finish_reason": "stop", "reward": reward,
            "terms": list(terms), "advantage": reward - 0.5}  # fmt: skip


def group(key: str = "world:tune:1:shapes:0") -> dict[str, Any]:
    return {
        "skill": "query", "params": {"question": "How many stars?"}, "image": key,
        "reference": {"count": 3}, "target": None,
        "answers": [answer("two", 0.25, 0.5, 0.0, None), answer("3", 1.0, 1.0, 1.0, 1.0)],
    }  # fmt: skip


def made(who: Who, *, steps: int = 0, status: str = "running", **more: Any) -> TuningRun:
    """A run with so many steps that were trained."""
    given = {"data": COUNTS, "reward": COUNT_RIGHT, "plan": {"steps": 20, "checkpoint_every": 5}}
    run = services.run_make(who=who, title="Counting", **given | more)
    for step in range(1, steps + 1):
        metrics = {
            "reward": step / 20, "reward_std": 0.1, "kl": 0.001 * step, "entropy": 1.0, "loss": 0.0,
            "rewards/count/mean": 0.5, "rewards/count/weighted": 0.3, "eta_s": 200 - step,
            "completions/mean_length": 2.0, "frac_reward_zero_std": 0.0, "step_s": 1.5,
        }  # fmt: skip
        StepRecord.objects.create(
            finetune=run.finetune, step=step, metrics=metrics, rollouts=[group()]
        )
    run.finetune.step = steps
    run.finetune.save()
    if steps >= 5:
        Checkpoint.objects.create(
            finetune=run.finetune, step=5, folder=f"tuning/{run.finetune_id}/5", is_kept=True,
            files={"adapter_model.safetensors": 12345},
        )  # fmt: skip
    run.status = status
    run.save()
    return run
