"""Many questions at once: together where they can be, in a fair order, and not without end."""

import contextlib
import itertools
import time
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from inference import backends, images, lease, selectors, services, stream
from inference.errors import Busy, NotFound
from inference.models import Job, StoredImage, Variant
from inference.services import running
from inference.world.samples import sample_bytes
from tests.inference.conftest import WORDS


def _tokens(job: Job) -> str:
    return "".join(e.data["text"] for e in stream.history(job.id) if e.type == "token")


def _ends(job: Job) -> list[str]:
    return [e.type for e in stream.history(job.id) if e.is_terminal]


@pytest.fixture
def alone(submit, settings) -> dict[str, str]:
    """What each question is answered when nothing else waits."""
    questions = ("What color is the background?", "How many stars are there?", "Is there a sign?")
    answers = {}
    for question in questions:
        job = submit("query", question=question)
        services.job_run(job_id=job.id, worker="w")
        job.refresh_from_db()
        answers[question] = job.result["answer"]
    stream.client().delete(f"{settings.REDIS_PREFIX}celery:cpu")
    return answers


def test_waiting_questions_are_answered_in_one_pass(submit, alone, monkeypatch) -> None:
    jobs = [submit("query", question=question) for question in alone]
    jobs.append(submit("caption", length="long"))
    passes = []
    many = backends.engine.EngineBackend.answer_many

    def counted(self, requests):  # type: ignore[no-untyped-def]
        passes.append(len(requests))
        return many(self, requests)

    monkeypatch.setattr(backends.engine.EngineBackend, "answer_many", counted)
    for job in jobs:  # as the broker would, one message after the other
        services.job_run(job_id=job.id, worker="w")
    assert passes == [4]
    for job in jobs:
        job.refresh_from_db()
        assert job.status == Job.Status.SUCCEEDED
        assert job.attempt == 1
        assert _ends(job) == ["result"]
        assert _tokens(job) == next(iter(job.result.values()))
        said = [e.data["status"] for e in stream.history(job.id) if e.type == "status"]
        assert said == ["queued", "running"]
        assert job.timings["total_ms"] > 0
        assert job.timings["batch_size"] == 4, "the worker's time was shared by so many"
    for job in jobs[:3]:
        assert job.result["answer"] == alone[job.params["question"]]


def test_others_are_not_drawn_in(submit, variants, image, monkeypatch) -> None:
    first = submit("caption")
    apart = [
        submit("detect", object="star"),
        submit("caption", settings={"temperature": 1.0}),
        submit("query", question="What is here?", spatial_refs=[[0.5, 0.5]]),
        services.job_submit(
            skill="caption", variant_slug=variants[1].slug, image=image, params={}, caller="t"
        ),
    ]
    services.job_run(job_id=first.id, worker="w")
    for job in apart:
        job.refresh_from_db()
        assert job.status == Job.Status.QUEUED


def test_one_bad_row_does_not_spoil_the_pass(submit, alone) -> None:
    good, bad, gone = (
        submit("query", question="Is there a sign?"),
        submit("query", question="é漢 " * 600),
        submit("query", question="How many stars are there?"),
    )
    other = services.image_store(data=sample_bytes("moon"))
    images.delete(other.file_name)
    Job.objects.filter(pk=gone.pk).update(image=other, image_sha256=other.sha256)
    services.job_run(job_id=good.id, worker="w")
    for job in (good, bad, gone):
        job.refresh_from_db()
    assert good.result == {"answer": alone["Is there a sign?"]}
    assert (bad.status, bad.error_code) == (Job.Status.FAILED, "invalid_request")
    assert (gone.status, gone.error_code) == (Job.Status.FAILED, "image_gone")
    assert all(len(_ends(job)) == 1 for job in (good, bad, gone))
    assert _tokens(good) == good.result["answer"]


def test_a_cancelled_row_leaves_the_pass(submit, monkeypatch) -> None:
    stays, leaves = submit("caption", length="long"), submit("caption", length="long")
    many = backends.engine.EngineBackend.answer_many

    def then_cancel(self, requests):  # type: ignore[no-untyped-def]
        for number, item in enumerate(many(self, requests)):
            if number == 12:
                services.job_cancel(job_id=leaves.id)
            yield item

    monkeypatch.setattr(backends.engine.EngineBackend, "answer_many", then_cancel)
    services.job_run(job_id=stays.id, worker="w")
    stays.refresh_from_db()
    leaves.refresh_from_db()
    assert (stays.status, leaves.status) == (Job.Status.SUCCEEDED, Job.Status.CANCELLED)
    assert _ends(leaves) == ["cancelled"]


def test_batching_can_be_switched_off(submit, settings, monkeypatch) -> None:
    settings.INFERENCE_BATCH = 1
    first, second = submit(), submit()
    services.job_run(job_id=first.id, worker="w")
    second.refresh_from_db()
    assert second.status == Job.Status.QUEUED


def _lengths(settings) -> list[int]:
    prefix = f"{settings.REDIS_PREFIX}celery:cpu"
    return [stream.client().llen(f"{prefix}:{step}" if step else prefix) for step in range(4)]


def test_a_busy_caller_lets_others_pass(submit, settings) -> None:
    for _ in range(5):
        submit(owner_key="busy")
    assert _lengths(settings) == [1, 1, 1, 2]
    submit(owner_key="new")
    assert _lengths(settings) == [2, 1, 1, 2]
    assert selectors.queue_depth() == 6


def test_a_variant_names_the_queue_its_jobs_wait_in(variants, image, settings) -> None:
    variants[1].queue = "gpu"
    variants[1].save()
    for variant in variants[:2]:
        services.job_submit(
            skill="caption", variant_slug=variant.slug, image=image, params={}, caller="t"
        )
    client = stream.client()
    waiting = {
        queue: client.llen(f"{settings.REDIS_PREFIX}celery:{queue}") for queue in ("cpu", "gpu")
    }
    assert waiting == {"cpu": 1, "gpu": 1}


def test_one_caller_cannot_fill_the_queue(submit, settings) -> None:
    settings.INFERENCE_MAX_WAITING_PER_CALLER = 2
    submit(owner_key="a")
    submit(owner_key="a")
    with pytest.raises(Busy) as caught:
        submit(owner_key="a")
    assert (caught.value.status, caught.value.code) == (429, "too_many_waiting")
    submit(owner_key="b")


def test_a_queue_that_stands_still_sends_newcomers_away(submit, settings) -> None:
    job = submit()
    late = timezone.now() - timedelta(seconds=settings.INFERENCE_MAX_QUEUE_AGE_S + 1)
    Job.objects.filter(pk=job.pk).update(created_at=late)
    with pytest.raises(Busy) as caught:
        submit()
    assert (caught.value.status, caught.value.code) == (503, "queue_slow")
    assert caught.value.retry_after > 0
    services.job_cancel(job_id=job.id)
    submit()


def test_a_repeat_is_answered_even_when_the_queue_is_full(submit, settings) -> None:
    first = submit(owner_key="a", idempotency_key="k")
    settings.INFERENCE_MAX_QUEUE_DEPTH = 0
    assert submit(owner_key="a", idempotency_key="k").id == first.id
    assert StoredImage.objects.count() == 1


@pytest.mark.parametrize(("tick", "least", "most"), [(0.0, 2, 2), (1.0, len(WORDS) + 1, 99)])
def test_what_comes_at_once_is_written_at_once(
    submit, scripted, monkeypatch, tick: float, least: int, most: int
) -> None:
    job, written, now = submit(), [], itertools.count(start=100.0, step=tick or 1e-6)
    publish_all = stream.publish_all

    def counted(news):  # type: ignore[no-untyped-def]
        written.append(news)
        return publish_all(news)

    monkeypatch.setattr(stream, "publish_all", counted)
    monkeypatch.setattr(running, "_AT_ONCE_S", 0.025)
    monkeypatch.setattr(running.time, "monotonic", lambda: next(now))
    services.job_run(job_id=job.id, worker="w")
    assert least <= len(written) <= most
    assert [e.data["text"] for e in stream.history(job.id) if e.type == "token"] == list(WORDS)
    assert stream.history(job.id)[-1].type == "result"


def test_leases_are_taken_and_given_back_together() -> None:
    names = [uuid.uuid4() for _ in range(3)]
    with contextlib.ExitStack() as other, contextlib.ExitStack() as held:
        assert lease.leased(other, names[1], wait_s=0) is not None
        taken = lease.leased_at_once(held, names)
        assert list(taken) == [str(names[0]), str(names[2])]
        with lease.renewed(list(taken.values())):
            assert all(lease.is_held(name) for name in names)
        held.close()
        # What another has is not given back for it.
        assert [lease.is_held(name) for name in names] == [False, True, False]
    assert lease.leased_at_once(contextlib.ExitStack(), []) == {}


def test_variants_are_read_once_in_a_while(
    variants, settings, django_assert_num_queries, monkeypatch
) -> None:
    settings.INFERENCE_VARIANTS_KEPT_S = 60
    selectors.variants_forget()
    slug = variants[1].slug
    with django_assert_num_queries(1):
        found = selectors.variant_get(slug)
        assert selectors.variant_by_id(found.pk) == found
        found.name = "Changed by one reader"
        assert selectors.variant_get(slug).name == variants[1].name
    # Elsewhere it was switched off; here, that is seen when the time is over.
    Variant.objects.filter(slug=slug).update(enabled=False)
    assert selectors.variant_get(slug).slug == slug
    later = time.monotonic() + 61
    monkeypatch.setattr(selectors.time, "monotonic", lambda: later)
    with pytest.raises(NotFound):
        selectors.variant_get(slug)
    # What is saved in this process is seen at once.
    Variant.objects.get(slug=slug).save()
    found = Variant.objects.get(slug=slug)
    found.enabled = True
    found.save()
    assert selectors.variant_get(slug) == found
    selectors.variants_forget()
