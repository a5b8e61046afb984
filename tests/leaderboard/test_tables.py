"""Tables that no longer hold: what is shown meanwhile, one rebuild for many changes, whoever is lost."""

import contextlib
import re
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from inference import lease, stream
from leaderboard import services, tasks
from leaderboard.models import (
    Entry,
    LogLine,
    PairTest,
    QuotaLine,
    Score,
    Standing,
    Submission,
    TableState,
)
from leaderboard.services import entries, pairs, rebuilding, scoring, stale
from leaderboard.services.teams import our_team
from tests.leaderboard.conftest import join, over, person, predictions, submit

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[2]


@pytest.fixture
def messages(split: Any, tables_wait: None, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tables that a worker was asked to make, in order; all hold at the beginning."""
    services.tables_make()
    sent: list[int] = []
    monkeypatch.setattr(tasks.rebuild_table, "apply_async", lambda args, **_: sent.append(args[0]))
    return sent


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The benchmarks whose rows were computed, in order."""
    done: list[str] = []
    real = entries._computed

    def compute(pk: int) -> Any:
        done.append(pk)
        return real(pk)

    monkeypatch.setattr(entries, "_computed", compute)
    return done


def state_now() -> TableState:
    return TableState.objects.get(benchmark__slug="colours")


def shown(client: Any, page: str = "/leaderboards/colours/") -> str:
    return client.get(page).content.decode()


def three(send: Any) -> list[Submission]:
    found = [
        send(right, name=name, by=person(name))
        for name, right in (("Best", 38), ("Middle", 25), ("Last", 5))
    ]
    services.tables_make()
    return found


def test_a_withdrawn_entry_leaves_at_once_and_ranks_follow(
    send, split, user, client, messages, monkeypatch
) -> None:
    best, *_ = three(send)
    messages.clear()
    client.force_login(get_user_model().objects.get(username="Best"))
    with monkeypatch.context() as patch:
        patch.setattr(entries, "rank", lambda *_: pytest.fail("ranks computed in a request"))
        assert client.post(f"/leaderboards/submissions/{best.pk}/withdraw/").status_code == 302
    html = shown(client)
    assert "Best" not in html.split("board-table")[1].split("How it is scored")[0]
    assert "Being recomputed since" in html
    assert client.get("/api/leaderboards/colours").json()["stale_since"]
    assert [(e.model_name, e.rank) for e in Entry.objects.all()] == [("Middle", 2), ("Last", 3)]
    state = state_now()
    assert messages == [state.pk]
    services.table_rebuild(state_id=state.pk)
    assert [(e.model_name, e.rank) for e in Entry.objects.all()] == [("Middle", 1), ("Last", 2)]
    html = shown(client)
    assert "Being recomputed" not in html
    assert "Computed" in html
    assert client.get("/api/leaderboards/colours").json()["stale_since"] is None
    assert LogLine.objects.filter(action="new first").first().text == "Middle leads"


def test_a_private_entry_leaves_at_once(send, split, client, messages) -> None:
    best, *_ = three(send)
    services.submission_publish(submission=best, is_public=False, actor="x")
    assert "Best" not in client.get("/api/leaderboards/colours/entries").content.decode()
    assert state_now().stale_since is not None
    # Shown again before any worker came: it takes its place when one does.
    services.submission_publish(submission=best, is_public=True, actor="x")
    services.tables_make()
    assert Entry.objects.first().submission_id == best.pk


def test_a_burst_of_changes_is_one_message_and_one_rebuild(send, messages, computed) -> None:
    best, *_ = three(send)
    messages.clear()
    computed.clear()
    for n in range(50):
        services.submission_publish(submission=best, is_public=bool(n % 2), actor="x")
    assert len(messages) == 1
    for _ in range(20):  # and had each been sent
        services.table_rebuild(state_id=messages[0])
    assert len(computed) == 1
    assert [e.model_name for e in Entry.objects.all()] == ["Best", "Middle", "Last"]


def test_changes_during_a_rebuild_are_exactly_one_more(send, messages, monkeypatch) -> None:
    best, middle, _ = three(send)
    services.submission_publish(submission=best, is_public=False, actor="x")
    messages.clear()
    done = []
    real = entries._computed

    def compute(pk: int) -> Any:
        rows = real(pk)
        done.append([r.model_name for r in rows])
        if len(done) == 1:
            services.submission_publish(submission=middle, is_public=False, actor="x")
            services.submission_publish(submission=best, is_public=True, actor="x")
        return rows

    monkeypatch.setattr(entries, "_computed", compute)
    services.table_rebuild(state_id=state_now().pk)
    assert done == [["Middle", "Last"], ["Best", "Last"]]
    assert [e.model_name for e in Entry.objects.all()] == ["Best", "Last"]
    assert messages == []  # who is at it goes on
    assert state_now().stale_since is None


def test_one_that_changes_all_the_time_lets_others_pass(send, messages, monkeypatch) -> None:
    three(send)
    state = state_now()
    services.tables_stale(benchmarks=[state.benchmark_id])
    messages.clear()
    real = entries._computed

    def compute(pk: int) -> Any:
        services.tables_stale(benchmarks=[pk])
        return real(pk)

    monkeypatch.setattr(entries, "_computed", compute)
    services.table_rebuild(state_id=state.pk)
    assert messages == [state.pk]
    monkeypatch.setattr(entries, "_computed", real)
    services.table_rebuild(state_id=state.pk)
    assert state_now().stale_since is None


def test_scores_and_the_need_of_a_table_are_saved_together(send, split, messages) -> None:
    """A worker killed right after scoring leaves what the next one needs to know."""
    made = send(30)
    assert made.status == "scored"
    assert not Entry.objects.exists()
    state = TableState.objects.get(benchmark=split.benchmark)
    assert services.tables_rescue() == 0  # it was asked for a moment ago
    TableState.objects.filter(pk=state.pk).update(stale_since=timezone.now() - timedelta(minutes=1))
    messages.clear()
    assert services.tables_rescue() == 1
    assert messages == [state.pk]
    with contextlib.ExitStack() as held:
        lease.leased(held, f"table-{state.pk}", wait_s=0)
        assert services.tables_rescue() == 0  # somebody is at it
    services.table_rebuild(state_id=state.pk)
    assert Entry.objects.get().submission == made
    assert services.tables_rescue() == 0


def test_nothing_is_saved_where_the_table_cannot_be_noted(send, monkeypatch) -> None:
    """Both or neither: scores without the mark would be missing on the table for good."""
    made = send(30, score=False)

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "submission_stale", broken)
        with pytest.raises(RuntimeError):
            services.submission_score(submission_id=made.pk)
    made.refresh_from_db()
    assert (made.status, made.scores.count()) == ("running", 0)
    services.submission_score(submission_id=made.pk)
    services.tables_make()
    assert Entry.objects.get().submission == made


def test_a_table_that_cannot_be_made_holds_up_no_other(send, split, messages, monkeypatch) -> None:
    other = services.benchmark_make(
        slug="shades", title="Shades", summary="-", task="vqa", primary_metric="exact_match",
        licence="-", source="-",
    )  # fmt: skip
    send(30)
    services.tables_stale(benchmarks=[other.pk])
    real = rebuilding.entries_make

    def fails(*, benchmark: Any) -> int:
        if benchmark.slug == "colours":
            raise RuntimeError("broken figures")
        return real(benchmark=benchmark)

    with monkeypatch.context() as patch:
        patch.setattr(rebuilding, "entries_make", fails)
        for pk in messages:
            services.table_rebuild(state_id=pk)
    bad, good = split.benchmark.table_state, other.table_state
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.failures, bad.stale_since is None) == (1, False)
    assert (good.failures, good.stale_since) == (0, None)
    # It is tried again, after longer and longer pauses.
    long_ago = timezone.now() - timedelta(minutes=1)
    TableState.objects.filter(pk=bad.pk).update(stale_since=long_ago)
    assert services.tables_rescue() == 0
    TableState.objects.filter(pk=bad.pk).update(tried_at=long_ago)
    assert services.tables_rescue() == 1
    TableState.objects.filter(pk=bad.pk).update(failures=9)
    assert services.tables_rescue() == 0
    services.table_rebuild(state_id=bad.pk)
    bad.refresh_from_db()
    assert (bad.failures, bad.stale_since) == (0, None)
    assert Entry.objects.filter(benchmark=split.benchmark).count() == 1


def test_a_deleted_benchmark_leaves_nothing_to_make(send, split, messages) -> None:
    send(30)
    pk = state_now().pk
    split.benchmark.delete()
    services.table_rebuild(state_id=pk)
    assert not TableState.objects.filter(pk=pk).exists()


def test_withdrawn_while_it_is_scored_it_stays_so(send, split, user, messages, monkeypatch) -> None:
    made = send(30, score=False)
    real = scoring._scores

    def meanwhile(submission: Submission, progress: Any) -> Any:
        found = real(submission, progress)
        services.submission_withdraw(submission=Submission.objects.get(pk=made.pk), actor="ada")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "_scores", meanwhile)
        services.submission_score(submission_id=made.pk)
    services.tables_make()
    made.refresh_from_db()
    assert (made.status, made.scores.count()) == ("withdrawn", 0)
    assert not Entry.objects.exists()
    assert not LogLine.objects.filter(action="scored").exists()
    assert services.quota_left(team=made.team, split=split)["today"] == 2
    assert stream.history(made.pk)[-1].data == {"status": "withdrawn"}
    # Delivered again, nothing comes of it; a new submission is another one, and counted.
    services.submission_score(submission_id=made.pk)
    made.refresh_from_db()
    assert made.status == "withdrawn"
    again = send(31)
    services.tables_make()
    assert [e.submission_id for e in Entry.objects.all()] == [again.pk]
    assert services.quota_left(team=made.team, split=split)["today"] == 1


def test_a_scorer_that_fails_gives_nothing_back_for_a_withdrawn_one(
    send, split, monkeypatch
) -> None:
    """The withdrawal deletes the file under the scorer: that is no fault of ours."""
    made = send(30, score=False)
    real = scoring._scores

    def meanwhile(submission: Submission, progress: Any) -> Any:
        services.submission_withdraw(submission=Submission.objects.get(pk=made.pk), actor="ada")
        return real(submission, progress)  # its file is not there any more

    monkeypatch.setattr(scoring, "_scores", meanwhile)
    services.submission_score(submission_id=made.pk)
    made.refresh_from_db()
    assert (made.status, made.error_code) == ("withdrawn", "")
    assert not QuotaLine.objects.filter(amount=-1).exists()
    assert services.quota_left(team=made.team, split=split)["today"] == 2


def test_withdrawn_before_the_scorer_takes_it(send, monkeypatch) -> None:
    made = send(30, score=False)
    services.submission_withdraw(submission=Submission.objects.get(pk=made.pk), actor="a")
    # As a scorer sees it that has read the row before.
    monkeypatch.setattr(Submission, "is_finished", property(lambda _: False))
    services.submission_score(submission_id=made.pk)
    made.refresh_from_db()
    assert (made.status, made.attempt) == ("withdrawn", 0)


def test_hidden_while_it_is_scored_it_is_not_shown(send, monkeypatch) -> None:
    made = send(30, score=False)
    real = scoring._scores

    def meanwhile(submission: Submission, progress: Any) -> Any:
        services.submission_publish(
            submission=Submission.objects.get(pk=made.pk), is_public=False, actor="ada"
        )
        return real(submission, progress)

    monkeypatch.setattr(scoring, "_scores", meanwhile)
    services.submission_score(submission_id=made.pk)
    services.tables_make()
    made.refresh_from_db()
    assert (made.status, made.is_public) == ("scored", False)
    assert not Entry.objects.exists()
    assert not LogLine.objects.filter(action="scored", is_public=True).exists()


def test_a_benchmark_deleted_while_one_is_scored_ends_the_scoring(send, split, monkeypatch) -> None:
    made = send(30, score=False)
    real = scoring._scores

    def meanwhile(submission: Submission, progress: Any) -> Any:
        found = real(submission, progress)
        split.benchmark.delete()
        return found

    monkeypatch.setattr(scoring, "_scores", meanwhile)
    services.submission_score(submission_id=made.pk)
    assert not Score.objects.exists()


def test_withdrawing_twice_is_noted_once(send) -> None:
    made = send(30)
    other = Submission.objects.get(pk=made.pk)
    services.submission_withdraw(submission=made, actor="ada")
    finished = made.finished_at
    assert services.submission_withdraw(submission=other, actor="ada").finished_at == finished
    assert LogLine.objects.filter(action="withdrawn").count() == 1


def test_one_more_entry_tests_its_own_pairs_alone(send, split, monkeypatch) -> None:
    tested: list[int] = []
    real = pairs.paired_p

    def counted(*args: Any, **more: Any) -> float:
        tested.append(1)
        return real(*args, **more)

    monkeypatch.setattr(pairs, "paired_p", counted)
    for n in range(6):
        send(38 - 4 * n, name=f"M{n}", by=person(f"p{n}"))
        assert len(tested) == n
        tested.clear()
    before = list(Entry.objects.values_list("model_name", "rank_first", "rank_last"))
    services.entries_make(benchmark=split.benchmark)
    assert tested == []
    assert PairTest.objects.count() == 15
    PairTest.objects.all().delete()
    services.entries_make(benchmark=split.benchmark)
    assert len(tested) == 15
    assert list(Entry.objects.values_list("model_name", "rank_first", "rank_last")) == before


def test_a_pair_is_tested_anew_when_a_score_or_the_test_has_changed(
    send, split, monkeypatch
) -> None:
    one, two, _ = three(send)
    assert PairTest.objects.count() == 3
    score = one.scores.get(metric="exact_match")
    score.per_item = two.scores.get(metric="exact_match").per_item
    score.save()
    services.entries_make(benchmark=split.benchmark)
    assert PairTest.objects.get(first=score, second__submission=two).p == 1
    tested = []

    def count(*_: Any, **__: Any) -> float:
        tested.append(1)
        return 1.0

    monkeypatch.setattr(pairs, "paired_p", count)
    monkeypatch.setattr(pairs, "PAIR_VERSION", 10**6)
    services.entries_make(benchmark=split.benchmark)
    assert len(tested) == 3
    score.delete()
    assert PairTest.objects.count() == 1  # they go with the score


def test_a_scorers_new_version_shows_all_its_figures_at_one_moment(
    send, split, messages, monkeypatch
) -> None:
    from dataclasses import replace

    best, *_ = three(send)
    messages.clear()
    real = scoring.score
    seen: list[set[int]] = []

    def newer(*args: Any, **more: Any) -> Any:
        current = Score.objects.filter(is_current=True, metric="exact_match")
        seen.append(set(current.values_list("version", flat=True)))
        if len(seen) == 2:
            services.submission_withdraw(submission=Submission.objects.get(pk=best.pk), actor="x")
        found = real(*args, **more)
        one = found["exact_match"]
        signature = one.signature.replace("v:1", "v:2")
        found["exact_match"] = replace(
            one, signature=signature, metric=replace(one.metric, version=2)
        )
        return found

    monkeypatch.setattr(scoring, "score", newer)
    services.rescore(benchmark=split.benchmark, publish=True)
    assert all(2 not in versions for versions in seen)
    current = Score.objects.filter(metric="exact_match", is_current=True)
    versions = dict(current.values_list("submission__model_name", "version"))
    assert (versions["Middle"], versions["Last"]) == (2, 2)
    services.tables_make()
    assert [e.model_name for e in Entry.objects.all()] == ["Middle", "Last"]
    assert not PairTest.objects.exclude(first__is_current=True, second__is_current=True).exists()


def test_who_leaves_or_is_put_out_is_not_shown_while_ranks_wait(
    challenge, user, messages, client
) -> None:
    other, third = person("grace"), person("lin")
    made = [join(challenge, one) for one in (user, other, third)]
    for n, one in enumerate((user, other, third)):
        submit(challenge, one, 6 - n, name=f"M{n}")
    services.tables_make()
    services.challenge_leave(challenge=challenge, user=user, received_at=timezone.now())
    services.participation_decide(
        participation=made[1], decision="disqualify", by=None, reason="Two accounts."
    )
    assert [s.model_name for s in Standing.objects.all()] == ["M2"]
    html = shown(client, "/leaderboards/challenges/hues/")
    assert "Being recomputed since" in html
    assert "M0" not in html
    assert client.get("/api/challenges/hues/standings").json()["stale_since"]
    services.tables_make()
    assert [(s.model_name, s.rank) for s in Standing.objects.all()] == [("M2", 1)]
    assert client.get("/api/challenges/hues/standings").json()["stale_since"] is None


def test_a_final_ranking_is_made_by_a_worker(
    challenge, user, messages, client, monkeypatch
) -> None:
    from tests.leaderboard.conftest import in_last_phase

    join(challenge, user)
    when = in_last_phase(challenge)
    sent = submit(challenge, user, 30, when=when)
    over(challenge)
    services.tables_make()
    messages.clear()
    services.final_publish(challenge=challenge, by="admin")
    assert not Standing.objects.filter(is_final=True).exists()
    assert "Being recomputed since" in shown(client, "/leaderboards/challenges/hues/")
    assert len(messages) == 2  # the standings', and the benchmark's table
    for pk in messages:
        services.table_rebuild(state_id=pk)
    assert Standing.objects.get(is_final=True).submission == sent
    assert Entry.objects.get().submission == sent
    # Withdrawn after the end: it leaves the table at once, and a gap in the ranking.
    old = Submission.objects.select_related("phase__challenge", "split").get(pk=sent.pk)
    old.phase.challenge.published_at = None  # as a request that began earlier saw it
    services.submission_withdraw(submission=old, actor="x")
    assert Standing.objects.get(is_final=True).is_withdrawn
    assert not Entry.objects.exists()


def test_events_tell_readers_that_the_table_is_another(send, split, messages) -> None:
    best, *_ = three(send)
    name = services.board_stream(split.benchmark)
    before = len(stream.history(name))
    services.submission_withdraw(submission=best, actor="x")
    assert [e.type for e in stream.history(name)[before:]] == ["table"]
    services.tables_make()
    assert [e.type for e in stream.history(name)[before:]] == ["table", "top", "table"]
    services.tables_stale(benchmarks=[split.benchmark_id])
    services.tables_make()
    assert [e.type for e in stream.history(name)[before + 3 :]] == ["table", "table"]


def test_a_broker_that_is_away_loses_nothing(send, split, tables_wait, monkeypatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(tasks.rebuild_table, "apply_async", away)
    monkeypatch.setattr(tasks.score_submission, "apply_async", away)
    made = send(30)
    services.submission_publish(submission=made, is_public=False, actor="x")
    services.submission_publish(submission=made, is_public=True, actor="x")
    assert state_now().stale_since is not None


def test_settings_of_a_benchmark_and_a_teams_name_reach_the_table(send, split, user) -> None:
    made = send(30)
    send(10)
    benchmark = split.benchmark
    benchmark.entry_rule = "all"
    benchmark.save()
    assert Entry.objects.count() == 2
    services.team_rename(team=made.team, name="Lovelace")
    assert set(Entry.objects.values_list("team_name", flat=True)) == {"Lovelace"}
    made.delete()
    assert Entry.objects.get().rank == 1


@pytest.mark.django_db(transaction=True)
def test_no_lock_is_held_while_a_table_is_computed(send, split, messages, monkeypatch) -> None:
    made = send(30)
    real = entries._computed
    spent: list[float] = []

    def elsewhere() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'")
            services.submission_withdraw(submission=Submission.objects.get(pk=made.pk), actor="x")
        spent.append(1)
        connection.close()

    def compute(pk: int) -> Any:
        rows = real(pk)
        if not spent:
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join(10)
        return rows

    monkeypatch.setattr(entries, "_computed", compute)
    services.table_rebuild(state_id=messages[0])
    assert spent == [1]
    assert not Entry.objects.exists()  # the rows computed before were not written


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_sends_nothing(send, split, messages) -> None:
    made = send(30)
    services.tables_make()
    messages.clear()
    with contextlib.suppress(RuntimeError), transaction.atomic():
        services.submission_withdraw(submission=made, actor="x")
        raise RuntimeError
    assert messages == []
    assert Entry.objects.count() == 1
    assert state_now().stale_since is None


@pytest.mark.django_db(transaction=True)
def test_a_run_tells_the_scorer_after_it_is_saved(split, messages, monkeypatch) -> None:
    """Taking a submission is part of a larger transaction there."""
    queued: list[bool] = []
    monkeypatch.setattr(
        tasks.score_submission,
        "apply_async",
        lambda args, **_: queued.append(connection.in_atomic_block),
    )
    with transaction.atomic():
        services.submission_take(
            split=split, team=our_team(), user=None, card=services.Card("Ours"), file=predictions(3),
            is_public=True,
        )  # fmt: skip
        assert queued == []
    assert queued == [False]


def test_messages_are_sent_in_one_place() -> None:
    """`inference.messages.send_on_commit`, so that none is sent before what it is about is saved."""
    sends = re.compile(r"\.(delay|apply_async|send_task|delay_on_commit|apply_async_on_commit)\b")
    rooms = ("inference", "pricing", "leaderboard", "playground", "research", "status", "notifications", "moondream_site")  # fmt: skip
    found = [
        str(file.relative_to(ROOT))
        for room in rooms
        for file in (ROOT / room).rglob("*.py")
        if sends.search(file.read_text())
    ]
    assert found == ["inference/messages.py"]


def test_rows_of_what_is_not_shown_are_not_written(send, split, messages, monkeypatch) -> None:
    """Whatever changed it without a note: its rows do not come back."""
    best, *_ = three(send)
    services.tables_stale(benchmarks=[split.benchmark_id])
    real = entries._computed

    def compute(pk: int) -> Any:
        rows = real(pk)
        Submission.objects.filter(pk=best.pk).update(is_public=False)
        return rows

    monkeypatch.setattr(entries, "_computed", compute)
    services.table_rebuild(state_id=stale.state_of(benchmark=split.benchmark).pk)
    assert [e.model_name for e in Entry.objects.all()] == ["Middle", "Last"]
