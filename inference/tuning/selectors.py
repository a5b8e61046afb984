"""Reads."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils import timezone

from inference import stream
from inference.errors import payload
from inference.stream import Event
from inference.tuning import errors
from inference.tuning.models import Checkpoint, Finetune, Operation, StepRecord, TuningRun
from inference.tuning.who import Who


def finetunes(who: Who) -> QuerySet[Finetune]:
    """A caller's fine-tunes that a client owns the loop of, the oldest first."""
    return Finetune.objects.filter(who.owns, by_client=True, deleted_at=None).order_by("id")


def finetune_get(finetune_id: str, who: Who) -> Finetune:
    """A fine-tune of one's own.

    Raises:
        NotFound: there is none.
    """
    rows = finetunes(who).select_related("variant", "head", "owner")
    found = rows.filter(pk=finetune_id.replace("\x00", "")[:30]).first()
    if found is None:
        raise errors.FINETUNE_NOT_FOUND()
    return found


def checkpoints(finetune: Finetune) -> QuerySet[Checkpoint]:
    """Those that are kept, the newest first."""
    return finetune.checkpoints.filter(is_kept=True).order_by("-step")


def checkpoint_get(finetune: Finetune, step: int) -> Checkpoint:
    """A kept checkpoint.

    Raises:
        NotFound: there is none of that step.
    """
    found = finetune.checkpoints.filter(step=step, is_kept=True).first()
    if found is None:
        raise errors.CHECKPOINT_NOT_FOUND(f"There is no saved checkpoint of step {step}.")
    return found


def runs_of(who: Who) -> QuerySet[TuningRun]:
    """A caller's runs, the newest first."""
    mine = Finetune.objects.filter(who.owns, deleted_at=None)
    return TuningRun.objects.filter(finetune__in=mine).select_related("finetune__variant", "upload")


def run_get(run_id: UUID | str, who: Who) -> TuningRun:
    """A run of one's own.

    Raises:
        NotFound: there is none.
    """
    try:
        found = runs_of(who).filter(pk=run_id).first()
    except (ValidationError, ValueError):
        found = None
    if found is None:
        raise errors.TUNING_RUN_NOT_FOUND()
    return found


def ending(run: TuningRun) -> tuple[str, dict[str, Any]]:
    """The last event of a run that has ended."""
    if run.status == TuningRun.Status.CANCELLED:
        return "cancelled", {"step": run.finetune.step}
    if run.status == TuningRun.Status.FAILED:
        return "error", payload(run.error_code, run.error_message)
    return "result", {
        "step": run.finetune.step, "finish_reason": run.finish_reason, "measured": run.measured,
        "model": run.finetune.model_name(run.finetune.step),
    }  # fmt: skip


def run_ended(run_id: UUID) -> Event | None:
    """The last event of a run as the database knows it; None while it goes on."""
    run = TuningRun.objects.select_related("finetune__variant").filter(pk=run_id).first()
    if run is None:
        return Event(stream.START, "cancelled", {})
    return Event(stream.START, *ending(run)) if run.is_finished else None


def steps_of(finetune: Finetune, after: int = 0) -> list[dict[str, Any]]:
    """What each step did, in order, without its answers; what is not stored yet is among them."""
    rows = StepRecord.objects.filter(finetune=finetune, step__gt=after).order_by("step")
    return [
        {"step": step, **metrics, **logged, "saved": step <= finetune.step}
        for step, metrics, logged in rows.values_list("step", "metrics", "logged")
    ]


def rollouts_at(finetune: Finetune, step: int) -> list[dict[str, Any]]:
    """The questions of a step that are kept, with their answers; empty where there is no such step."""
    row = StepRecord.objects.filter(finetune=finetune, step=step).first()
    return row.rollouts if row else []


def operation_get(operation_id: UUID | str) -> Operation | None:
    """A client's call."""
    return Operation.objects.filter(pk=operation_id).first()


def waiting_ahead(run: TuningRun) -> int:
    """Runs that share the workers and were there before."""
    before = Q(created_at__lt=run.created_at)
    return TuningRun.objects.filter(before, status__in=("queued", "running")).count()


def seconds_an_answer(variant_id: int, method: str, *, days: int = 30) -> float | None:
    """What one sampled answer, or one taught example, took in recent runs on a base, training included;
    for an estimate. None where no run is known."""
    since = timezone.now() - timedelta(days=days)
    rows = StepRecord.objects.filter(
        finetune__variant=variant_id, created_at__gte=since, metrics__has_key="step_s",
        finetune__run__plan__method=method,
    ).order_by("-created_at")  # fmt: skip
    plan = "finetune__run__plan__"
    found = list(rows.values_list("metrics__step_s", f"{plan}groups", f"{plan}group_size")[:200])
    answers = sum(groups * (size if method == "rl" else 1) for _, groups, size in found)
    return sum(step_s for step_s, _, _ in found) / answers if found else None
