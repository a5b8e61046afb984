"""`/v1/tuning`: what `md.ft` of the official client calls. The client owns the loop; workers sample and train."""

from typing import Any, Literal

from django.core import signing
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import reverse
from ninja import Query, Router

from inference import site
from inference.database import in_thread, released_after
from inference.tuning import downloads, errors, replies, schemas, selectors, services
from inference.tuning.models import Checkpoint, Finetune, Operation
from inference.tuning.requests import refused
from inference.tuning.who import Who

router = Router(tags=["Tuning"])
_PAGE = 100
_FORMAT = (
    "`moondream`: the torch file that Moondream's own code reads. `peft`: a zip of PEFT's folder. Without it, "
    "Moondream's where the adapter has one, else PEFT's."
)


def _who(request: HttpRequest) -> Who:
    return Who(request.auth, payer=getattr(request, "payer", None))  # type: ignore[attr-defined]


def _ms(moment: Any) -> int:
    return int(moment.timestamp() * 1000)


def _finetune_out(finetune: Finetune) -> dict[str, Any]:
    return {
        "finetune_id": finetune.pk, "name": finetune.name, "rank": finetune.rank,
        "layers": finetune.layers, "regions": finetune.regions, "model": finetune.variant.slug, "step": finetune.step,
        "created_at_ms": _ms(finetune.created_at), "updated_at_ms": _ms(finetune.updated_at),
    }  # fmt: skip


def _checkpoint_out(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "checkpoint_id": str(checkpoint), "finetune_id": checkpoint.finetune_id,
        "step": checkpoint.step, "expires_at_ms": None, "size_bytes": checkpoint.size_bytes,
        "created_at_ms": _ms(checkpoint.created_at), "updated_at_ms": _ms(checkpoint.updated_at),
    }  # fmt: skip


@router.post("/finetunes", response={200: schemas.FinetuneOut}, operation_id="finetune_create")
def finetune_create(request: HttpRequest, body: schemas.FinetuneIn) -> Any:
    """Make a fine-tune, or get the one of that name and rank. Another rank is a 409."""
    made = services.finetune_get_or_make(
        name=body.name,
        rank=body.rank,
        who=_who(request),
        variant_slug=body.model,
        layers=body.layers,
        regions=body.regions,
    )
    return _finetune_out(made)


@router.get("/finetunes", response={200: schemas.FinetunesOut}, operation_id="finetune_list")
def finetune_list(
    request: HttpRequest, limit: int = Query(50, ge=1, le=_PAGE), cursor: str = Query("", max_length=40)
) -> Any:  # fmt: skip
    """Your fine-tunes, the oldest first."""
    rows = selectors.finetunes(_who(request)).select_related("variant")
    if cursor:
        rows = rows.filter(pk__gt=cursor.replace("\x00", ""))
    found = list(rows[: limit + 1])
    page, more = found[:limit], len(found) > limit
    return {
        "finetunes": [_finetune_out(f) for f in page],
        "next_cursor": page[-1].pk if more else None, "has_more": more,
    }  # fmt: skip


@router.get(
    "/finetunes/{finetune_id}", response={200: schemas.FinetuneOut}, operation_id="finetune_get"
)
def finetune_get(request: HttpRequest, finetune_id: str) -> Any:
    """One fine-tune."""
    return _finetune_out(selectors.finetune_get(finetune_id, _who(request)))


@router.delete(
    "/finetunes/{finetune_id}", response={200: schemas.OkOut}, operation_id="finetune_delete"
)
def finetune_delete(request: HttpRequest, finetune_id: str) -> Any:
    """Delete a fine-tune with its checkpoints. Its name is free then."""
    services.finetune_delete(finetune=selectors.finetune_get(finetune_id, _who(request)))
    return {"ok": True}


def _release_body(request: HttpRequest) -> None:
    """Forget what was read: whoever waits for an answer need not hold images meanwhile."""
    request._body = b""
    getattr(request, "scope", {}).get("body_done", lambda: None)()


@in_thread
def _sampling(request: HttpRequest, body: schemas.RolloutsIn) -> Operation:
    finetune = selectors.finetune_get(body.finetune_id, _who(request))
    return services.rollouts_submit(
        finetune=finetune,
        request=body.request,
        count=body.num_rollouts,
        truth=body.ground_truth,
        payer=getattr(request, "payer", None),
    )


@router.post("/rollouts", response={200: schemas.RolloutsOut}, operation_id="tuning_rollouts")
async def tuning_rollouts(request: HttpRequest, body: schemas.RolloutsIn) -> Any:
    """Sample answers of one request. With `ground_truth` they are rewarded: by the overlap of boxes, or
    F1 of points. A reply that takes long begins with blanks, which JSON allows."""
    operation = await _sampling(request, body)
    asked = body.request
    _release_body(request)
    return await replies.reply(request, operation, lambda answer: {"request": asked, **answer})


@in_thread
def _training(request: HttpRequest, body: schemas.TrainStepIn) -> Operation:
    finetune = selectors.finetune_get(body.finetune_id, _who(request))
    return services.train_step_submit(
        finetune=finetune,
        groups=body.groups,
        lr=body.lr,
        step=body.step,
        payer=getattr(request, "payer", None),
    )


@router.post("/train_step", response={200: schemas.TrainStepOut}, operation_id="tuning_train_step")
async def tuning_train_step(request: HttpRequest, body: schemas.TrainStepIn) -> Any:
    """One update from groups of rollouts with rewards, of right answers, or of both. It is answered when
    the step is stored. A request that is repeated before its answer came is trained once; with `step`,
    always. Fields that are not known are left out."""
    operation = await _training(request, body)
    body.groups = []
    _release_body(request)
    return await replies.reply(request, operation, lambda answer: answer)


@router.post(
    "/finetunes/{finetune_id}/metrics", response={200: schemas.MetricsOut}, operation_id="tuning_metrics"
)  # fmt: skip
def tuning_metrics(request: HttpRequest, finetune_id: str, body: schemas.MetricsIn) -> Any:
    """Keep figures of your own beside a step's."""
    finetune = selectors.finetune_get(finetune_id, _who(request))
    count = services.metrics_log(finetune=finetune, step=body.step, metrics=body.metrics)
    return {"ok": True, "step": body.step, "logged_count": count}


@router.get(
    "/finetunes/{finetune_id}/checkpoints", response={200: schemas.CheckpointsOut},
    operation_id="checkpoint_list",
)  # fmt: skip
def checkpoint_list(
    request: HttpRequest, finetune_id: str, limit: int = Query(50, ge=1, le=_PAGE),
    cursor: str = Query("", max_length=20),
) -> Any:  # fmt: skip
    """Saved checkpoints, the newest first."""
    rows = selectors.checkpoints(selectors.finetune_get(finetune_id, _who(request)))
    if cursor:
        if not (cursor.isascii() and cursor.isdigit()):
            raise refused("cursor", "must be a next_cursor of this list")
        rows = rows.filter(step__lt=min(int(cursor), 2**31 - 1))
    found = list(rows[: limit + 1])
    page, more = found[:limit], len(found) > limit
    return {
        "checkpoints": [_checkpoint_out(c) for c in page],
        "next_cursor": str(page[-1].step) if more else None, "has_more": more,
    }  # fmt: skip


@router.post(
    "/finetunes/{finetune_id}/checkpoints/save", response={200: schemas.SavedOut},
    operation_id="checkpoint_save",
)  # fmt: skip
def checkpoint_save(request: HttpRequest, finetune_id: str) -> Any:
    """Keep the fine-tune as it is now. What is not saved is replaced by the next step."""
    finetune = selectors.finetune_get(finetune_id, _who(request))
    return {"ok": True, "checkpoint": _checkpoint_out(services.checkpoint_keep(finetune=finetune))}


@router.delete(
    "/finetunes/{finetune_id}/checkpoints/{step}", response={200: schemas.OkOut},
    operation_id="checkpoint_delete",
)  # fmt: skip
def checkpoint_delete(request: HttpRequest, finetune_id: str, step: int) -> Any:
    """Delete a saved checkpoint."""
    finetune = selectors.finetune_get(finetune_id, _who(request))
    services.checkpoint_delete(finetune=finetune, step=step)
    return {"ok": True}


@router.get(
    "/finetunes/{finetune_id}/checkpoints/{step}/download", response={200: schemas.DownloadOut},
    operation_id="checkpoint_download",
)  # fmt: skip
def checkpoint_download(
    request: HttpRequest,
    finetune_id: str,
    step: int,
    wanted: Literal["moondream", "peft"] | None = Query(None, alias="format", description=_FORMAT),
) -> Any:
    """Where a saved checkpoint's files are for an hour: for whoever has the address."""
    finetune = selectors.finetune_get(finetune_id, _who(request))
    checkpoint = selectors.checkpoint_get(finetune, step)
    path = reverse("api-1:adapter_file", kwargs={"token": downloads.token_of(checkpoint, wanted)})
    return {"url": site.url(path)}


@router.get(
    "/files/{token}", auth=None, operation_id="adapter_file", summary="A checkpoint's files"
)
def adapter_file(request: HttpRequest, token: str) -> HttpResponse | StreamingHttpResponse:
    """The file of an address that `download` gave: Moondream's own (torch), or a zip in PEFT's format."""
    try:
        download = downloads.download_of(token)
    except signing.BadSignature as error:
        raise errors.CHECKPOINT_NOT_FOUND("This address is not valid any more.") from error
    response = StreamingHttpResponse(
        released_after(download.pieces()), content_type=download.content_type
    )
    response["Content-Disposition"] = f'attachment; filename="{download.name}"'
    return response
