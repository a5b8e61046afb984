"""Taking a question in, and taking it back."""

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from django.db import IntegrityError, transaction

from inference import errors, metering, selectors, stream
from inference.adapters import Asker
from inference.engine.settings import Settings, read_reference
from inference.errors import kind_of
from inference.images import Upload
from inference.messages import send_on_commit
from inference.models import Job, StoredImage, Variant
from inference.services.settling import settle_cancelled
from inference.services.stored_images import Looked, image_drop, image_keep, image_look

logger = logging.getLogger(__name__)
_NOTHING_LOST = "Nothing was lost or charged; try again in a moment."
MAX_TEXT = 2000
"""Characters of a question or an object; the model's own limit, in tokens, is checked by it."""


def job_submit(
    *,
    skill: str,
    variant_slug: str | None,
    image: StoredImage | Upload | None,
    params: Mapping[str, Any],
    caller: str,
    owner_key: str = "",
    account: Callable[[], int | None] | None = None,
    payer: metering.Payer = None,
    idempotency_key: str = "",
    in_background: bool = False,
    for_hub: bool = False,
    is_site: bool = False,
) -> Job:
    """Save a job and hand it to its queue. What is cheap to check comes first; an image is decoded when
    nothing else speaks against the question, and stored with it.

    The same caller, owner and idempotency key give the same job again, unless it was cancelled or
    failed on our side: then it is asked anew. `in_background` lets every other question pass.
    `for_hub` says that another server asks: it is answered by what runs here. `account` finds the caller's
    account, where a tuned model is named that may be theirs alone; the site itself (`is_site`) may ask any.
    `payer` is who it is metered for (`inference.metering`).

    Raises:
        InvalidInput: params that no model could answer, or an image that cannot be read.
        TooLarge, Unsupported: the image.
        NotFound: unknown variant, or a tuned model that is not for this caller.
        Conflict: the idempotency key was used for another question.
        Busy: the queue is full (429), or broker or queue are away (503); nothing is left behind.
        DomainError: what the payer may use is used up.
    """
    asker = Asker(owner_key, account or (lambda: None), is_site)
    variant, adapter = selectors.model_get(variant_slug, asker)
    if for_hub and variant.backend == "remote":
        raise errors.REMOTE_TWICE()
    checked = _check_params(skill, params, has_image=image is not None)
    _check_abilities(variant, skill, checked, has_image=image is not None)
    job = Job(
        skill=skill, variant=variant, adapter=adapter, revision=variant.revision, params=checked, caller=caller, owner_key=owner_key,
        idempotency_key=idempotency_key, in_background=in_background,
    )  # fmt: skip
    earlier = _earlier(job)
    is_repeated = earlier is not None and _answers_again(earlier)
    ahead = 0 if is_repeated else _check_queue(variant.queue, owner_key)
    looked = image_look(image) if image is not None else None
    job.image_sha256 = looked.sha256 if looked else ""
    if earlier is not None:
        _same(earlier, job)
        if is_repeated:
            return earlier
        Job.objects.filter(pk=earlier.pk).update(idempotency_key="")
    job.is_metered = metering.meter().job_reserve(job, payer, is_site=is_site)
    try:
        job.image = image_keep(looked) if looked else None
        # Only a key can be there already.
        with transaction.atomic() if idempotency_key else contextlib.nullcontext():
            job.save(force_insert=True)
    except BaseException as error:
        _release(job)
        # The twin request was quicker.
        earlier = _earlier(job) if isinstance(error, IntegrityError) else None
        if earlier is None:
            raise
        return _same(earlier, job)

    def lost(error: Exception) -> None:
        _take_back(job, looked)
        raise errors.QUEUE_UNAVAILABLE(hint=_NOTHING_LOST) from error

    try:
        stream.publish(job.id, "status", {"status": job.status, "attempt": 0})
    except redis.exceptions.RedisError as error:
        lost(error)
    enqueue(job, priority=3 if in_background else min(3, ahead), lost=lost)
    return job


def _take_back(job: Job, looked: Looked | None) -> None:
    """Leave nothing of a job that could not be queued."""
    with contextlib.suppress(redis.exceptions.RedisError):
        stream.forget(job.id)
    _release(job)
    job.delete()
    if looked is not None:
        image_drop(looked)


def _release(job: Job) -> None:
    if job.is_metered:
        metering.meter().ended(job.id)


def enqueue(
    job: Job, *, priority: int = 0, lost: Callable[[Exception], None] | None = None
) -> None:
    """Hand a job to its queue; 0 is soonest, 3 last. Without the broker `lost` is called; by default
    the rescue tries again."""
    from inference.tasks import run_job

    def noted(error: Exception) -> None:
        logger.warning("Job %s could not be queued; it will be tried again", job.id)

    send_on_commit(
        run_job, str(job.id), lost=lost or noted, queue=job.variant.queue,
        task_id=f"{job.id}:{job.attempt}", priority=priority,
    )  # fmt: skip


def _earlier(job: Job) -> Job | None:
    """The job that its idempotency key made before, if any."""
    if not job.idempotency_key:
        return None
    return (
        Job.objects.select_related("variant")
        .filter(caller=job.caller, owner_key=job.owner_key, idempotency_key=job.idempotency_key)
        .first()
    )


def _answers_again(earlier: Job) -> bool:
    """Whether a job, or what will come of it, is an answer to a repeated request."""
    if earlier.status == Job.Status.FAILED:
        return kind_of(earlier.error_code).status < 500
    if earlier.is_finished:
        return earlier.status != Job.Status.CANCELLED
    return not stream.cancel_requested(earlier.id)


def _same(earlier: Job, job: Job) -> Job:
    """The earlier job.

    Raises:
        Conflict: it asks for something else.
    """
    same = ("skill", "variant_id", "adapter", "image_sha256", "params")
    if any(getattr(earlier, name) != getattr(job, name) for name in same):
        raise errors.IDEMPOTENCY_CONFLICT(
            "This Idempotency-Key was used for another request.",
            hint="Use a new key for a new question.",
        )
    return earlier


def _check_queue(queue: str, owner_key: str) -> int:
    """How many questions of the same caller wait already.

    Raises:
        Busy: too many wait (429), the oldest for too long (503), or the broker is away (503).
    """
    try:
        depth = selectors.queue_depth(queue)
    except redis.exceptions.RedisError as error:
        raise errors.QUEUE_UNAVAILABLE(hint=_NOTHING_LOST) from error
    if depth >= settings.INFERENCE_MAX_QUEUE_DEPTH:
        raise errors.QUEUE_FULL()
    if depth == 0:  # the usual case needs no look at the database
        return 0
    waiting = selectors.waiting(queue, owner_key)
    if waiting.oldest_s > settings.INFERENCE_MAX_QUEUE_AGE_S:
        raise errors.QUEUE_SLOW()
    if waiting.own >= settings.INFERENCE_MAX_WAITING_PER_CALLER:
        raise errors.TOO_MANY_WAITING(f"{waiting.own} of your questions are waiting already.")
    return waiting.own


def _check_params(skill: str, params: Mapping[str, Any], *, has_image: bool) -> dict[str, Any]:
    """Only what the skill reads, trimmed; text must be there and of bearable length."""
    try:
        kept: dict[str, Any] = {"settings": Settings.read(params.get("settings")).chosen()}
    except ValueError as error:
        raise errors.BAD_SETTINGS(str(error), field="settings") from error
    if skill != "query" and not has_image:
        raise errors.IMAGE_REQUIRED()
    if params.get("attention"):
        _check_attention(skill, params, has_image=has_image)
        kept["attention"] = True
    if skill == "caption":
        kept["length"] = params.get("length") or "normal"
        return kept
    name = "question" if skill == "query" else "object"
    kept[name] = _text(name, params.get(name))
    if skill == "query":
        kept["reasoning"] = bool(params.get("reasoning"))
        if params.get("spatial_refs"):
            kept["spatial_refs"] = _references(params["spatial_refs"])
    return kept


def _check_attention(skill: str, params: Mapping[str, Any], *, has_image: bool) -> None:
    """Maps are of a text, over an image, after a prompt of tokens alone."""
    why = ""
    if skill not in ("caption", "query"):
        why = "Attention maps are of captions and answers."
    elif not has_image:
        why = "Attention maps are over an image."
    elif params.get("reasoning") or params.get("spatial_refs"):
        why = "Attention maps are not made with reasoning or spatial_refs."
    if why:
        raise errors.UNSUPPORTED_PARAMETER(why, field="attention")


_TEXT_FAULTS = {
    "question": (errors.QUESTION_REQUIRED, errors.QUESTION_TOO_LONG),
    "object": (errors.OBJECT_REQUIRED, errors.OBJECT_TOO_LONG),
}


def _text(name: str, given: Any) -> str:
    text = str(given or "").replace("\x00", "").strip()
    required, too_long = _TEXT_FAULTS[name]
    if not text:
        raise required(field=name)
    if len(text) > MAX_TEXT:
        raise too_long(
            f"The {name} has {len(text)} characters; at most {MAX_TEXT} are read.", field=name
        )
    return text


def _references(refs: Sequence[Sequence[float]]) -> list[list[float]]:
    try:
        return [list(read_reference(ref)) for ref in refs]
    except ValueError as error:
        raise errors.BAD_SPATIAL_REFS(str(error), field="spatial_refs") from error


def _check_abilities(
    variant: Variant, skill: str, params: Mapping[str, Any], *, has_image: bool
) -> None:
    """Say before it is queued what this model was not trained for."""
    if skill in variant.lacks:
        raise errors.UNSUPPORTED_SKILL(f"{variant.name} has no {skill}.")
    if params.get("reasoning") and "reasoning" in variant.lacks:
        raise errors.UNSUPPORTED_REASONING(f"{variant.name} does not reason.", field="reasoning")
    if params.get("attention") and variant.backend != "engine":
        raise errors.UNSUPPORTED_PARAMETER(
            f"{variant.name} does not run here: where it looks is not known.", field="attention"
        )
    if not has_image and "text_only" in variant.lacks:
        raise errors.IMAGE_REQUIRED(f"{variant.name} answers about an image only.")


def job_cancel(*, job_id: UUID | str, owner_key: str = "") -> Job:
    """Cancel a job: a waiting one at once, a running one at its next token. Safe to repeat.

    Args:
        owner_key: of the caller who wants it; without, it is this system itself.

    Raises:
        NotFound: no such job.
        RedisError: it runs, and its worker cannot be told.
        Forbidden: another caller asked for it. Its id shows an answer, it does not take it away.
    """
    job = selectors.job_get(job_id)
    if owner_key and job.owner_key and job.owner_key != owner_key:
        raise errors.NOT_YOUR_JOB()
    if job.is_finished:
        return job
    settle_cancelled(job, from_status=Job.Status.QUEUED)
    job = selectors.job_get(job_id)
    if not job.is_finished:
        stream.request_cancel(job.id)
    return job
