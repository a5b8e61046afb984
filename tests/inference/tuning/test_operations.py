"""Calls of the tuning API on a worker: samples and steps, stored before they are answered."""

import errno

import pytest

from inference.errors import DomainError
from inference.tuning import selectors, services
from inference.tuning.models import Checkpoint, Operation, StepRecord
from inference.tuning.services import operations
from inference.world.samples import sample_bytes
from tests.images import data_url
from tests.inference.tuning.conftest import another_worker

pytestmark = pytest.mark.django_db(transaction=True)

SEEN = {"skill": "query", "image_url": data_url(sample_bytes("night")), "question": "How many stars are there?",
        "settings": {"temperature": 1.5, "max_tokens": 6}}  # fmt: skip
DETECT = {
    "skill": "detect",
    "image_url": SEEN["image_url"],
    "object": "stars",
    "settings": {"max_objects": 4},
}
BOX = {"x_min": 0.1, "y_min": 0.1, "x_max": 0.3, "y_max": 0.3}
TAUGHT = [{"mode": "sft", "request": SEEN, "target": {"answer": "two stars"}}]


@pytest.fixture
def finetune(who, variants):
    return services.finetune_get_or_make(name="counts", rank=8, who=who)


def run(operation):
    services.operation_run(operation_id=operation.pk)
    return Operation.objects.get(pk=operation.pk)


def done(operation):
    made = run(operation)
    assert made.status == "succeeded", (made.error_code, made.error_message)
    return made.answer


def step(finetune, groups=None, **more):
    return services.train_step_submit(finetune=finetune, groups=groups or TAUGHT, lr=1e-3, **more)


def sampled(finetune, request=None, count=3, truth=None):
    return done(
        services.rollouts_submit(
            finetune=finetune, request=request or SEEN, count=count, truth=truth
        )
    )


def test_samples_are_trained_on_as_they_are_handed_back(finetune):
    answer = sampled(finetune, count=4)
    rollouts = answer["rollouts"]
    assert len(rollouts) == 4
    assert answer["rewards"] is None
    assert all(
        r["skill"] == "query" and "answer" in r["output"] and r["step"] == 0 for r in rollouts
    )
    group = {"mode": "rl", "request": SEEN, "rollouts": rollouts, "rewards": [1, 0, 0, 0.5]}
    told = done(step(finetune, [group, *TAUGHT]))
    assert (told["step"], told["applied"]) == (1, True)
    assert told["reward_mean"] == pytest.approx(0.375)
    assert told["sft_loss"] > 0
    finetune.refresh_from_db()
    assert finetune.step == 1
    assert finetune.head.step == 1
    stale = done(step(finetune, [group]))
    assert stale["stale_steps"] == 1
    assert [s["step"] for s in selectors.steps_of(finetune)] == [1, 2]


def test_what_is_right_rewards_places(finetune):
    found = sampled(finetune, DETECT, truth={"boxes": [BOX]})
    assert len(found["rewards"]) == 3
    assert all(0 <= r <= 1 for r in found["rewards"])
    exact = sampled(finetune, DETECT, count=1, truth={"boxes": []})
    assert exact["rewards"] == [float(not exact["rollouts"][0]["output"]["objects"])]
    point = {"skill": "point", "image_url": SEEN["image_url"], "object": "stars"}
    for truth in ({"points": [{"x": 0.5, "y": 0.5}]}, {"boxes": [BOX]}):
        assert len(sampled(finetune, point, truth=truth)["rewards"]) == 3


def test_two_samplings_differ_and_any_worker_goes_on(finetune):
    first, second = sampled(finetune, count=8), sampled(finetune, count=8)
    assert first["rollouts"] != second["rollouts"]
    done(step(finetune, step=1))
    another_worker()
    assert done(step(finetune, step=2))["step"] == 2


def test_training_goes_on_elsewhere_as_it_would_have_here(who, variants):
    losses = []
    for name, elsewhere in (("here", False), ("there", True)):
        made = services.finetune_get_or_make(name=name, rank=8, who=who)
        made.seed = 5
        made.save()
        told = []
        for number in range(3):
            if elsewhere:
                another_worker()
            told.append(done(step(made, step=number + 1))["loss"])
        losses.append(told)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert losses[0][2] < losses[0][0]


def test_a_request_that_is_repeated_before_its_answer_came_is_trained_once(finetune):
    asked = step(finetune)
    assert step(finetune).pk == asked.pk  # while it waits
    told = done(asked)
    again = step(finetune)
    assert again.pk == asked.pk  # its answer was not received
    assert again.answer == told
    services.operation_delivered(operation_id=asked.pk)
    another = step(finetune)  # a caller who has the answer means another step
    assert another.pk != asked.pk
    assert done(another)["step"] == 2
    assert step(finetune, groups=[*TAUGHT, *TAUGHT]).pk != another.pk


def test_a_step_that_is_named_is_trained_once(finetune):
    first = step(finetune, step=1)
    done(first)
    services.operation_delivered(operation_id=first.pk)
    assert step(finetune, step=1).pk == first.pk
    for wrong, groups in ((3, TAUGHT), (0, TAUGHT), (1, [*TAUGHT, *TAUGHT])):
        with pytest.raises(DomainError) as refused:
            step(finetune, groups, step=wrong)
        assert refused.value.code == "step_conflict"
    assert done(step(finetune, step=2))["step"] == 2


class Killed(BaseException):
    """Stands for a process that is gone."""


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_worker_lost_in_a_step_trains_it_once(finetune, monkeypatch, place):
    real = operations.head_store

    def dying(*args, **more):
        if place == "after":
            real(*args, **more)
        raise Killed

    asked = step(finetune)
    with monkeypatch.context() as patch:
        patch.setattr(operations, "head_store", dying)
        with pytest.raises(Killed):
            run(asked)
    another_worker()
    told = done(asked) if place == "before" else run(asked).answer
    assert told["step"] == 1
    finetune.refresh_from_db()
    assert (finetune.step, StepRecord.objects.count()) == (1, 1)
    assert step(finetune).pk == asked.pk


def test_a_full_disk_is_said_and_nothing_counts(finetune, monkeypatch):
    from inference.storage import LocalStorage, _declared

    done(step(finetune, step=1))
    asked = step(finetune, step=2)
    real = LocalStorage._save

    def full(self, name, content):
        with _declared():
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LocalStorage, "_save", full)
    made = run(asked)
    assert (made.status, made.error_code) == ("failed", "tuning_disk_full")
    monkeypatch.setattr(LocalStorage, "_save", real)
    finetune.refresh_from_db()
    assert (finetune.step, Checkpoint.objects.get().step) == (1, 1)
    assert done(step(finetune, step=2))["step"] == 2


REQUESTS = [
    ({"skill": "caption"}, "request.skill"),
    ({"skill": None}, "request.skill"),
    ({"question": ""}, "request.question"),
    ({"object": "star"}, ""),
    ({"reasoning": True}, "request.reasoning"),
    ({"settings": {"temperature": 9}}, "request.settings"),
    ({"settings": []}, ""),
    ({"settings": [1]}, "request.settings"),
    ({"image_url": 3}, "request.image_url"),
    ({"image": "x"}, "request.image"),
    ({"spatial_refs": [[2, 2]]}, "request.spatial_refs[0]"),
]


@pytest.mark.parametrize(("change", "field"), REQUESTS)
def test_what_cannot_be_asked_is_refused_at_once(finetune, change, field):
    def asked():
        return services.rollouts_submit(finetune=finetune, request=SEEN | change, count=1)

    if not field:
        assert asked().status == "queued"
        return
    with pytest.raises(DomainError) as refused:
        asked()
    assert refused.value.status == 422
    assert refused.value.extra["field"] == field


def group(**change):
    rollout = {"skill": "query", "output": {"answer": "a"}, "finish_reason": "stop"}
    return {"mode": "rl", "request": SEEN, "rollouts": [rollout], "rewards": [1.0]} | change


@pytest.mark.parametrize(
    "groups",
    [
        [], [3], [group(mode="dpo")], [group(rewards=[])], [group(rewards=[1, 2])], [group(rewards=["a"])],
        [group(rewards=[float("inf")])], [group(rollouts=[])], [group(rollouts=[3])], [group()] * 65,
        [{"mode": "sft", "request": SEEN}], [{"mode": "sft", "request": SEEN, "target": {"boxes": []}}],
        [{"mode": "sft", "request": DETECT, "target": {"boxes": [BOX | {"x_max": 0}]}}],
        [group(request={"skill": "point", "object": "a"})],
    ],
)  # fmt: skip
def test_groups_that_cannot_be_trained_on_are_refused_at_once(finetune, groups):
    with pytest.raises(DomainError) as refused:
        services.train_step_submit(finetune=finetune, groups=groups, lr=1e-3)
    assert refused.value.status == 422
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {}, {"answer_tokens": [10**9], "log_probabilities": [-1.0, -1.0]}, {"temperature": 0, "log_probabilities": [-1.0]},
        {"skill": "detect"}, {"log_probabilities": ["a"]}, {"coords": [1, 2]},
    ],
)  # fmt: skip
def test_rollouts_that_no_model_gave_are_refused_and_nothing_is_trained(finetune, change):
    made = group()
    made["rollouts"] = [made["rollouts"][0] | change]
    ended = run(step(finetune, [made]))
    assert (ended.status, ended.error_code) == ("failed", "bad_tuning_request")
    finetune.refresh_from_db()
    assert finetune.step == 0
    assert done(step(finetune))["step"] == 1


def test_names_ranks_and_whose_they_are(finetune, who, stranger):
    assert services.finetune_get_or_make(name="counts", rank=8, who=who) == finetune
    with pytest.raises(DomainError) as refused:
        services.finetune_get_or_make(name="counts", rank=16, who=who)
    assert refused.value.status == 409
    for name, rank in (
        ("", 8),
        ("a b", 8),
        ("a/b", 8),
        ("ü", 8),
        ("x" * 81, 8),
        ("a", 7),
        ("a", 64),
    ):
        with pytest.raises(DomainError) as refused:
            services.finetune_get_or_make(name=name, rank=rank, who=who)
        assert refused.value.status == 422
    other = services.finetune_get_or_make(name="counts", rank=16, who=stranger)
    assert other != finetune
    with pytest.raises(DomainError):
        selectors.finetune_get(finetune.pk, stranger)
    services.finetune_delete(finetune=finetune)
    again = services.finetune_get_or_make(name="counts", rank=32, who=who)
    assert again.pk != finetune.pk
    with pytest.raises(DomainError):
        selectors.finetune_get(finetune.pk, who)


def test_checkpoints_are_kept_and_deleted(finetune, private):
    with pytest.raises(DomainError) as refused:
        services.checkpoint_keep(finetune=finetune)
    assert refused.value.code == "nothing_trained"
    for number in (1, 2, 3):
        done(step(finetune, step=number))
        if number < 3:
            services.checkpoint_keep(finetune=finetune)
    assert [c.step for c in selectors.checkpoints(finetune)] == [2, 1]
    services.checkpoint_delete(finetune=finetune, step=1)
    with pytest.raises(DomainError):
        services.checkpoint_delete(finetune=finetune, step=1)
    finetune.refresh_from_db()
    assert services.checkpoint_keep(finetune=finetune).step == 3
    services.checkpoint_delete(finetune=finetune, step=3)
    assert [c.step for c in selectors.checkpoints(finetune)] == [2]
    assert done(step(finetune, step=4))["step"] == 4  # what training goes on from was not deleted
    services.finetune_delete(finetune=finetune)
    assert not [f for f in private.rglob("*") if f.is_file()]


def test_figures_of_a_clients_own(finetune):
    assert services.metrics_log(finetune=finetune, step=0, metrics={"accuracy": 0.5}) == 1
    services.metrics_log(finetune=finetune, step=0, metrics={"accuracy": 0.6, "loss": 1})
    (row,) = selectors.steps_of(finetune, after=-1)
    assert (row["accuracy"], row["loss"]) == (0.6, 1)
    for metrics in (
        {"": 1.0},
        {"a" * 81: 1.0},
        {"a": float("nan")},
        {f"m{n}": 1.0 for n in range(101)},
    ):
        with pytest.raises(DomainError):
            services.metrics_log(finetune=finetune, step=1, metrics=metrics)


def test_machines_that_share_a_bucket_alone(finetune, settings):
    """Trained on one worker, gone on with on another: what they share is a server that speaks S3."""
    from moondream_site.settings.base import in_bucket
    from tests.bucket import KEYS, client_of, s3_server

    with s3_server() as address:
        client = client_of(address)
        client.create_bucket(Bucket="tuned")
        settings.STORAGES = settings.STORAGES | in_bucket(
            bucket_name="tuned", endpoint_url=address, timeout_s=5, **KEYS
        )
        for number in (1, 2, 3):
            another_worker()
            assert done(step(finetune, step=number))["step"] == number
        finetune.refresh_from_db()
        held = [o["Key"] for o in client.list_objects_v2(Bucket="tuned")["Contents"]]
        assert sorted(held) == sorted(
            f"private/{finetune.head.folder}/{f}" for f in finetune.head.files
        )
        services.tuning_purge()
        services.finetune_delete(finetune=finetune)
        assert "Contents" not in client.list_objects_v2(Bucket="tuned")
