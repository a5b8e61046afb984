"""Trials: what the base answers to a few questions of a run that is not started, and how that is rewarded.

A reward that gives every sampled answer the same teaches nothing; better that this is seen before a run
is queued. A trial is kept as a stream: it is looked at for a while, and of no use afterwards.
"""

import hashlib
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings

from inference import errors as inference_errors
from inference import selectors as inference_selectors
from inference import stream
from inference.engine.rewards import Reward
from inference.engine.tuning.plan import Plan
from inference.errors import DomainError
from inference.messages import send_on_commit
from inference.models import Variant
from inference.tuning import QUEUE, errors, live
from inference.tuning.services.finetunes import finetune_new
from inference.tuning.services.runs import Checked
from inference.tuning.shown import shown
from inference.tuning.sources import source_of
from inference.tuning.who import Who

logger = logging.getLogger(__name__)
QUESTIONS, ANSWERS = 3, 8
SOFT_LIMIT_S = 120
_LOST_S = 180
"""After so long without an answer a trial is asked for again."""
_SAMPLED_WITH = ("temperature", "max_tokens", "max_objects", "seed", "scaling", "combination")
"""Settings that change which answers are sampled, or what their advantages are."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How far a trial is."""

    name: str
    status: str
    """"waiting", "done" or "failed"."""
    groups: list[dict[str, Any]] = field(default_factory=list)
    """Questions with their answers (see `inference.tuning.shown`)."""
    flat: list[bool] = field(default_factory=list)
    """Of each question: all its answers are rewarded alike."""
    seconds: float = 0.0
    message: str = ""

    @property
    def is_flat(self) -> bool:
        """There is nothing to learn from any of the questions."""
        return bool(self.flat) and all(self.flat)


def trial_name(*, who: Who, variant: Variant, checked: Checked) -> str:
    """What the trial of a run is called: runs that would sample and reward alike share one."""
    plan = checked.plan.to_dict()
    asked = {
        "who": who.user.pk if who.is_account else who.key, "variant": variant.pk,
        "revision": variant.revision, "data": checked.data.data,
        "plan": {name: plan[name] for name in _SAMPLED_WITH},
        "reward": checked.reward.to_dict() if checked.reward else None,
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return f"tuning-trial-{digest[:32]}"


def trial_get(name: str) -> Trial | None:
    """A trial as it is now; None where none was asked for, or it is too long ago.

    Raises:
        Busy: Redis is away.
    """
    try:
        events = stream.history(name)
    except redis.exceptions.RedisError as error:
        raise inference_errors.QUEUE_UNAVAILABLE() from error
    if not events:
        return None
    last = events[-1]
    if last.type == "result":
        return Trial(name, "done", **last.data)
    if last.type == "error":
        return Trial(name, "failed", message=last.data["message"])
    is_lost = time.time() - last.data["at"] > _LOST_S
    return None if is_lost else Trial(name, "waiting")


def trial_ask(*, who: Who, variant: Variant, checked: Checked) -> Trial:
    """The trial of a run: the one there is, or a new one, which a worker then answers.

    Raises:
        Busy: another of the caller's is under way, too much waits, or the broker is away.
    """
    assert checked.reward is not None
    name = trial_name(who=who, variant=variant, checked=checked)
    found = trial_get(name)
    if found is not None and found.status != "failed":
        return found
    mine = _mine(who)
    try:
        if inference_selectors.queue_depth(QUEUE) >= settings.TUNING_MAX_WAITING:
            raise errors.TUNING_BUSY()
        if not stream.client().set(mine, name, nx=True, ex=_LOST_S):
            raise errors.TOO_MANY_TRIALS()
        stream.forget(name)
        stream.publish(name, "status", {"status": "queued", "at": time.time()})
    except redis.exceptions.RedisError as error:
        raise inference_errors.QUEUE_UNAVAILABLE() from error
    _send(name, mine, variant, checked)
    return trial_get(name) or Trial(name, "waiting")


def _mine(who: Who) -> str:
    return stream.key(f"tuning-{who.user.pk if who.is_account else who.key}", "trial")


def _send(name: str, mine: str, variant: Variant, checked: Checked) -> None:
    from inference.tuning.tasks import tuning_try

    def lost(error: Exception) -> None:
        raise inference_errors.QUEUE_UNAVAILABLE() from error

    assert checked.reward is not None
    send_on_commit(
        tuning_try, name, mine, variant.pk, checked.data.data, checked.plan.to_dict(),
        checked.reward.to_dict(), lost=lost, queue=QUEUE, priority=0, expires=_LOST_S,
    )  # fmt: skip


# On a worker.


def trial_run(
    *, name: str, mine: str, variant_id: int, data: Mapping[str, Any], plan: Mapping[str, Any],
    reward: Mapping[str, Any],
) -> None:  # fmt: skip
    """Sample and reward, and say what came of it. Delivered twice, it is answered twice, alike."""
    kind, result = "error", {}
    try:
        variant = Variant.objects.get(pk=variant_id)
        result = _tried(variant, data, Plan.from_dict(plan), Reward.from_dict(reward), seed=name)
        kind = "result"
    except SoftTimeLimitExceeded:
        live.forget_all()
        result = inference_errors.TIMEOUT("Sampling took longer than it may.").payload
    except DomainError as error:
        result = error.payload
    except (ValueError, MemoryError) as error:
        result = errors.TRAINING_BROKE(f"It could not be sampled: {error}.").payload
    except Exception:
        logger.exception("Trial %s broke", name)
        result = errors.TRAINING_BROKE("The check broke off.").payload
    stream.publish_if_reachable(name, kind, result)
    try:
        stream.client().delete(mine)
    except redis.exceptions.RedisError:
        logger.warning("Trial %s holds its caller's place until it expires", name)


def _tried(
    variant: Variant, data: Mapping[str, Any], plan: Plan, reward: Reward, *, seed: str
) -> dict[str, Any]:
    from inference.engine.tuning.loop import Loop, LoopSettings, advantaged, is_flat
    from inference.engine.tuning.sampling import SamplingSettings
    from inference.engine.tuning.tuner import TunerSettings

    finetune = finetune_new(variant, Who(), name="trial", rank=plan.rank)  # never saved
    folder = Path(tempfile.mkdtemp(prefix="tuning-trial-"))
    try:
        examples = source_of(data).examples(data, folder)
        sampling = SamplingSettings(plan.temperature, plan.max_tokens, plan.max_objects)
        loop = Loop(
            live.tuner_of(finetune), examples.training,
            LoopSettings(groups=QUESTIONS, group_size=ANSWERS, sampling=sampling),
            reward=reward, seed=plan.seed,
        )  # fmt: skip
        started = time.monotonic()
        number = int(hashlib.sha256(seed.encode()).hexdigest()[:15], 16)
        tuned_by = TunerSettings(
            objective=live.objective_of(plan), reward_weights=live.weights_of(reward)
        )
        asked = advantaged(loop.answers(loop.drawn(0), seed=number), tuned_by)
        return {
            "groups": shown(asked), "flat": [is_flat(each) for each in asked],
            "seconds": time.monotonic() - started,
        }  # fmt: skip
    finally:
        live.forget(finetune.pk)
        shutil.rmtree(folder, ignore_errors=True)
