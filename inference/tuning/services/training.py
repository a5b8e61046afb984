"""Training a run on a worker, one turn after the other."""

import contextlib
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import redis
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from inference import errors as inference_errors
from inference import lease, stream
from inference.engine.manifest import CheckpointError
from inference.engine.rewards import Reward
from inference.engine.tuning.plan import Plan
from inference.errors import DomainError
from inference.tuning import errors, files, live
from inference.tuning.interrupting import Interrupted, Watch
from inference.tuning.models import Finetune, StepRecord, TuningRun
from inference.tuning.services.checkpoints import Superseded, head_store
from inference.tuning.services.owners import storage_check
from inference.tuning.services.runs import UNDER_WAY, WISHED, lease_name, run_send, settle
from inference.tuning.shown import shown
from inference.tuning.sources import Examples, rehearsed, source_of
from inference.tuning.who import Who

if TYPE_CHECKING:
    from inference.engine.tuning import loop as loops
    from inference.engine.tuning.tuner import Tuner

logger = logging.getLogger(__name__)
MAX_ATTEMPTS = 3
_SHARE = 20
"""How many times longer than storing a step training goes on before the next is stored: a twentieth of
the time goes into it."""
_STORAGE_TRIES, _STORAGE_PAUSE_S = 3, 2.0


def run_advance(*, run_id: UUID | str, turn: int, worker: str) -> None:
    """Go on with a run for one turn. Delivered twice, it is worked on once."""
    run = TuningRun.objects.filter(pk=run_id).first()
    if run is None or run.turn != turn:
        return
    with contextlib.ExitStack() as held:
        taken = lease.leased(held, lease_name(run.finetune_id), wait_s=lease.SECONDS + 1)
        if taken is None:
            logger.info("Run %s is worked on elsewhere", run_id)
            return
        with lease.renewed([taken]):
            claimed = _claim(run_id, turn, worker)
            if claimed is not None:
                _Turn(claimed).work()


@transaction.atomic
def _claim(run_id: UUID | str, turn: int, worker: str) -> TuningRun | None:
    """Take a run that waits or whose worker was lost; None where there is nothing to do. Expects its
    lease to be held."""
    found = TuningRun.objects.filter(pk=run_id, turn=turn, status__in=UNDER_WAY).first()
    if found is None:
        return None
    finetune = _locked(found.finetune_id)
    run = TuningRun.objects.select_for_update().filter(pk=run_id, turn=turn).first()
    if finetune is None or run is None or run.status not in UNDER_WAY:
        return None
    finetune.fence += 1
    finetune.save(update_fields=["fence"])
    run.finetune = finetune
    if run.attempt >= MAX_ATTEMPTS:
        settle(run, TuningRun.Status.FAILED, error=errors.TRAINING_LOST())
        return None
    is_new = run.status == TuningRun.Status.QUEUED
    run.status, run.worker, run.attempt = TuningRun.Status.RUNNING, worker, run.attempt + 1
    run.advanced_at = timezone.now()
    run.started_at = run.started_at or run.advanced_at
    run.save()
    if is_new:
        transaction.on_commit(
            lambda: stream.publish_if_reachable(run.pk, "status", {"status": run.status})
        )
    return run


def _locked(finetune_id: str) -> Finetune | None:
    rows = Finetune.objects.select_for_update(of=("self",)).select_related(
        "variant", "head", "owner"
    )
    return rows.filter(pk=finetune_id, deleted_at=None).first()


@dataclass(slots=True)
class _Prepared:
    """A run's examples, which need not be read anew each turn."""

    run_id: UUID
    folder: Path
    examples: Examples


_prepared: _Prepared | None = None
"""Of the run that this process worked on last."""


def _forget_prepared() -> None:
    global _prepared  # one process's memory of its last run
    if _prepared is not None:
        shutil.rmtree(_prepared.folder, ignore_errors=True)
    _prepared = None


class _Stopped(Exception):
    """Somebody asked for it; the wish is in the database."""


class _Turn:
    """One turn of a run on this worker."""

    def __init__(self, run: TuningRun) -> None:
        self.run, self.finetune = run, run.finetune
        self.plan = Plan.from_dict(run.plan)
        self.reward = Reward.from_dict(run.reward) if run.reward else None
        self.watch = Watch(run.pk)
        self.started = self.stored_at = time.monotonic()
        self.spent_before = run.spent_s
        self.store_s = 0.0
        self._tuner: Tuner | None = None

    # What it comes to.

    def work(self) -> None:
        """Train until the turn is over or the run has ended, and write down which."""
        try:
            with self.watch.watching():
                reason = self._train()
        except Superseded:
            logger.info("Run %s is another worker's now", self.run.pk)
            live.forget(self.finetune.pk)
        except (_Stopped, Interrupted) as stop:
            if isinstance(stop, Interrupted):
                live.forget_all()
            self._end(None)
        except SoftTimeLimitExceeded:
            live.forget_all()
            self._fail(inference_errors.TIMEOUT("One step took longer than it may."))
        except DomainError as error:
            self._fail(error)
        except MemoryError:
            self._fail(inference_errors.OUT_OF_MEMORY())
        except Exception as error:  # noqa: BLE001  # its owner reads it, the worker lives on
            self._fail(_explained(error, self.run))
        else:
            if reason:
                self._end(reason)
            else:
                self._hand_on()

    @property
    def spent_s(self) -> float:
        return self.spent_before + time.monotonic() - self.started

    @contextlib.contextmanager
    def _mine(self) -> Iterator[TuningRun]:
        """The run's row to write, while this worker may.

        Raises:
            Superseded: it may not any more.
        """
        with transaction.atomic():
            finetune = _locked(self.finetune.pk)
            if finetune is None or finetune.fence != self.finetune.fence:
                raise Superseded
            run = TuningRun.objects.select_for_update().get(pk=self.run.pk)
            run.finetune = finetune
            run.spent_s, run.advanced_at = self.spent_s, timezone.now()
            yield run

    def _end(self, reason: str | None) -> None:
        """Settle what was wished for, or a good end."""
        with contextlib.suppress(Superseded), self._mine() as run:
            wished = WISHED.get(run.wish)
            run.attempt = 0
            if wished is not None:
                settle(run, wished)
            elif reason is None:  # what asked for a stop has been taken back
                stream.cancel_withdraw(run.pk)
                self._next(run)
            else:
                settle(run, TuningRun.Status.SUCCEEDED, reason=reason)
        if reason:
            self._clear()

    def _fail(self, error: DomainError) -> None:
        live.forget(self.finetune.pk)
        with contextlib.suppress(Superseded), self._mine() as run:
            self._keep_head(run.finetune)
            settle(run, TuningRun.Status.FAILED, error=error)
        self._clear()

    def _keep_head(self, finetune: Finetune) -> None:
        if finetune.head is not None and not finetune.head.is_kept:
            finetune.head.is_kept = True
            finetune.head.save(update_fields=["is_kept", "updated_at"])

    def _hand_on(self) -> None:
        """The next turn may be any worker's."""
        with contextlib.suppress(Superseded), self._mine() as run:
            run.attempt = 0
            self._next(run)

    def _next(self, run: TuningRun) -> None:
        run.turn += 1
        run.save()
        run_send(run)

    def _clear(self) -> None:
        """The run has ended: nothing of it is needed here."""
        live.forget(self.finetune.pk)
        if _prepared is not None and _prepared.run_id == self.run.pk:
            _forget_prepared()

    # The training itself.

    def _train(self) -> str:
        """Why the run has ended; empty where only the turn has."""
        self._check_stop()
        examples = self._examples()
        with self.watch.armed():
            tuner = self._tuner = live.tuner_of(
                self.finetune, live.objective_of(self.plan), live.weights_of(self.reward)
            )
        StepRecord.objects.filter(finetune=self.finetune, step__gt=tuner.steps).delete()
        self._measure("before", examples)
        loop = self._loop(tuner, examples)
        began = time.monotonic()
        while tuner.steps < self.plan.steps:
            self._check_stop()
            if self.spent_s >= self.run.limit_s:
                return self._finished("time_limit", examples)
            reason = self._step(loop)
            if reason:
                return self._finished(reason, examples)
            if time.monotonic() - began >= max(settings.TUNING_SLICE_S, _SHARE * self.store_s):
                break
        if tuner.steps >= self.plan.steps:
            return self._finished("steps", examples)
        self._store_new(tuner)  # the next turn may be another worker's
        return ""

    def _check_stop(self) -> None:
        if (
            self.watch.is_asked
            or TuningRun.objects.filter(pk=self.run.pk).exclude(wish="").exists()
        ):
            if self._tuner is not None:
                self._store_new(self._tuner)
            raise _Stopped

    def _examples(self) -> Examples:
        global _prepared
        if _prepared is not None and _prepared.run_id == self.run.pk:
            return _prepared.examples
        _forget_prepared()
        folder = Path(tempfile.mkdtemp(prefix="tuning-"))
        self._log("Reading the data")
        try:
            with self.watch.armed():
                examples = source_of(self.run.data).examples(self.run.data, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._log(
            f"{len(examples.training):,} examples, {len(examples.held_out)} more to measure with"
        )
        _prepared = _Prepared(self.run.pk, folder, examples)
        return examples

    def _loop(self, tuner: "Tuner", examples: Examples) -> "loops.Loop":
        from inference.engine.tuning.loop import Loop, LoopSettings
        from inference.engine.tuning.sampling import SamplingSettings

        plan = self.plan
        sampling = SamplingSettings(plan.temperature, plan.max_tokens, plan.max_objects)
        settings_ = LoopSettings(
            plan.method, steps=plan.steps, lr=plan.lr, lr_warmup=plan.lr_warmup,  # type: ignore[arg-type]
            warmup_steps=plan.warmup_steps,
            groups=plan.groups, group_size=plan.group_size, sampling=sampling,
            refills=plan.refills, kl_limit=plan.kl_limit, rehearsal=plan.rehearsal,
        )  # fmt: skip
        return Loop(
            tuner, examples.training, settings_, reward=self.reward, seed=plan.seed,
            rehearsed=rehearsed(self.run.data) if plan.rehearsal else (),
        )  # fmt: skip

    def _step(self, loop: "loops.Loop") -> str:
        """Train one; a reason where the run has come to its end by it."""
        from inference.engine.tuning.loop import Collapsed

        tuner, started = loop.tuner, time.monotonic()
        try:
            with self.watch.armed():
                record = loop.step()
        except Collapsed as collapse:
            self._log(str(collapse))
            return "kl_limit"
        self._report(record, time.monotonic() - started)
        is_due = tuner.steps % self.plan.checkpoint_every == 0
        if is_due:
            self._check_storage()
        if is_due or time.monotonic() - self.stored_at >= _SHARE * self.store_s:
            self._store(tuner, keep=is_due)
        return ""

    def _check_storage(self) -> None:
        storage_check(Who(self.finetune.owner, self.finetune.owner_key))

    def _store(self, tuner: "Tuner", *, keep: bool = False) -> None:
        """Make what is trained the place to go on from, and say that it is stored."""
        started = time.monotonic()
        for tries in range(_STORAGE_TRIES):
            try:
                head_store(
                    self.finetune, step=tuner.steps, keep=keep, together=self._noted,
                    write=lambda folder: tuner.save(folder, finetune=self.finetune.pk, run=str(self.run.pk)),
                )  # fmt: skip
                break
            except DomainError as error:
                is_last = tries == _STORAGE_TRIES - 1
                if is_last or error.kind is errors.TUNING_DISK_FULL:
                    raise
                time.sleep(_STORAGE_PAUSE_S)  # a storage that is away may come back
        live.stored(self.finetune)
        self.stored_at = time.monotonic()
        self.store_s = self.stored_at - started
        self._publish("checkpoint", {"step": tuner.steps, "is_kept": keep})

    def _store_new(self, tuner: "Tuner") -> None:
        if tuner.steps > self.finetune.step:
            self._store(tuner)

    def _noted(self) -> None:
        TuningRun.objects.filter(pk=self.run.pk).update(
            spent_s=self.spent_s, advanced_at=timezone.now(), attempt=0
        )

    def _finished(self, reason: str, examples: Examples) -> str:
        tuner = self._tuner
        assert tuner is not None
        if tuner.steps > self.finetune.step:
            self._store(tuner, keep=True)
        elif self.finetune.head is not None:
            self._keep_head(self.finetune)
        self._measure("after", examples)
        return reason

    def _measure(self, when: str, examples: Examples) -> None:
        """What the likeliest answers to held-out examples are worth, once before and once after."""
        if when in self.run.measured or not examples.held_out or self.reward is None:
            return
        from inference.engine.tuning.loop import measure

        assert self._tuner is not None
        with self.watch.armed():
            measured = measure(
                self._tuner, examples.held_out, self.reward, adapter=when == "after",
                max_tokens=self.plan.max_tokens,
            )  # fmt: skip
        self.run.measured = {**self.run.measured, when: measured.to_dict()}
        TuningRun.objects.filter(pk=self.run.pk).update(measured=self.run.measured)
        self._publish("measured", {"when": when, **measured.to_dict()})

    # Telling.

    def _report(self, record: "loops.StepRecord", spent_s: float) -> None:
        """Keep what a step did, and tell who follows."""
        left = self.plan.steps - record.step
        metrics = record.metrics() | {
            "step_s": spent_s, "spent_s": self.spent_s,
            "eta_s": min(left * spent_s, max(0.0, self.run.limit_s - self.spent_s)),
        }  # fmt: skip
        StepRecord.objects.update_or_create(
            finetune=self.finetune, step=record.step,
            defaults={"metrics": metrics, "rollouts": shown(record.asked)},
        )  # fmt: skip
        method = "sft" if self.plan.teaches(record.step - 1) else "rl"
        self._publish(
            "step", {"step": record.step, "steps": self.plan.steps, "method": method, **metrics}
        )

    def _log(self, message: str) -> None:
        self._publish("log", {"level": "info", "message": message, "at_s": round(self.spent_s, 1)})

    def _publish(self, kind: str, data: dict[str, Any]) -> None:
        with contextlib.suppress(redis.exceptions.RedisError):
            stream.publish(self.run.pk, kind, data)


def _explained(error: Exception, run: TuningRun) -> DomainError:
    """What a run's owner reads of whatever broke it."""
    if files.is_full(error):
        return errors.TUNING_DISK_FULL()
    if isinstance(error, CheckpointError):
        return inference_errors.WEIGHTS_DAMAGED(str(error))
    if type(error).__name__ == "OutOfMemoryError":
        live.forget_all()
        return inference_errors.OUT_OF_MEMORY()
    if isinstance(error, ValueError) or type(error).__name__ == "TunerError":
        return errors.TRAINING_BROKE(str(error))
    logger.error("Run %s broke", run.pk, exc_info=error)
    return errors.TRAINING_BROKE()
