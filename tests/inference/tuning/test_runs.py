"""Runs: trained for real, once, whatever happens to their worker."""

import errno
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from inference import lease, stream
from inference.engine.tuning import Loop
from inference.engine.tuning.plan import Plan
from inference.errors import DomainError
from inference.models import Variant
from inference.tuning import selectors, services
from inference.tuning.models import Checkpoint, StepRecord, TuningRun
from inference.tuning.services import training
from inference.tuning.services.checkpoints import STATE_FILES
from inference.tuning.who import Who
from tests.inference.tuning.conftest import (
    COUNTS,
    another_worker,
    events,
    stored,
    turn,
    work,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_run_from_its_beginning_to_its_end(make, private):
    run = make(plan={"steps": 3, "checkpoint_every": 2})
    assert run.status == "queued"
    run = work(run)
    assert (run.status, run.finish_reason, run.finetune.step) == ("succeeded", "steps", 3)
    steps = selectors.steps_of(run.finetune)
    assert [s["step"] for s in steps] == [1, 2, 3]
    assert all(s["saved"] for s in steps)
    for name in ("loss", "reward", "rewards/count/mean", "rewards/count/weighted", "kl", "entropy",
                 "clip_ratio/high_mean", "completions/mean_length", "tokens_per_second", "eta_s"):  # fmt: skip
        assert all(name in s for s in steps if s["frac_reward_zero_std"] < 1), name
    told = events(run)
    assert [data["step"] for kind, data in told if kind == "step"] == [1, 2, 3]
    assert [kind for kind, _ in told][:2] == ["status", "status"]
    kind, data = told[-1]
    assert (kind, data["step"], data["model"]) == ("result", 3, run.finetune.model_name(3))
    assert set(run.measured) == {"before", "after"}
    assert run.measured["before"]["count"] == 60
    kept = selectors.checkpoints(run.finetune)
    assert [c.step for c in kept] == [3, 2]
    # Of an earlier one only what answering needs is kept; of the head also what training needs.
    assert set(kept[0].files) >= set(STATE_FILES)
    assert not set(kept[1].files) & set(STATE_FILES)
    assert stored(private) == sorted(f"{c.folder}/{name}" for c in kept for name in c.files)


def test_the_answers_of_a_step_can_be_looked_at(make):
    run = work(make(plan={"steps": 1, "temperature": 2.0}))
    (group, other) = selectors.rollouts_at(run.finetune, 1)
    assert group["skill"] == "query"
    assert group["image"].startswith("world:tune:1:")
    assert "count" in group["reference"]
    assert len(group["answers"]) == 3
    answer = other["answers"][0]
    assert set(answer) == {"output", "finish_reason", "reward", "terms", "advantage"}
    assert len(answer["terms"]) == 3
    assert selectors.rollouts_at(run.finetune, 9) == []


def figures(run):
    """What its steps came to, but for times."""
    timed = ("step_s", "spent_s", "eta_s", "tokens_per_second", "saved")
    return [
        {k: v for k, v in s.items() if k not in timed} for s in selectors.steps_of(run.finetune)
    ]


def test_turns_and_other_workers_change_nothing(make, settings, monkeypatch):
    """A run in many turns, each on a worker that has just started, is the run that one worker does."""
    plan = {"steps": 4, "temperature": 1.8, "seed": 7}
    whole = work(make(plan=plan))
    settings.TUNING_SLICE_S = 0.05
    monkeypatch.setattr(training, "_SHARE", 0)
    parted = make(plan=plan)
    turns = 0
    while parted.status in ("queued", "running"):
        another_worker()
        parted = turn(parted)
        turns += 1
    assert turns > 2
    assert figures(parted) == figures(whole)
    assert parted.measured == whole.measured


def test_a_message_that_comes_again_does_nothing(make, settings, monkeypatch):
    settings.TUNING_SLICE_S = 0.05
    run = make(plan={"steps": 50})
    first = run.turn
    run = turn(run)
    assert run.status == "running"
    trained = run.finetune.step, StepRecord.objects.count(), run.turn
    services.run_advance(run_id=run.pk, turn=first, worker="late")
    run.refresh_from_db()
    assert (run.finetune.step, StepRecord.objects.count(), run.turn) == trained


class Killed(BaseException):
    """Stands for a process that is gone: nothing after it runs."""


@pytest.mark.parametrize("place", ["before the files", "before the row", "after the row"])
def test_a_lost_worker_loses_no_stored_step_and_none_is_trained_twice(
    make, monkeypatch, place, private
):
    """Killed in the middle of storing the third step, wherever that is."""
    plan = {"steps": 5, "temperature": 1.8, "seed": 3}
    whole = work(make(plan=plan))
    monkeypatch.setattr(training, "_SHARE", 0)
    run = make(plan=plan)
    real = training.head_store

    def store(finetune, *, step, write, together, **more):
        def dying_write(folder):
            write(folder)
            if place == "before the files":
                raise Killed

        def dying_together():
            together()
            if place == "before the row":
                raise Killed

        if step != 3:
            return real(finetune, step=step, write=write, together=together, **more)
        real(finetune, step=step, write=dying_write, together=dying_together, **more)
        raise Killed

    monkeypatch.setattr(training, "head_store", store)
    with pytest.raises(Killed):
        turn(run)
    monkeypatch.setattr(training, "head_store", real)
    another_worker()
    run.refresh_from_db()
    run.finetune.refresh_from_db()
    said = [d["step"] for kind, d in events(run) if kind == "checkpoint"]
    assert run.finetune.step == (3 if place == "after the row" else 2) >= max(said)
    again: list[int] = []
    trained = training._Turn._step

    def noted(self, loop):
        again.append(loop.tuner.steps + 1)
        return trained(self, loop)

    monkeypatch.setattr(training._Turn, "_step", noted)
    lost_at = run.finetune.step
    run = work(run)
    assert again == list(range(lost_at + 1, 6))
    assert figures(run) == figures(whole)
    kept = Checkpoint.objects.filter(finetune=run.finetune)
    assert len([f for f in stored(private) if run.finetune.pk in f]) == sum(
        len(c.files) for c in kept
    )


def test_a_worker_that_comes_back_writes_no_more(make, monkeypatch, settings):
    """One that was away so long that another has the run: what it made does not count."""
    run = make(plan={"steps": 4})
    monkeypatch.setattr(training, "_SHARE", 0)
    real = training._Turn._step
    taken_over: list[bool] = []

    def step(self, loop):
        if not taken_over:
            taken_over.append(True)
            TuningRun.objects.filter(pk=run.pk).first().finetune.__class__.objects.filter(
                pk=run.finetune_id
            ).update(fence=self.finetune.fence + 1)
        return real(self, loop)

    monkeypatch.setattr(training._Turn, "_step", step)
    run = turn(run)
    assert (run.finetune.step, run.status) == (0, "running")
    assert not Checkpoint.objects.exists()
    run = work(run)
    assert (run.status, run.finetune.step) == ("succeeded", 4)


def test_three_lost_workers_are_the_end(make, monkeypatch):
    run = make()

    def dying(self):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(training._Turn, "_train", dying)
        for _ in range(training.MAX_ATTEMPTS):
            with pytest.raises(Killed):
                turn(run)
    run = turn(run)
    assert (run.status, run.error_code) == ("failed", "training_lost")
    assert events(run)[-1][0] == "error"


def test_rescue_goes_on_with_what_nobody_works_on(make, settings):
    run = make()
    assert services.tuning_rescue() == 0
    for key in stream.client().scan_iter(
        f"{settings.REDIS_PREFIX}*"
    ):  # the broker lost its messages
        stream.client().delete(key)
    TuningRun.objects.update(created_at=timezone.now() - timedelta(seconds=60))
    assert services.tuning_rescue() == 1
    before = run.turn
    run.refresh_from_db()
    assert run.turn == before + 1
    assert services.tuning_rescue() == 0
    assert work(run).status == "succeeded"


# Pausing, resuming, cancelling.


def test_a_waiting_run_is_paused_resumed_and_cancelled_at_once(make):
    run = make()
    run = services.run_pause(run=run)
    assert run.status == "paused"
    assert services.run_pause(run=run).status == "paused"
    assert turn(run).status == "paused"
    run = services.run_resume(run=run)
    assert run.status == "queued"
    run = work(run)
    assert run.finetune.step == 3
    other = services.run_cancel(run=make())
    assert other.status == "cancelled"
    assert services.run_cancel(run=other).status == "cancelled"
    assert events(other)[-1] == ("cancelled", {"step": 0})
    for change in (services.run_resume, services.run_pause):
        with pytest.raises(DomainError) as refused:
            change(run=other)
        assert refused.value.code == "tuning_run_state"


@pytest.mark.parametrize("wish", ["pause", "cancel"])
def test_one_that_is_worked_on_stops_between_two_steps(make, monkeypatch, wish):
    run = make(plan={"steps": 400})
    real = training._Turn._step

    def step(self, loop):
        if loop.tuner.steps == 2:
            assert lease.is_held(f"tuning-{run.finetune_id}")
            made = {"pause": services.run_pause, "cancel": services.run_cancel}[wish](run=run)
            assert made.wish == wish
        return real(self, loop)

    monkeypatch.setattr(training._Turn, "_step", step)
    run = turn(run)
    assert run.status == {"pause": "paused", "cancel": "cancelled"}[wish]
    assert run.finetune.step == 3
    if wish == "pause":
        monkeypatch.setattr(training._Turn, "_step", real)
        TuningRun.objects.filter(pk=run.pk).update(plan={**run.plan, "steps": 5})
        run = work(services.run_resume(run=run))
        assert (run.status, run.finetune.step) == ("succeeded", 5)
        assert [s["step"] for s in selectors.steps_of(run.finetune)] == [1, 2, 3, 4, 5]


def test_a_long_step_is_broken_off(make, monkeypatch):
    """In the middle of a step that would take a minute; the last stored step stays."""
    import time

    run = make(plan={"steps": 400})
    monkeypatch.setattr(training, "_SHARE", 0)
    real = Loop.step
    asked_at = []

    def step(self):
        if self.tuner.steps != 2:
            return real(self)
        asked_at.append(time.monotonic())
        services.run_cancel(run=run)
        time.sleep(60)  # cut short
        return None

    monkeypatch.setattr(Loop, "step", step)
    run = turn(run)
    assert time.monotonic() - asked_at[0] < 2
    assert (run.status, run.finetune.step) == ("cancelled", 2)


def test_time_is_limited(make, settings):
    settings.TUNING_MAX_S = 0
    run = work(make())
    assert (run.status, run.finish_reason, run.finetune.step) == ("succeeded", "time_limit", 0)


def test_the_divergence_is_limited(make):
    run = work(
        make(plan={"steps": 60, "lr": 0.02, "temperature": 2.0, "kl_limit": 0.05, "lr_warmup": 0})
    )
    assert (run.status, run.finish_reason) == ("succeeded", "kl_limit")
    assert 0 < run.finetune.step < 60
    assert selectors.checkpoints(run.finetune)[0].step == run.finetune.step


def test_a_full_disk_ends_it_and_keeps_the_last_checkpoint(make, monkeypatch):
    from inference.storage import LocalStorage

    run = make(plan={"steps": 50})
    monkeypatch.setattr(training, "_SHARE", 0)
    real = LocalStorage._save

    def full(self, name, content):
        if "/3-" in name and name.endswith("optimiser.pt"):
            from inference.storage import _declared

            with _declared():
                raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, name, content)

    monkeypatch.setattr(LocalStorage, "_save", full)
    run = work(run)
    assert (run.status, run.error_code, run.finetune.step) == ("failed", "tuning_disk_full", 2)
    assert [c.step for c in selectors.checkpoints(run.finetune)] == [2]
    assert events(run)[-1][0] == "error"


def test_a_storage_that_is_away_for_a_moment_is_waited_for(make, monkeypatch):
    from inference import errors
    from inference.tuning import files

    monkeypatch.setattr(training, "_STORAGE_PAUSE_S", 0.01)
    left = [2]
    real = files.folder_store

    def away(folder, name):
        if left[0]:
            left[0] -= 1
            raise errors.STORAGE_UNAVAILABLE()
        return real(folder, name)

    monkeypatch.setattr(files, "folder_store", away)
    assert work(make()).status == "succeeded"


def test_a_base_that_has_changed_is_refused(make, variants):
    run = make(plan={"steps": 50})
    run.finetune.variant.revision = "another"
    run.finetune.variant.save()
    run = work(run)
    assert (run.status, run.error_code) == ("failed", "tuning_base_changed")
    assert "another" in run.error_message


# Asking for one.


def refusal(make, **more):
    with pytest.raises(DomainError) as refused:
        make(**more)
    assert not TuningRun.objects.exists()
    return refused.value


def fields_of(error):
    return [f["field"] for f in error.extra["fields"]]


def test_everything_that_cannot_work_is_said_at_once(make):
    error = refusal(
        make, plan={"steps": 0, "lr": "high", "colour": 1, "rank": 7},
        reward={"format": "moondream-reward/1", "terms": [{"type": "beauty"}]},
        data={"source": "world", "preset": "dances"},
    )  # fmt: skip
    assert error.status == 422
    assert set(fields_of(error)) == {
        "settings.steps", "settings.lr", "settings.colour", "settings.rank", "reward.terms[0].type",
        "data.preset",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"reward": None}, "reward"),
        ({"plan": {"steps": 5000}}, "settings.steps"),
        ({"plan": {"groups": 64, "group_size": 32}}, "settings.group_size"),
        ({"plan": {"steps": 5, "warmup_steps": 5}}, "settings.warmup_steps"),
        ({"plan": {"lr": float("nan")}}, "settings.lr"),
        ({"plan": {"steps": 10**400}}, "settings.steps"),
        ({"plan": {"kl_limit": 10**400}}, "settings.kl_limit"),
        ({"plan": {"regions": 1}}, "settings.regions"),
        ({"data": {"source": "world", "preset": "counts", "count": 10**9}}, "data.count"),
        ({"data": {"source": "world", "preset": "counts", "more": 1}}, "data.more"),
        ({"data": {"source": "nowhere"}}, "data.source"),
        ({"data": []}, "data.source"),
        ({"data": {"source": "upload", "upload": 3}}, "data.upload"),
        ({"reward": {"format": "moondream-reward/1", "terms": [{"type": "iou"}]}}, "reward.terms[0]"),
        ({"reward": {"format": "moondream-reward/1", "terms": [{"type": "exact", "weight": 0}]}}, "reward.terms"),
    ],
)  # fmt: skip
def test_what_does_not_go_together(make, more, field):
    assert fields_of(refusal(make, **more)) == [field]


def test_a_run_starts_from_its_bases_settings(make, variants):
    default, *_ = variants
    assert (Plan().lr, make().plan["lr"]) == (1e-3, 1e-3)
    found = {}
    for parameters in (600_000_000, 2_000_000_000, None):
        Variant.objects.filter(pk=default.pk).update(folder="elsewhere", parameters=parameters)
        who = Who(get_user_model().objects.create_user(f"of-{parameters}", "a@example.org", "x"))
        found[parameters] = make(who).plan, make(who, plan={"lr": 0.005}).plan
    (half, _), (two, own), (unknown, _) = found.values()
    assert (half["lr"], two["lr"], half["temperature"], two["groups"]) == (4e-4, 2e-4, 1.0, 2)
    assert unknown == two
    assert own == two | {"lr": 0.005}


def test_other_skills_are_rehearsed_unless_it_says_no(make):
    run = work(make())
    assert run.plan["rehearsal"] == 0.5
    learnt = [s for s in selectors.steps_of(run.finetune) if "grad_norm" in s]
    assert learnt
    assert all("rehearsal/kl" in s for s in learnt)
    without = work(make(plan={"rehearsal": 0}))
    assert not any("rehearsal/kl" in s for s in selectors.steps_of(without.finetune))


def test_teaching_needs_no_reward(make):
    run = work(make(reward=None, plan={"method": "sft", "steps": 2}))
    assert (run.status, run.reward) == ("succeeded", None)
    assert all(s["sft_loss"] > 0 for s in selectors.steps_of(run.finetune))


def test_teaching_first_then_rewards(make):
    run = work(make(plan={"warmup_steps": 2, "steps": 4}))
    taught = ["sft_loss" in s for s in selectors.steps_of(run.finetune)]
    assert taught == [True, True, False, False]


@pytest.mark.parametrize("precision", ["int8", "nf4"])
def test_every_precision_is_tuned(make, variants, precision):
    (base,) = [v for v in variants if v.quantization == precision]
    run = work(make(variant_slug=base.slug, plan={"steps": 2, "temperature": 2.0}))
    assert (run.status, run.error_message) == ("succeeded", "")
    assert run.finetune.base_precision == precision


def test_places_are_tuned_with_their_heads(make):
    data = {"source": "world", "preset": "boxes", "count": 12, "seed": 0}
    reward = {"format": "moondream-reward/1", "terms": [{"type": "iou"}]}
    run = work(make(data=data, reward=reward, plan={"steps": 2, "max_objects": 4}))
    assert run.status == "succeeded"
    assert run.finetune.regions
    assert selectors.rollouts_at(run.finetune, 1)[0]["skill"] == "detect"


def test_so_many_at_a_time(make, who, settings):
    settings.TUNING_MAX_RUNS = 2
    first, _ = make(), make()
    with pytest.raises(DomainError) as refused:
        make()
    assert refused.value.code == "too_many_runs"
    services.run_cancel(run=first)
    TuningRun.objects.filter(pk=make().pk).update(wish="cancel")  # its worker was asked just now
    make()
    settings.TUNING_MAX_WAITING = 2
    with pytest.raises(DomainError) as refused:
        make(by=Who(None, "somebody"))
    assert refused.value.code == "tuning_busy"


def test_without_an_account_there_is_one_small_run(make, settings, variants):
    visitor = Who(None, "a" * 64)
    run = make(by=visitor)
    assert run.limit_s == settings.TUNING_ANON_MAX_S
    with pytest.raises(DomainError) as refused:
        make(by=visitor)
    assert refused.value.code == "too_many_runs"
    make(by=Who(None, "b" * 64))
    assert selectors.run_get(run.pk, visitor) == run
    for other in (Who(None, "b" * 64), Who(None, ""), Who(None, "")):
        with pytest.raises(DomainError) as refused:
            selectors.run_get(run.pk, other)
        assert refused.value.code == "tuning_run_not_found"
    slug = next(v.slug for v in variants if v.quantization)
    with pytest.raises(DomainError) as refused:
        make(by=Who(None, "c" * 64), variant_slug=slug)
    assert fields_of(refused.value) == ["base"]


def test_a_full_account_starts_nothing(make, settings):
    work(make())
    settings.TUNING_STORAGE_MB = 0
    with pytest.raises(DomainError) as refused:
        make()
    assert refused.value.code == "tuning_storage_full"


def test_deleting_leaves_nothing(make, private):
    run = work(make(plan={"steps": 2, "checkpoint_every": 1}))
    assert stored(private)
    services.run_delete(run=run)
    assert stored(private) == []
    assert not TuningRun.objects.exists()
    assert not StepRecord.objects.exists()
    assert events(run) == []


def test_data_is_the_same_however_often_it_is_read(make):
    from inference.tuning.sources import source_of

    chosen = source_of(COUNTS).choose(COUNTS, Who()).data
    first, again = (source_of(COUNTS).examples(chosen, Path()) for _ in range(2))
    assert [e.params for e in first.training] == [e.params for e in again.training]
    assert not {e.image_key for e in first.training} & {e.image_key for e in first.held_out}


def test_room_that_is_used_up_ends_a_run_with_what_it_has(make, settings, monkeypatch):
    run = make(plan={"steps": 50, "checkpoint_every": 2})
    run = turn_of_one_step(run, monkeypatch)
    settings.TUNING_STORAGE_MB = 0
    run = work(run)
    assert (run.status, run.error_code) == ("failed", "tuning_storage_full")
    kept = selectors.checkpoints(run.finetune)
    assert [c.step for c in kept] == [run.finetune.step]
    assert run.finetune.step >= 1


def turn_of_one_step(run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(training, "_SHARE", 0)
        patch.setattr(training.settings, "TUNING_SLICE_S", 0)
        return turn(run)


def test_a_visitors_run_goes_in_time(make, private):
    visitor = Who(None, "a" * 64)
    old = work(make(by=visitor, plan={"steps": 1}))
    kept = work(make(plan={"steps": 1}))
    TuningRun.objects.update(created_at=timezone.now() - timedelta(days=30))
    services.tuning_purge()
    assert list(TuningRun.objects.all()) == [kept]
    assert stored(private)
    assert not [f for f in stored(private) if old.finetune_id in f]
