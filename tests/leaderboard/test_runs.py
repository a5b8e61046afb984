"""Our own variants over a split: each item asked once, whatever is killed on the way."""

import time
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from inference.models import Job, Variant, VariantMeasurement
from leaderboard import selectors, services
from leaderboard.models import Benchmark, Challenge, Entry, Run, RunAnswer, Split
from leaderboard.services import runs
from leaderboard.services.world import world_load
from pricing import costs
from pricing.models import MachinePrice
from tests.leaderboard.conftest import answer, waiting

pytestmark = pytest.mark.django_db


def test_a_run_asks_each_item_once_and_becomes_an_entry(variant, board) -> None:
    run = services.run_start(split=board, variant=variant)
    assert len(waiting()) == runs.WINDOW
    asked = waiting()[0]
    assert (asked.skill, asked.params["question"], asked.caller) == (
        "query",
        "How many?",
        "leaderboard",
    )
    services.run_advance(run_id=run.pk)
    assert Job.objects.count() == runs.WINDOW  # nothing twice
    while jobs := waiting():
        answer(jobs[0])
        services.job_ended(jobs[0])
    run.refresh_from_db()
    assert run.status == Run.Status.DONE
    assert Job.objects.count() == RunAnswer.objects.count() == 9
    services.submission_score(submission_id=run.submission_id)
    row = Entry.objects.get()
    assert (row.provenance, row.team_name, row.latency_ms) == ("reproduced", "Moondream hub", 40.0)
    assert row.figures["count_accuracy"]["value"] == 1
    assert services.runs_start() == []  # nothing new to measure


def test_an_entry_that_was_run_here_says_tokens_and_cost(client, variant, board) -> None:
    """The worker's time, not the waiting; a share of it where several were answered together."""
    VariantMeasurement.objects.create(
        variant=variant, revision="1", hardware="Machine X", device="cpu", threads=1, dtype="float32",
        weight_bytes=1, peak_bytes=1, load_ms=1, encode_ms=1, first_token_ms=1, tokens_per_s=1,
    )  # fmt: skip
    MachinePrice.objects.all().delete()
    run = services.run_start(split=board, variant=variant)
    for number in range(9):
        job = waiting()[0]
        job.tokens = {"completion": 5 + number}
        job.timings = {"total_ms": 160.0, "queue_ms": 30.0, "load_ms": 10.0, "batch_size": 4}
        answer(job, timings=job.timings)
        services.job_ended(job)
    run.refresh_from_db()
    services.submission_score(submission_id=run.submission_id)
    row = Entry.objects.get()
    assert (row.worker_ms, row.output_tokens, row.device) == (30.0, 9.0, "cpu")
    page = client.get(board.benchmark.get_absolute_url()).content.decode()
    assert 'data-label="Tokens">9<' in page
    assert 'data-label="Cost">—<' in page, "the machine has no price"
    MachinePrice.objects.create(name="m", device="cpu", matches="machine x", dollars_an_hour="1.2", source="s", checked_on="2026-12-01")  # fmt: skip
    dollars = costs.image_cost(costs.Rates(0.03, 1.2))
    page = client.get(board.benchmark.get_absolute_url()).content.decode()
    assert f">{costs.image_cents(dollars)}</td>" in page
    assert costs.image_cents(dollars) in client.get(row.get_absolute_url()).content.decode()
    (exported,) = selectors.export_rows(board.benchmark)
    assert exported["image_cost_dollars"] == pytest.approx(dollars)
    assert exported["output_tokens"] == 9


def test_the_order_by_cost_is_that_of_the_costs(db: None, board) -> None:
    """Machines of other prices turn the order of times; who ran elsewhere comes last either way."""
    MachinePrice.objects.all().delete()
    for position, (name, device, matches, hourly) in enumerate(
        [("a", "cuda", "h200", "4"), ("b", "cpu", "epyc", "0.5"), ("c", "cpu", "", "0.1")]
    ):
        MachinePrice.objects.create(name=name, device=device, matches=matches, dollars_an_hour=hourly, position=position, source="s", checked_on="2026-12-01")  # fmt: skip
    rows = [("cuda:0", "NVIDIA H200", 9.0), ("cpu", "AMD EPYC", 40.0), ("cpu", "Xeon 100%_", 150.0), ("mps", "M4", 1.0), ("", "", None)]  # fmt: skip
    for number, (device, hardware, worker_ms) in enumerate(rows):
        Entry.objects.create(
            benchmark=board.benchmark, provenance="reproduced", model_name=f"m{number}",
            device=device, hardware=hardware, worker_ms=worker_ms, scored_at=timezone.now(),
        )  # fmt: skip
    table = selectors.table(board.benchmark, selectors.Asked(sort="cost", down=False))
    dollars = [row.dollars for row in table.rows]
    assert [row.entry.model_name for row in table.rows[:3]] == ["m2", "m1", "m0"]
    known = [value for value in dollars if value is not None]
    assert dollars[:3] == sorted(known)
    assert dollars[3:] == [None, None]
    down = selectors.table(board.benchmark, selectors.Asked(sort="cost", down=True))
    assert [row.dollars for row in down.rows] == [*dollars[2::-1], None, None]


def test_a_killed_run_goes_on_where_it_stopped(variant, board) -> None:
    run = services.run_start(split=board, variant=variant)
    for job in waiting()[:3]:
        answer(job)  # and nobody was told
    Job.objects.unfinished().delete()  # the broker lost the rest
    services.runs_advance()
    assert RunAnswer.objects.count() == 3
    keys = {j.idempotency_key.rpartition("#")[0] for j in waiting()}
    assert keys.isdisjoint(RunAnswer.objects.values_list("key", flat=True))
    assert services.run_start(split=board, variant=variant).pk == run.pk


def test_what_fails_is_tried_again_and_then_given_up(variant, board) -> None:
    run = services.run_start(split=board, variant=variant)
    for _ in range(runs.TRIES):
        job = next(j for j in waiting() if j.idempotency_key.startswith("i0#"))
        job.status = Job.Status.FAILED
        job.save()
        services.job_ended(job)
    run.refresh_from_db()
    assert (run.status, run.error) == (Run.Status.FAILED, "i0: failed 3 times")


def test_new_weights_are_run_anew(variant, board) -> None:
    run = services.run_start(split=board, variant=variant)
    Run.objects.update(status=Run.Status.DONE)
    assert services.runs_start() == []
    Variant.objects.update(revision="2")
    assert [r.pk for r in services.runs_start()] != [run.pk]
    assert Run.objects.count() == 2


def test_the_worlds_benchmarks_are_the_same_every_time(db: None, settings: Any) -> None:
    Challenge.objects.all().delete()  # the starter's, which hold on to its benchmarks
    Benchmark.objects.all().delete()
    made = world_load(dev=2, test=2)
    assert [b.slug for b in made] == [
        "world-vqa",
        "world-captions",
        "world-detection",
        "world-counting",
        "world-existence",
    ]
    assert world_load(dev=2, test=2) == []
    hashes = {s.pk: s.data_hash for s in Split.objects.all()}
    assert all(default_storage.exists(s.items.first().image) for s in Split.objects.all())
    dev = {b.slug: b.splits.get(name="dev").data_hash for b in made}
    hidden = {b.slug: b.splits.get(name="test").data_hash for b in made}
    for benchmark in made:
        benchmark.delete()
    world_load(dev=2, test=2)
    assert {s.data_hash for s in Split.objects.all()} == set(hashes.values())
    Split.objects.all().delete()
    for benchmark in type(made[0]).objects.all():
        benchmark.delete()
    settings.REFERENCES_KEY = "another installation"
    again = world_load(dev=2, test=2)
    assert {b.slug: b.splits.get(name="dev").data_hash for b in again} == dev
    # The hidden split is this installation's own: who has the code cannot draw it.
    assert all(b.splits.get(name="test").data_hash != hidden[b.slug] for b in again)


def test_a_fault_of_a_run_does_not_hurt_its_job(variant, board, monkeypatch) -> None:
    """The worker that answers visitors must not stumble over our bookkeeping."""
    from leaderboard import receivers

    def broken(job: Job) -> None:
        raise RuntimeError("bookkeeping")

    monkeypatch.setattr("leaderboard.services.job_ended", broken)
    services.run_start(split=board, variant=variant)
    receivers._job_finished(Job, job=waiting()[0])


def test_items_know_their_file(board) -> None:
    assert default_storage.open(board.items.first().image).read(4) == ContentFile(b"\x89PNG").read()


@pytest.mark.live
def test_a_run_on_a_live_worker(live_stack: Any) -> None:
    """The command, a broker, a worker and the shipped weights, from items to a ranked entry."""
    slugs = [v["slug"] for v in live_stack.get("/v1/variants")]
    out = live_stack.manage("benchmarks", "run", "world-counting", "--variants", slugs[0])
    assert f"world-counting/test {slugs[0]}: done" in out
    deadline = time.monotonic() + 30
    while not (rows := live_stack.get("/api/leaderboards/world-counting/entries")):
        assert time.monotonic() < deadline, live_stack.logs()
        time.sleep(0.2)
    assert rows[0]["provenance"] == "reproduced"
    assert rows[0]["count_accuracy"] > 60
    assert (
        rows[0]["count_accuracy_low"] <= rows[0]["count_accuracy"] <= rows[0]["count_accuracy_high"]
    )
    assert rows[0]["latency_ms"] > 0


def test_runs_take_turns_so_that_visitors_find_room(variant, board) -> None:
    other = Variant.objects.create(
        slug="toy-2", name="Toy", model_name="toy", revision="1", folder="here"
    )
    first, second = (services.run_start(split=board, variant=v) for v in (variant, other))
    assert {j.owner_key for j in waiting()} == {f"run:{first.pk}"}
    assert len(waiting()) == runs.WINDOW
    assert all(j.in_background for j in waiting())
    while jobs := [j for j in waiting() if j.owner_key == f"run:{first.pk}"]:
        answer(jobs[0])
        services.job_ended(jobs[0])
    assert {j.owner_key for j in waiting()} == {f"run:{second.pk}"}
