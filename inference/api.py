"""`/v1`: the skills as the official clients call them, and jobs as the playground follows them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import File, Form, Router, Status
from ninja.files import UploadedFile

from inference import (
    answering,
    chat,
    errors,
    images,
    places,
    repeats,
    schemas,
    selectors,
    services,
    sse,
    stream,
)  # fmt: skip
from inference.adapters import Asker
from inference.database import in_thread
from inference.errors import DomainError
from inference.images import Upload
from inference.models import Job, StoredImage, Variant
from inference.remote import HUB
from inference.world.samples import sample_bytes

router = Router(tags=["Skills"])
jobs_router = Router(tags=["Jobs"])


@in_thread
def _submit(
    request: HttpRequest, skill: str, slug: str | None, urls: list[str], params: dict[str, Any]
) -> Job:
    try:
        return _job(request, skill, slug, urls.pop() if urls else None, params)
    finally:
        _let_go(request)


def _taken(body: schemas.CaptionIn | schemas.QueryIn | schemas.RegionIn) -> list[str]:
    """The image of a body, which keeps it no longer, in a list that `_submit` empties."""
    url, body.image_url = body.image_url, ""
    return [] if url is None else [url]


def _let_go(request: HttpRequest) -> None:
    """Forget what was read: whoever waits for an answer need not hold an image meanwhile."""
    request._body = b""
    getattr(request, "scope", {}).get("body_done", lambda: None)()


def _job(
    request: HttpRequest, skill: str, slug: str | None, url: str | None, params: dict[str, Any]
) -> Job:
    return services.job_submit(
        skill=skill,
        variant_slug=slug,
        image=None if url is None else Upload(lambda: images.data_url_bytes(url)),
        params=params,
        caller="api",
        owner_key=getattr(request, "client_key", ""),
        account=getattr(request, "account", None),
        payer=getattr(request, "payer", None),
        idempotency_key=repeats.own_key_of(request),
        for_hub=HUB in request.headers.get("Via", ""),
    )


def _metrics(data: dict[str, Any]) -> dict[str, Any]:
    tokens, timings = data["tokens"], data["timings"]
    return {
        "input_tokens": tokens.get("prompt", 0),
        "output_tokens": tokens.get("completion", 0),
        "prefill_time_ms": timings["prefill_ms"],
        "decode_time_ms": timings["decode_ms"],
        "ttft_ms": round(timings["queue_ms"] + timings["first_token_ms"], 2),
    }


async def _submitted(request: HttpRequest, *args: Any) -> Job:
    """Submit; a caller who leaves meanwhile leaves no job behind that nobody waits for."""
    making = asyncio.ensure_future(_submit(request, *args))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        await answering.left(await making)
        raise


def _answer(job: Job, data: dict[str, Any]) -> dict[str, Any]:
    return {
        **data["result"],
        "request_id": str(job.id),
        "variant": data["variant"],
        "confidence": data["confidence"],
        "outside_world": data.get("outside_world"),
        "finish_reason": data["finish_reason"],
        "metrics": _metrics(data),
    }


async def _asked(
    request: HttpRequest, skill: str, slug: str | None, urls: list[str], params: dict[str, Any],
    *, lines: Callable[[Job], AsyncIterator[str]] | None = None,
    whole: Callable[[Job, dict[str, Any]], dict[str, Any]] = _answer,
    broken: Callable[[DomainError], str] | None = None,
) -> Any:  # fmt: skip
    """Submit, then answer in lines as they come, where these are given, or when all is there; both take
    a place while they last."""
    with places.taken(request) as place:
        job = await _submitted(request, skill, slug, urls, params)
        if lines:
            return sse.EventStream(place, lines(job), broken=broken or _failure_line)
        return whole(job, await answering.answer(job))


async def _text_stream(job: Job) -> AsyncIterator[str]:
    """Caption and query events, ended by `completed`."""
    last: dict[str, Any] = {"chunk": "", "completed": True, "request_id": str(job.id)}
    async with aclosing(answering.told(job)) as told:
        async for event in told:
            if event is None:
                yield ": waiting\n\n"
            elif event.type == "token":
                yield _line({"chunk": event.data["text"], "completed": False})
            else:
                last["finish_reason"] = event.data["finish_reason"]
                last["outside_world"] = event.data.get("outside_world")
                if "attention" in event.data["result"]:
                    last["attention"] = event.data["result"]["attention"]
    yield _line(last)


def _line(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


def _failure_line(error: DomainError) -> str:
    """A `data:` line that is not JSON: the one in-band signal that makes both clients raise."""
    message = error.whole.encode("ascii", "replace").decode().replace("\n", " ")
    return f"data: stream failed: {error.code}: {message}\n\n"


@router.post(
    "/caption", response={200: schemas.CaptionOut}, summary="Describe an image",
    operation_id="caption", openapi_extra=repeats.DOCUMENTED,
)  # fmt: skip
async def caption(request: HttpRequest, body: schemas.CaptionIn) -> Any:
    """A caption of the chosen length. With `stream: true` the reply is an event stream of
    `data: {"chunk": …, "completed": false}` lines, ended by `"completed": true`."""
    params = {"length": body.length, "settings": body.settings, "attention": body.attention}
    lines = _text_stream if body.stream else None
    return await _asked(request, "caption", body.variant_slug, _taken(body), params, lines=lines)


@router.post(
    "/query", response={200: schemas.QueryOut}, summary="Ask about an image",
    operation_id="query", openapi_extra=repeats.DOCUMENTED, exclude_unset=True,
)  # fmt: skip
async def query(request: HttpRequest, body: schemas.QueryIn) -> Any:
    """An answer to a question, optionally about places given in `spatial_refs`. Streams as
    `/caption` does. A variant that does not reason, or needs an image, says so with 400."""
    params = {
        "question": body.question, "reasoning": body.reasoning,
        "spatial_refs": body.spatial_refs, "settings": body.settings, "attention": body.attention,
    }  # fmt: skip
    lines = _text_stream if body.stream else None
    return await _asked(request, "query", body.variant_slug, _taken(body), params, lines=lines)


@router.post(
    "/detect", response={200: schemas.DetectOut}, summary="Find boxes",
    operation_id="detect", openapi_extra=repeats.DOCUMENTED,
)  # fmt: skip
async def detect(request: HttpRequest, body: schemas.RegionIn) -> Any:
    """Boxes of all objects the phrase names, normalised to 0..1 from the top left; may be empty."""
    params = _region_params(body)
    return await _asked(request, "detect", body.variant_slug, _taken(body), params)


@router.post(
    "/point", response={200: schemas.PointOut}, summary="Find centres",
    operation_id="point", openapi_extra=repeats.DOCUMENTED,
)  # fmt: skip
async def point(request: HttpRequest, body: schemas.RegionIn) -> Any:
    """The centre of each object the phrase names, normalised to 0..1 from the top left."""
    params = _region_params(body)
    return await _asked(request, "point", body.variant_slug, _taken(body), params)


def _region_params(body: schemas.RegionIn) -> dict[str, Any]:
    if body.spatial_refs:
        raise errors.UNSUPPORTED_PARAMETER(
            "spatial_refs are not read by this skill.",
            hint="Leave them out, or ask about a place with /v1/query.", field="spatial_refs",
        )  # fmt: skip
    return {"object": body.object, "settings": body.settings}


@router.post(
    "/segment", response={200: dict[str, Any]}, summary="Outline an object",
    operation_id="segment",
)  # fmt: skip
def segment(request: HttpRequest, body: schemas.SegmentIn) -> Any:
    """No model here has this skill yet: always a 400 that says so."""
    raise errors.UNSUPPORTED_SKILL(
        "No model on this server can segment.",
        hint="Use /v1/detect for boxes or /v1/point for centres.",
    )


@router.post(
    "/chat/completions", response={200: schemas.ChatOut}, summary="Chat completion", exclude_unset=True,
    operation_id="chat_completions", openapi_extra=repeats.DOCUMENTED,
)  # fmt: skip
async def chat_completions(request: HttpRequest, body: schemas.ChatIn) -> Any:
    """OpenAI's shape over `/query`: the last user turn's text is asked about the newest image of
    the conversation. Earlier turns are not read: the model has no memory of a conversation."""
    params, urls = chat.params_of(body)
    lines = chat.stream_of(body) if body.stream else None
    body.messages = []
    return await _asked(
        request, "query", body.model, urls, params,
        lines=lines, whole=chat.completion_of(body), broken=_chat_failure,
    )  # fmt: skip


def _chat_failure(error: DomainError) -> str:
    return chat.failure(error, _failure_line(error))


@router.get("/variants", response={200: list[schemas.VariantOut]}, operation_id="variants")
def variants(request: HttpRequest) -> Any:
    """The model variants that can be asked, the default first."""
    return [
        {
            "slug": v.slug, "name": v.name, "precision": v.precision,
            "quantization": v.quantization, "revision": v.revision, "parameters": v.parameters,
            "weight_bytes": v.weight_bytes,
            "measured_at": v.measured_at.isoformat() if v.measured_at else None,
            "default": v.is_default, "world": v.world,
        }
        for v in selectors.variants_available()
    ]  # fmt: skip


def _model_out(variant: Variant) -> dict[str, Any]:
    known_at = variant.measured_at
    return {
        "id": variant.slug, "object": "model",
        "created": int(known_at.timestamp()) if known_at else 0, "owned_by": variant.model_name,
        "revision": variant.revision, "quantization": variant.quantization,
    }  # fmt: skip


@router.get(
    "/models", response={200: schemas.ModelsOut}, operation_id="models", summary="List models"
)
def models(request: HttpRequest) -> Any:
    """The variants as OpenAI lists models, the default first. `created` is when a worker first
    measured it here."""
    return {"object": "list", "data": [_model_out(v) for v in selectors.variants_available()]}


@router.get(
    "/models/{path:name}", response={200: schemas.ModelOut}, operation_id="model",
    summary="One model",
)  # fmt: skip
def model(request: HttpRequest, name: str) -> Any:
    """The variant that a name means: its own, one that official clients send for the default, or a tuned
    model that is for this caller."""
    account = getattr(request, "account", None)
    asker = Asker(getattr(request, "client_key", ""), *([account] if account else []))
    variant, adapter = selectors.model_get(name, asker)
    return _model_out(variant) | ({"id": f"{variant.slug}/{adapter}"} if adapter else {})


def _job_out(job: Job) -> dict[str, Any]:
    failed = job.status == Job.Status.FAILED
    return {
        "id": str(job.id),
        "skill": job.skill,
        "status": job.status,
        "variant": job.model_name,
        "image_id": job.image_sha256,
        "created_at": job.created_at.isoformat(),
        "events_url": f"/v1/jobs/{job.id}/events",
        "cancel_url": f"/v1/jobs/{job.id}/cancel",
        "result": job.result,
        "timings": job.timings or None,
        "confidence": job.confidence,
        "outside_world": job.outside_world,
        "error": errors.payload(job.error_code, job.error_message) if failed else None,
    }


@jobs_router.post(
    "/jobs",
    response={202: schemas.JobOut},
    operation_id="job_create",
    openapi_extra=repeats.DOCUMENTED,
)
def job_create(
    request: HttpRequest,
    skill: Form[str],
    variant: Form[str] = "",
    question: Form[str] = "",
    object: Form[str] = "",  # noqa: A002  # the API's own word
    length: Form[str] = "normal",
    settings: Form[str] = "",
    attention: Form[bool] = False,  # noqa: FBT002  # a form field
    sample: Form[str] = "",
    image_id: Form[str] = "",
    image: UploadedFile | None = File(None),
) -> Any:
    """Ask without waiting: a multipart form with an image file, a sample's name or the `image_id`
    of an earlier upload. Follow the answer at `events_url`."""
    job = services.job_submit(
        skill=_known_skill(skill),
        variant_slug=variant,
        image=_form_image(image, sample, image_id),
        params={
            "question": question, "object": object, "length": _known_length(length),
            "settings": _json_settings(settings), "attention": attention,
        },
        caller="playground",
        owner_key=getattr(request, "client_key", ""), account=getattr(request, "account", None),
        payer=getattr(request, "payer", None), idempotency_key=repeats.own_key_of(request),
    )  # fmt: skip
    return Status(202, _job_out(job))


def _known_skill(skill: str) -> str:
    if skill not in ("caption", "query", "detect", "point"):
        raise errors.UNSUPPORTED_SKILL(f"Unknown skill {skill[:40]!r}.")
    return skill


def _known_length(length: str) -> str:
    if length not in ("short", "normal", "long"):
        raise errors.BAD_LENGTH(f"Unknown caption length {length[:40]!r}.")
    return length


def _json_settings(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:  # also what is nested too deeply
        raise errors.BAD_SETTINGS("settings is not JSON.") from error
    if not isinstance(value, dict):
        raise errors.BAD_SETTINGS("settings must be a JSON object.")
    return value


def _form_image(
    file: UploadedFile | None, sample: str, image_id: str
) -> StoredImage | Upload | None:
    if file is not None:
        images.check_size(file.size or 0)
        return Upload(file.read)
    if sample:
        data = sample_bytes(sample)
        return Upload(lambda: data)
    return services.image_get(sha256=image_id) if image_id else None


@jobs_router.get("/jobs/{job_id}", response={200: schemas.JobOut}, operation_id="job_get")
def job_get(request: HttpRequest, job_id: UUID) -> Any:
    """A job's state, and its answer once there is one."""
    return _job_out(selectors.job_get(job_id))


@jobs_router.post(
    "/jobs/{job_id}/cancel", response={200: schemas.JobOut},
    operation_id="job_cancel",
)  # fmt: skip
def job_cancel(request: HttpRequest, job_id: UUID) -> Any:
    """Cancel a job of your own: asked with the same key, or from the same network. Repeating it, or
    cancelling a finished one, changes nothing."""
    owner_key = getattr(request, "client_key", "")
    return _job_out(services.job_cancel(job_id=job_id, owner_key=owner_key))


@jobs_router.get("/jobs/{job_id}/events", operation_id="job_events")
async def job_events(request: HttpRequest, job_id: UUID) -> Any:
    """A job's events as server-sent events (`id`, `event`, `data`), from the beginning or after
    `Last-Event-ID`; ends with `result`, `error` or `cancelled`."""
    job = await in_thread(selectors.job_get)(job_id)
    await stream.check()
    after = stream.at(request.headers.get("Last-Event-ID", ""))
    return sse.response(request, answering.events(job, after))
