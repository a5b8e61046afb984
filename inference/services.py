"""Writes: storing images, submitting, running, cancelling and clearing jobs."""

import contextlib
import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import redis
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from kombu.exceptions import OperationalError

from inference import backends, images, selectors, signals, stream
from inference.errors import Busy, Conflict, DomainError, InvalidInput
from inference.models import Job, StoredImage, Variant

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
MAX_TEXT = 2000
"""Characters of a question or an object; the model's own limit, in tokens, is checked by it."""
_LEASE_S = 6.0


# Images


def image_store(*, data: bytes) -> StoredImage:
    """Normalise and keep an uploaded image; the same picture is kept once.

    Raises:
        InvalidInput, TooLarge, Unsupported: see `images.normalise`.
    """
    normal = images.normalise(data)
    now = timezone.now()
    fields = {
        "width": normal.width,
        "height": normal.height,
        "size_bytes": len(normal.data),
        "extension": normal.extension,
        "used_at": now,
    }
    images.write(normal, StoredImage(sha256=normal.sha256, **fields).file_name)
    kept, created = StoredImage.objects.get_or_create(sha256=normal.sha256, defaults=fields)
    if not created:
        kept.used_at = now
        kept.save(update_fields=["used_at"])
    return kept


def image_get(*, sha256: str) -> StoredImage:
    """An image stored before, marked as used.

    Raises:
        InvalidInput: it is not, or no longer, here.
    """
    image = StoredImage.objects.filter(pk=sha256).first()
    if image is None:
        raise InvalidInput(
            "That image is no longer here.", code="image_gone", hint="Upload it again."
        )
    image.used_at = timezone.now()
    image.save(update_fields=["used_at"])
    return image


# Variants


def variants_sync() -> list[Variant]:
    """Make the embedded model's three variants, or update them to the folder's revision."""
    folder = Path(settings.INFERENCE_MODEL_DIR)
    config = json.loads((folder / "config.json").read_text())
    card = folder / "world.txt"
    world = card.read_text().strip() if card.exists() else ""
    with transaction.atomic():
        for quantization, slug, name in (
            ("", "moondream-embedded-fp16", "Moondream embedded"),
            ("int8", "moondream-embedded-int8", "Moondream embedded, 8-bit"),
            ("nf4", "moondream-embedded-nf4", "Moondream embedded, 4-bit"),
        ):
            fields = {
                "name": name,
                "model_name": config["name"],
                "revision": config["revision"],
                "folder": str(folder),
                "quantization": quantization,
                "world": world,
            }
            first = not quantization and not Variant.objects.filter(is_default=True).exists()
            Variant.objects.update_or_create(
                slug=slug, defaults=fields, create_defaults={**fields, "is_default": first}
            )
    return selectors.variants_available()


# Jobs


def job_submit(
    *,
    skill: str,
    variant_slug: str | None,
    image: StoredImage | None,
    params: Mapping[str, Any],
    caller: str,
    owner_key: str = "",
    idempotency_key: str = "",
) -> Job:
    """Save a job and hand it to its queue.

    The same caller, owner and idempotency key give the same job again.

    Raises:
        InvalidInput: params that no model could answer.
        NotFound: unknown variant.
        Conflict: the idempotency key was used for another question.
        Busy: the queue is full (429), or broker or queue are away (503); nothing is left behind.
    """
    variant = selectors.variant_get(variant_slug)
    checked = _check_params(skill, params, has_image=image is not None)
    _check_queue(variant.queue)
    job = Job(
        skill=skill, variant=variant, image=image, image_sha256=image.sha256 if image else "",
        params=checked, caller=caller, owner_key=owner_key, idempotency_key=idempotency_key,
    )  # fmt: skip
    try:
        with transaction.atomic():
            job.save(force_insert=True)
    except IntegrityError:
        if not idempotency_key:
            raise
        return _same_job(job)
    try:
        stream.publish(job.id, "status", {"status": job.status, "attempt": 0})
        _enqueue(job)
    except (OperationalError, redis.exceptions.RedisError) as error:
        job.delete()
        raise _queue_away() from error
    return job


def _queue_away() -> Busy:
    return Busy(
        "The job queue cannot be reached.",
        retry_after=5,
        status=503,
        code="queue_unavailable",
        hint="Nothing was lost or charged; try again in a moment.",
    )


def _enqueue(job: Job) -> None:
    from inference.tasks import run_job

    run_job.apply_async((str(job.id),), queue=job.variant.queue, task_id=f"{job.id}:{job.attempt}")


def _same_job(job: Job) -> Job:
    earlier = Job.objects.select_related("variant").get(
        caller=job.caller, owner_key=job.owner_key, idempotency_key=job.idempotency_key
    )
    same = ("skill", "variant_id", "image_sha256", "params")
    if any(getattr(earlier, name) != getattr(job, name) for name in same):
        raise Conflict(
            "This Idempotency-Key was used for another request.",
            code="idempotency_conflict",
            hint="Use a new key for a new question.",
        )
    return earlier


def _check_queue(queue: str) -> None:
    try:
        depth = selectors.queue_depth(queue)
    except redis.exceptions.RedisError as error:
        raise _queue_away() from error
    if depth >= settings.INFERENCE_MAX_QUEUE_DEPTH:
        raise Busy(
            "Too many questions are waiting.", retry_after=10, code="queue_full",
            hint="Try again in a few seconds.",
        )  # fmt: skip


def _check_params(skill: str, params: Mapping[str, Any], *, has_image: bool) -> dict[str, Any]:
    """Only what the skill reads, trimmed; text must be there and of bearable length."""
    kept: dict[str, Any] = {"settings": dict(params.get("settings") or {})}
    if skill != "query" and not has_image:
        raise InvalidInput("An image is needed.", code="image_required", hint="Add an image.")
    if skill == "caption":
        kept["length"] = params.get("length") or "normal"
        return kept
    name = "question" if skill == "query" else "object"
    text = str(params.get(name) or "").replace("\x00", "").strip()
    if not text:
        raise InvalidInput(
            f"The {name} is empty.", code=f"{name}_required", hint=f"Write the {name}.", field=name
        )
    if len(text) > MAX_TEXT:
        raise InvalidInput(
            f"The {name} has {len(text)} characters; at most {MAX_TEXT} are read.",
            code=f"{name}_too_long", hint="Shorten it.", field=name,
        )  # fmt: skip
    kept[name] = text
    if skill == "query":
        kept["reasoning"] = bool(params.get("reasoning"))
        if params.get("spatial_refs"):
            kept["spatial_refs"] = [list(ref) for ref in params["spatial_refs"]]
    return kept


def job_cancel(*, job_id: UUID | str) -> Job:
    """Cancel a job: a waiting one at once, a running one at its next token. Safe to repeat.

    Raises:
        NotFound: no such job.
    """
    job = selectors.job_get(job_id)
    if job.is_finished:
        return job
    stream.request_cancel(job.id)
    _settle_cancelled(job, from_status=Job.Status.QUEUED)
    return selectors.job_get(job_id)


def _settle(job: Job, *, from_status: str, **fields: Any) -> bool:
    """Move a job to its end, once: False when it is no longer in `from_status`."""
    fields["finished_at"] = timezone.now()
    changed = Job.objects.filter(pk=job.pk, status=from_status).update(**fields)
    if changed:
        for name, value in fields.items():
            setattr(job, name, value)
        signals.job_finished.send(Job, job=job)
    return bool(changed)


def _settle_cancelled(job: Job, *, from_status: str) -> None:
    if _settle(job, from_status=from_status, status=Job.Status.CANCELLED):
        stream.publish(job.id, "cancelled", {})


def job_run(*, job_id: UUID | str, worker: str) -> None:
    """Answer a job. Delivered twice, it is answered once.

    A lease in Redis, renewed while the answer is made, tells a job that is being answered from
    one whose worker was lost; the latter is taken over and its stream goes on where it stopped.
    """
    lease = stream.client().lock(stream.key(job_id, "lease"), timeout=_LEASE_S, thread_local=False)
    # After a lost worker its lease runs out within seconds: worth waiting for.
    if not lease.acquire(blocking_timeout=_LEASE_S + 1):
        logger.info("Job %s is being answered elsewhere", job_id)
        return
    try:
        job = _claim(job_id, worker)
        if job is not None:
            with _renewed(lease):
                _answer(job)
    finally:
        with contextlib.suppress(redis.exceptions.LockError):
            lease.release()


def _claim(job_id: UUID | str, worker: str) -> Job | None:
    """Take a queued job, or one whose worker was lost; None when there is nothing left to do.

    Expects the job's lease to be held.
    """
    job = Job.objects.select_related("variant", "image").filter(pk=job_id).first()
    if job is None or job.is_finished:
        return None
    if stream.cancel_requested(job.id):
        _settle_cancelled(job, from_status=job.status)
        return None
    if job.attempt >= MAX_ATTEMPTS:
        _fail(job, "worker_lost", "The worker was lost while answering, several times over.")
        return None
    Job.objects.filter(pk=job.pk).update(
        status=Job.Status.RUNNING,
        attempt=F("attempt") + 1,
        worker=worker,
        started_at=timezone.now(),
    )
    job.refresh_from_db(fields=["status", "attempt", "worker", "started_at"])
    return job


@contextlib.contextmanager
def _renewed(lease: Any) -> Iterator[None]:
    """Renew a lease from a thread while the body runs."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(_LEASE_S / 3):
            with contextlib.suppress(redis.exceptions.RedisError):
                lease.reacquire()

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class _Cancelled(Exception):
    pass


class _Publisher:
    """Writes a job's events, leaving out what an earlier attempt already sent."""

    def __init__(self, job: Job) -> None:
        self.job = job
        past = stream.history(job.id) if job.attempt > 1 else []
        self.sent_text = "".join(e.data["text"] for e in past if e.type == "token")
        self.sent_found = [e.data for e in past if e.type in ("object", "point")]
        self.seen = 0
        self.found = 0

    def __call__(self, kind: str, data: dict[str, Any]) -> None:
        if stream.publish(self.job.id, kind, data):
            raise _Cancelled

    def token(self, text: str) -> None:
        known = self.sent_text[self.seen : self.seen + len(text)]
        if not text.startswith(known):
            raise DomainError(
                "The answer could not be continued after a lost worker.", code="worker_lost"
            )
        self.seen += len(text)
        if len(text) > len(known):
            self("token", {"text": text[len(known) :]})

    def region(self, kind: str, data: dict[str, Any]) -> None:
        self.found += 1
        if self.found > len(self.sent_found):
            self(kind, data)

    def log(self, message: str, level: str = "info") -> None:
        since = (time.time() - self.job.created_at.timestamp()) * 1e3
        self("log", {"level": level, "message": message, "at_ms": round(since, 1)})


def _answer(job: Job) -> None:
    """Run a claimed job on its backend and settle it."""
    try:
        result = _stream_answer(job)
    except _Cancelled:
        _settle_cancelled(job, from_status=Job.Status.RUNNING)
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:  # noqa: BLE001  # the asker is told, the worker lives on
        _fail(job, *_explained(error, job))
    else:
        kept = ("result", "timings", "confidence", "tokens", "finish_reason")
        fields = {name: result[name] for name in kept}
        if _settle(job, from_status=Job.Status.RUNNING, status=Job.Status.SUCCEEDED, **fields):
            stream.publish(job.id, "result", result)


def _explained(error: Exception, job: Job) -> tuple[str, str, str]:
    """(code, message, hint) of what went wrong, for the asker."""
    match error:
        case DomainError():
            return error.code, error.message, error.hint
        case ValueError():  # the engine's word for a question it cannot take
            return "invalid_request", str(error), "Change the request and try again."
        case FileNotFoundError():
            message = "The image was cleared away before the job ran."
            return "image_gone", message, "Upload it again."
        case MemoryError():
            return "out_of_memory", "The worker ran out of memory.", "Try a smaller variant."
    logger.error("Job %s failed", job.id, exc_info=error)
    return "internal_error", "Something broke on our side.", "Try again; it was logged."


def _stream_answer(job: Job) -> dict[str, Any]:
    """Publish the answer as it is made; the data of the final "result" event comes back."""
    started = time.time()
    publish = _Publisher(job)
    queue_ms = (started - job.created_at.timestamp()) * 1e3
    publish("status", {"status": "running", "attempt": job.attempt})
    backend = backends.for_variant(job.variant)
    if not backend.is_warm:
        publish("stage", {"stage": "loading", "variant": job.variant.slug})
        loaded = backend.load()
        _record_load(job.variant, loaded)
        publish.log(f"loaded {job.variant.slug} in {loaded['load_ms']:.0f} ms")
    request = backends.Request(
        skill=job.skill,
        params=job.params,
        image_key=job.image_sha256,
        open_image=partial(images.read, job.image.file_name) if job.image else None,
    )
    load_ms = (time.time() - started) * 1e3
    for event in backend.answer(request):
        match event:
            case backends.Stage(name=name, note=note):
                publish("stage", {"stage": name, "variant": job.variant.slug})
                if note:
                    publish.log(note)
            case backends.Token(text=text):
                publish.token(text)
            case backends.Found(kind=kind, data=data):
                publish.region(kind, data)
            case backends.Finished() as done:
                timings = {
                    k: round(v, 2) if isinstance(v, float) else v for k, v in done.timings.items()
                }
                timings |= {
                    "queue_ms": round(queue_ms, 2),
                    "load_ms": round(load_ms, 2),
                    "total_ms": round(queue_ms + (time.time() - started) * 1e3, 2),
                }
                publish.log(
                    f"answered: {done.tokens['completion']} steps in {timings['total_ms']:.0f} ms"
                )
                return {
                    "skill": job.skill, "result": done.result, "timings": timings,
                    "confidence": done.confidence, "tokens": done.tokens,
                    "finish_reason": done.finish_reason, "variant": job.variant.slug,
                    "attempt": job.attempt,
                }  # fmt: skip
    raise RuntimeError("The backend ended without an answer.")


def _record_load(variant: Variant, loaded: Mapping[str, Any]) -> None:
    """Keep what the worker measured when it loaded the variant."""
    variant.parameters = loaded["parameters"]
    variant.weight_bytes = loaded["weight_bytes"]
    variant.loaded_dtype = loaded["dtype"]
    variant.load_ms = loaded["load_ms"]
    variant.measured_at = timezone.now()
    variant.save(
        update_fields=["parameters", "weight_bytes", "loaded_dtype", "load_ms", "measured_at"]
    )


def _fail(job: Job, code: str, message: str, hint: str = "") -> None:
    done = _settle(
        job,
        from_status=job.status,
        status=Job.Status.FAILED,
        error_code=code,
        error_message=message,
    )
    if done:
        stream.publish(job.id, "error", {"code": code, "message": message, "hint": hint})


def job_timed_out(*, job_id: UUID | str) -> None:
    """End a job that took longer than its limit."""
    job = selectors.job_get(job_id)
    if not job.is_finished:
        limit = settings.INFERENCE_JOB_TIME_LIMIT_S
        _fail(
            job, "timeout", f"The answer took longer than {limit} s and was stopped.",
            "Ask for less, or try again when it is quieter.",
        )  # fmt: skip


# Housekeeping


def rescue() -> int:
    """Re-queue or end jobs that nobody is working on any more.

    The broker brings back what a lost worker held; this is for what it cannot know of: a child
    killed at its hard time limit, or a broker that lost its data.
    """
    patience = settings.INFERENCE_VISIBILITY_TIMEOUT_S + settings.INFERENCE_JOB_TIME_LIMIT_S
    before = timezone.now() - timedelta(seconds=patience)
    rescued = 0
    for job in Job.objects.unfinished().filter(created_at__lt=before).select_related("variant"):
        recent = job.started_at is not None and job.started_at >= before
        waiting = job.status == Job.Status.QUEUED and selectors.queue_depth(job.variant.queue)
        if recent or waiting or stream.client().exists(stream.key(job.id, "lease")):
            continue
        if job.status == Job.Status.RUNNING:
            job_timed_out(job_id=job.id)
        else:
            _enqueue(job)
        rescued += 1
    return rescued


def purge() -> int:
    """Delete images past their retention, and finished jobs a week old."""
    now = timezone.now()
    old = StoredImage.objects.filter(
        used_at__lt=now - timedelta(hours=settings.INFERENCE_IMAGE_RETENTION_H)
    ).exclude(jobs__in=Job.objects.unfinished())
    count = 0
    for image in old.iterator():
        images.delete(image.file_name)
        image.delete()
        count += 1
    Job.objects.exclude(pk__in=Job.objects.unfinished()).filter(
        created_at__lt=now - timedelta(days=7)
    ).delete()
    return count


def worker_beat(name: str) -> None:
    """Note a worker's sign of life for half a minute."""
    with contextlib.suppress(redis.exceptions.RedisError):
        stream.client().set(
            f"{settings.REDIS_PREFIX}worker:{name}",
            json.dumps({"name": name, "at": time.time()}),
            ex=30,
        )


def worker_gone(name: str) -> None:
    """Forget a worker that shut down in order."""
    with contextlib.suppress(redis.exceptions.RedisError):
        stream.client().delete(f"{settings.REDIS_PREFIX}worker:{name}")


def worker_process_started() -> None:
    """Warm the default variant in a fresh worker process, so that no visitor waits for it."""
    stream.client.cache_clear()
    try:
        variant = selectors.variant_get(None)
        backend = backends.for_variant(variant)
        if not backend.is_warm:
            _record_load(variant, backend.load())
    except Exception:
        logger.exception("Could not warm the default variant")
