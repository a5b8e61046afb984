"""Deleting a team: what nobody is shown goes with it; what was ranked, and what counts, stays."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from django.db import transaction

from inference.storage import private_drop
from leaderboard import errors, names, roles
from leaderboard.models import Benchmark, Entry, LogLine, Participation, Standing, Submission, Team


def team_holds(team: Team) -> list[str]:
    """What would go with a team, in words for whoever decides."""
    counts = (
        (team.submissions.count(), "submission with its scores and predictions", "submissions with their scores and predictions"),
        (team.participations.count(), "participation in a challenge", "participations in challenges"),
        (team.members.count(), "membership", "memberships"),
    )  # fmt: skip
    return [f"{count} {one if count == 1 else many}" for count, one, many in counts if count]


def team_kept_by(team: Team) -> str:
    """Why a team cannot be deleted; empty where it can."""
    if team.is_ours:
        return "It is this site's own."
    if team.submissions.filter(status__in=Submission.UNFINISHED).exists():
        return "A submission of it is being scored: wait, or withdraw it."
    shown = Entry.objects.filter(submission__team=team).select_related("benchmark").first()
    if shown is not None:
        return f"It is ranked on “{shown.benchmark.title}”: hide or withdraw its entries first."
    ranked = Standing.objects.filter(submission__team=team).select_related("challenge").first()
    if ranked is not None:
        return f"It is in the standings of “{ranked.challenge.title}”, which stay as they are."
    # By deleting it, its members could come in again by another team.
    taking = team.participations.exclude(state=Participation.State.LEFT).select_related("challenge")
    barred = taking.filter(state=Participation.State.DISQUALIFIED).first()
    if barred is not None:
        return f"It was disqualified in “{barred.challenge.title}”, and that stays."
    running = taking.filter(challenge__published_at=None).first()
    if running is not None:
        return f"It is in “{running.challenge.title}”, which has no final ranking yet."
    return ""


@transaction.atomic
def team_delete(*, team: Team, actor: str, called: str = "") -> None:
    """Delete a team for good, with its submissions, their scores and files. What it used of quotas, and
    the log, stay.

    Args:
        called: what the log names it by; its name by default.

    Raises:
        Conflict: it is ranked, takes part in a challenge, or is this site's own.
    """
    own = Team.objects.select_for_update().get(pk=team.pk)
    if reason := team_kept_by(own):
        raise errors.TEAM_STATE(reason)
    submissions = list(own.submissions.select_related("split"))
    _log(submissions, actor, called or own.name)
    for submission in submissions:  # one by one: each has to tell the tables
        submission.delete()
    own.participations.all().delete()
    own.delete()
    transaction.on_commit(partial(_files_drop, [s.file for s in submissions if s.file]))


def team_dissolve(*, team: Team, typed: str, by: Any) -> None:
    """An owner deletes the team for good.

    Args:
        typed: its name, to confirm.

    Raises:
        Forbidden: the role of `by` does not allow it.
        InvalidInput: another name was typed.
        Conflict: as `team_delete`.
    """
    roles.check(team, by, roles.Act.DISSOLVE)
    if names.look_of(typed) != team.look.partition("#")[0]:
        raise errors.BAD_TEAM("That is not the team's name.", field="typed")
    team_delete(team=team, actor=team.name)


def _log(submissions: Iterable[Submission], actor: str, called: str) -> None:
    """A line for the organisers in each benchmark's log."""
    of = {submission.split.benchmark_id for submission in submissions}
    for benchmark in Benchmark.objects.filter(pk__in=of):
        LogLine.objects.create(
            benchmark=benchmark, actor=actor, action="team deleted", is_public=False,
            text=f"{called} with its submissions",
        )  # fmt: skip


def _files_drop(names: Iterable[Any]) -> None:
    for name in names:
        private_drop(name)
