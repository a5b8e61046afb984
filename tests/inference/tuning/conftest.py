"""Accounts, variants and storage for fine-tunes, and runs that are worked on in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from inference import services as inference
from inference import stream
from inference.engine.rewards import PRESETS
from inference.models import Variant
from inference.tuning import live, services
from inference.tuning.models import TuningRun
from inference.tuning.services import training
from inference.tuning.who import Who

COUNTS = {"source": "world", "preset": "counts", "count": 24, "seed": 1}
QUICK = {"steps": 3, "groups": 2, "group_size": 3, "max_tokens": 8, "refills": 0}
COUNT_RIGHT = PRESETS["count-right"].reward.to_dict()


@pytest.fixture(autouse=True)
def private(settings, tmp_path: Path) -> Path:
    """Where the private storage of this test keeps its files; nothing is held of the test before."""
    folder = tmp_path / "private"
    options = {**settings.STORAGES["private"], "OPTIONS": {"location": folder}}
    settings.STORAGES = settings.STORAGES | {"private": options}
    another_worker()
    return folder


@pytest.fixture
def variants(db: None) -> list[Variant]:
    return inference.variants_sync()


@pytest.fixture
def who(db: None) -> Who:
    return Who(get_user_model().objects.create_user("ada", "ada@example.org", "x"))


@pytest.fixture
def stranger(db: None) -> Who:
    return Who(get_user_model().objects.create_user("eve", "eve@example.org", "x"))


@pytest.fixture
def make(variants: list[Variant], who: Who) -> Callable[..., TuningRun]:
    """Makes a run; what it says of a plan is added to a quick one."""

    def made(by: Who | None = None, **more: Any) -> TuningRun:
        plan = QUICK | more.pop("plan", {})
        given = {"data": COUNTS, "reward": COUNT_RIGHT} | more
        return services.run_make(who=by or who, plan=plan, **given)

    return made


def turn(run: TuningRun) -> TuningRun:
    """Work on a run for one turn, as a worker does; the run as it is then."""
    run.refresh_from_db()
    services.run_advance(run_id=run.pk, turn=run.turn, worker="test")
    return TuningRun.objects.select_related("finetune__head").get(pk=run.pk)


def work(run: TuningRun, most: int = 50) -> TuningRun:
    """Work on a run until it rests."""
    for _ in range(most):
        run = turn(run)
        if run.status not in ("queued", "running"):
            return run
    raise AssertionError(f"{run} did not end")


def events(run: TuningRun) -> list[tuple[str, dict[str, Any]]]:
    return [(e.type, e.data) for e in stream.history(run.pk)]


def another_worker() -> None:
    """From here on this is a process that has just started, and holds nothing."""
    live.forget_all()
    training._forget_prepared()


def stored(folder: Path) -> list[str]:
    """Files in the private storage."""
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file())
