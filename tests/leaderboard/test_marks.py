"""What a table says of its own figures: reported by whom, expired why, moved how."""

from dataclasses import replace
from datetime import date
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command

from inference.errors import InvalidInput
from inference.models import Variant
from leaderboard import selectors, services
from leaderboard.metrics.statistics import Interval
from leaderboard.models import Entry, ReportedFigure, Submission
from leaderboard.scoring import TASKS
from leaderboard.scoring import score as real_score
from leaderboard.services import scoring


@pytest.fixture
def other(db: None) -> Any:
    return get_user_model().objects.create_user("eva", "eva@example.org", "correct horse")


def figure(**more: Any) -> ReportedFigure:
    fields: dict[str, Any] = {
        "benchmark": "Colours", "metric": "Exact match", "model": "Elsewhere 2B", "value": 90.0,
        "unit": "%", "source": "A model card", "source_url": "https://example.org/card",
        "reported_on": date(2026, 1, 2), "caveat": "Another prompt.",
    }  # fmt: skip
    return ReportedFigure.objects.create(**{**fields, **more})


def test_reported_figures_stand_in_the_table_unranked(client, send, split) -> None:
    send(20)
    shown = figure()
    figure(metric="Something else", model="Unknown metric")
    figure(benchmark="Colours by release", model="Older", value=10.0)
    figure(model="Hidden", is_shown=False)
    rows = [(e.model_name, e.rank, e.provenance) for e in Entry.objects.all()]
    assert rows == [("Elsewhere 2B", None, "reported"), ("Model", 1, "verified"), ("Older", None, "reported")]  # fmt: skip
    page = client.get("/leaderboards/colours/").content.decode()
    assert "https://example.org/card" in page
    assert "Another prompt." in page
    listed = client.get("/leaderboards/").content.decode()
    assert "<dd>Model</dd>" in listed  # who leads is who was scored here
    told = client.get("/leaderboards/colours/?provenance=reported").content.decode()
    assert "Elsewhere 2B" in told
    assert "entries/" not in told.split("<tbody>")[1].split("</tbody>")[0]
    exported = client.get("/api/leaderboards/colours/entries").json()
    assert exported[0]["exact_match"] == 90.0
    assert exported[0]["source"] == "A model card"
    assert [p.get("low") is None for p in selectors.points(split.benchmark)] == [True, False, True]
    shown.delete()
    assert not Entry.objects.filter(model_name="Elsewhere 2B").exists()


def test_published_figures_are_loaded_once_with_their_sources(db) -> None:
    services.reported_load()
    assert services.reported_load() == 0
    assert ReportedFigure.objects.count() > 50
    pope = ReportedFigure.objects.filter(benchmark__startswith="POPE")
    assert {f.value for f in pope.filter(model="moondream2 2025-01-09")} == {92.4, 90.3, 87.2}
    assert all(
        f.source_url.startswith("https://") and f.source for f in ReportedFigure.objects.all()
    )


def test_releases_are_a_table_and_charts_have_several_makers(client, db) -> None:
    services.reported_load()
    releases = selectors.by_release(selectors.reported())
    row = next(r for r in releases.rows if r.chart.benchmark == "DocVQA by release")
    told = dict(zip(releases.models, row.cells, strict=True))
    assert told["moondream2 2025-04-14"]
    assert told["moondream2 2025-04-14"].text == "79.3"
    assert told["moondream3 preview"] is None
    charts = selectors.mini_benchmark()
    assert {"DocVQA", "TextVQA", "MMMU"} <= {c.benchmark for c in charts}
    assert len(charts) <= 12  # the chooser's styles know no more
    assert all(len({b.is_ours for b in c.bars}) == 2 for c in charts if c.provenance == "reported")
    page = client.get("/leaderboards/").content.decode()
    assert "release by release" in page
    assert ">79.3<" in page


@pytest.fixture
def ours(split: Any) -> Submission:
    """An entry that a variant of ours ran."""
    from tests.leaderboard.conftest import predictions

    variant = Variant.objects.create(slug="tiny", name="Tiny", model_name="Tiny", revision="r1", folder="x")  # fmt: skip
    made = services.submission_take(
        split=split, team=services.our_team(), user=None, is_public=True, file=predictions(10),
        card=services.Card("Tiny", revision=variant.revision, latency_ms=12.0), provenance="reproduced",
        variant_slug=variant.slug,
    )  # fmt: skip
    services.submission_score(submission_id=made.pk)
    return made


def test_a_mark_expires_with_the_weights_it_was_run_with(client, ours) -> None:
    entry = Entry.objects.get(submission=ours)
    assert entry.expired == ""
    assert entry.is_measured
    assert selectors.by_model() == {"Colours": {"tiny": "25.0 %"}}  # as `models report` prints it
    variant = Variant.objects.get(slug="tiny")
    variant.revision = "r2"
    variant.save()
    assert Entry.objects.get(submission=ours).expired == "the weights have changed since"
    for page in (
        "/leaderboards/colours/",
        ours.get_absolute_url().replace("submissions", "entries"),
    ):
        assert "the weights have changed since" in client.get(page).content.decode()
    assert services.entries_check() == []  # nothing has changed since


def test_a_mark_expires_with_its_scorer_until_it_is_scored_anew(
    send, split, other, monkeypatch
) -> None:
    send(30)
    rules = split.benchmark.rules
    newer = tuple(replace(m, version=2) if m.slug == "exact_match" else m for m in rules.metrics)
    monkeypatch.setitem(TASKS, "vqa", replace(rules, metrics=newer))  # fmt: skip
    assert services.entries_check() == [split.benchmark]
    assert Entry.objects.get().expired.startswith("scored by an older version of Exact match")
    services.rescore(benchmark=split.benchmark, publish=True)
    assert Entry.objects.get().expired == ""


def test_a_shadow_tells_which_ranks_would_move(send, split, other, monkeypatch) -> None:
    first, second = send(30), send(20, by=other, name="Second")

    def turned(*args: Any, **more: Any) -> Any:
        found = real_score(*args, **more)
        one = found["exact_match"]
        value = 1 - one.interval.value
        found["exact_match"] = replace(one, signature=f"{one.signature}|turned", interval=Interval(value, value, value))  # fmt: skip
        return found

    monkeypatch.setattr(scoring, "score", turned)
    found = services.rescore(benchmark=split.benchmark)
    assert {(m.submission, m.old, m.new) for m in found.moves} == {(first, 1, 2), (second, 2, 1)}
    assert [e.rank for e in Entry.objects.all()] == [1, 2]  # nothing shown has changed
    out = StringIO()
    call_command("benchmarks", "rescore", "colours", stdout=out)
    assert "rank 1 -> 2" in out.getvalue()


def test_the_public_split_has_a_page_to_compare_from(client, send, split, other, django_assert_max_num_queries) -> None:  # fmt: skip
    address = "/leaderboards/colours/public/"
    assert "Nobody has submitted" in client.get(address).content.decode()
    dev = split.benchmark.splits.get(name="dev")
    hidden = send(20)
    first = send(5, to=dev)
    second = send(3, to=dev, by=other, name="Other")
    send(4, to=dev, by=other, name="Private", is_public=False)
    with django_assert_max_num_queries(8):
        page = client.get(address).content.decode()
    assert page.index(str(first.pk)) < page.index(str(second.pk))
    assert "Private" not in page
    compared = client.get(f"/leaderboards/compare/?a={first.pk}&b={second.pk}").content.decode()
    assert "Item by item" in compared
    assert "secret0-red" in compared  # its references are public
    entry = client.get(f"/leaderboards/entries/{hidden.pk}/").content.decode()
    assert f"/leaderboards/entries/{first.pk}/items/" in entry
    assert str(second.pk) in client.get(f"/leaderboards/entries/{first.pk}/").content.decode()


def test_a_waiting_submission_says_how_long_and_whether_anybody_works(client, send, split, user, monkeypatch) -> None:  # fmt: skip
    from datetime import UTC, datetime

    from inference.selectors import Worker

    monkeypatch.setattr("inference.selectors.workers_seen", list)
    send(20, score=False)
    made = send(10, score=False)
    client.force_login(user)
    page = client.get(made.get_absolute_url()).content.decode()
    assert "1 before it" in page
    assert "No scorer has been heard of" in page
    scored = send(5, score=True)
    Submission.objects.filter(pk=scored.pk).update(
        started_at=datetime(2026, 1, 1, 0, 0, 0, tzinfo=UTC), finished_at=datetime(2026, 1, 1, 0, 0, 4, tzinfo=UTC)
    )  # fmt: skip
    seen = datetime(2026, 1, 1, 12, 30, 15, tzinfo=UTC)
    monkeypatch.setattr("inference.selectors.workers_seen", lambda: [Worker("w", seen)])
    queue = selectors.queue_of(made)
    assert queue is not None
    assert (queue.before, queue.usual, queue.seconds, queue.heard_at) == (1, 4.0, 8, seen)
    page = client.get(made.get_absolute_url()).content.decode()
    assert "about 8 s" in page
    assert "12:30:15 UTC" in page
    assert selectors.queue_of(scored) is None


def test_a_reported_latency_is_a_number_with_its_hardware(split, user) -> None:
    card = services.card_read({"model_name": "Model", "latency_ms": "42.5", "hardware": " A  GPU "})
    assert (card.latency_ms, card.hardware) == (42.5, "A GPU")
    for bad in ("nan", "-1", "0", "fast", "1e9"):
        with pytest.raises(InvalidInput, match="milliseconds"):
            services.card_read({"model_name": "Model", "latency_ms": bad})
