"""Challenges: what is told of them to everybody, and to a team of its own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.db.models import Exists, OuterRef

from leaderboard import errors
from leaderboard.models import (
    Benchmark,
    Challenge,
    Participation,
    Phase,
    Score,
    Standing,
    Submission,
    Team,
)
from leaderboard.selectors.tables import PAGE, Cell, cell
from leaderboard.services.challenges import team_in_seen
from leaderboard.services.quota import quota_left

State = Participation.State
OWN = 10
"""A team's newest submissions that are listed."""


def challenges() -> list[Challenge]:
    """Every challenge, the newest first; three queries."""
    shown = Challenge.shown()
    return list(shown.select_related("benchmark").prefetch_related("phases__split"))


def challenge_get(slug: str, benchmark: Benchmark | None = None) -> Challenge:
    """
    Raises:
        NotFound: there is none of that name, or not on that benchmark.
    """
    named = (
        Challenge.shown()
        .filter(slug=slug)
        .select_related("benchmark", "table_state")
        .prefetch_related("phases__split__benchmark")
    )
    found = named.first() if "\x00" not in slug else None
    if found is None or (benchmark is not None and found.benchmark_id != benchmark.pk):
        where = f"It is on {found.benchmark.slug}." if found else "GET /api/challenges lists them."
        raise errors.CHALLENGE_NOT_FOUND(hint=where)
    return found


@dataclass(frozen=True, slots=True)
class Place:
    """A row of the standings."""

    entry: Standing
    cell: Cell


@dataclass(frozen=True, slots=True)
class Standings:
    """A page of a challenge's standings: of one phase, or the final ranking."""

    challenge: Challenge
    phase: Phase | None
    """None while there is nothing to show: no phase has begun, or it tells nothing yet."""
    is_final: bool
    choices: list[tuple[str, str]]
    """What else can be looked at: name and label."""
    frozen_at: datetime | None
    disqualified: list[str]
    """Teams that had an entry. Why is theirs to know."""
    page: Page

    @property
    def rows(self) -> list[Place]:
        metric = self.challenge.benchmark.ranked_by
        return [
            Place(s, cell(metric, None if s.is_withdrawn else s.figures.get(metric.slug)))
            for s in self.page.object_list
        ]

    @property
    def name(self) -> str:
        """As it is asked for."""
        return "final-ranking" if self.is_final else (self.phase.name if self.phase else "")

    @property
    def query(self) -> str:
        """The beginning of its pages' query strings."""
        return f"phase={self.name}&"

    @property
    def sealed(self) -> Phase | None:
        """The phase that goes on, if it tells nothing."""
        now = (p for p in self.challenge.phases.all() if p.state == "open" and not p.is_live)
        return None if self.is_final else next(now, None)


def standings(
    challenge: Challenge, name: str = "", number: str | int = 1, size: int = PAGE
) -> Standings:
    """A page of what is asked for by its name; by default the final ranking, or the newest phase
    that tells its standings. Three queries."""
    phases = list(challenge.phases.all())
    begun = [p for p in phases if p.is_live and p.state != "upcoming"]
    final = bool(challenge.published_at) and bool(phases)
    is_final = final and name not in {p.name for p in begun}
    phase = phases[-1] if is_final else next((p for p in begun if p.name == name), None)
    if phase is None and begun:
        phase = begun[-1]
    rows = Standing.objects.filter(challenge=challenge, phase=phase, is_final=is_final)
    if phase is None:
        rows = Standing.objects.none()
    choices = [(p.name, p.name.replace("-", " ").capitalize()) for p in begun]
    if final:
        choices.append(("final-ranking", "Final ranking"))
    frozen = challenge.is_frozen and not challenge.published_at
    return Standings(
        challenge, phase, is_final, choices, challenge.freeze_at if frozen else None,
        _disqualified(challenge), Paginator(rows, size).get_page(number),
    )  # fmt: skip


def _disqualified(challenge: Challenge) -> list[str]:
    entered = Submission.objects.filter(
        team=OuterRef("team"), phase__challenge=challenge, status=Submission.Status.SCORED,
        is_public=True,
    )  # fmt: skip
    out = challenge.participations.filter(Exists(entered), state=State.DISQUALIFIED)
    return list(out.order_by("team__name").values_list("team__name", flat=True))


def leaders(challenge_ids: Iterable[int], most: int = 3) -> dict[int, list[Place]]:
    """Who leads each of some challenges: in the final ranking, or in the newest phase that has
    entries. One query."""
    rows = (
        Standing.objects.filter(
            challenge__in=Challenge.shown().filter(pk__in=list(challenge_ids)), rank__lte=most,
            is_withdrawn=False,
        )
        .select_related("challenge__benchmark")
        .order_by("challenge", "-is_final", "-phase__starts_at", "rank", "scored_at")
    )  # fmt: skip
    found: dict[int, list[Place]] = {}
    shown: dict[int, tuple[bool, int]] = {}
    for row in rows:
        which = (row.is_final, row.phase_id)
        places = found.setdefault(row.challenge_id, [])
        if shown.setdefault(row.challenge_id, which) == which and len(places) < most:
            metric = row.challenge.benchmark.ranked_by
            places.append(Place(row, cell(metric, row.figures.get(metric.slug))))
    return found


@dataclass(frozen=True, slots=True)
class OwnSubmission:
    """A team's submission as the team sees it."""

    submission: Submission
    cell: Cell | None
    """None while there is no score, or it is not told yet."""
    counts: bool
    """Whether it was chosen to count at the end."""
    can_count: bool


@dataclass(frozen=True, slots=True)
class Own:
    """What a user sees of the own team in a challenge."""

    team: Team | None
    """None before the user's first one, which joining makes."""
    participation: Participation | None
    phase: Phase | None
    """That takes submissions now."""
    quota: dict[str, int | None]
    submissions: list[OwnSubmission] = field(default_factory=list)

    @property
    def state(self) -> str:
        """ "" for who has not joined."""
        state = self.participation.state if self.participation else ""
        return "" if state == State.LEFT else state

    @property
    def is_in(self) -> bool:
        return self.state in (State.PENDING, State.ACCEPTED)

    @property
    def can_submit(self) -> bool:
        return self.state == State.ACCEPTED and self.phase is not None


def own(challenge: Challenge, user: Any) -> Own:
    """A user's team in a challenge: its state with the reason, what is left, its submissions."""
    team = team_in_seen(challenge, user)
    participation = Participation.objects.filter(challenge=challenge, team=team).first()
    phases = list(challenge.phases.all())
    is_over = challenge.published_at is not None
    phase = next((p for p in phases if p.state == "open" and not is_over), None)
    quota = quota_left(team=team, split=phase.split, phase=phase, user=user) if phase else {}
    sent = list(
        Submission.objects.filter(team=team, phase__challenge=challenge)
        .select_related("phase")
        .order_by("-created_at")[:OWN]
    )
    cells = _cells(challenge, sent, [p for p in phases if p.is_live or is_over])
    chosen = participation.chosen_id if participation else None
    may_choose = participation is not None and participation.state == State.ACCEPTED and not is_over
    last = phases[-1] if phases and may_choose else None
    rows = [
        OwnSubmission(s, cells.get(s.pk), s.pk == chosen, s.phase == last and _may_count(s))
        for s in sent
    ]
    return Own(team, participation, phase, quota, rows)


def _cells(
    challenge: Challenge, sent: Sequence[Submission], telling: Sequence[Phase]
) -> dict[UUID, Cell]:
    """What submissions scored, of the phases that tell it."""
    metric = challenge.benchmark.ranked_by
    scores = Score.objects.filter(
        submission__in=[s.pk for s in sent], submission__phase__in=telling, metric=metric.slug,
        is_current=True,
    ).defer(*Score.LARGE)  # fmt: skip
    return {s.submission_id: Cell(metric, s.value, s.low, s.high) for s in scores}


def _may_count(submission: Submission) -> bool:
    ended_badly = submission.status in (Submission.Status.FAILED, Submission.Status.WITHDRAWN)
    return submission.is_public and not ended_badly
