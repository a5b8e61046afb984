"""Runs: asked for, paused, resumed, cancelled, deleted."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import redis
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from inference import errors as inference_errors
from inference import lease, metering, stream
from inference.engine.rewards import Reward, RewardError
from inference.engine.tuning.defaults import settings_of
from inference.engine.tuning.plan import Plan, PlanError
from inference.errors import DomainError, kind_of
from inference.messages import send_on_commit
from inference.models import Variant
from inference.tuning import QUEUE, errors, selectors, signals
from inference.tuning.models import Finetune, TuningRun
from inference.tuning.services.finetunes import (
    base_of,
    defaults_for,
    finetune_delete,
    finetune_new,
)
from inference.tuning.services.owners import one_at_a_time, storage_check
from inference.tuning.services.uploads import upload_drop_unneeded
from inference.tuning.sources import Chosen, source_of
from inference.tuning.who import Who

logger = logging.getLogger(__name__)
UNDER_WAY = (TuningRun.Status.QUEUED, TuningRun.Status.RUNNING)
UNFINISHED = (*UNDER_WAY, TuningRun.Status.PAUSED)
LEAST_S = 30
"""Seconds of training that a run needs to be worth beginning."""
Problem = dict[str, str]


def lease_name(finetune_id: str) -> str:
    """Of whoever trains or samples a fine-tune."""
    return f"tuning-{finetune_id}"


# Asking for one.


def run_make(
    *,
    who: Who,
    data: Mapping[str, Any],
    plan: Mapping[str, Any] | None = None,
    reward: Mapping[str, Any] | None = None,
    title: str = "",
    variant_slug: str | None = None,
) -> TuningRun:
    """Save a run and hand it to the workers that train.

    Raises:
        InvalidInput: what cannot work, with every field that is wrong.
        NotFound: the base, or the data, is not there.
        Conflict: the caller keeps as much as they may.
        Busy: too many runs are under way (429) or wait (503), or the broker is away (503).
        DomainError: hardly any training minutes are left.
    """
    variant = base_of(variant_slug, who)
    checked = run_check(who=who, variant=variant, data=data, plan=plan, reward=reward)
    limit_s = settings.TUNING_MAX_S if who.is_account else settings.TUNING_ANON_MAX_S
    title = " ".join(title.split())[:80] or "Tuning run"
    with transaction.atomic():
        one_at_a_time(who)
        _check_room(who)
        finetune = finetune_new(
            variant,
            who,
            name=title,
            rank=checked.plan.rank,
            layers=checked.plan.layers,
            regions=checked.plan.regions,
        )
        finetune.seed = checked.plan.seed
        finetune.save(force_insert=True)
        run = TuningRun(
            finetune=finetune, title=title, plan=checked.plan.to_dict(),
            reward=checked.reward.to_dict() if checked.reward else None, data=checked.data.data,
            upload_id=checked.data.data.get("upload"),
        )  # fmt: skip
        run.limit_s = metering.meter().training_reserve(
            run.pk, user_id=finetune.owner_id, owner_key=finetune.owner_key, payer=who.payer,
            seconds=limit_s, least=min(limit_s, LEAST_S), source="run", variant=variant.slug,
            adapter=finetune.pk,
        )  # fmt: skip
        run.save(force_insert=True)
    _started(run)
    return run


class Checked:
    """A run that can work."""

    def __init__(self, plan: Plan, reward: Reward | None, data: Chosen) -> None:
        self.plan, self.reward, self.data = plan, reward, data


def run_check(
    *,
    who: Who,
    variant: Variant,
    data: Mapping[str, Any],
    plan: Mapping[str, Any] | None = None,
    reward: Mapping[str, Any] | None = None,
) -> Checked:
    """Judge a run before anything is queued.

    Raises:
        InvalidInput: with every field that is wrong.
        NotFound: the data is not there.
    """
    problems: list[Problem] = []
    planned, problem = _read(lambda: _planned(variant, plan), "settings")
    problems += problem
    rewarded: Reward | None = None
    if reward is not None:
        rewarded, problem = _read(lambda: Reward.from_dict(reward), "reward")
        problems += problem
    chosen: Chosen | None = None
    try:
        chosen = source_of(data).choose(data, who)
    except DomainError as error:
        if "fields" not in error.extra:
            raise
        problems += error.extra["fields"]
    if planned is not None:
        problems += _plan_problems(planned, has_reward=reward is not None)
    if planned is not None and chosen is not None:
        problems += _misfits(planned, rewarded, chosen, variant)
    if problems or planned is None or chosen is None:
        first = problems[0]
        raise errors.BAD_FINETUNE(f"{first['field']}: {first['problem']}.", fields=problems)
    if planned.method == "sft":
        rewarded = None
    # Moondream's own files have no place for the heads that say places.
    if planned.layers == "text" and {"point", "detect"} & set(chosen.skills):
        planned = replace(planned, regions=True)
    return Checked(planned, rewarded, chosen)


def _planned(variant: Variant, plan: Mapping[str, Any] | None) -> Plan:
    """The settings that are given, and the base's defaults.

    Raises:
        PlanError: with everything that is wrong.
    """
    given: Any = {} if plan is None else plan
    if isinstance(given, Mapping):
        given = settings_of(defaults_for(variant), given)
    return Plan.from_dict(given)


def _plan_problems(plan: Plan, *, has_reward: bool) -> list[Problem]:
    problems = []
    if plan.steps > settings.TUNING_MAX_STEPS:
        problems.append(_problem("settings.steps", f"is at most {settings.TUNING_MAX_STEPS}"))
    if plan.method == "rl" and not has_reward:
        problems.append(_problem("reward", "is needed: answers are judged by it"))
    return problems


def _problem(field: str, text: str) -> Problem:
    return {"field": field, "problem": text}


def _read(read: Callable[[], Any], name: str) -> tuple[Any, list[Problem]]:
    try:
        return read(), []
    except (PlanError, RewardError) as error:
        return None, [
            _problem(".".join(filter(None, (name, path))), text) for path, text in error.problems
        ]


def _misfits(plan: Plan, reward: Reward | None, data: Chosen, variant: Variant) -> list[Problem]:
    """What does not go together, though each is right by itself."""
    problems = []
    if plan.needs_targets and not data.has_targets:
        problems.append(
            _problem("data", "does not say what is right for every example, and is to be taught")
        )
    if data.text_only and "text_only" in variant.lacks:
        problems.append(
            _problem(
                "data", f"has questions without an image, which {variant.name} does not answer"
            )
        )
    for number, term in enumerate(reward.terms if reward else ()):
        if term.type.needs and not data.has_references:
            problems.append(
                _problem(
                    f"reward.terms[{number}]",
                    f"reads a reference's {term.type.needs}, and not every example has a reference",
                )
            )
        if term.type.needs == "boxes" and "detect" not in data.skills:
            problems.append(
                _problem(
                    f"reward.terms[{number}]", "judges boxes, and nothing in the data is detected"
                )
            )
    if reward is not None and not any(term.weight for term in reward.terms):
        problems.append(
            _problem("reward.terms", "have no weight: every answer would be worth the same")
        )
    return problems  # fmt: skip


def _check_room(who: Who) -> None:
    """
    Raises:
        Busy: too many runs of the caller are under way, or too many wait.
        Conflict: the caller keeps as much as they may.
    """
    mine = TuningRun.objects.filter(
        finetune__in=Finetune.objects.filter(who.owns), status__in=UNFINISHED
    ).exclude(wish=TuningRun.Wish.CANCEL)  # over within seconds
    most = settings.TUNING_MAX_RUNS if who.is_account else 1
    if mine.count() >= most:
        raise errors.TOO_MANY_RUNS(f"{most} at a time.")
    waiting = TuningRun.objects.filter(status__in=UNDER_WAY).count()
    if waiting >= settings.TUNING_MAX_WAITING:
        raise errors.TUNING_BUSY()
    storage_check(who)


def _started(run: TuningRun) -> None:
    """Queue a new run.

    Raises:
        Busy: the broker is away; nothing is left behind.
    """

    def lost(error: Exception) -> None:
        metering.meter().ended(run.pk)
        run.finetune.delete()
        raise inference_errors.QUEUE_UNAVAILABLE() from error

    try:
        stream.publish(run.pk, "status", {"status": run.status})
    except redis.exceptions.RedisError as error:
        lost(error)
    run_send(run, lost=lost)


def run_send(run: TuningRun, *, lost: Callable[[Exception], None] | None = None) -> None:
    """Send the message that lets a worker go on with a run. Without the broker the rescue tries again."""
    from inference.tuning.tasks import tuning_advance

    def noted(error: Exception) -> None:
        logger.warning("Run %s could not be queued; it will be tried again", run.pk)

    send_on_commit(
        tuning_advance, str(run.pk), run.turn, lost=lost or noted, queue=QUEUE, priority=3
    )


# Changing one that is under way.


def run_cancel(*, run: TuningRun) -> TuningRun:
    """End a run, and keep its last checkpoint; safe to repeat."""
    return _wished(run, TuningRun.Wish.CANCEL, UNFINISHED)


def run_pause(*, run: TuningRun) -> TuningRun:
    """Let a run rest where it is; safe to repeat.

    Raises:
        Conflict: it has ended.
    """
    if run.is_finished:
        raise errors.TUNING_RUN_STATE("The run has ended.")
    return _wished(run, TuningRun.Wish.PAUSE, UNDER_WAY)


def _wished(run: TuningRun, wish: str, when: tuple[str, ...]) -> TuningRun:
    """At once where no worker has the run; otherwise its worker is asked, and does so within seconds."""
    with transaction.atomic():
        finetune = Finetune.objects.select_for_update().get(pk=run.finetune_id)
        run = TuningRun.objects.select_for_update().get(pk=run.pk)
        if run.status not in when:
            return run
        if not lease.is_held(lease_name(finetune.pk)):
            finetune.fence += 1
            finetune.save(update_fields=["fence"])
            settle(run, WISHED[wish])
            return run
        run.wish = wish
        run.save(update_fields=["wish"])
    stream.request_cancel(run.pk)
    return run


WISHED: Mapping[str, str] = {
    TuningRun.Wish.PAUSE: TuningRun.Status.PAUSED,
    TuningRun.Wish.CANCEL: TuningRun.Status.CANCELLED,
}


def settle(
    run: TuningRun, status: str, *, reason: str = "", error: DomainError | None = None
) -> None:
    """Give a run the state that it stays in, and tell who follows it. Its row is locked."""
    run.status, run.wish, run.worker = status, TuningRun.Wish.NONE, ""
    run.finish_reason = reason
    if error is not None:
        run.error_code, run.error_message = error.code, error.message
    if run.is_finished:
        run.finished_at = timezone.now()
    run.turn += 1
    run.save()
    transaction.on_commit(lambda: _announce_end(run, error))


def _announce_end(run: TuningRun, error: DomainError | None) -> None:
    if run.status == TuningRun.Status.PAUSED:
        stream.publish_if_reachable(
            run.pk, "status", {"status": run.status, "step": run.finetune.step}
        )
        return
    is_ours = run.status == run.Status.FAILED and kind_of(run.error_code).status >= 500
    metering.meter().ended(run.pk, 0 if is_ours else math.ceil(run.spent_s))
    kind, data = selectors.ending(run)
    stream.publish_if_reachable(run.pk, kind, error.payload if error else data)
    signals.run_finished.send(TuningRun, run=run)


@transaction.atomic
def run_resume(*, run: TuningRun) -> TuningRun:
    """Go on with a paused run from its last stored step.

    Raises:
        Conflict: it is not paused.
    """
    run = TuningRun.objects.select_for_update().select_related("finetune").get(pk=run.pk)
    if run.status != TuningRun.Status.PAUSED:
        raise errors.TUNING_RUN_STATE("Only a paused run can be resumed.")
    run.status, run.wish = TuningRun.Status.QUEUED, TuningRun.Wish.NONE
    run.turn += 1
    run.save(update_fields=["status", "wish", "turn"])
    transaction.on_commit(lambda: _resumed(run))
    run_send(run)
    return run


def _resumed(run: TuningRun) -> None:
    try:
        stream.cancel_withdraw(run.pk)
    except redis.exceptions.RedisError:
        logger.warning("Run %s is resumed without its stream", run.pk)
    stream.publish_if_reachable(run.pk, "status", {"status": run.status})


def run_delete(*, run: TuningRun) -> None:
    """End a run and delete all that there is of it: checkpoints, steps, and its data set."""
    run_cancel(run=run)
    with transaction.atomic():
        found = TuningRun.objects.select_for_update(of=("self",)).select_related(
            "upload", "finetune"
        )
        locked = found.get(pk=run.pk)
        metering.meter().ended(run.pk, math.ceil(locked.spent_s))
        finetune_delete(finetune=locked.finetune)
        upload_drop_unneeded(locked)
        locked.finetune.delete()
    try:
        stream.forget(run.pk)
    except redis.exceptions.RedisError:
        logger.warning("The stream of run %s is left to expire", run.pk)
