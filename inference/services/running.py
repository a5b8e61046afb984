"""Answering a job: once, whoever is lost on the way."""

import contextlib
import logging
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.utils import timezone

from inference import backends, errors, images, lease, selectors, stream
from inference.engine.manifest import CheckpointError
from inference.errors import DomainError
from inference.models import Job, Skill
from inference.services.settling import fail, job_timed_out, settle, settle_cancelled, tell
from inference.services.variants import variant_loaded

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3


def job_run(*, job_id: UUID | str, worker: str) -> None:
    """Answer a job, and with it waiting ones of its kind in one pass. Delivered twice, it is
    answered once.

    A lease in Redis, renewed while the answer is made, tells a job that is being answered from
    one whose worker was lost; the latter is taken over and its stream goes on where it stopped.
    """
    with contextlib.ExitStack() as held:
        # After a lost worker its lease runs out within seconds: worth waiting for.
        taken = lease.leased(held, job_id, wait_s=lease.SECONDS + 1)
        if taken is None:
            logger.info("Job %s is being answered elsewhere", job_id)
            return
        job = _claim(job_id, worker)
        if job is None:
            return
        jobs, leases = [job], [taken]
        for other in _alike(job):
            taken = lease.leased(held, other, wait_s=0)
            companion = _claim(other, worker) if taken is not None else None
            if companion is not None:
                jobs.append(companion)
                leases.append(taken)
        with lease.renewed(leases):
            if len(jobs) == 1:
                _answer(job)
            else:
                _answer_together(jobs)


def _alike(job: Job) -> list[UUID]:
    """Waiting jobs that one pass can answer along with this one."""
    if settings.INFERENCE_BATCH < 2 or not _in_batch(job):
        return []
    if not isinstance(backends.for_variant(job.variant), backends.Batching):
        return []
    if not selectors.queue_depth(job.variant.queue):
        return []
    waiting = Job.objects.filter(
        status=Job.Status.QUEUED, variant=job.variant_id, skill__in=(Skill.CAPTION, Skill.QUERY),
        params__settings=job.params["settings"], image__isnull=False, in_background=False,
    ).order_by("created_at")[: settings.INFERENCE_BATCH - 1]  # fmt: skip
    return [other.pk for other in waiting if _in_batch(other)]


def _in_batch(job: Job) -> bool:
    plain = not (job.params.get("spatial_refs") or job.params.get("reasoning"))
    # One in the background is measured as well, and alone; it holds nobody else up.
    plain = plain and not job.in_background
    return plain and job.image_id is not None and job.skill in (Skill.CAPTION, Skill.QUERY)


def _claim(job_id: UUID | str, worker: str) -> Job | None:
    """Take a queued job, or one whose worker was lost; None when there is nothing left to do.

    Expects the job's lease to be held.
    """
    job = Job.objects.select_related("variant", "image").filter(pk=job_id).first()
    if job is None or job.is_finished:
        return None
    if job.attempt >= MAX_ATTEMPTS:
        fail(job, errors.WORKER_LOST())
        return None
    claim = {
        "status": Job.Status.RUNNING,
        "attempt": job.attempt + 1,
        "worker": worker,
        "started_at": timezone.now(),
    }
    # Under the lease no other worker writes these, but the asker may have cancelled meanwhile.
    if not Job.objects.filter(pk=job.pk, status=job.status).update(**claim):
        return None
    for name, value in claim.items():
        setattr(job, name, value)
    return job


class _Cancelled(Exception):
    pass


class _Publisher:
    """Writes a job's events, leaving out what an earlier attempt already sent."""

    def __init__(self, job: Job, *, again: bool = False) -> None:
        self.job = job
        self.queue_ms = (time.time() - job.created_at.timestamp()) * 1e3
        past = stream.history(job.id) if again or job.attempt > 1 else []
        self.sent_text = "".join(e.data["text"] for e in past if e.type == "token")
        self.sent_found = [e.data for e in past if e.type in ("object", "point")]
        self.seen = 0
        self.found = 0
        self._held: list[stream.New] = []

    def __call__(self, kind: str, data: dict[str, Any]) -> None:
        if stream.publish(self.job.id, kind, data, after=self.held()):
            raise _Cancelled

    def hold(self, kind: str, data: dict[str, Any]) -> None:
        """Publish together with the next event, which follows at once."""
        self._held.append((kind, data))

    def held(self) -> list[stream.New]:
        """What is held, and not any more."""
        held, self._held = self._held, []
        return held

    def token(self, text: str) -> None:
        known = self.sent_text[self.seen : self.seen + len(text)]
        if not text.startswith(known):
            raise errors.WORKER_LOST("The answer could not be continued after a lost worker.")
        self.seen += len(text)
        if len(text) > len(known):
            self("token", {"text": text[len(known) :]})

    def region(self, kind: str, data: dict[str, Any]) -> None:
        self.found += 1
        if self.found > len(self.sent_found):
            self(kind, data)

    def log(self, message: str, level: str = "info") -> None:
        since = (time.time() - self.job.created_at.timestamp()) * 1e3
        self.hold("log", {"level": level, "message": message, "at_ms": round(since, 1)})


def _answer(job: Job, *, again: bool = False) -> None:
    """Run a claimed job on its backend and settle it; `again` after a pass that was given up."""
    publish = _Publisher(job, again=again)
    try:
        result = _stream_answer(job, publish)
    except _Cancelled:
        settle_cancelled(job, from_status=Job.Status.RUNNING)
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:  # noqa: BLE001  # the asker is told, the worker lives on
        fail(job, _explained(error, job), after=publish.held())
    else:
        _succeed(job, result, publish)


def _succeed(job: Job, result: dict[str, Any], publish: _Publisher) -> None:
    kept = ("result", "timings", "confidence", "tokens", "finish_reason")
    fields = {name: result[name] for name in kept}
    if settle(job, from_status=Job.Status.RUNNING, status=Job.Status.SUCCEEDED, **fields):
        tell(job, "result", result, after=publish.held())


def _answer_together(jobs: list[Job]) -> None:
    """Run claimed jobs of one variant in one pass; what it leaves open is answered one by one."""
    started = time.time()
    publishers = [_Publisher(job) for job in jobs]
    open_ = dict(enumerate(jobs))
    backend = backends.for_variant(jobs[0].variant)
    assert isinstance(backend, backends.Batching)  # or there would be no companions
    try:
        for row, publish in enumerate(publishers):
            with _may_leave(open_, row):
                _begin(jobs[row], publish)
        _load(jobs[0], backend, publishers[0])
        load_ms = (time.time() - started) * 1e3
        for row, event in backend.answer_many([_request(job) for job in jobs]):
            if row not in open_:
                continue
            with _may_leave(open_, row):
                if isinstance(event, backends.Finished):
                    data = _final(jobs[row], publishers[row], event, started, load_ms)
                    data |= {"batched_with": len(jobs) - 1}
                    _succeed(open_.pop(row), data, publishers[row])
                else:
                    _pass_on(jobs[row], publishers[row], event)
    except SoftTimeLimitExceeded:
        for job in open_.values():
            job_timed_out(job_id=job.pk)
        raise
    except Exception:
        # One row's fault (a question too long, an image gone) must not be everybody's.
        logger.warning("A pass of %d jobs was given up", len(jobs), exc_info=True)
    for job in open_.values():
        _answer(job, again=True)


@contextlib.contextmanager
def _may_leave(open_: dict[int, Job], row: int) -> Iterator[None]:
    """A cancelled row leaves the pass; the others go on."""
    try:
        yield
    except _Cancelled:
        settle_cancelled(open_.pop(row), from_status=Job.Status.RUNNING)


def _explained(error: Exception, job: Job) -> DomainError:
    """What went wrong, for the asker."""
    match error:
        case DomainError():
            return error
        case CheckpointError():
            logger.error("The weights of %s cannot be used: %s", job.variant.slug, error)
            return errors.WEIGHTS_DAMAGED(str(error))
        case ValueError():  # the engine's word for a question it cannot take
            return errors.INVALID_REQUEST(str(error))
        case FileNotFoundError():
            return errors.IMAGE_GONE("The image was cleared away before the job ran.")
        case MemoryError():
            return errors.OUT_OF_MEMORY()
    logger.error("Job %s failed", job.id, exc_info=error)
    return errors.INTERNAL_ERROR()


def _stream_answer(job: Job, publish: _Publisher) -> dict[str, Any]:
    """Publish the answer as it is made; the data of the final "result" event comes back."""
    started = time.time()
    _begin(job, publish)
    backend = backends.for_variant(job.variant)
    _load(job, backend, publish)
    load_ms = (time.time() - started) * 1e3
    for event in backend.answer(_request(job)):
        if isinstance(event, backends.Finished):
            return _final(job, publish, event, started, load_ms)
        _pass_on(job, publish, event)
    raise RuntimeError("The backend ended without an answer.")


def _begin(job: Job, publish: _Publisher) -> None:
    publish.hold("status", {"status": "running", "attempt": job.attempt})


def _load(job: Job, backend: backends.Backend, publish: _Publisher) -> None:
    if not backend.is_warm:
        publish("stage", {"stage": "loading", "variant": job.variant.slug})
        loaded = backend.load()
        variant_loaded(job.variant, loaded)
        publish.log(f"loaded {job.variant.slug} in {loaded['load_ms']:.0f} ms")


def _request(job: Job) -> backends.Request:
    return backends.Request(
        skill=job.skill,
        params=job.params,
        image_key=job.image_sha256,
        open_image=partial(images.read, job.image.file_name) if job.image else None,
    )


def _pass_on(job: Job, publish: _Publisher, event: backends.BackendEvent) -> None:
    """One of the backend's events to the job's stream."""
    match event:
        case backends.Stage(name=name, note=note):
            if note:
                publish.log(note)
            # Decoding is told of with its first token, which is there.
            tell_stage = publish.hold if name == "decoding" else publish
            tell_stage("stage", {"stage": name, "variant": job.variant.slug})
        case backends.Token(text=text):
            publish.token(text)
        case backends.Found(kind=kind, data=data):
            publish.region(kind, data)


def _final(
    job: Job, publish: _Publisher, done: backends.Finished, started: float, load_ms: float
) -> dict[str, Any]:
    """The data of a job's "result" event."""
    timings = {k: round(v, 2) if isinstance(v, float) else v for k, v in done.timings.items()}
    timings |= {
        "queue_ms": round(publish.queue_ms, 2),
        "load_ms": round(load_ms, 2),
        "total_ms": round(publish.queue_ms + (time.time() - started) * 1e3, 2),
    }
    publish.log(f"answered: {done.tokens['completion']} steps in {timings['total_ms']:.0f} ms")
    return {
        "skill": job.skill, "result": done.result, "timings": timings,
        "confidence": done.confidence, "tokens": done.tokens,
        "finish_reason": done.finish_reason, "variant": job.variant.slug, "attempt": job.attempt,
    }  # fmt: skip
