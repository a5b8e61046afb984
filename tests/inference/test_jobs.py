"""A job from being asked to its end: once, whoever is lost on the way."""

import shutil
import threading
from datetime import datetime, timedelta

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection
from django.utils import timezone

from inference import lease, selectors, services, stream, tasks
from inference.backends import engine
from inference.errors import Busy, Conflict, InvalidInput, NotFound
from inference.models import Job, StoredImage, Variant
from inference.services import claiming
from tests.inference.conftest import WORDS

CAPTION = "".join(WORDS)


def _text(job: Job) -> str:
    return "".join(e.data["text"] for e in stream.history(job.id) if e.type == "token")


def _kinds(job: Job) -> list[str]:
    return [e.type for e in stream.history(job.id)]


def test_the_real_model_answers(submit) -> None:
    engine._encoded._held.clear()
    job = submit("query", question="What color is the background?")
    services.job_run(job_id=job.id, worker="w")
    job.refresh_from_db()
    assert job.status == Job.Status.SUCCEEDED
    assert job.result == {"answer": "black"}
    assert 0 < job.confidence <= 1
    assert job.timings["encode_ms"] > 0
    events = stream.history(job.id)
    assert events[-1].type == "result"
    assert events[-1].data["result"] == job.result
    assert "encoding" in [e.data.get("stage") for e in events]

    again = submit("query", question="How many stars are there?")
    services.job_run(job_id=again.id, worker="w")
    again.refresh_from_db()
    assert again.timings["encode_cached"] is True


def test_a_claimed_job_is_the_one_that_was_stored(submit) -> None:
    job = submit("query", question="What?", owner_key="o" * 64)
    (claimed,) = claiming.claim([job.id], "w")
    job.refresh_from_db()
    known = [
        f.attname
        for f in Job._meta.concrete_fields
        if f.attname not in claimed.get_deferred_fields()
    ]
    assert {"caller", "owner_key", "in_background", "is_metered"} <= set(known)
    assert {name: getattr(claimed, name) for name in known} == {name: getattr(job, name) for name in known}  # fmt: skip


def test_delivered_twice_it_is_answered_once(submit, scripted) -> None:
    job = submit()
    for _ in range(2):
        services.job_run(job_id=job.id, worker="w")
    assert scripted.answered == 1
    assert _kinds(job).count("result") == 1
    assert _text(job) == CAPTION


@pytest.mark.django_db(transaction=True)
def test_delivered_to_two_workers_at_once(submit, scripted, monkeypatch) -> None:
    monkeypatch.setattr(lease, "SECONDS", 0.6)
    lease._renewer.cache_clear()  # one that sleeps for as long as before
    job = submit()
    inside, go_on = threading.Event(), threading.Event()

    def wait(number: int) -> None:
        if number == 1:
            inside.set()
            assert go_on.wait(10)

    scripted.before = wait

    def work() -> None:
        services.job_run(job_id=job.id, worker="first")
        connection.close()

    first = threading.Thread(target=work)
    first.start()
    assert inside.wait(10)
    # Longer than the lease: the first worker renews it while it works.
    services.job_run(job_id=job.id, worker="second")
    go_on.set()
    first.join(10)
    job.refresh_from_db()
    assert (scripted.answered, job.worker, job.status) == (1, "first", Job.Status.SUCCEEDED)


class _Lost(BaseException):
    """The process dies: nothing of ours gets to clean up."""


@pytest.mark.parametrize("skill", ["caption", "point"])
def test_a_lost_workers_job_goes_on_where_it_stopped(submit, scripted, monkeypatch, skill) -> None:
    monkeypatch.setattr(lease, "SECONDS", 0.3)
    job = submit(skill, object="star")

    def die(number: int) -> None:
        if number == 2:
            raise _Lost

    scripted.before = die
    with pytest.raises(_Lost):
        services.job_run(job_id=job.id, worker="lost")
    assert "result" not in _kinds(job)
    scripted.before = lambda _: None
    services.job_run(job_id=job.id, worker="next")
    job.refresh_from_db()
    assert (job.status, job.attempt, job.worker) == (Job.Status.SUCCEEDED, 2, "next")
    assert _kinds(job).count("result") == 1
    if skill == "caption":
        assert _text(job) == CAPTION
    else:
        assert _kinds(job).count("point") == 3


def test_an_answer_that_cannot_be_continued_fails_rather_than_repeats(submit, scripted) -> None:
    job = submit()
    stream.publish(job.id, "token", {"text": "Something else"})
    Job.objects.filter(pk=job.pk).update(attempt=1, status=Job.Status.RUNNING)
    services.job_run(job_id=job.id, worker="w")
    job.refresh_from_db()
    assert (job.status, job.error_code) == (Job.Status.FAILED, "worker_lost")


def test_a_job_that_kills_its_workers_is_given_up(submit, scripted) -> None:
    job = submit()
    Job.objects.filter(pk=job.pk).update(attempt=3, status=Job.Status.RUNNING)
    services.job_run(job_id=job.id, worker="w")
    job.refresh_from_db()
    assert (job.status, job.error_code) == (Job.Status.FAILED, "worker_lost")
    assert scripted.answered == 0
    assert _kinds(job)[-1] == "error"


def test_cancelled_while_waiting(submit, scripted) -> None:
    job = services.job_cancel(job_id=submit().id)
    assert job.status == Job.Status.CANCELLED
    services.job_run(job_id=job.id, worker="w")
    assert scripted.answered == 0
    assert _kinds(job) == ["status", "cancelled"]
    assert services.job_cancel(job_id=job.id).status == Job.Status.CANCELLED


def test_cancelled_between_being_read_and_being_claimed(submit, scripted, monkeypatch) -> None:
    job = submit()

    class JustThen:
        """The clock that is looked at between the two."""

        @staticmethod
        def now() -> datetime:
            services.job_cancel(job_id=job.id)
            return timezone.now()

    monkeypatch.setattr(claiming, "timezone", JustThen)
    services.job_run(job_id=job.id, worker="w")
    job.refresh_from_db()
    assert job.status == Job.Status.CANCELLED
    assert scripted.answered == 0
    assert _kinds(job).count("cancelled") == 1


def test_cancelled_while_running_stops_at_the_next_piece(submit, scripted) -> None:
    job = submit()

    def cancel(number: int) -> None:
        if number == 2:
            services.job_cancel(job_id=job.id)

    scripted.before = cancel
    services.job_run(job_id=job.id, worker="w")
    job.refresh_from_db()
    assert job.status == Job.Status.CANCELLED
    assert _kinds(job)[-1] == "cancelled"
    assert _kinds(job).count("token") <= 3


def test_cancelling_a_finished_job_changes_nothing(submit, scripted) -> None:
    job = submit()
    services.job_run(job_id=job.id, worker="w")
    assert services.job_cancel(job_id=job.id).status == Job.Status.SUCCEEDED


def test_the_soft_time_limit_ends_a_job(submit, scripted) -> None:
    job = submit()

    def too_long(_: int) -> None:
        raise SoftTimeLimitExceeded

    scripted.before = too_long
    tasks.run_job.apply(args=(str(job.id),))
    job.refresh_from_db()
    assert (job.status, job.error_code) == (Job.Status.FAILED, "timeout")
    assert _kinds(job)[-1] == "error"


def test_over_its_time_limit(submit) -> None:
    job = submit()
    services.job_timed_out(job_id=job.id)
    services.job_timed_out(job_id=job.id)
    job.refresh_from_db()
    assert (job.status, job.error_code) == (Job.Status.FAILED, "timeout")
    assert _kinds(job).count("error") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("Too many tokens."), "invalid_request"),
        (MemoryError(), "out_of_memory"),
        (RuntimeError("secret path /x"), "internal_error"),
    ],
)
def test_what_breaks_is_told_and_the_worker_lives(submit, scripted, error, code) -> None:
    job = submit()

    def fail(_: int) -> None:
        raise error

    scripted.before = fail
    services.job_run(job_id=job.id, worker="w")
    job.refresh_from_db()
    assert (job.status, job.error_code) == (Job.Status.FAILED, code)
    assert "secret" not in job.error_message
    assert _kinds(job)[-1] == "error"


def test_the_image_is_gone(submit, image: StoredImage) -> None:
    from inference import images

    job = submit()
    # A cached encoding would answer without the file.
    StoredImage.objects.filter(pk=image.pk).update(extension="gone")
    images.delete(image.file_name)
    engine._encoded._held.clear()
    services.job_run(job_id=job.id, worker="w")
    job.refresh_from_db()
    assert (job.status, job.error_code) == (Job.Status.FAILED, "image_gone")


def test_the_same_key_is_the_same_job(submit) -> None:
    first = submit("query", question="Why?", owner_key="a", idempotency_key="k")
    again = submit("query", question="Why?", owner_key="a", idempotency_key="k")
    assert again.id == first.id
    assert selectors.queue_depth() == 1
    assert submit("query", question="Why?", owner_key="b", idempotency_key="k").id != first.id
    with pytest.raises(Conflict):
        submit("query", question="Where?", owner_key="a", idempotency_key="k")


def test_a_full_queue_is_said_before_anything_is_stored(submit, settings) -> None:
    settings.INFERENCE_MAX_QUEUE_DEPTH = 2
    submit()
    submit()
    with pytest.raises(Busy) as caught:
        submit()
    assert (caught.value.status, caught.value.code) == (429, "queue_full")
    assert Job.objects.count() == 2


def test_the_broker_is_away(submit, monkeypatch) -> None:
    from kombu.exceptions import OperationalError

    def away(*_, **__) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(tasks.run_job, "apply_async", away)
    with pytest.raises(Busy) as caught:
        submit()
    assert caught.value.status == 503
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("skill", "params", "code"),
    [
        ("query", {"question": "  "}, "question_required"),
        ("query", {"question": "\x00"}, "question_required"),
        ("query", {"question": "x" * 2001}, "question_too_long"),
        ("detect", {}, "object_required"),
        ("point", {"object": "y" * 9999}, "object_too_long"),
    ],
)
def test_prompts_nobody_could_answer(submit, skill, params, code) -> None:
    with pytest.raises(InvalidInput) as caught:
        submit(skill, **params)
    assert caught.value.code == code
    assert not Job.objects.exists()


def test_unknown_things(submit, variants) -> None:
    with pytest.raises(NotFound) as caught:
        services.job_submit(
            skill="query", variant_slug="gpt-9", image=None, params={"question": "x"}, caller="t"
        )
    assert "moondream-embedded-fp16" in caught.value.hint
    with pytest.raises(NotFound):
        services.job_cancel(job_id="00000000-0000-0000-0000-000000000000")


def test_rescue_requeues_what_the_broker_lost(submit, settings) -> None:
    job = submit()
    assert services.rescue() == 0
    for key in stream.client().scan_iter(f"{settings.REDIS_PREFIX}*"):
        stream.client().delete(key)
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(hours=1))
    assert services.rescue() == 1
    assert selectors.queue_depth() == 1


def test_rescue_ends_what_ran_and_vanished(submit) -> None:
    job = submit()
    hour_ago = timezone.now() - timedelta(hours=1)
    Job.objects.filter(pk=job.pk).update(
        created_at=hour_ago, started_at=hour_ago, status=Job.Status.RUNNING
    )
    assert services.rescue() == 1
    job.refresh_from_db()
    assert (job.status, job.error_code) == (Job.Status.FAILED, "timeout")


def test_purge_keeps_what_a_waiting_job_needs(submit, image: StoredImage, scripted) -> None:
    job = submit()
    StoredImage.objects.update(used_at=timezone.now() - timedelta(days=3))
    assert services.purge() == 0
    services.job_run(job_id=job.id, worker="w")
    assert services.purge() == 1
    job.refresh_from_db()
    assert job.image is None
    assert job.image_sha256
    Job.objects.update(created_at=timezone.now() - timedelta(days=9))
    services.purge()
    assert not Job.objects.exists()


def test_damaged_weights_are_told_by_name_and_without_their_place(
    submit, variants, tmp_path, client, caplog
) -> None:
    folder = tmp_path / "secret-place"
    shutil.copytree(variants[0].folder, folder)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    job = submit()
    Variant.objects.filter(pk=job.variant_id).update(folder=str(folder))
    services.job_run(job_id=job.id, worker="w")
    job.refresh_from_db()
    assert job.status == Job.Status.FAILED
    told = f"{client.get(f'/v1/jobs/{job.id}').content} {stream.history(job.id)} {caplog.messages}"
    assert "model.safetensors" in told
    assert "weights_damaged" in told
    assert str(tmp_path) not in told
