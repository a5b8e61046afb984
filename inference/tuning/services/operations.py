"""Calls of the tuning API that workers answer: samples, and training steps that are stored before they
are answered."""

import contextlib
import hashlib
import io
import logging
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import redis
from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction
from django.utils import timezone

from inference import errors as inference_errors
from inference import lease, metering, stream
from inference.engine.tuning.ground_truth import ground_truth_reward
from inference.errors import DomainError
from inference.messages import send_on_commit
from inference.tuning import QUEUE, errors, files, live, requests
from inference.tuning.models import Finetune, Operation, StepRecord
from inference.tuning.services.checkpoints import Superseded, head_store
from inference.tuning.services.owners import storage_check
from inference.tuning.services.runs import lease_name
from inference.tuning.who import Who

if TYPE_CHECKING:
    from inference.engine.tuning.tuner import Tuner

logger = logging.getLogger(__name__)
MAX_ATTEMPTS = 3
MOST_WAITING = 32
"""Calls of one fine-tune that wait."""
RESERVED_S = 60
"""Seconds of training that are reserved for a call; what it used of them counts."""
MOST_OF_OWNER = 64
"""Of all fine-tunes of an owner: what they ask is kept, with its images, until it is answered."""
_AGAIN_S = 0.5
Kind = Operation.Kind
Status = Operation.Status


# Taking a call in.


def rollouts_submit(
    *,
    finetune: Finetune,
    request: Mapping[str, Any],
    count: int,
    truth: Any = None,
    payer: metering.Payer = None,
) -> Operation:
    """Queue a sampling.

    Raises:
        InvalidInput, TooLarge, Unsupported: what is asked cannot be, with the part that is wrong.
        Busy: too much waits, or broker or storage are away.
    """
    if not 1 <= count <= requests.MOST_ROLLOUTS:
        raise requests.refused("num_rollouts", f"must be 1 to {requests.MOST_ROLLOUTS}")
    requests.request_check(request, "request")
    if truth is not None:
        requests.truth_check(request["skill"], truth, "ground_truth")
    asked = {"request": request, "num_rollouts": count, "ground_truth": truth}
    return _queued(finetune, Kind.ROLLOUTS, asked, payer)


def train_step_submit(
    *,
    finetune: Finetune,
    groups: list[Any],
    lr: float,
    step: int | None = None,
    payer: metering.Payer = None,
) -> Operation:
    """Queue a training step. One that is under way, or whose answer nobody received, is not queued again
    by an equal request: clients repeat what they got no answer to.

    Args:
        step: the step that it is to be; None for the next.

    Raises:
        InvalidInput, TooLarge, Unsupported: what is asked cannot be, with the part that is wrong.
        Conflict: the fine-tune is at another step, or its owner keeps as much as they may.
        Busy: too much waits, or broker or storage are away.
    """
    if not 0 < lr <= 0.1:
        raise requests.refused("lr", "must be over 0 and at most 0.1")
    requests.groups_check(groups)
    return _queued(finetune, Kind.TRAIN_STEP, {"groups": groups, "lr": lr, "step": step}, payer)


def _queued(
    finetune: Finetune, kind: str, asked: dict[str, Any], payer: metering.Payer
) -> Operation:
    try:
        data = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:  # rollouts and unknown settings are not looked at here
        raise requests.refused("", "The request holds a number of more than 64 bits") from error
    digest = hashlib.sha256(data).hexdigest()
    if kind == Kind.TRAIN_STEP:
        earlier = _same(finetune, digest, asked["step"])
        if earlier is not None:
            return earlier
    operation = Operation(finetune=finetune, kind=kind, digest=digest)
    operation.request = files.store(
        f"tuning/{finetune.pk}/requests/{operation.pk}", io.BytesIO(data)
    )
    try:
        with transaction.atomic():
            locked = Finetune.objects.select_for_update().get(pk=finetune.pk)
            found = _same(locked, digest, asked["step"]) if kind == Kind.TRAIN_STEP else None
            if found is None:
                _check_room(locked)
                metering.meter().training_reserve(
                    operation.pk, user_id=locked.owner_id, owner_key=locked.owner_key, payer=payer,
                    seconds=RESERVED_S, least=1, source=kind, variant=locked.variant.slug,
                    adapter=locked.pk,
                )  # fmt: skip
                operation.save(force_insert=True)
    except BaseException:
        files.drop(operation.request)
        raise
    if found is not None:
        files.drop(operation.request)
        return found

    def lost(error: Exception) -> None:
        metering.meter().ended(operation.pk)
        operation.delete()
        raise inference_errors.QUEUE_UNAVAILABLE() from error

    operation_send(operation, lost=lost)
    return operation


def _same(finetune: Finetune, digest: str, step: int | None) -> Operation | None:
    """The training step that an equal request began, if it is the same one.

    Raises:
        Conflict: the step that is asked for is not the next one, and was not trained by this request.
    """
    steps = finetune.operations.filter(kind=Kind.TRAIN_STEP, digest=digest)
    under_way = steps.filter(status__in=(Status.QUEUED, Status.RUNNING)).last()
    if under_way is not None:
        return under_way
    finetune.refresh_from_db(fields=["step"])
    done = steps.filter(status=Status.SUCCEEDED)
    if step is None:
        return done.filter(step=finetune.step, delivered_at=None).last()
    if step == finetune.step + 1:
        return None
    found = done.filter(step=step).last()
    if found is None:
        raise errors.STEP_CONFLICT(f"The next step is {finetune.step + 1}, not {step}.")
    return found


def _check_room(finetune: Finetune) -> None:
    open_ = finetune.operations.filter(status__in=(Status.QUEUED, Status.RUNNING)).count()
    if open_ >= MOST_WAITING:
        raise errors.TUNING_BUSY(f"{open_} calls of this fine-tune are waiting.", retry_after=5)
    who = Who(finetune.owner, finetune.owner_key)
    mine = Finetune.objects.filter(who.owns)
    waiting = Operation.objects.filter(
        finetune__in=mine, status__in=(Status.QUEUED, Status.RUNNING)
    )
    if waiting.count() >= MOST_OF_OWNER:
        raise errors.TUNING_BUSY(f"{MOST_OF_OWNER} calls of yours are waiting.", retry_after=5)
    storage_check(who)


def operation_send(
    operation: Operation, *, lost: Callable[[Exception], None] | None = None, countdown: float = 0
) -> None:
    """Send the message that lets a worker answer. Without the broker the rescue tries again."""
    from inference.tuning.tasks import tuning_operate

    def noted(error: Exception) -> None:
        logger.warning("Call %s could not be queued; it will be tried again", operation.pk)

    send_on_commit(
        tuning_operate, str(operation.pk), lost=lost or noted, queue=QUEUE, priority=0,
        countdown=countdown,
    )  # fmt: skip


def operation_delivered(*, operation_id: UUID) -> None:
    """Its caller has the answer: an equal request is another one from now on."""
    Operation.objects.filter(pk=operation_id, delivered_at=None).update(delivered_at=timezone.now())


# Answering it.


def operation_run(*, operation_id: UUID | str) -> None:
    """Answer a call. Delivered twice, it is answered once."""
    operation = Operation.objects.filter(pk=operation_id).first()
    if operation is None or operation.is_finished:
        return
    with contextlib.ExitStack() as held:
        taken = lease.leased(held, lease_name(operation.finetune_id), wait_s=_AGAIN_S)
        if taken is None:  # another call of the same fine-tune, or a lost worker's lease
            operation_send(operation, countdown=_AGAIN_S)
            return
        with lease.renewed([taken]):
            claimed = _claim(operation)
            if claimed is not None:
                _answer(claimed)


@transaction.atomic
def _claim(operation: Operation) -> Operation | None:
    rows = Finetune.objects.select_for_update(of=("self",)).select_related(
        "variant", "head", "owner"
    )
    finetune = rows.filter(pk=operation.finetune_id, deleted_at=None).first()
    found = Operation.objects.filter(pk=operation.pk).first()
    if finetune is None or found is None or found.is_finished:
        return None
    found.finetune = finetune
    if found.attempt >= MAX_ATTEMPTS:
        operation_end(found, error=inference_errors.WORKER_LOST())
        return None
    finetune.fence += 1
    finetune.save(update_fields=["fence"])
    found.status, found.attempt = Status.RUNNING, found.attempt + 1
    found.started_at = timezone.now()
    found.save(update_fields=["status", "attempt", "started_at"])
    return found


def _answer(operation: Operation) -> None:
    finetune = operation.finetune
    try:
        with files.private().open(operation.request) as stored:
            asked = orjson.loads(stored.read())
        tuner = live.tuner_of(finetune)
        if operation.kind == Kind.ROLLOUTS:
            operation_end(operation, answer=_sampled(operation, tuner, asked))
        else:
            _trained(operation, tuner, asked)
    except Superseded:
        logger.info("Call %s is another worker's now", operation.pk)
        live.forget(finetune.pk)
    except SoftTimeLimitExceeded:
        live.forget_all()
        operation_end(operation, error=inference_errors.TIMEOUT())
    except Exception as error:  # noqa: BLE001  # the caller reads it, the worker lives on
        live.forget(finetune.pk)
        operation_end(operation, error=_explained(error, operation))


def _sampled(operation: Operation, tuner: "Tuner", asked: Mapping[str, Any]) -> dict[str, Any]:
    from inference.engine.tuning.sampling import SamplingSettings

    request = asked["request"]
    sampling = SamplingSettings(**requests.sampling_of(request))
    (group,) = tuner.rollouts(
        [requests.example_of(request)], asked["num_rollouts"], sampling,
        seed=operation.pk.int & (2**62 - 1),
    )  # fmt: skip
    truth, rewards = asked["ground_truth"], None
    if truth is not None:
        rewards = [ground_truth_reward(request["skill"], r.output, truth) for r in group]
    return {"rollouts": [rollout.to_dict() for rollout in group], "rewards": rewards}


def _trained(operation: Operation, tuner: "Tuner", asked: Mapping[str, Any]) -> None:
    """Train, then store: the step, where training stands, and the answer become true together."""
    started = time.perf_counter()
    finetune = operation.finetune
    report = tuner.train_step([_group(tuner, each) for each in asked["groups"]], asked["lr"])
    spent = time.perf_counter() - started
    metrics = {k: v for k, v in report.to_dict().items() if v is not None and k != "applied"}
    operation.step = report.step
    answer = {
        "step": report.step, "applied": report.applied, "kl": report.kl, "router_kl": None,
        "grad_norm": report.grad_norm, "sft_loss": report.sft_loss, "reward_mean": report.reward,
        "reward_std": report.reward_std, "stale_steps": report.stale_steps, "loss": report.loss,
    }  # fmt: skip

    def together() -> None:
        StepRecord.objects.update_or_create(
            finetune=finetune, step=report.step, defaults={"metrics": {**metrics, "step_s": spent}}
        )
        operation_end(operation, answer=answer)

    head_store(
        finetune, step=report.step, together=together,
        write=lambda folder: tuner.save(folder, finetune=finetune.pk),
    )  # fmt: skip
    live.stored(finetune)


def _group(tuner: "Tuner", group: Mapping[str, Any]) -> Any:
    from inference.engine.tuning.rollouts import Rollout
    from inference.engine.tuning.tuner import RLGroup, SFTGroup

    example = requests.example_of(group["request"])
    if group["mode"] == "sft":
        return SFTGroup(example, {k: v for k, v in group["target"].items() if k != "reasoning"})
    config = tuner.model.model.config
    rollouts = [Rollout.from_dict(each, config) for each in group["rollouts"]]
    if any(rollout.step > tuner.steps for rollout in rollouts):
        raise ValueError(f"A rollout is of a step that is not trained yet: it is {tuner.steps}.")
    return RLGroup(example, rollouts, [None if r is None else float(r) for r in group["rewards"]])


def _explained(error: Exception, operation: Operation) -> DomainError:
    if isinstance(error, DomainError):
        return error
    if files.is_full(error):
        return errors.TUNING_DISK_FULL()
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        live.forget_all()
        return inference_errors.OUT_OF_MEMORY()
    if isinstance(error, ValueError) or type(error).__name__ == "TunerError":
        return errors.BAD_TUNING_REQUEST(str(error))
    logger.error("Call %s broke", operation.pk, exc_info=error)
    return inference_errors.INTERNAL_ERROR()


def operation_end(
    operation: Operation, *, answer: dict[str, Any] | None = None, error: DomainError | None = None
) -> None:
    """End a call, once, and wake who waits for it."""
    ended: dict[str, Any] = {"finished_at": timezone.now(), "step": operation.step}
    if error is None:
        ended |= {"status": Status.SUCCEEDED, "answer": answer}
    else:
        ended |= {"status": Status.FAILED, "error_code": error.code, "error_message": error.message}
    open_ = Operation.objects.filter(pk=operation.pk).exclude(
        status__in=(Status.SUCCEEDED, Status.FAILED)
    )
    if open_.update(**ended):
        transaction.on_commit(partial(_woken, operation.pk, operation.request))
        started = operation.started_at
        used = (ended["finished_at"] - started).total_seconds() if started and error is None else 0
        transaction.on_commit(lambda: metering.meter().ended(operation.pk, math.ceil(used)))


def _woken(operation_id: UUID, request: str) -> None:
    files.drop(request)  # with its images; what was asked is known by its digest
    with contextlib.suppress(redis.exceptions.RedisError):
        stream.publish(operation_id, "result", {})
