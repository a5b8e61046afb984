"""Answering a job: once, whoever is lost on the way."""

import contextlib
import logging
import time
from collections import deque
from functools import partial
from typing import Any
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded

from inference import adapters, backends, errors, images, lease, stream
from inference.engine.manifest import CheckpointError
from inference.errors import DomainError
from inference.models import Job
from inference.services.claiming import alike, claim
from inference.services.settling import fail, job_timed_out, settle, settle_cancelled, tell
from inference.services.variants import variant_loaded

logger = logging.getLogger(__name__)
_answered_in_passes: deque[str] = deque(maxlen=256)
"""Jobs that this process answered along with others."""


def job_run(*, job_id: UUID | str, worker: str) -> None:
    """Answer a job, and with it waiting ones of its kind in one pass. Delivered twice, it is
    answered once.

    A lease in Redis, renewed while the answer is made, tells a job that is being answered from
    one whose worker was lost; the latter is taken over and its stream goes on where it stopped.
    """
    if str(job_id) in _answered_in_passes:  # its own message, which comes after the pass
        return
    with contextlib.ExitStack() as held:
        # After a lost worker its lease runs out within seconds: worth waiting for.
        taken = lease.leased(held, job_id, wait_s=lease.SECONDS + 1)
        if taken is None:
            logger.info("Job %s is being answered elsewhere", job_id)
            return
        jobs = claim([job_id], worker)
        if not jobs:
            return
        others = lease.leased_at_once(held, alike(jobs[0]))
        jobs += claim(list(others), worker) if others else []
        with lease.renewed([taken, *others.values()]):
            if len(jobs) == 1:
                _answer(jobs[0])
            else:
                _answer_together(jobs)


_AT_ONCE_S = 0.025
"""What comes within this time after something was published is held, and published with what comes
after it: a reader sees no difference, and a quick model spends less on telling than on answering."""


class _Cancelled(Exception):
    pass


class _Publisher:
    """Writes a job's events, leaving out what an earlier attempt already sent.

    In rounds, all is held until its `_Pass` writes what several jobs have to tell. The last event
    is written by who settles the job, with what is held then.
    """

    def __init__(self, job: Job, *, again: bool = False, in_rounds: bool = False) -> None:
        self.job = job
        self.in_rounds = in_rounds
        self.queue_ms = (time.time() - job.created_at.timestamp()) * 1e3
        past = stream.history(job.id) if again or job.attempt > 1 else []
        self.sent_text = "".join(e.data["text"] for e in past if e.type == "token")
        self.sent_found = [e.data for e in past if e.type in ("object", "point")]
        self.seen = 0
        self.found = 0
        self._held: list[stream.New] = []
        self._published_at = 0.0

    def __call__(self, kind: str, data: dict[str, Any]) -> None:
        now = time.monotonic()
        if self.in_rounds or now - self._published_at < _AT_ONCE_S:
            self.hold(kind, data)
            return
        self._published_at = now
        if stream.publish(self.job.id, kind, data, after=self.held()):
            raise _Cancelled

    def hold(self, kind: str, data: dict[str, Any]) -> None:
        """Publish together with a later event."""
        self._held.append((kind, data))

    def take(self, event: backends.BackendEvent) -> None:
        """One of the backend's events, to the job's stream."""
        match event:
            case backends.Stage(name=name, note=note):
                if note:
                    self.log(note)
                # Decoding is published with its first token, which is there.
                publish = self.hold if name == "decoding" else self
                publish("stage", {"stage": name, "variant": self.job.model_name})
            case backends.Token(text=text):
                self.token(text)
            case backends.Found(kind=kind, data=data):
                self.region(kind, data)

    def held(self) -> list[stream.New]:
        """What is held, and not any more."""
        held, self._held = self._held, []
        return held

    @property
    def is_holding(self) -> bool:
        return bool(self._held)

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
        if _settled(job, result):
            tell(job, "result", result, after=publish.held())


def _settled(job: Job, result: dict[str, Any]) -> bool:
    """Save a job's answer; False when it was cancelled meanwhile."""
    kept = ("result", "timings", "confidence", "tokens", "finish_reason", "outside_world")
    fields = {name: result[name] for name in kept}
    return settle(job, from_status=Job.Status.RUNNING, status=Job.Status.SUCCEEDED, **fields)


def _answer_together(jobs: list[Job]) -> None:
    """Run claimed jobs of one variant in one pass; what it leaves open is answered one by one."""
    together = _Pass(jobs)
    try:
        together.run()
    except SoftTimeLimitExceeded:
        for publish in together.open.values():
            job_timed_out(job_id=publish.job.pk)
        raise
    except Exception:
        # One row's fault (a question too long, an image gone) must not be everybody's.
        logger.warning("A pass of %d jobs was given up", len(jobs), exc_info=True)
    for publish in together.open.values():
        _answer(publish.job, again=True)
    _answered_in_passes.extend(str(job.id) for job in jobs[1:])


class _Pass:
    """Jobs that are answered together, and those of them that are open still."""

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs
        self.open = {row: _Publisher(job, in_rounds=True) for row, job in enumerate(jobs)}
        self._ended: list[_Publisher] = []
        """Whose last event is not written yet."""
        self._started = time.time()
        self._load_ms = 0.0

    def run(self) -> None:
        """Answer them, in rounds: what comes of one step for all of them is written at once."""
        backend = backends.for_variant(self.jobs[0].variant)
        assert isinstance(backend, backends.Batching)  # or there would be no companions
        for publish in self.open.values():
            _begin(publish)
        _load(backend, self.open[0])
        self._load_ms = (time.time() - self._started) * 1e3
        for events in backend.answer_many([_request(job) for job in self.jobs]):
            try:
                for row, event in events:
                    if row in self.open:  # or it was cancelled
                        self._take(row, event)
            finally:  # what was answered is told of, though another row's fault ends the pass
                self._publish_round()

    def _take(self, row: int, event: backends.BackendEvent) -> None:
        """Take one event of a row; one that ends is settled and leaves the pass."""
        publish = self.open[row]
        if not isinstance(event, backends.Finished):
            publish.take(event)
            return
        result = _final(publish, event, self._started, self._load_ms, len(self.jobs))
        if _settled(publish.job, result):
            publish.hold("result", result)
            self._ended.append(publish)
        del self.open[row]

    def _publish_round(self) -> None:
        """Write what all rows hold in one round trip. A cancelled row leaves; the others go on."""
        rows = [row for row, publish in self.open.items() if publish.is_holding]
        publishers = [*(self.open[row] for row in rows), *self._ended]
        self._ended = []
        asked = stream.publish_all([(publish.job.id, publish.held()) for publish in publishers])
        for row, is_cancelled in zip(rows, asked, strict=False):  # those that ended come after them
            if is_cancelled:
                settle_cancelled(self.open.pop(row).job, from_status=Job.Status.RUNNING)


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
    _begin(publish)
    backend = backends.for_variant(job.variant)
    _load(backend, publish)
    load_ms = (time.time() - started) * 1e3
    for event in backend.answer(_request(job)):
        if isinstance(event, backends.Finished):
            return _final(publish, event, started, load_ms)
        publish.take(event)
    raise RuntimeError("The backend ended without an answer.")


def _begin(publish: _Publisher) -> None:
    publish.hold("status", {"status": "running", "attempt": publish.job.attempt})


def _load(backend: backends.Backend, publish: _Publisher) -> None:
    job = publish.job
    if not backend.is_warm:
        publish("stage", {"stage": "loading", "variant": job.model_name})
        loaded = backend.load()
        variant_loaded(job.variant, loaded)
        publish.log(f"loaded {job.variant.slug} in {loaded['load_ms']:.0f} ms")


def _request(job: Job) -> backends.Request:
    return backends.Request(
        skill=job.skill,
        params=job.params,
        image_key=job.image_sha256,
        open_image=partial(images.read, job.image.file_name) if job.image else None,
        adapter=adapters.files(job.adapter) if job.adapter else None,
    )


def _final(
    publish: _Publisher,
    done: backends.Finished,
    started: float,
    load_ms: float,
    batch_size: int = 1,
) -> dict[str, Any]:
    """The data of a job's "result" event. `batch_size` is in its timings where several jobs shared the
    worker's time."""
    job = publish.job
    timings = {k: round(v, 2) if isinstance(v, float) else v for k, v in done.timings.items()}
    timings |= {
        "queue_ms": round(publish.queue_ms, 2),
        "load_ms": round(load_ms, 2),
        "total_ms": round(publish.queue_ms + (time.time() - started) * 1e3, 2),
    }
    if batch_size > 1:
        timings["batch_size"] = batch_size
    publish.log(f"answered: {done.tokens['completion']} steps in {timings['total_ms']:.0f} ms")
    return {
        "skill": job.skill, "result": done.result, "timings": timings,
        "confidence": done.confidence, "tokens": done.tokens, "outside_world": done.outside_world,
        "finish_reason": done.finish_reason, "variant": job.model_name, "attempt": job.attempt,
    }  # fmt: skip
