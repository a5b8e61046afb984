"""Standings of a challenge, made anew like a table's rows and ranked by the same tests."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from leaderboard.models import (
    Benchmark,
    Challenge,
    Participation,
    Phase,
    Standing,
    Submission,
    TableState,
)
from leaderboard.services import stale
from leaderboard.services.entries import (
    Scored,
    chosen,
    figures_of,
    rank,
    score_of,
    scored,
    with_scores,
)


def standings_make(*, challenge: Challenge) -> bool:
    """Make a challenge's rows from its submissions. Done at once, by who has the time: a request notes
    `tables_stale`.

    While it is frozen what arrived later does not count, so a frozen table stays as it was but for
    teams that leave, withdraw or are disqualified. Once the final ranking is published its rows stay:
    what is taken back leaves a gap where it stood.

    Returns:
        Whether any row differs.
    """
    changed = False

    def written(state: TableState, rows: list[Standing]) -> None:
        nonlocal changed
        was_stale = state.stale_since is not None
        before = Standing.objects.filter(challenge=challenge.pk)
        changed = [_told(r) for r in rows] != [_told(r) for r in before.order_by("pk")]
        if changed:
            before.delete()
            for row in rows:
                row.pk = None
            Standing.objects.bulk_create(rows, batch_size=1000)
        if changed or was_stale:  # the page says which of the two it is
            transaction.on_commit(partial(stale.table_changed, state))

    stale.make(stale.state_of(challenge=challenge), lambda: _computed(challenge.pk), written)
    return changed


def _computed(challenge_pk: int) -> list[Standing]:
    fresh = Challenge.objects.get(pk=challenge_pk)
    accepted = fresh.participations.filter(state=Participation.State.ACCEPTED)
    wanted = set(accepted.filter(counted__isnull=False).values_list("counted", flat=True))
    if fresh.published_at:
        kept = _as_published(fresh, wanted)
        if kept is not None:
            return kept
    teams = dict(accepted.values_list("team", "chosen"))
    phases = list(fresh.phases.select_related("split__benchmark"))
    rows = [
        row
        for phase in phases
        if phase.is_live
        for row in _rows(phase, _so_far(fresh, phase, teams), is_final=False)
    ]
    if fresh.published_at and phases:
        rows += _finals(fresh, phases[-1], wanted)
    return rows


def _as_published(challenge: Challenge, wanted: set[Any]) -> list[Standing] | None:
    """The rows there are, if they rank what counts: neither other names nor other scores change them.
    None if they have to be made: for the first time, because organisers let a team out or in, or
    because they publish it again, which takes the ranks away."""
    rows = list(Standing.objects.filter(challenge=challenge).order_by("pk"))
    finals = [row for row in rows if row.is_final]
    unranked = any(row.rank is None and row.score is not None for row in finals)
    if not wanted or unranked or {row.submission_id for row in finals} != wanted:
        return None
    gone = stale.taken_back(row.submission_id for row in rows)
    for row in rows:
        row.is_withdrawn = row.submission_id in gone
    return [row for row in rows if row.is_final or not row.is_withdrawn]


def _finals(challenge: Challenge, last: Phase, wanted: set[Any]) -> list[Standing]:
    """What counts, ranked; what was taken back since keeps its place, and shows nothing."""
    rows = _rows(last, with_scores(Submission.objects.filter(pk__in=wanted)), is_final=True)
    names = {
        row.submission_id: (row.model_name, row.team_name)
        for row in Standing.objects.filter(challenge=challenge, is_final=True)
    }
    gone = stale.taken_back(wanted)
    for row in rows:
        row.is_withdrawn = row.submission_id in gone
        row.model_name, row.team_name = names.get(
            row.submission_id, (row.model_name, row.team_name)
        )
    return rows


def counted_note(*, challenge: Challenge) -> None:
    """Note for each team what counts in the final ranking, also for those that are not ranked now:
    whatever a team takes back later, none of its others comes in."""
    last = challenge.phases.select_related("split__benchmark").last()
    assert last is not None
    for submission, _ in _counted(
        last, dict(challenge.participations.values_list("team", "chosen"))
    ):
        own = challenge.participations.filter(team=submission.team_id, counted=None)
        own.update(counted=submission)


def _told(row: Standing) -> tuple[Any, ...]:
    return (
        row.phase_id, row.is_final, row.submission_id, row.team_name, row.model_name, row.score,
        row.rank, row.rank_first, row.rank_last, row.is_withdrawn,
    )  # fmt: skip


def _entered(phase: Phase, teams: dict[int, Any]) -> QuerySet[Submission]:
    return Submission.objects.filter(phase=phase, team__in=teams, is_public=True)


def _rule(benchmark: Benchmark) -> str:
    """One row for each team, whatever the benchmark's own table shows."""
    latest = Benchmark.EntryRule.LATEST
    return latest if benchmark.entry_rule == latest else Benchmark.EntryRule.BEST


def _so_far(challenge: Challenge, phase: Phase, teams: dict[int, Any]) -> list[Scored]:
    entered = _entered(phase, teams)
    if challenge.freeze_at and not challenge.published_at and timezone.now() >= challenge.freeze_at:
        entered = entered.filter(created_at__lt=challenge.freeze_at)
    benchmark = phase.split.benchmark
    return chosen(benchmark, scored(entered), _rule(benchmark))


def _counted(phase: Phase, teams: dict[int, Any]) -> list[Scored]:
    """What each team chose to count; by the benchmark's rule for those who chose nothing."""
    everything = scored(_entered(phase, teams))
    wanted = {pk for pk in teams.values() if pk}
    picked = [one for one in everything if one[0].pk in wanted]
    have = {one[0].team_id for one in picked}
    rest = [one for one in everything if one[0].team_id not in have]
    benchmark = phase.split.benchmark
    return [*picked, *chosen(benchmark, rest, _rule(benchmark))]


def _rows(phase: Phase, counted: Sequence[Scored], *, is_final: bool) -> list[Standing]:
    benchmark = phase.split.benchmark
    rows = [
        Standing(
            challenge_id=phase.challenge_id, phase=phase, is_final=is_final, submission=submission,
            model_name=submission.model_name, team_name=submission.team.name,
            figures=figures_of(scores), score=score_of(benchmark, scores),
            scored_at=submission.created_at,
        )
        for submission, scores in counted
    ]  # fmt: skip
    rank(phase.split, rows, counted)
    return rows
