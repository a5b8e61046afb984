"""`/v1/tuning/runs` and `/uploads`: trainings that this server does, for accounts and, small ones, for anybody."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import File, Query, Router, Status
from ninja.files import UploadedFile

from inference import sse, stream
from inference.database import in_thread
from inference.errors import payload
from inference.tuning import schemas, selectors, services
from inference.tuning.following import events
from inference.tuning.models import TuningRun, TuningUpload
from inference.tuning.who import Who

router = Router(tags=["Tuning runs"])


def who_of(request: HttpRequest) -> Who:
    """The account, or the visitor."""
    payer = getattr(request, "payer", None)
    return Who(request.auth, request.client_key, payer)  # type: ignore[attr-defined]


def _upload_out(upload: TuningUpload) -> dict[str, Any]:
    return {
        "id": str(upload.pk), "name": upload.name, "size_bytes": upload.size_bytes,
        "rows": upload.rows, "images": upload.images, "skills": upload.skills, "notes": upload.notes,
        "has_targets": upload.has_targets, "has_references": upload.has_references,
    }  # fmt: skip


def run_out(run: TuningRun) -> dict[str, Any]:
    """A run as the API tells of it."""
    finetune, address = run.finetune, f"/v1/tuning/runs/{run.pk}"
    failed = run.status == TuningRun.Status.FAILED
    return {
        "id": str(run.pk), "title": run.title, "status": run.status,
        "wish": run.wish, "finish_reason": run.finish_reason,
        "error": payload(run.error_code, run.error_message) if failed else None,
        "base": finetune.variant.slug, "step": finetune.step, "steps": run.plan["steps"],
        "model": finetune.model_name(finetune.step) if finetune.step else None,
        "settings": run.plan, "reward": run.reward, "data": run.data, "measured": run.measured,
        "spent_s": run.spent_s, "limit_s": run.limit_s, "created_at": run.created_at.isoformat(),
        "events_url": f"{address}/events", "cancel_url": f"{address}/cancel",
    }  # fmt: skip


@router.post("/uploads", response={201: schemas.UploadOut}, operation_id="tuning_upload_create")
def tuning_upload_create(request: HttpRequest, file: UploadedFile = File(...)) -> Any:
    """Keep a data set: JSON lines, or a zip with its images. All faults are named at once, by file and line.
    Nobody else can use it; it goes with the run that was trained on it."""
    made = services.upload_make(file=file, name=file.name or "", who=who_of(request))
    return Status(201, _upload_out(made))


@router.delete(
    "/uploads/{upload_id}", response={200: schemas.OkOut}, operation_id="tuning_upload_delete"
)
def tuning_upload_delete(request: HttpRequest, upload_id: UUID) -> Any:
    """Delete a data set that no run needs."""
    services.upload_delete(upload_id=str(upload_id), who=who_of(request))
    return {"ok": True}


@router.post("/runs", response={202: schemas.RunOut}, operation_id="tuning_run_create")
def tuning_run_create(request: HttpRequest, body: schemas.RunIn) -> Any:
    """Start a training. What cannot work is refused with every field that is wrong. Without an account it is
    one small run of the embedded model at a time."""
    made = services.run_make(
        who=who_of(request), data=body.data, plan=body.settings, reward=body.reward,
        title=body.title, variant_slug=body.model,
    )  # fmt: skip
    return Status(202, run_out(made))


@router.get("/runs", response={200: list[schemas.RunOut]}, operation_id="tuning_runs")
def tuning_runs(request: HttpRequest, limit: int = Query(50, ge=1, le=100)) -> Any:
    """Your runs, the newest first."""
    return [run_out(run) for run in selectors.runs_of(who_of(request))[:limit]]


@router.get("/runs/{run_id}", response={200: schemas.RunOut}, operation_id="tuning_run")
def tuning_run(request: HttpRequest, run_id: UUID) -> Any:
    """A run's state."""
    return run_out(selectors.run_get(run_id, who_of(request)))


@router.delete("/runs/{run_id}", response={200: schemas.OkOut}, operation_id="tuning_run_delete")
def tuning_run_delete(request: HttpRequest, run_id: UUID) -> Any:
    """End a run, and delete its checkpoints, its steps and its data set."""
    services.run_delete(run=selectors.run_get(run_id, who_of(request)))
    return {"ok": True}


def _changed(request: HttpRequest, run_id: UUID, change: Any) -> dict[str, Any]:
    change(run=selectors.run_get(run_id, who_of(request)))
    return run_out(selectors.run_get(run_id, who_of(request)))


@router.post(
    "/runs/{run_id}/cancel", response={200: schemas.RunOut}, operation_id="tuning_run_cancel"
)
def tuning_run_cancel(request: HttpRequest, run_id: UUID) -> Any:
    """End a run within two seconds, and keep its last checkpoint. Repeating it changes nothing."""
    return _changed(request, run_id, services.run_cancel)


@router.post(
    "/runs/{run_id}/pause", response={200: schemas.RunOut}, operation_id="tuning_run_pause"
)
def tuning_run_pause(request: HttpRequest, run_id: UUID) -> Any:
    """Let a run rest within two seconds, until it is resumed."""
    return _changed(request, run_id, services.run_pause)


@router.post(
    "/runs/{run_id}/resume", response={200: schemas.RunOut}, operation_id="tuning_run_resume"
)
def tuning_run_resume(request: HttpRequest, run_id: UUID) -> Any:
    """Go on with a paused run from its last stored step."""
    return _changed(request, run_id, services.run_resume)


@router.get(
    "/runs/{run_id}/steps", response={200: list[dict[str, Any]]}, operation_id="tuning_run_steps"
)
def tuning_run_steps(
    request: HttpRequest, run_id: UUID, after: int = Query(0, ge=0, le=2**31 - 1)
) -> Any:
    """What each step did, by TRL's names, in order; `saved` says whether it is stored."""
    run = selectors.run_get(run_id, who_of(request))
    return selectors.steps_of(run.finetune, after)


@router.get(
    "/runs/{run_id}/steps/{step}/rollouts", response={200: list[dict[str, Any]]},
    operation_id="tuning_run_rollouts",
)  # fmt: skip
def tuning_run_rollouts(request: HttpRequest, run_id: UUID, step: int) -> Any:
    """The first questions of a step, with each sampled answer, its reward by term, and its advantage."""
    run = selectors.run_get(run_id, who_of(request))
    return selectors.rollouts_at(run.finetune, step)


@router.get("/runs/{run_id}/events", operation_id="tuning_run_events")
async def tuning_run_events(request: HttpRequest, run_id: UUID) -> Any:
    """A run's events as server-sent events, from the beginning or after `Last-Event-ID`: `status`, `step`,
    `checkpoint`, `measured`, `log`; ends with `result`, `error` or `cancelled`."""
    run = await in_thread(selectors.run_get)(run_id, who_of(request))
    await stream.check()
    after = stream.at(request.headers.get("Last-Event-ID", ""))
    return sse.response(request, events(run, after))
