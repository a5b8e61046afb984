"""Challenges: who may submit what when, what is told of it, and the ranking at the end."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import mail

from inference.errors import Conflict, DomainError, Forbidden, InvalidInput, NotFound
from leaderboard import selectors, services
from leaderboard.models import (
    Challenge,
    Entry,
    LogLine,
    Participation,
    Phase,
    QuotaLine,
    Standing,
    Submission,
)
from leaderboard.services import Card
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


def ranking(challenge: Challenge, name: str = "") -> list[tuple[int | None, str]]:
    rows = selectors.standings(selectors.challenge_get(challenge.slug), name).rows
    return [(row.entry.rank, row.entry.model_name) for row in rows]


def code_of(call: Any) -> str:
    with pytest.raises(DomainError) as caught:
        call()
    return caught.value.code


def test_deadlines_are_judged_by_when_the_request_came(challenge, user) -> None:
    join(challenge, user)
    first, last = challenge.phases.all()
    tick = timedelta(microseconds=1)
    made = submit(challenge, user, when=challenge.opens_at, score=False)
    assert made.phase == first
    assert made.created_at == challenge.opens_at
    assert submit(challenge, user, when=first.ends_at - tick, score=False).phase == first
    assert submit(challenge, user, when=last.starts_at, score=False).phase == last
    assert submit(challenge, user, when=challenge.closes_at - tick, score=False).phase == last
    assert code_of(lambda: submit(challenge, user, when=challenge.closes_at)) == "challenge_closed"
    early = challenge.opens_at - tick
    assert code_of(lambda: submit(challenge, user, when=early)) == "challenge_upcoming"
    Phase.objects.filter(pk=first.pk).update(ends_at=first.ends_at - timedelta(hours=1))
    gap = first.ends_at - tick
    assert code_of(lambda: submit(challenge, user, when=gap)) == "challenge_between_phases"


def test_a_request_repeated_after_the_end_is_answered(challenge, user) -> None:
    join(challenge, user)
    made = submit(challenge, user, idempotency_key="k")
    later = services.challenge_submit(
        challenge=challenge, user=user, card=Card("Model"), file=predictions(3, 6),
        received_at=challenge.closes_at, idempotency_key="k",
    )  # fmt: skip
    assert later == made
    with pytest.raises(Conflict):
        services.challenge_submit(
            challenge=challenge, user=user, card=Card("Model"), file=predictions(2, 6),
            received_at=challenge.closes_at, idempotency_key="k",
        )  # fmt: skip
    assert QuotaLine.objects.count() == 1


def test_joining_needs_the_rules_and_comes_before_submitting(challenge, user) -> None:
    assert code_of(lambda: submit(challenge, user)) == "challenge_not_joined"
    with pytest.raises(InvalidInput) as caught:
        services.challenge_join(
            challenge=challenge, user=user, rules_accepted=False, received_at=NOW()
        )
    assert caught.value.code == "rules_not_accepted"
    assert code_of(lambda: join(challenge, user, challenge.closes_at)) == "challenge_closed"
    made = join(challenge, user)
    assert join(challenge, user) == made
    assert abs(made.rules_accepted_at - NOW()) < timedelta(minutes=1)
    assert submit(challenge, user).status == Submission.Status.SCORED
    assert LogLine.objects.filter(action="joined", is_public=True).count() == 1


def test_predictions_for_another_split_are_refused(challenge, user) -> None:
    join(challenge, user)
    assert code_of(lambda: submit(challenge, user, split="test")) == "challenge_split"
    assert submit(challenge, user, split="dev").phase.name == "development"


def test_a_team_is_as_large_as_the_challenge_allows(challenge, user) -> None:
    team = services.team_of(user)
    join(challenge, user)
    services.team_size_check(team, adding=1)
    team.members.add(person("grace"))
    with pytest.raises(Forbidden) as caught:
        services.team_size_check(team, adding=1)
    assert caught.value.code == "team_too_large"
    large = services.team_of(person("lin"))
    large.members.add(person("mae"), person("noor"))
    lin = get_user_model().objects.get(username="lin")
    assert code_of(lambda: join(challenge, lin)) == "team_too_large"
    Challenge.objects.update(closes_at=NOW())
    services.team_size_check(team, adding=5)  # what is over limits nobody


def test_nobody_is_in_it_twice(challenge, user) -> None:
    join(challenge, user)
    other = person("grace")
    services.team_of(other).members.add(user)
    assert code_of(lambda: join(challenge, other)) == "challenge_member_twice"
    alone = person("lin")
    join(challenge, alone)
    crossing = lambda: services.team_size_check(services.team_of(alone), 1, [user])  # noqa: E731
    assert code_of(crossing) == "challenge_member_twice"
    services.challenge_leave(challenge=challenge, user=user, received_at=NOW())
    join(challenge, other)


def test_a_phase_counts_for_itself(challenge, user, send) -> None:
    """Its limits are its own, and the split's are left alone."""
    join(challenge, user)
    when = in_last_phase(challenge)
    submit(challenge, user, 20, when=when)
    submit(challenge, user, 21, when=when)
    assert code_of(lambda: submit(challenge, user, 22, when=when)) == "quota_day"
    assert send(30).phase is None
    phase = challenge.phases.last()
    team = services.team_of(user)
    assert services.quota_left(team=team, split=phase.split, phase=phase) == {
        "today": 0,
        "total": 2,
    }
    assert services.quota_left(team=team, split=phase.split) == {"today": 2, "total": 4}


@pytest.mark.django_db(transaction=True)
def test_two_posts_at_once_take_a_phases_last_one_only_once(challenge, user) -> None:
    join(challenge, user)
    challenge.phases.update(daily_limit=1)
    assert at_once(lambda: submit(challenge, user, score=False)) == ["quota_day", "taken"]
    assert Submission.objects.count() == 1


def test_standings_are_live_one_row_a_team_and_not_on_the_table(challenge, user) -> None:
    other = person("grace")
    for one in (user, other):
        join(challenge, one)
    submit(challenge, user, 2, name="Two")
    submit(challenge, user, 4, name="Four")
    submit(challenge, user, 3, name="Three")
    submit(challenge, other, 6, name="Six")
    submit(challenge, other, 6, name="Secret", is_public=False)
    assert ranking(challenge) == [(1, "Six"), (2, "Four")]
    row = Standing.objects.get(model_name="Four")
    assert row.figures["exact_match"]["low"] <= row.figures["exact_match"]["value"]
    assert row.rank_first is not None
    assert not Entry.objects.filter(benchmark=challenge.benchmark).exists()
    with pytest.raises(NotFound):
        selectors.entry_detail(row.submission_id)


def test_after_the_freeze_the_public_sees_what_was(challenge, user) -> None:
    other = person("grace")
    join(challenge, user)
    join(challenge, other)
    submit(challenge, user, 3, name="Before")
    submit(challenge, other, 2, name="Second")
    services.challenge_freeze(challenge=challenge, by="admin")
    late = submit(challenge, other, 6, name="After")
    assert ranking(challenge) == [(1, "Before"), (2, "Second")]
    assert selectors.standings(challenge).frozen_at == challenge.freeze_at
    mine = selectors.own(challenge, other).submissions
    assert mine[0].submission == late
    assert mine[0].cell.value == 1.0
    # A request from before the freeze that is scored later still counts.
    early = challenge.freeze_at - timedelta(seconds=1)
    submit(challenge, user, 5, name="Queued", when=early)
    assert ranking(challenge) == [(1, "Queued"), (2, "Second")]
    assert code_of(lambda: services.challenge_freeze(challenge=challenge, by="admin")) == "challenge_state"  # fmt: skip
    # An editor lifts it.
    challenge.freeze_at = None
    challenge.save()
    services.challenge_changed(challenge=challenge, by="editor")
    assert ranking(challenge) == [(1, "After"), (2, "Queued")]


def test_a_sealed_phase_tells_nothing_before_the_end(challenge, user) -> None:
    join(challenge, user)
    in_last_phase(challenge)
    Phase.objects.filter(name="final").update(feedback=Phase.Feedback.SEALED)
    sent = submit(challenge, user, 30)
    assert not Standing.objects.filter(phase__name="final").exists()
    own = services.submission_own(submission_id=sent.pk, user=user)
    detail = selectors.own_detail(own)
    assert detail.is_sealed
    assert detail.scores == []
    assert selectors.own(challenge, user).submissions[0].cell is None
    over(challenge)
    services.final_publish(challenge=challenge, by="admin")
    assert ranking(challenge) == [(1, "Model")]
    own = services.submission_own(submission_id=sent.pk, user=user)
    assert selectors.own_detail(own).scores


def test_the_final_ranking_is_of_what_teams_chose_on_the_hidden_split(challenge, user) -> None:
    other, third = person("grace"), person("lin")
    for one in (user, other, third):
        join(challenge, one)
    submit(challenge, third, 6, name="Practice only")
    when = in_last_phase(challenge)
    submit(challenge, user, 38, name="Best", when=when)
    humble = submit(challenge, user, 10, name="Humble", when=when)
    submit(challenge, other, 20, name="Middle", when=when)
    submit(challenge, other, 30, name="Upper", when=when)
    practice = Submission.objects.get(model_name="Practice only")
    call = lambda: services.entry_choose(challenge=challenge, user=third, submission=practice)  # noqa: E731
    assert code_of(call) == "submission_not_found"
    call = lambda: services.entry_choose(challenge=challenge, user=other, submission=humble)  # noqa: E731
    assert code_of(call) == "submission_not_found"
    services.entry_choose(challenge=challenge, user=user, submission=humble)
    assert ranking(challenge, "final") == [(1, "Best"), (2, "Upper")]
    early = lambda: services.final_publish(challenge=challenge, by="admin")  # noqa: E731
    assert code_of(early) == "challenge_state"
    over(challenge)
    services.final_publish(challenge=challenge, by="admin")
    found = selectors.standings(selectors.challenge_get("hues"))
    assert found.is_final
    assert found.phase.split.name == "test"
    assert ranking(challenge) == [(1, "Upper"), (2, "Humble")]
    upper = found.rows[0].entry
    assert (upper.rank_first, upper.rank_last) == (1, 1)  # 30 against 10 of 40: significant
    # Now they are on the benchmark's own table too, by its own rule.
    table = Entry.objects.filter(benchmark=challenge.benchmark)
    assert [e.model_name for e in table] == ["Best", "Upper"]
    assert selectors.entry_detail(humble.pk).submission == humble
    late = lambda: services.entry_choose(challenge=challenge, user=user, submission=None)  # noqa: E731
    assert code_of(late) == "challenge_closed"
    assert LogLine.objects.filter(action="final", is_public=True).count() == 1


def test_what_is_still_being_scored_is_waited_for(challenge, user) -> None:
    join(challenge, user)
    when = in_last_phase(challenge)
    sent = submit(challenge, user, 5, when=when, score=False)
    over(challenge)
    call = lambda: services.final_publish(challenge=challenge, by="admin")  # noqa: E731
    assert code_of(call) == "challenge_state"
    services.submission_score(submission_id=sent.pk)
    services.final_publish(challenge=challenge, by="admin")
    assert ranking(challenge) == [(1, "Model")]


def test_a_disqualified_team_is_not_ranked_and_alone_knows_why(
    challenge, user, django_capture_on_commit_callbacks
) -> None:
    made = join(challenge, user)
    other = person("grace")
    join(challenge, other)
    submit(challenge, user, 6, name="First")
    submit(challenge, other, 2, name="Other")
    call = lambda: services.participation_decide(participation=made, decision="disqualify", by="admin")  # noqa: E731 # fmt: skip
    assert code_of(call) == "reason_required"
    with django_capture_on_commit_callbacks(execute=True):
        services.participation_decide(
            participation=made, decision="disqualify", by=None, reason="Two accounts, one person."
        )
    assert ranking(challenge) == [(1, "Other")]
    assert selectors.standings(challenge).disqualified == [made.team.name]
    assert [m.to for m in mail.outbox] == [["ada@example.org"]]
    assert "Two accounts" in mail.outbox[0].body
    public = LogLine.objects.filter(is_public=True)
    assert public.filter(action="disqualified").count() == 1
    assert not public.filter(text__contains="Two accounts").exists()
    with pytest.raises(Forbidden) as caught:
        submit(challenge, user)
    assert (caught.value.code, caught.value.hint) == ("challenge_disqualified", "Two accounts, one person.")  # fmt: skip
    leave = lambda: services.challenge_leave(challenge=challenge, user=user, received_at=NOW())  # noqa: E731
    assert code_of(leave) == "challenge_disqualified"
    services.participation_decide(participation=made, decision="reinstate", by=None)
    assert ranking(challenge) == [(1, "First"), (2, "Other")]


def test_disqualified_after_the_end_leaves_ranking_and_table(challenge, user) -> None:
    made = join(challenge, user)
    when = in_last_phase(challenge)
    sent = submit(challenge, user, 30, when=when)
    over(challenge)
    services.final_publish(challenge=challenge, by="admin")
    assert Entry.objects.filter(benchmark=challenge.benchmark).count() == 1
    services.participation_decide(
        participation=made, decision="disqualify", by=None, reason="Trained on the hidden split."
    )
    assert ranking(challenge) == []
    assert not Entry.objects.filter(benchmark=challenge.benchmark).exists()
    with pytest.raises(NotFound):
        selectors.entry_detail(sent.pk)


def test_mail_that_cannot_be_sent_changes_nothing(
    challenge, user, monkeypatch, django_capture_on_commit_callbacks
) -> None:
    made = join(challenge, user)

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("pricing.mails.send_mass_mail", refuse)
    with django_capture_on_commit_callbacks(execute=True):
        services.participation_decide(
            participation=made, decision="disqualify", by=None, reason="No."
        )
    made.refresh_from_db()
    assert made.state == Participation.State.DISQUALIFIED


def test_teams_wait_where_organisers_approve(challenge, user) -> None:
    challenge.needs_approval = True
    challenge.save()
    made = join(challenge, user)
    assert made.state == Participation.State.PENDING
    assert code_of(lambda: submit(challenge, user)) == "challenge_pending"
    services.participation_decide(
        participation=made, decision="decline", by=None, reason="Students only."
    )
    with pytest.raises(Forbidden) as caught:
        submit(challenge, user)
    assert (caught.value.code, caught.value.hint) == ("challenge_declined", "Students only.")
    again = lambda: services.participation_decide(participation=made, decision="reinstate", by=None)  # noqa: E731 # fmt: skip
    assert code_of(again) == "team_state"
    services.participation_decide(participation=made, decision="accept", by=None)
    assert submit(challenge, user).status == Submission.Status.SCORED


def test_who_leaves_is_not_ranked_and_may_come_back(challenge, user) -> None:
    join(challenge, user)
    submit(challenge, user)
    services.challenge_leave(challenge=challenge, user=user, received_at=NOW())
    assert ranking(challenge) == []
    again = lambda: services.challenge_leave(challenge=challenge, user=user, received_at=NOW())  # noqa: E731
    assert code_of(again) == "challenge_not_joined"
    join(challenge, user)
    assert ranking(challenge) == [(1, "Model")]
    late = lambda: services.challenge_leave(challenge=challenge, user=user, received_at=challenge.closes_at)  # noqa: E731 # fmt: skip
    assert code_of(late) == "challenge_closed"


def test_a_withdrawn_entry_leaves_the_standings(challenge, user) -> None:
    join(challenge, user)
    sent = submit(challenge, user, 5, name="Gone")
    submit(challenge, user, 2, name="Left")
    services.submission_withdraw(submission=sent, actor="ada")
    assert ranking(challenge) == [(1, "Left")]


def test_an_unchanged_table_tells_nobody(challenge, user) -> None:
    join(challenge, user)
    submit(challenge, user, 5)
    assert services.standings_make(challenge=challenge) is False
    submit(challenge, user, 2)
    assert ranking(challenge) == [(1, "Model")]


def test_a_challenge_on_a_closed_benchmark_takes_submissions(challenge, user, send) -> None:
    challenge.benchmark.is_open = False
    challenge.benchmark.save()
    join(challenge, user)
    assert submit(challenge, user).status == Submission.Status.SCORED
    assert code_of(lambda: send(3)) == "benchmark_closed"
