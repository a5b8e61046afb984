"""Each way to be told more scores than others are, or to change what was ranked: see docs/integrity.md."""

import importlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from inference.errors import Conflict, DomainError, Forbidden
from leaderboard import received, selectors, services
from leaderboard.models import (
    Challenge,
    Entry,
    Participation,
    QuotaLine,
    Split,
    Standing,
    Submission,
    Team,
)
from leaderboard.services import quota
from tests.leaderboard.conftest import (
    NOW,
    at_once,
    in_last_phase,
    join,
    over,
    person,
    predictions,
    submit,
)

pytestmark = pytest.mark.django_db


def _code(call: Any) -> str:
    with pytest.raises(DomainError) as caught:
        call()
    return caught.value.code


def _used_up(send: Any, **more: Any) -> None:
    for right in (1, 2, 3):
        send(right, score=False, **more)


# Counting people and teams


def handed_over(team: Team, by: Any) -> None:
    """Its only owner makes the other member one, and leaves."""
    other = team.members.exclude(pk=by.pk).get()
    services.member_role_set(team=team, user_id=other.pk, role="owner", by=by)
    services.member_remove(team=team, user_id=by.pk, by=by)


def test_leaving_a_team_gives_no_fresh_quota(send, user, split) -> None:
    """[11] Nor does a new team, a rename, or coming back."""
    team = services.team_of(user)
    colleague = person("bea")
    team.members.add(colleague)
    _used_up(send)
    handed_over(team=team, by=user)
    fresh = services.team_of(user)
    assert fresh != team
    assert services.quota_left(team=fresh, split=split, user=user) == {"today": 0, "total": 2}
    assert _code(lambda: send(4)) == "quota_day"
    services.team_rename(team=fresh, name="Born again")
    another = Team.objects.create(name="Another")
    another.members.add(user)
    assert _code(lambda: send(4, team="Another")) == "quota_day"
    # What the team used counts for who stayed.
    assert _code(lambda: send(4, by=colleague, team=team.name)) == "quota_day"
    # And a team that a stranger to it makes has its own.
    assert send(4, by=person("cyd"), score=False).team not in (team, fresh)


def test_what_a_team_used_counts_for_who_joins_it(send, user, split) -> None:
    """[11]"""
    _used_up(send)
    team, guest = services.team_of(user), person("bea")
    team.members.add(guest)
    assert _code(lambda: send(4, by=guest, team=team.name)) == "quota_day"


def test_two_teams_together_are_told_no_more_than_one(send, user, split) -> None:
    """[11] Two for one team, one for the other: three in all."""
    second = Team.objects.create(name="Second")
    services.team_of(user)
    second.members.add(user)
    send(1, score=False)
    send(2, score=False, team="Second")
    send(3, score=False)
    for name in ("", "Second"):
        assert _code(lambda name=name: send(4, team=name)) == "quota_day"


def test_a_new_account_under_the_same_address_goes_on(send, user, split) -> None:
    """[12] Also written in another way; the account it was is gone, and its team."""
    _used_up(send)
    user.delete()
    assert set(QuotaLine.objects.values_list("user", flat=True)) == {None}
    again = get_user_model().objects.create_user("ada2", "Ada+new@Example.org", "pw")
    assert _code(lambda: send(4, by=again)) == "quota_day"
    other = get_user_model().objects.create_user("eve", "eve@example.org", "pw")
    assert send(4, by=other, score=False)
    assert not QuotaLine.objects.filter(person__contains="ada").exists()


def test_challenges_count_people_too(challenge, user) -> None:
    """[11]"""
    join(challenge, user)
    when = in_last_phase(challenge)
    submit(challenge, user, 1, when=when, score=False)
    submit(challenge, user, 2, when=when, score=False)
    team = services.team_of(user)
    team.members.add(person("bea"))
    services.challenge_leave(challenge=challenge, user=user, received_at=NOW())
    handed_over(team=team, by=user)
    join(challenge, user)
    assert services.team_of(user) != team
    assert _code(lambda: submit(challenge, user, 3)) == "quota_day"
    assert selectors.own(challenge, user).quota == {"today": 0, "total": 2}


@pytest.mark.django_db(transaction=True)
def test_two_posts_at_once_for_two_teams_take_the_last_one_once(send, user, split) -> None:
    """[13] Each team's row alone would let both through."""
    Split.objects.filter(pk=split.pk).update(daily_limit=1)
    split.refresh_from_db()
    services.team_of(user)
    Team.objects.create(name="Second").members.add(user)
    names = iter(["", "Second"])
    assert at_once(lambda: send(5, score=False, team=next(names))) == ["quota_day", "taken"]
    connection.close()


def test_a_limit_lowered_below_what_was_used_blocks(send, split, user) -> None:
    """[13]"""
    _used_up(send)
    Split.objects.filter(pk=split.pk).update(daily_limit=2)
    split.refresh_from_db()
    assert _code(lambda: send(4)) == "quota_day"
    assert services.quota_left(team=services.team_of(user), split=split)["today"] == 0


def test_a_refund_is_the_persons_and_the_days(send, user, split) -> None:
    """[14]"""
    yesterday = NOW() - timedelta(days=1)
    made = send(1, score=False, received_at=yesterday)
    quota.quota_refund(made, "ours")
    quota.quota_refund(made, "ours")
    lines = list(QuotaLine.objects.values_list("amount", "user", "day"))
    assert lines == [(1, user.pk, yesterday.date()), (-1, user.pk, yesterday.date())]
    team = services.team_of(user)
    assert services.quota_left(team=team, split=split, user=user) == {"today": 3, "total": 5}
    assert services.quota_left(team=team, split=split, user=user, at=yesterday)["today"] == 3


# The day of receipt


def test_what_came_before_midnight_counts_for_that_day(send, user, split, monkeypatch) -> None:
    """[14] However long its body took."""
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    monkeypatch.setattr("django.utils.timezone.now", lambda: midnight + timedelta(seconds=20))
    for right in (1, 2, 3):
        made = send(right, score=False, received_at=midnight - timedelta(seconds=5))
        assert made.created_at < midnight
    assert set(QuotaLine.objects.values_list("day", flat=True)) == {midnight.date() - timedelta(days=1)}  # fmt: skip
    assert _code(lambda: send(4, received_at=midnight - timedelta(seconds=1))) == "quota_day"
    left = services.quota_left(team=services.team_of(user), split=split, user=user)
    assert left == {"today": 3, "total": 2}


def test_the_api_counts_the_day_of_receipt(client, user, split, monkeypatch) -> None:
    """[14] By the API and by the form."""
    before = NOW() - timedelta(days=1)
    for module in ("leaderboard.api", "leaderboard.views"):
        monkeypatch.setattr(f"{module}.received_at", lambda request: before)
    client.force_login(user)
    file = predictions(3)
    file.name = "p.jsonl"
    sent = {"split": "test", "model_name": "Model", "is_public": "on", "file": file}
    assert client.post("/leaderboards/colours/submit/", sent).status_code == 302
    file.seek(0)
    answer = client.post("/api/leaderboards/colours/submissions", {**sent, "model_name": "Other"})
    assert answer.status_code == 202
    assert set(QuotaLine.objects.values_list("day", flat=True)) == {before.date()}
    assert timedelta(hours=1) > received.LONGEST  # how far back a request may lie


# For whom


def test_accepting_an_invitation_changes_nothing_silently(client, user, send) -> None:
    """[15] The team invited to may be the older one: a notebook that names none goes on as before."""
    host = person("bea")
    theirs = services.team_invite(services.team_of(host), by=host)
    own = services.team_of(user)
    assert theirs.pk < own.pk
    client.force_login(user)
    told = client.post(f"/account/teams/join/{theirs.invite_code}/", follow=True).content.decode()
    assert f"goes on to count for {own.name}" in told
    assert services.team_of(user) == own
    assert send(5, score=False).team == own
    assert send(5, score=False, team=theirs.name).team == theirs
    assert [t.pk for t in selectors.teams_of(user)] == [own.pk, theirs.pk]
    page = client.get("/leaderboards/colours/submit/").content.decode()
    assert f"team=&quot;{own.name}&quot;" in page
    asked = client.get(f"/api/leaderboards/colours/quota?team={theirs.name}")
    assert asked.json()["team"] == theirs.name


def test_the_client_names_its_team(monkeypatch) -> None:
    """[15] Once, for all that it sends."""
    from leaderboard import moondream_hub

    sent: list[Any] = []
    board = moondream_hub.Board("https://hub.test", "colours", key="k", team="Cats & dogs")

    def call(*told: Any) -> bytes:
        sent.append(told)
        return b'{"id": "1"}'

    monkeypatch.setattr(board, "_call", call)
    board.quota("test")
    board.submit([{"id": "q1", "answer": "x"}], model_name="M", wait=False)
    board.submit([{"id": "q1", "answer": "x"}], model_name="M", wait=False, team="Other")
    assert sent[0][1].endswith("quota?split=test&team=Cats+%26+dogs")
    assert b'name="team"\r\n\r\nCats & dogs\r\n' in sent[1][2]
    assert b'name="team"\r\n\r\nOther\r\n' in sent[2][2]


def test_a_repeated_request_is_not_another_teams_submission(send, user, split) -> None:
    """[15] The default team has changed in between."""
    own = services.team_of(user)
    made = send(5, score=False, idempotency_key="k")
    own.members.add(person("bea"))
    Team.objects.create(name="Second").members.add(user)
    assert send(5, score=False, idempotency_key="k") == made
    assert _code(lambda: send(5, idempotency_key="k", team="Second")) == "idempotency_conflict"
    handed_over(team=own, by=user)
    with pytest.raises(Conflict):
        send(5, idempotency_key="k")
    assert Submission.objects.count() == 1


# The final ranking


@pytest.fixture
def published(challenge: Challenge, user: Any) -> Challenge:
    """Two teams; the first has chosen its humbler one of two."""
    other = person("grace")
    for one in (user, other):
        join(challenge, one)
    when = in_last_phase(challenge)
    submit(challenge, user, 38, name="Best", when=when)
    humble = submit(challenge, user, 10, name="Humble", when=when)
    submit(challenge, other, 20, name="Middle", when=when)
    services.entry_choose(challenge=challenge, user=user, submission=humble)
    over(challenge)
    services.final_publish(challenge=challenge, by=None)
    return challenge


def _final(challenge: Challenge) -> list[tuple[int | None, str, bool]]:
    found = selectors.standings(selectors.challenge_get(challenge.slug))
    assert found.is_final
    return [(r.entry.rank, r.entry.model_name, r.entry.is_withdrawn) for r in found.rows]


@pytest.mark.parametrize("how", ["withdraw", "hide"])
def test_taking_back_what_counted_promotes_nobody(published, user, client, how) -> None:
    """[16] A gap stays, with the team's name; the same when it is ranked again."""
    assert _final(published) == [(1, "Middle", False), (2, "Humble", False)]
    humble = Submission.objects.get(model_name="Humble")
    if how == "withdraw":
        services.submission_withdraw(submission=humble, actor="ada")
    else:
        services.submission_publish(submission=humble, is_public=False, actor="ada")
    assert _final(published) == [(1, "Middle", False), (2, "Humble", True)]
    page = client.get(published.get_absolute_url()).content.decode()
    assert "withdrawn after the final ranking" in page
    assert "Best" not in page.partition("<table")[2]
    row = client.get(f"/api/challenges/{published.slug}/standings").json()["rows"][1]
    assert (row["model"], row["value"], row["is_withdrawn"]) == ("", None, True)
    services.final_publish(challenge=published, by=None)
    assert _final(published) == [(1, "Middle", False), (2, "Humble", True)]
    assert not Standing.objects.filter(is_final=True, model_name="Best").exists()
    if how == "hide":
        services.submission_publish(submission=humble, is_public=True, actor="ada")
        assert _final(published)[1] == (2, "Humble", False)


def test_the_first_one_withdrawn_leaves_its_place_empty(published) -> None:
    """[16]"""
    first = Submission.objects.get(model_name="Middle")
    services.submission_withdraw(submission=first, actor="grace")
    assert _final(published) == [(1, "Middle", True), (2, "Humble", False)]
    assert {p.entry.model_name for p in selectors.leaders([published.pk])[published.pk]} == {"Humble"}  # fmt: skip


def test_a_ranking_is_what_it_was(published, user) -> None:
    """[16] Other names, other scores, other rules: it is published."""
    services.team_rename(team=services.team_of(user), name="Renamed")
    Submission.objects.filter(model_name="Humble").update(model_name="Proud")
    Participation.objects.update(chosen=None)
    published.benchmark.entry_rule = "latest"
    published.benchmark.save()
    services.standings_make(challenge=published)
    before = _final(published)
    assert before == [(1, "Middle", False), (2, "Humble", False)]
    services.rescore(benchmark=published.benchmark, publish=True)
    services.final_publish(challenge=published, by=None)
    assert _final(published) == before
    assert not Standing.objects.filter(team_name="Renamed", is_final=True).exists()


def test_what_was_private_at_the_end_does_not_come_in_later(challenge, user) -> None:
    """[17] Nobody chooses among private ones when all is over."""
    join(challenge, user)
    when = in_last_phase(challenge)
    submit(challenge, user, 10, name="Shown", when=when)
    secret = submit(challenge, user, 38, name="Secret", when=when, is_public=False)
    over(challenge)
    with pytest.raises(Forbidden) as caught:
        services.submission_publish(submission=secret, is_public=True, actor="ada")
    assert caught.value.code == "challenge_closed"
    services.final_publish(challenge=challenge, by=None)
    secret.refresh_from_db()
    secret.phase.challenge.refresh_from_db()
    services.submission_publish(submission=secret, is_public=True, actor="ada")
    services.final_publish(challenge=challenge, by=None)
    assert _final(challenge) == [(1, "Shown", False)]
    assert Entry.objects.get().model_name == "Secret"  # the leaderboard has its own rule


def test_organisers_may_still_take_a_team_out_and_back(published, user) -> None:
    """[16] What counts of it was noted; what it did in between changes nothing."""
    made = Participation.objects.get(team=services.team_of(user))
    services.participation_decide(participation=made, decision="disqualify", by=None, reason="-")
    assert _final(published) == [(1, "Middle", False)]
    humble = Submission.objects.get(model_name="Humble")
    services.submission_withdraw(submission=humble, actor="ada")
    services.participation_decide(participation=made, decision="reinstate", by=None)
    assert _final(published) == [(1, "Middle", False), (2, "Humble", True)]


def test_a_team_out_at_publication_comes_back_with_what_it_had(challenge, user) -> None:
    """[16] Noted for every team when the ranking is published, ranked or not."""
    made = join(challenge, user)
    when = in_last_phase(challenge)
    submit(challenge, user, 38, name="Best", when=when)
    submit(challenge, user, 10, name="Humble", when=when)
    services.participation_decide(participation=made, decision="disqualify", by=None, reason="-")
    over(challenge)
    services.final_publish(challenge=challenge, by=None)
    assert _final(challenge) == []
    best = Submission.objects.get(model_name="Best")
    services.submission_withdraw(submission=best, actor="ada")
    services.participation_decide(participation=made, decision="reinstate", by=None)
    assert _final(challenge) == [(1, "Best", True)]


def test_an_upgrade_counts_people_and_keeps_rankings(published, user) -> None:
    """[11, 16] Lines and rankings from before."""
    from django.apps import apps

    QuotaLine.objects.update(user=None, person="")
    Participation.objects.update(counted=None)
    migration = importlib.import_module("leaderboard.migrations.0013_persons_and_finals")
    migration.backfill(apps, None)
    assert QuotaLine.objects.filter(user=user, person=quota.person_of(user.email)).count() == 2
    assert {p.counted.model_name for p in Participation.objects.all()} == {"Humble", "Middle"}


def test_a_visitor_sees_no_private_gap(published) -> None:
    """[16] The page works with gaps, for everybody."""
    Submission.objects.filter(model_name="Middle").update(is_public=False)
    services.standings_make(challenge=published)
    page = Client().get(published.get_absolute_url())
    assert page.status_code == 200
    assert "Middle" not in page.content.decode()
