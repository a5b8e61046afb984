"""From a file to a row of the table: quota, privacy, withdrawal, faults, ranks."""

import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.files.storage import storages
from django.utils import timezone

from inference import errors as inference_errors
from inference import lease, stream
from inference.errors import Busy, Conflict, DomainError, Forbidden, InvalidInput, NotFound
from leaderboard import selectors, services, vault
from leaderboard.models import Entry, LogLine, QuotaLine, Score, Split, Submission
from leaderboard.scoring import score as real_score
from leaderboard.services import Card, quota, scoring
from tests.leaderboard.conftest import at_once, predictions

pytestmark = pytest.mark.django_db


def _person(name: str) -> Any:
    return get_user_model().objects.create_user(name, f"{name}@example.org", "correct horse")


def test_a_submission_is_scored_with_interval_signature_and_log(send, split) -> None:
    made = send(30)
    assert made.status == Submission.Status.SCORED
    score = made.scores.get(metric="exact_match")
    assert score.value == pytest.approx(0.75)
    assert score.low < 0.75 < score.high
    assert f"data:{split.data_hash[:12]}" in score.signature
    assert score.by_category == pytest.approx({"even": 0.75, "odd": 0.75})
    assert score.items().tolist() == [1.0] * 30 + [0.0] * 10
    row = Entry.objects.get()
    assert (row.rank, row.provenance, row.figures["exact_match"]["value"]) == (1, "verified", 0.75)
    assert list(LogLine.objects.values_list("action", flat=True))[:3] == [
        "new first",
        "scored",
        "submitted",
    ]
    events = [e.type for e in stream.history(made.pk)]
    assert events[0] == "status"
    assert "progress" in events
    assert events[-1] == "result"


def test_a_bad_file_costs_nothing(split, user) -> None:
    with pytest.raises(InvalidInput) as caught:
        services.submission_make(
            split=split, user=user, card=Card("M"), file=io.BytesIO(b'{"id": "q0"}\n')
        )
    assert caught.value.status == 422
    assert caught.value.extra["missing"] == 39
    assert caught.value.extra["lines"][0]["line"] == 1
    assert not Submission.objects.exists()
    assert services.quota_left(team=services.team_of(user), split=split) == {"today": 3, "total": 5}


def test_the_quota_of_a_day_and_in_all(send, split, user) -> None:
    for _ in range(3):
        send(1, score=False)
    with pytest.raises(Forbidden, match="today") as caught:
        send(1)
    assert caught.value.code == "quota_day"
    assert caught.value.status == 403
    yesterday = timezone.now().date() - timedelta(days=1)
    QuotaLine.objects.update(day=yesterday)
    send(1, score=False)
    send(1, score=False)
    QuotaLine.objects.update(day=yesterday)
    with pytest.raises(Forbidden, match="all 5"):
        send(1)


def test_a_limit_lowered_below_what_was_used_still_holds(send, split) -> None:
    for _ in range(3):
        send(1, score=False)
    Split.objects.filter(pk=split.pk).update(daily_limit=1)
    split.refresh_from_db()
    with pytest.raises(Forbidden):
        send(1)
    assert services.quota_left(team=Submission.objects.first().team, split=split)["today"] == 0


def test_our_fault_gives_the_quota_back_once(send, split, user, monkeypatch) -> None:
    made = send(1, score=False)

    def broken(*_: Any) -> None:
        raise RuntimeError("disk")

    monkeypatch.setattr(scoring, "_scores", broken)
    services.submission_score(submission_id=made.pk)
    services.submission_score(submission_id=made.pk)
    made.refresh_from_db()
    assert (made.status, made.error_code) == (Submission.Status.FAILED, "scoring_fault")
    assert "disk" not in made.error_message
    assert services.quota_left(team=made.team, split=split) == {"today": 3, "total": 5}
    quota.quota_refund(made, "again")
    assert QuotaLine.objects.filter(amount=-1).count() == 1


def _away(*_: Any) -> None:
    raise inference_errors.STORAGE_UNAVAILABLE()


def test_without_the_storage_nothing_is_counted(send, split, user, monkeypatch) -> None:
    monkeypatch.setattr(storages["private"], "save", _away)
    with pytest.raises(Busy):
        send(1)
    assert not Submission.objects.exists()
    assert services.quota_left(team=services.team_of(user), split=split) == {"today": 3, "total": 5}


def test_a_submission_waits_for_the_storage(send, split, monkeypatch) -> None:
    """However often it is tried in vain, it is scored when the storage is back."""
    made = send(30, score=False)
    with monkeypatch.context() as patch:
        patch.setattr(storages["private"], "open", _away)
        for _ in range(scoring.MAX_ATTEMPTS + 1):
            services.submission_score(submission_id=made.pk)
        made.refresh_from_db()
        assert (made.status, made.error_code) == (Submission.Status.QUEUED, "")
    Submission.objects.update(created_at=timezone.now() - timedelta(hours=1), started_at=None)
    sent: list[Any] = []
    monkeypatch.setattr(scoring, "submission_queue", sent.append)
    assert services.submissions_rescue() == 1
    assert [one.pk for one in sent] == [made.pk]
    services.submission_score(submission_id=made.pk)
    made.refresh_from_db()
    assert made.status == Submission.Status.SCORED


def test_a_withdrawn_file_goes_when_the_storage_is_back(send, split, monkeypatch) -> None:
    made = send(30)
    name = made.file
    with monkeypatch.context() as patch:
        patch.setattr(storages["private"], "delete", _away)
        services.submission_withdraw(submission=made, actor="x")
        services.submissions_rescue()
    made.refresh_from_db()
    assert made.status == Submission.Status.WITHDRAWN
    assert storages["private"].exists(name)
    services.submissions_rescue()
    assert not storages["private"].exists(name)


def test_new_references_do_not_wait_for_the_old_file(split, monkeypatch) -> None:
    monkeypatch.setattr(storages["private"], "delete", _away)
    items = vault.unseal(split)
    vault.seal(split, items, hash_key=vault.hash_key(split))
    assert vault.unseal(split) == items


def test_references_out_of_reach_are_not_said_to_be_missing(split, monkeypatch) -> None:
    monkeypatch.setattr(storages["private"], "open", _away)
    with pytest.raises(Busy) as caught:
        vault.unseal(split)
    assert caught.value.code == "storage_unavailable"


def test_a_submitters_fault_costs(send, split, monkeypatch) -> None:
    made = send(1, score=False)
    storage = storages["private"]
    storage.delete(made.file)
    storage.save(made.file, predictions(1, 3))  # not what was checked
    services.submission_score(submission_id=made.pk)
    made.refresh_from_db()
    assert (made.status, made.error_code) == (Submission.Status.FAILED, "bad_predictions")
    assert services.quota_left(team=made.team, split=split)["today"] == 2


@pytest.mark.django_db(transaction=True)
def test_two_posts_at_once_take_the_last_one_only_once(split, user) -> None:
    Split.objects.filter(pk=split.pk).update(daily_limit=1)
    split.refresh_from_db()
    services.team_of(user)
    send = lambda: services.submission_make(split=split, user=user, card=Card("M"), file=predictions(1))  # noqa: E731 # fmt: skip
    assert at_once(send) == ["quota_day", "taken"]
    assert Submission.objects.count() == 1


def test_the_same_key_is_the_same_submission(send, split) -> None:
    one, two = send(5, idempotency_key="k"), send(5, idempotency_key="k", score=False)
    assert one.pk == two.pk
    assert QuotaLine.objects.count() == 1
    with pytest.raises(Conflict):
        send(6, idempotency_key="k")


def test_delivered_twice_it_is_scored_once_and_a_lost_worker_is_taken_over(
    send, monkeypatch
) -> None:
    made = send(5)
    services.submission_score(submission_id=made.pk)
    assert made.scores.filter(metric="exact_match").count() == 1
    lost = send(6, score=False)
    Submission.objects.filter(pk=lost.pk).update(status="running", attempt=1)
    services.submission_score(submission_id=lost.pk)
    lost.refresh_from_db()
    assert (lost.status, lost.attempt) == ("scored", 2)
    never = send(7, score=False)
    Submission.objects.filter(pk=never.pk).update(status="running", attempt=scoring.MAX_ATTEMPTS)
    services.submission_score(submission_id=never.pk)
    never.refresh_from_db()
    assert never.error_code == "worker_lost"


def test_one_that_is_being_scored_is_left_alone(send, monkeypatch) -> None:
    import contextlib

    monkeypatch.setattr(lease, "SECONDS", 0.2)
    lease._renewer.cache_clear()  # one that sleeps for as long as before
    made = send(5, score=False)
    with contextlib.ExitStack() as held:
        taken = lease.leased(held, made.pk, wait_s=0)
        with lease.renewed([taken]):
            services.submission_score(submission_id=made.pk)
    made.refresh_from_db()
    assert made.status == "queued"


def test_a_lost_message_is_queued_again(send, monkeypatch) -> None:
    made = send(5, score=False)
    assert services.submissions_rescue() == 0
    Submission.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    queued: list[Any] = []
    monkeypatch.setattr(scoring, "submission_queue", queued.append)
    assert services.submissions_rescue() == 1
    assert queued == [made]


def test_private_is_nowhere(send, split, client) -> None:
    shown, hidden = send(5, name="Shown"), send(35, name="Unseen", is_public=False)
    assert [e.model_name for e in Entry.objects.all()] == ["Shown"]
    benchmark = split.benchmark
    pages = [
        f"/leaderboards/{benchmark.slug}/", f"/leaderboards/{benchmark.slug}/log/", "/leaderboards/",
        f"/api/leaderboards/{benchmark.slug}/entries", f"/api/leaderboards/{benchmark.slug}/entries?format=csv",
        f"/api/leaderboards/{benchmark.slug}/log", f"/leaderboards/entries/{shown.pk}/",
    ]  # fmt: skip
    for page in pages:
        response = client.get(page)
        assert response.status_code == 200, page
        assert b"Unseen" not in response.getvalue(), page
    assert client.get(f"/leaderboards/entries/{hidden.pk}/").status_code == 404
    services.submission_publish(submission=hidden, is_public=True, actor="x")
    assert Entry.objects.first().model_name == "Unseen"


def test_when_the_best_is_withdrawn_the_next_best_is_shown(send, split) -> None:
    good, fair = send(30), send(20)
    send(10)
    assert [e.submission_id for e in Entry.objects.all()] == [good.pk]
    name = good.file
    assert storages["private"].exists(name)
    services.submission_withdraw(submission=good, actor="x")
    assert [e.submission_id for e in Entry.objects.all()] == [fair.pk]
    good.refresh_from_db()
    assert good.scores.exists()  # kept, as the log is
    assert not storages["private"].exists(name)
    assert LogLine.objects.filter(action="withdrawn").exists()


def test_the_rule_decides_what_a_team_shows(send, split) -> None:
    send(30)
    latest = send(10)
    benchmark = split.benchmark
    benchmark.entry_rule = "latest"
    benchmark.save()
    services.entries_make(benchmark=benchmark)
    assert [e.submission_id for e in Entry.objects.all()] == [latest.pk]
    benchmark.entry_rule = "all"
    benchmark.save()
    assert services.entries_make(benchmark=benchmark) == 2


def test_equal_scores_share_a_rank_and_the_earlier_comes_first(send, split) -> None:
    send(20, name="First", by=_person("bea"))
    send(20, name="Second", by=_person("cyd"))
    send(40, name="Best", by=_person("dee"))
    send(19, name="Near", by=_person("eve"))
    rows = list(Entry.objects.all())
    assert [(e.model_name, e.rank) for e in rows] == [
        ("Best", 1),
        ("First", 2),
        ("Second", 2),
        ("Near", 4),
    ]
    # What paired tests cannot tell apart shares a range of ranks.
    assert {(e.rank_first, e.rank_last) for e in rows[1:]} == {(2, 4)}
    assert (rows[0].rank_first, rows[0].rank_last) == (1, 1)


def test_lower_is_better_and_missing_comes_last(split, send, user) -> None:
    benchmark = services.benchmark_make(
        slug="counts", title="Counts", summary="Count.", task="counting", primary_metric="count_mae",
        licence="CC0-1.0", source="test",
    )  # fmt: skip
    items = [services.NewItem(f"q{n}", {"count": 3}) for n in range(4)]
    hidden = services.split_fill(
        benchmark=benchmark, name="test", items=items, is_public=False, ranks=True
    )
    for name, answer in (("Far", "9"), ("Near", "4"), ("Right", "3")):
        file = io.BytesIO(
            "".join(f'{{"id": "q{n}", "answer": "{answer}"}}\n' for n in range(4)).encode()
        )
        made = services.submission_make(
            split=hidden, user=_person(name), card=Card(name), file=file
        )
        services.submission_score(submission_id=made.pk)
    lost = Submission.objects.get(model_name="Far")
    Score.objects.filter(submission=lost, metric="count_mae").delete()
    services.entries_make(benchmark=benchmark)
    rows = [(e.model_name, e.rank) for e in Entry.objects.filter(benchmark=benchmark)]
    assert rows == [("Right", 1), ("Near", 2), ("Far", None)]


def test_a_new_version_is_scored_in_shadow_and_both_are_kept(send, split, monkeypatch) -> None:
    made = send(30)

    def newer(*args: Any, **more: Any) -> Any:
        from dataclasses import replace

        from leaderboard.metrics.statistics import Interval

        found = real_score(*args, **more)
        one = found["exact_match"]
        found["exact_match"] = replace(
            one, signature=one.signature.replace("v:1", "v:2"), metric=replace(one.metric, version=2),
            interval=Interval(0.5, 0.4, 0.6),
        )  # fmt: skip
        return found

    monkeypatch.setattr(scoring, "score", newer)
    found = services.rescore(benchmark=split.benchmark)
    assert [(c.metric, c.old, c.new) for c in found.changes] == [("exact_match", 0.75, 0.5)]
    assert found.moves == []
    assert Entry.objects.get().figures["exact_match"]["value"] == 0.75
    assert made.scores.filter(metric="exact_match").count() == 2
    services.rescore(benchmark=split.benchmark, publish=True)
    assert Entry.objects.get().figures["exact_match"]["value"] == 0.5
    versions = made.scores.filter(metric="exact_match").values_list("version", "is_current")
    assert sorted(versions) == [(1, False), (2, True)]


def test_references_are_sealed_and_go_nowhere(send, split, user, client, caplog) -> None:
    """Every address, the stored file and the log are searched for a reference."""
    made = send(20)
    stored = storages["private"].open(vault._name(split)).read()
    assert b"secret" not in stored
    assert [i.reference["answers"][0] for i in vault.unseal(split)][7] == "secret7-yellow"
    client.force_login(user)
    slug = split.benchmark.slug
    pages = [
        "/leaderboards/", f"/leaderboards/{slug}/", f"/leaderboards/{slug}/submit/", f"/leaderboards/{slug}/log/",
        f"/leaderboards/entries/{made.pk}/", f"/leaderboards/submissions/{made.pk}/",
        f"/leaderboards/entries/{made.pk}/items/", f"/leaderboards/compare/?a={made.pk}&b={made.pk}",
        "/api/leaderboards", f"/api/leaderboards/{slug}", f"/api/leaderboards/{slug}/entries",
        f"/api/leaderboards/{slug}/splits/test/items", f"/api/leaderboards/{slug}/log", "/account/",
        f"/api/leaderboards/submissions/{made.pk}",
    ]  # fmt: skip
    for page in pages:
        assert b"secret39" not in client.get(page).getvalue(), page
    assert client.get(f"/leaderboards/entries/{made.pk}/items/").status_code == 404
    assert b"secret3-" in client.get(f"/api/leaderboards/{slug}/splits/dev/items").getvalue()
    bad = services.predictions_check(
        split=split, file=io.BytesIO(b'{"id": "q39", "answer": 1.5}\n')
    )
    assert "secret" not in str(bad.problems)
    assert "secret" not in caplog.text


def test_references_sealed_with_another_key_cannot_be_opened(split, settings) -> None:
    settings.REFERENCES_KEY = "another"
    with pytest.raises(DomainError, match="cannot be opened") as caught:
        vault.unseal(split)
    assert caught.value.status == 503


def test_a_split_with_submissions_keeps_its_items(send, split) -> None:
    send(5)
    other = [services.NewItem("new", {"answers": ["x"]})]
    with pytest.raises(InvalidInput, match="has submissions"):
        services.split_fill(benchmark=split.benchmark, name="test", items=other, is_public=False)
    with pytest.raises(InvalidInput, match="an id of its own"):
        services.split_fill(benchmark=split.benchmark, name="x", items=other * 2, is_public=False)


def test_somebody_elses_submission_is_not_there(send, user) -> None:
    made = send(5)
    with pytest.raises(NotFound):
        services.submission_own(submission_id=made.pk, user=_person("mallory"))
    assert services.submission_own(submission_id=made.pk, user=user) == made


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"model_name": "x"}, "model_name"), ({"model_name": "a\u202eb c"}, "model_name"),
        ({"model_name": "ok model", "parameters": "many"}, "parameters"),
        ({"model_name": "ok model", "precision": "2-bit"}, "precision"),
        ({"model_name": "ok model", "link": "javascript:alert(1)"}, "link"),
        ({"model_name": "ok model", "contact": "nobody"}, "contact"),
    ],
)  # fmt: skip
def test_a_card_that_is_wrong_says_where(data, field) -> None:
    with pytest.raises(InvalidInput) as caught:
        services.card_read(data)
    assert caught.value.extra["field"] == field


def test_a_size_is_read_as_people_write_it() -> None:
    for text, count in (
        ("1.93B", 1_930_000_000),
        ("500m", 500_000_000),
        ("1200", 1200),
        ("", None),
    ):
        assert services.card_read({"model_name": "ok", "parameters": text}).parameters == count


def test_compare_tells_noise_from_difference(send, split) -> None:
    best, same, worse = (
        send(38, by=_person("bea")),
        send(37, by=_person("cyd")),
        send(5, by=_person("dee")),
    )
    close = selectors.compare(best.pk, same.pk)
    assert "within the noise" in close.verdict
    assert (close.wins, close.losses, close.ties) == (1, 0, 39)
    clear = selectors.compare(best.pk, worse.pk)
    assert "significant" in clear.verdict
    assert clear.difference.low > 0.5
    assert clear.items == []  # the split is hidden


def test_items_of_a_public_split_are_shown(send, split, client) -> None:
    dev = split.benchmark.splits.get(name="dev")
    one, two = send(4, to=dev), send(2, to=dev, by=_person("bea"))
    found = selectors.compare(one.pk, two.pk)
    assert [view.predicted for view in found.items][2] == ["secret2-blue", "grey"]
    assert [view.scores for view in found.items][2] == [1.0, 0.0]
    page = client.get(f"/leaderboards/entries/{one.pk}/items/").content.decode()
    assert "secret2-blue" in page
    assert client.get(f"/leaderboards/compare/?a={one.pk}&b={two.pk}").status_code == 200


def test_a_new_first_is_announced(send, split) -> None:
    send(5, name="Slow start", by=_person("bea"))
    send(9, name="Better", by=_person("cyd"))
    send(7, name="Third", by=_person("dee"))
    told = stream.history(services.board_stream(split.benchmark))
    assert [e.data["model"] for e in told if e.type == "top"] == ["Slow start", "Better"]
