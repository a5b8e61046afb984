"""Of teams, submissions and prompts (`inference.personal`)."""

import secrets
from typing import Any

from django.core.files.storage import storages
from django.db import transaction
from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Replace
from django.urls import reverse

from inference.personal import (
    FORMER,
    Archive,
    Obstacle,
    PersonalData,
    Rule,
    counted,
    forget_in,
    names_of,
    register,
    rows_of,
)
from inference.storage import private_drop
from leaderboard import services
from leaderboard.models import (
    BenchmarkPrompt,
    Entry,
    LogLine,
    Membership,
    Participation,
    QuotaLine,
    Standing,
    Submission,
    Team,
    told,
)
from leaderboard.selectors import own_detail

_NOT_TEAMS = ("scorer", "table", "organisers", "import", "its owner")
"""Actors of log lines about a submission that are no team's name."""


class TeamData(PersonalData):
    title = "Teams and submissions"
    rules = {
        "leaderboard.Membership.user": Rule.DELETE,
        "leaderboard.Team.members": Rule.DELETE,
        "leaderboard.Team.invited_by": Rule.DETACH,
        "leaderboard.Submission.created_by": Rule.DETACH,
        "leaderboard.QuotaLine.user": Rule.DETACH,
        "leaderboard.Challenge.locked_by": Rule.DETACH,
        "leaderboard.Participation.joined_by": Rule.DETACH,
        "leaderboard.Participation.decided_by": Rule.DETACH,
        "leaderboard.BenchmarkPrompt.proposed_by": Rule.DETACH,
        "leaderboard.BenchmarkPrompt.decided_by": Rule.DETACH,
    }

    def export(self, user: Any, archive: Archive) -> None:
        """Teams, and what the person submitted, with scores as its team is told them: nothing of a sealed
        phase."""
        archive.json("leaderboards/teams", rows_of(
            Membership.objects.filter(user=user), "team__name", "role", "joined_at"
        ))  # fmt: skip
        own = Submission.objects.filter(created_by=user).order_by("pk")
        archive.json("leaderboards/submissions", [
            _written(s, user) for s in own.select_related("split__benchmark", "team", "phase__challenge")
        ])  # fmt: skip
        for submission in own.exclude(file=""):
            try:
                source = storages["private"].open(submission.file)
            except FileNotFoundError:
                continue
            with source:
                archive.stream(f"leaderboards/predictions/{submission.pk}", source.chunks())
        archive.json("leaderboards/quota", rows_of(
            QuotaLine.objects.filter(user=user),
            "team__name", "split__name", "submission", "amount", "reason", "day", "created_at",
        ))  # fmt: skip
        archive.json("leaderboards/challenges", rows_of(
            Participation.objects.filter(joined_by=user),
            "challenge__slug", "team__name", "state", "rules_accepted_at", "created_at",
        ))  # fmt: skip
        archive.json("leaderboards/prompts", rows_of(
            BenchmarkPrompt.objects.filter(proposed_by=user),
            "name", "skill", "text", "note", "source", "source_url", "state", "reason", "created_at",
        ))  # fmt: skip

    def obstacles(self, user: Any) -> list[Obstacle]:
        return [
            Obstacle(
                f"You are the only owner of {team.name}, and others are in it. Make one of them an owner.",
                reverse("team", args=[team.pk]),
            )
            for team in services.teams_in_need(user)
        ]

    def deleted(self, user: Any) -> list[str]:
        alone = _alone(user)
        shown = _shown(alone)
        mine = Submission.objects.filter(team__in=alone).exclude(pk__in=shown)
        others = user.teams.exclude(pk__in=alone).count()
        waiting = BenchmarkPrompt.objects.filter(proposed_by=user).exclude(
            state=BenchmarkPrompt.State.APPROVED
        )
        return counted(
            (mine.count(), "submission that nobody is shown, with its predictions", "submissions that nobody is shown, with their predictions"),
            (others, "membership in a team", "memberships in teams"),
            (waiting.count(), "proposed prompt", "proposed prompts"),
        )  # fmt: skip

    def kept(self, user: Any) -> list[str]:
        alone = _alone(user)
        with_others = Submission.objects.filter(created_by=user).exclude(team__in=alone).count()
        return counted(
            (_shown(alone).count(), "entry of a leaderboard, under a team's name that says nothing",
             "entries of leaderboards, under a team's name that says nothing"),
            (with_others, "submission of a team with others in it: it stays the team's",
             "submissions of teams with others in them: they stay the teams'"),
            (LogLine.objects.filter(submission_id__in=_of(alone), is_public=True).count(),
             "line of the public log, without you", "lines of the public log, without you"),
            (QuotaLine.objects.filter(user=user).count(),
             "count of what was submitted, under a digest of your address, so that nobody counts anew by a new account",
             "counts of what was submitted, under a digest of your address, so that nobody counts anew by a new account"),
        )  # fmt: skip

    def stop(self, user: Any) -> None:
        """What waits to be scored for the person alone is withdrawn."""
        waiting = Submission.objects.filter(team__in=_alone(user), status__in=Submission.UNFINISHED)
        for submission in waiting.select_related("split__benchmark", "phase__challenge", "team"):
            services.submission_withdraw(submission=submission, actor=submission.team.name)

    def erase(self, user: Any) -> None:
        for team in _alone(user):
            _team_erase(team)
        for team in user.teams.all():
            services.member_gone(team=team, user=user)
        Submission.objects.filter(created_by=user).update(contact="", created_by=None)
        proposed = BenchmarkPrompt.objects.filter(proposed_by=user)
        proposed.exclude(state=BenchmarkPrompt.State.APPROVED).delete()
        for name in names_of(user):
            forget_in(LogLine, "actor", name)
            forget_in(LogLine, "text", name)


def _written(submission: Submission, user: Any) -> dict[str, Any]:
    detail = own_detail(submission, reader=user)
    names = ("id", "provenance", "model_name", "parameters", "precision", "revision", "link", "contact", "note",
             "open_weights", "is_public", "latency_ms", "hardware", "status", "error_code", "error_message",
             "created_at", "finished_at")  # fmt: skip
    return {name: getattr(submission, name) for name in names} | {
        "benchmark": submission.split.benchmark.slug, "split": submission.split.name,
        "team": submission.team.name, "is_sealed": detail.is_sealed,
        "scores": {
            cell.metric.slug: {"value": score.value, "low": score.low, "high": score.high}
            for cell, score in detail.scores
        },
    }  # fmt: skip


def _alone(user: Any) -> QuerySet[Team]:
    """Teams that have nobody else."""
    mine = Team.objects.filter(members=user, is_ours=False)
    others = Membership.objects.exclude(user=user).values("team")
    return mine.exclude(pk__in=others)


def _of(teams: QuerySet[Team]) -> QuerySet[Any]:
    return Submission.objects.filter(team__in=teams).values("pk")


def _shown(teams: QuerySet[Team]) -> QuerySet[Submission]:
    """What the public sees of teams: rows of tables and standings, and what those may name."""
    shown = Entry.objects.filter(submission__isnull=False).values("submission")
    ranked = Standing.objects.values("submission")
    public = Submission.objects.filter(told(), is_public=True, status=Submission.Status.SCORED)
    named = Q(pk__in=public.values("pk")) | Q(pk__in=shown) | Q(pk__in=ranked)
    return Submission.objects.filter(named, team__in=teams)


def _team_erase(team: Team) -> None:
    """Delete a team that has nobody else; where tables, standings or a challenge name it, it stays under a name
    that says nothing, with what is shown alone."""
    services.challenges_left(team=team)
    with transaction.atomic():
        team = Team.objects.select_for_update().get(pk=team.pk)
        keeps = bool(services.team_kept_by(team))
        former = f"former-team-{secrets.token_hex(4)}"
        _log_forget(team, former, keeps=keeps)
        if not keeps:
            services.team_delete(team=team, actor=FORMER, called=former)
            return
        hidden = list(_hidden(team).select_related("split__benchmark"))
        for submission in hidden:  # one by one: each has to tell the tables
            submission.delete()
        team.submissions.update(contact="", note="", link="")
        Entry.objects.filter(submission__team=team).update(team_name=former, link="")
        Standing.objects.filter(submission__team=team).update(team_name=former)
        team.name = former
        team.invite_code, team.invite_until, team.invited_by = "", None, None
        team.save()
        team.members.clear()
    for submission in hidden:
        if submission.file:
            private_drop(submission.file)


def _hidden(team: Team) -> QuerySet[Submission]:
    shown = _shown(Team.objects.filter(pk=team.pk)).values("pk")
    return team.submissions.exclude(pk__in=shown)  # type: ignore[no-any-return]


def _log_forget(team: Team, former: str, *, keeps: bool) -> None:
    """The log goes on to say what happened: with another name for the team, and not how it called what nobody
    was shown."""
    own = team.submissions.values("pk")
    # Earlier names of the team as well.
    lines = LogLine.objects.filter(submission_id__in=own).exclude(actor__in=_NOT_TEAMS)
    lines.update(actor=former)
    LogLine.objects.filter(actor=team.name).update(actor=former)
    # As lines about challenges name it; a short name is in many words.
    told_of, said = f": {team.name}", LogLine.objects.filter(submission_id=None)
    about = said.filter(Q(text__endswith=told_of) | Q(text__contains=f"{told_of}: "))
    about.update(text=Replace("text", Value(told_of), Value(f": {former}")))
    gone = _hidden(team).values("pk") if keeps else own
    unseen = LogLine.objects.filter(submission_id__in=gone, is_public=False)
    unseen.update(text="A submission that is deleted")


register(TeamData())
