"""Answering a job: once, whoever is lost on the way."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID

import redis
from celery.exceptions import SoftTimeLimitExceeded
from django.utils import timezone

from inference import backends, images, stream
from inference.errors import DomainError
from inference.models import Job
from inference.services.settling import fail, settle, settle_cancelled
from inference.services.variants import variant_loaded

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
_LEASE_S = 6.0


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
        settle_cancelled(job, from_status=job.status)
        return None
    if job.attempt >= MAX_ATTEMPTS:
        fail(job, "worker_lost", "The worker was lost while answering, several times over.")
        return None
    # Under the lease nobody else writes these: no need to read them back.
    job.status, job.attempt = Job.Status.RUNNING, job.attempt + 1
    job.worker, job.started_at = worker, timezone.now()
    job.save(update_fields=["status", "attempt", "worker", "started_at"])
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
        settle_cancelled(job, from_status=Job.Status.RUNNING)
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:  # noqa: BLE001  # the asker is told, the worker lives on
        fail(job, *_explained(error, job))
    else:
        kept = ("result", "timings", "confidence", "tokens", "finish_reason")
        fields = {name: result[name] for name in kept}
        if settle(job, from_status=Job.Status.RUNNING, status=Job.Status.SUCCEEDED, **fields):
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
        variant_loaded(job.variant, loaded)
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
