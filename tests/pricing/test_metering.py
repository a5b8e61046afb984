"""A job is reserved for before it is queued, and ended once, whatever comes."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.utils import timezone

from inference import services, stream
from inference.errors import DomainError
from inference.models import Job, StoredImage
from inference.tuning import services as tuning
from inference.tuning.who import Who
from pricing import selectors as pricing
from pricing import services as keys
from pricing.models import Allotment, Hold, LedgerAccount, LedgerEntry, UsageDay
from tests.inference.conftest import ScriptedBackend
from tests.pricing.ledgers import bare, plan, problems

pytestmark = pytest.mark.django_db
ASKED = {"skill": "caption"}


@pytest.fixture
def key(db: None) -> str:
    bare()
    plan(images=20, concurrent=15, training_minutes=5, storage_mb=1)
    user = get_user_model().objects.create_user("ada", "ada@example.org", "pw")
    return keys.key_make(user=user, name="k", scopes=["infer", "finetune"])[1]


@pytest.fixture
def ask(key: str, variants: Any, image: StoredImage) -> Callable[..., Any]:
    def post(**more: str) -> Any:
        headers = {"HTTP_AUTHORIZATION": f"Bearer {key}"} | more
        return Client().post("/v1/jobs", ASKED | {"image_id": image.sha256}, **headers)

    return post


def kinds() -> list[str]:
    return list(LedgerEntry.objects.exclude(kind="grant").values_list("kind", flat=True))


def run(job_id: Any) -> Job:
    services.job_run(job_id=job_id, worker="w")
    return Job.objects.get(pk=job_id)


def test_an_answer_is_settled_once_however_often_it_is_delivered(ask: Any, scripted: Any) -> None:
    answer = ask()
    assert answer.status_code == 202
    assert kinds() == ["reserve"]
    for _ in range(3):
        run(answer.json()["id"])
    assert kinds() == ["reserve", "settle"]
    day = UsageDay.objects.get()
    used_key = get_user_model().objects.get().api_keys.get()
    assert (day.skill, day.source, day.key_id, day.amount) == (
        "caption",
        "playground",
        used_key.pk,
        1,
    )
    assert day.variant == Job.objects.get().variant.slug
    assert day.seconds > 0
    assert problems() == []


def test_what_is_left_is_told(ask: Any) -> None:
    answer = ask()
    assert '"images";q=20;w=2592000' in answer["RateLimit-Policy"]
    assert '"images";r=19;t=' in answer["RateLimit"]
    assert '"work";q=' in answer["RateLimit-Policy"]
    last = [ask() for _ in range(15)][-1]
    assert last.status_code == 429
    assert last.json()["error"]["code"] == "too_many_at_once"
    assert int(last["Retry-After"]) >= 1
    Allotment.objects.filter(meter="images").update(granted=15)
    Hold.objects.all().delete()
    spent = ask()
    error = spent.json()["error"]
    assert (spent.status_code, error["code"], error["type"]) == (
        402,
        "images_spent",
        "insufficient_quota",
    )
    assert error["details"]["left"] == 0
    assert "resets_at" in error["details"]


def test_cancelled_before_it_began_is_free_and_after_it_is_not(
    ask: Any, scripted: ScriptedBackend
) -> None:
    waiting = ask().json()["id"]
    services.job_cancel(job_id=waiting)
    assert kinds() == ["reserve", "release"]
    begun = ask().json()["id"]

    def cancel(number: int) -> None:
        if number == 3:
            stream.request_cancel(begun)

    scripted.before = cancel
    assert run(begun).status == "cancelled"
    assert kinds()[2:] == ["reserve", "settle"], "most of the answer was read"
    assert problems() == []


def test_what_fails_is_free(ask: Any, scripted: ScriptedBackend) -> None:
    def broken(_: int) -> None:
        raise RuntimeError

    scripted.before = broken
    assert run(ask().json()["id"]).status == "failed"
    late = ask().json()["id"]
    Job.objects.filter(pk=late).update(status="running", attempt=1)
    services.job_timed_out(job_id=late)
    lost = ask().json()["id"]
    Job.objects.filter(pk=lost).update(attempt=3)
    run(lost)
    assert kinds() == ["reserve", "release"] * 3
    assert problems() == []


def test_a_repeated_request_reserves_nothing_more(ask: Any) -> None:
    same = {"HTTP_IDEMPOTENCY_KEY": "k"}
    assert ask(**same).json()["id"] == ask(**same).json()["id"]
    assert kinds() == ["reserve"]
    assert problems() == []


def test_twin_requests_reserve_once(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other request is saved while this one is on its way."""
    from inference.services import submitting

    look = submitting._earlier
    twins: list[Job] = []

    def blind(job: Job) -> Job | None:
        if not twins:
            twins.append(job)
            twin = Job.objects.create(
                skill=job.skill, variant=job.variant, caller=job.caller, owner_key=job.owner_key,
                idempotency_key=job.idempotency_key, params=job.params, image_sha256=twin_image,
            )  # fmt: skip
            assert twin.status == Job.Status.QUEUED
            return None
        return look(job)

    twin_image = StoredImage.objects.get().sha256
    monkeypatch.setattr(submitting, "_earlier", blind)
    answer = ask(HTTP_IDEMPOTENCY_KEY="k")
    assert answer.status_code == 202
    assert kinds() == ["reserve", "release"]
    assert problems() == []


def test_a_job_that_could_not_be_queued_leaves_nothing_held(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise redis.exceptions.ConnectionError

    monkeypatch.setattr(stream, "publish", away)
    assert ask().status_code == 503
    assert not Job.objects.exists()
    assert kinds() == ["reserve", "release"]
    assert problems() == []


def test_a_refusal_leaves_no_image_behind(ask: Any, key: str) -> None:
    ask()
    Allotment.objects.update(granted=1)
    before = StoredImage.objects.count()
    sent = {"HTTP_AUTHORIZATION": f"Bearer {key}"}
    assert Client().post("/v1/jobs", ASKED | {"sample": "shelf"}, **sent).status_code == 402
    assert StoredImage.objects.count() == before
    assert Client().post("/v1/jobs", ASKED | {"sample": "shelf"}).status_code == 202


def test_a_lost_web_process_or_worker_holds_nothing_for_long(ask: Any, scripted: Any) -> None:
    done, gone, waits = (ask().json()["id"] for _ in range(3))
    Job.objects.filter(pk=done).update(status="succeeded", attempt=1, timings={"total_ms": 900, "queue_ms": 400})  # fmt: skip
    Job.objects.filter(pk=gone).delete()
    Hold.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    assert keys.holds_sweep() == 2
    assert sorted(kinds()) == ["release", "reserve", "reserve", "reserve", "settle"]
    assert str(Hold.objects.get().subject) == waits
    assert UsageDay.objects.get().seconds == 0.5
    assert problems() == []


def test_jobs_answered_in_one_pass_are_settled_each(ask: Any) -> None:
    ids = [ask().json()["id"] for _ in range(4)]
    run(ids[0])
    assert [*Job.objects.values_list("status", "error_code", "error_message", "attempt")] == [
        ("succeeded", "", "", 1)
    ] * 4
    assert kinds() == ["reserve"] * 4 + ["settle"] * 4
    assert problems() == []


def test_without_an_account_nothing_is_counted_unless_the_trial_has_a_limit(
    variants: Any,
    image: StoredImage,
) -> None:
    bare()
    fields = ASKED | {"image_id": image.sha256}
    assert Client().post("/v1/jobs", fields).status_code == 202
    assert not LedgerAccount.objects.exists()
    plan("trial", role="trial", images=2)
    answers = [
        Client().post("/v1/jobs", fields, HTTP_AUTHORIZATION=f"Bearer label-{n}") for n in range(3)
    ]
    assert [a.status_code for a in answers] == [202, 202, 402], (
        "labels give no allowance of their own"
    )
    assert Client().post("/v1/jobs", fields, REMOTE_ADDR="192.0.2.9").status_code == 202
    assert problems() == []


def test_who_is_signed_in_pays_from_the_same_account(
    key: str, variants: Any, image: StoredImage
) -> None:
    client = Client()
    client.force_login(get_user_model().objects.get())
    assert client.post("/v1/jobs", ASKED | {"image_id": image.sha256}).status_code == 202
    page = client.post("/playground/", {"skill": "caption", "sample": "night"})
    assert page.status_code == 302
    account = LedgerAccount.objects.get()
    assert account.user is not None
    assert Hold.objects.filter(account=account).count() == 2


def test_this_site_s_own_runs_are_counted_as_its_own(variants: Any, image: StoredImage) -> None:
    services.job_submit(
        skill="caption",
        variant_slug=None,
        image=image,
        params={},
        caller="leaderboard",
        is_site=True,
    )
    assert LedgerAccount.objects.get().is_house
    assert Hold.objects.get().source == "leaderboard"


def test_a_training_reserves_what_it_may_take_and_settles_what_it_took(
    key: str, variants: Any
) -> None:
    user = get_user_model().objects.get()
    data, sft = {"source": "world", "preset": "counts"}, {"method": "sft"}
    made = tuning.run_make(who=Who(user), data=data, plan=sft)
    assert made.limit_s == 300, "what the plan has, where that is less than a run may take"
    with pytest.raises(DomainError) as refused:
        tuning.run_make(who=Who(user), data=data, plan=sft)
    assert (refused.value.status, refused.value.code) == (402, "training_spent")
    made.spent_s = 61.5
    made.save()
    tuning.run_cancel(run=made)
    pot = Allotment.objects.get(meter="training")
    assert (pot.used, pot.held) == (62, 0)
    second = tuning.run_make(who=Who(user), data=data, plan=sft)
    assert second.limit_s == 238
    tuning.run_delete(run=second)
    pot.refresh_from_db()
    assert (pot.used, pot.held) == (62, 0)
    assert problems() == []


def test_a_plan_s_storage_is_what_an_account_may_keep(key: str, variants: Any) -> None:
    from inference.tuning.services.owners import storage_limit

    user = get_user_model().objects.get()
    assert storage_limit(Who(user)) == 2**20


def test_the_whole_way_costs_one_statement_before_and_one_after(
    ask: Any, scripted: Any, settings: Any
) -> None:
    settings.INFERENCE_VARIANTS_KEPT_S = 60  # as a process that is under way has it
    pricing.plans_forget()
    ask()
    with connection.execute_wrapper(seen := _Seen()):
        answer = ask()
    assert seen.count("pricing_reserve") == 1
    assert seen.count("pricing_") == 2, "the key with its account, and the reservation"
    with connection.execute_wrapper(seen := _Seen()):
        run(answer.json()["id"])
    assert seen.count("pricing_") == seen.count("pricing_end") == 1
    pricing.plans_forget()


class _Seen:
    def __init__(self) -> None:
        self.sql: list[str] = []

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.sql.append(sql)
        return execute(sql, params, many, context)

    def count(self, word: str) -> int:
        return sum(word in sql for sql in self.sql)
