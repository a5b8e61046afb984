"""What strangers may try with the tuning API: nothing is broken, nothing of others is seen."""

import json
import threading

import orjson
import pytest
from django.test import Client

from inference.errors import DomainError
from inference.tuning import selectors, services
from inference.tuning.models import Checkpoint, Finetune, Operation
from pricing import services as pricing
from tests.inference.tuning.conftest import COUNT_RIGHT, COUNTS, QUICK, another_worker
from tests.inference.tuning.test_operations import BOX, SEEN, TAUGHT, done, run, sampled, step

pytestmark = pytest.mark.django_db(transaction=True)
BASE = "/v1/tuning"
HUGE = 10**30


@pytest.fixture
def finetune(who, variants):
    return services.finetune_get_or_make(name="counts", rank=8, who=who)


@pytest.fixture
def key(who):
    return pricing.key_make(user=who.user, name="k", scopes=["finetune"])[1]


@pytest.fixture
def ask(key):
    """Calls the API; status and body."""
    client = Client(raise_request_exception=True)

    def asked(method, path, body=None):
        data = body if isinstance(body, bytes) else orjson.dumps(body) if body is not None else b""
        answer = client.generic(
            method,
            BASE + path,
            data,
            content_type="application/json",
            headers={"X-Moondream-Auth": key},
        )
        return answer.status_code, answer.json()

    return asked


@pytest.mark.parametrize("rank", [True, False, 0, -8, 9, 8.5, "8; DROP", HUGE, None, [8]])
def test_ranks(variants, ask, rank) -> None:
    status, _ = ask("POST", "/finetunes", json.dumps({"name": "x", "rank": rank}).encode())
    assert status in (400, 422)
    assert not Finetune.objects.exists()


@pytest.mark.parametrize(
    "name",
    ["", "../x", "a/b", "a b", "x" * 81, "a\u0000", "\u202ea", "é", "..", ".hidden", "-x", "a\n"],
)
def test_names(variants, ask, name) -> None:
    status, _ = ask("POST", "/finetunes", {"name": name, "rank": 8})
    assert status in (400, 422)
    assert not Finetune.objects.exists()


@pytest.mark.parametrize(
    "path",
    ["/finetunes?cursor=%00", "/finetunes?cursor=%ED%A0%80", "/finetunes?limit=0", "/finetunes?limit=999999999999999999999",
     "/finetunes/{id}/checkpoints?cursor=%C2%B2", "/finetunes/{id}/checkpoints?cursor=-1", "/finetunes/{id}/checkpoints?cursor=9999999999999999999",
     "/finetunes/{id}/checkpoints?cursor=1%27--", "/finetunes/{id}/checkpoints/99999999999999999999999/download",
     "/finetunes/{id}/checkpoints/-1/download", "/finetunes/{id}%00", "/finetunes/..%2f..", "/files/x.y.z"],
)  # fmt: skip
def test_lists_and_cursors(finetune, ask, path) -> None:
    status, body = ask("GET", path.format(id=finetune.pk))
    assert status in (200, 400, 404, 422), body
    if status == 200:
        assert body.get("checkpoints", body.get("finetunes")) in (
            [],
            *([[f] for f in body.get("finetunes", [])]),
        )


def test_every_call_about_anothers(finetune, stranger, ask) -> None:
    theirs = services.finetune_get_or_make(name="theirs", rank=8, who=stranger)
    done(step(theirs))
    services.checkpoint_keep(finetune=theirs)
    of = f"/finetunes/{theirs.pk}"
    calls = [
        ("GET", of, None), ("DELETE", of, None), ("GET", f"{of}/checkpoints", None), ("POST", f"{of}/checkpoints/save", None),
        ("DELETE", f"{of}/checkpoints/1", None), ("GET", f"{of}/checkpoints/1/download", None),
        ("POST", f"{of}/metrics", {"step": 1, "metrics": {"a": 1}}),
        ("POST", "/rollouts", {"finetune_id": theirs.pk, "request": SEEN}),
        ("POST", "/train_step", {"finetune_id": theirs.pk, "groups": TAUGHT}),
    ]  # fmt: skip
    for method, path, body in calls:
        assert ask(method, path, body)[0] == 404, path
    body = ask("GET", "/finetunes")[1]
    assert [f["finetune_id"] for f in body["finetunes"]] == [finetune.pk]
    assert Checkpoint.objects.count() == 1
    assert Operation.objects.filter(finetune=theirs).count() == 1


@pytest.mark.parametrize(
    "body",
    [{"num_rollouts": 17}, {"num_rollouts": 0}, {"num_rollouts": -1}, {"num_rollouts": HUGE}, {"num_rollouts": 1.5},
     {"request": {**SEEN, "question": "a\u0000b"}}, {"request": {**SEEN, "skill": "caption"}},
     {"request": {**SEEN, "image_url": "file:///etc/passwd"}}, {"request": {**SEEN, "image_url": "http://127.0.0.1/"}},
     {"request": {**SEEN, "settings": {"temperature": -1}}}, {"request": {**SEEN, "settings": {"max_tokens": HUGE}}},
     {"request": {**SEEN, "extra": 1}}, {"ground_truth": {"boxes": [BOX]}}],
)  # fmt: skip
def test_samplings(finetune, ask, body) -> None:
    asked = {"finetune_id": finetune.pk, "request": SEEN, **body}
    status, answer = ask("POST", "/rollouts", json.dumps(asked).encode())
    assert status in (400, 413, 415, 422), answer
    assert not Operation.objects.exists()


def test_numbers_that_nothing_can_hold(finetune, ask) -> None:
    rollout = {"skill": "query", "output": {}, "finish_reason": "stop", "step": HUGE}
    groups = [{"mode": "rl", "request": SEEN, "rollouts": [rollout], "rewards": [1]}]
    asked = {"request": {**SEEN, "settings": {"strange": HUGE}}}
    for path, body in (("/train_step", {"groups": groups}), ("/rollouts", asked)):
        status, _ = ask("POST", path, json.dumps({"finetune_id": finetune.pk, **body}).encode())
        assert status == 422


@pytest.mark.parametrize(
    "reward", ["NaN", "Infinity", "-Infinity", "1e400", "1e12", "true", '"1"', "[]", "{}"]
)
def test_rewards(finetune, ask, reward) -> None:
    rollouts = sampled(finetune, count=2)["rollouts"]
    group = orjson.dumps({"mode": "rl", "request": SEEN, "rollouts": rollouts}).decode()
    body = f'{{"finetune_id":"{finetune.pk}","groups":[{group[:-1]},"rewards":[0,{reward}]}}]}}'
    status, _ = ask("POST", "/train_step", body.encode())
    assert status in (400, 422)
    finetune.refresh_from_db()
    assert finetune.step == 0


@pytest.mark.parametrize(
    "rewards", [[1e8, -1e8, 0], [1e-300, 0, 0], [1, 1, 1], [None, None, None], [1, None, 0]]
)
@pytest.mark.parametrize("lr", [1e-30, 0.1])
def test_large_and_small_rewards_leave_a_sound_adapter(finetune, rewards, lr) -> None:
    rollouts = sampled(finetune)["rollouts"]
    groups = [{"mode": "rl", "request": SEEN, "rollouts": rollouts, "rewards": rewards}]
    made = run(services.train_step_submit(finetune=finetune, groups=groups, lr=lr))
    assert made.status == "succeeded", made.error_message
    orjson.loads(orjson.dumps(made.answer))
    assert all(v is None or v == v for v in made.answer.values())  # no NaN
    another_worker()
    assert sampled(Finetune.objects.get(pk=finetune.pk), count=1)["rollouts"]


@pytest.mark.parametrize(
    "change",
    [{"answer_tokens": [5] * 4000, "log_probabilities": [-1.0] * 4001}, {"answer_tokens": [], "log_probabilities": [-1.0]},
     {"step": -5}, {"step": 10**6}, {"step": 1.5}, {"log_probabilities": "x"}, {"skill": "point"}, {"output": []}],
)  # fmt: skip
def test_rollouts_that_were_changed(finetune, change) -> None:
    rollouts = sampled(finetune, count=2)["rollouts"]
    rollouts[0] = {**rollouts[0], "finish_reason": "stop", **change}
    made = run(
        step(finetune, [{"mode": "rl", "request": SEEN, "rollouts": rollouts, "rewards": [1, 0]}])
    )
    if made.status == "failed":
        assert made.error_code == "bad_tuning_request", (made.error_code, made.error_message)
    else:  # an empty answer is one that a model may have given
        assert change.get("answer_tokens") == []


@pytest.mark.parametrize(
    "body",
    [{"title": "a\u0000b"}, {"data": {"source": "world", "preset": "counts\u0000"}}, {"data": {"source": "../x"}},
     {"data": {"source": "world", "preset": "counts", "count": HUGE}}, {"settings": {"steps": True}},
     {"settings": {"rank": True}}, {"settings": {"seed": HUGE}}, {"settings": {"lr": "1"}}, {"reward": {"format": "x"}},
     {"data": {"source": "upload", "upload": "../../etc"}}, {"data": {"source": "world", "preset": ["counts"]}},
     {"data": {"source": "world", "preset": "counts", "domain": {"a": 1}}}, {"data": {"source": "benchmark", "benchmark": "x\u0000", "split": 3}}],
)  # fmt: skip
def test_runs(variants, ask, body) -> None:
    asked = {"data": COUNTS, "reward": COUNT_RIGHT, "settings": QUICK, **body}
    status, answer = ask("POST", "/runs", json.dumps(asked).encode())
    assert status in (400, 404, 422), answer


@pytest.mark.parametrize(
    "path",
    [
        "/steps?after=99999999999999999999",
        "/steps/99999999999999999999/rollouts",
        "/steps/-1/rollouts",
    ],
)
def test_steps_that_cannot_be(make, ask, path) -> None:
    made = make()
    status, _ = ask("GET", f"/runs/{made.pk}{path}")
    assert status in (200, 400, 404, 422)


def test_figures_that_cannot_be(finetune, ask) -> None:
    for text in ('{"step":1,"metrics":{"a":NaN}}', '{"step":1,"metrics":{"a\\u0000":1}}', '{"step":1,"metrics":{"\\ud800":1}}',
                 '{"step":1e30,"metrics":{"a":1}}', '{"step":-1,"metrics":{"a":1}}', '{"step":1,"metrics":{"a":1e400}}'):  # fmt: skip
        assert ask("POST", f"/finetunes/{finetune.pk}/metrics", text.encode())[0] in (400, 422), (
            text
        )


def test_deleted_while_it_trains(finetune, private, monkeypatch) -> None:
    """The step that a worker has trained meanwhile counts for nothing and leaves no file."""
    from inference.tuning.services import operations

    real = operations.head_store
    made = step(finetune)

    def deleted_first(*args, **kwargs):
        services.finetune_delete(finetune=finetune)
        return real(*args, **kwargs)

    monkeypatch.setattr(operations, "head_store", deleted_first)
    services.operation_run(operation_id=made.pk)
    assert not Operation.objects.exists()
    assert not Checkpoint.objects.exists()
    assert [f for f in private.rglob("*") if f.is_file()] == []
    again = services.finetune_get_or_make(name="counts", rank=16, who=_who_of(finetune))
    assert again.pk != finetune.pk


def _who_of(finetune):
    from inference.tuning.who import Who

    return Who(finetune.owner)


def test_two_workers_train_a_step_once(finetune) -> None:
    from django.db import connection

    made = step(finetune)

    def worker() -> None:
        try:
            services.operation_run(operation_id=made.pk)
        finally:
            connection.close()

    both = [threading.Thread(target=worker) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    finetune.refresh_from_db()
    assert finetune.step == 1
    assert Checkpoint.objects.count() == 1


def test_what_waits_is_limited_for_each_owner(who, variants, monkeypatch) -> None:
    from inference.tuning.services import operations

    monkeypatch.setattr(operations, "MOST_OF_OWNER", 3)
    tunes = [services.finetune_get_or_make(name=f"n{n}", rank=8, who=who) for n in range(4)]
    for one in tunes[:3]:
        step(one)
    with pytest.raises(DomainError) as caught:
        step(tunes[3])
    assert caught.value.code == "tuning_busy"


def test_used_up_room_stops_steps_and_uploads(finetune, settings) -> None:
    done(step(finetune))
    settings.TUNING_STORAGE_MB = 0
    with pytest.raises(DomainError) as caught:
        step(finetune, step=2)
    assert caught.value.code == "tuning_storage_full"
    assert selectors.finetune_get(finetune.pk, _who_of(finetune)).step == 1
