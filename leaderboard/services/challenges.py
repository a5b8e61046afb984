"""Challenges: joining and leaving, what may be submitted when, and what organisers decide."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Exists, Q
from django.utils import timezone

from inference import site
from inference.errors import DomainError
from leaderboard import errors
from leaderboard.mails import DECISIONS as DECISION_MAILS
from leaderboard.models import (
    Benchmark,
    Challenge,
    LogLine,
    Participation,
    Phase,
    Standing,
    Submission,
    Team,
    sealed_by,
    sealing,
)
from leaderboard.roles import Act
from leaderboard.services.stale import challenge_stale, tables_stale
from leaderboard.services.standings import counted_note
from leaderboard.services.submitting import Card, submission_take
from leaderboard.services.teams import (
    ACTIVE,
    in_one_team,
    team_fits,
    team_of,
    team_seen,
    teams_joined,
)
from pricing import mails

State = Participation.State


def challenge_join(
    *, challenge: Challenge, user: Any, rules_accepted: bool, received_at: datetime, team: str = ""
) -> Participation:
    """Enter a user's team, by its name if there are several; who has joined already changes nothing
    by it.

    Raises:
        InvalidInput: the rules were not accepted.
        Forbidden: it is closed, or the team is too large.
        Conflict: a member takes part in another team.
    """
    if not rules_accepted:
        raise errors.RULES_NOT_ACCEPTED(field="accept_rules")
    if received_at >= challenge.closes_at:
        raise errors.CHALLENGE_CLOSED()
    joining = team_in(challenge, user, team)
    with transaction.atomic():
        # Members before the team, everywhere: two teams with one member in common take turns.
        members = list(get_user_model().objects.select_for_update().filter(teams=joining).order_by("pk"))  # fmt: skip
        Team.objects.select_for_update().get(pk=joining.pk)
        found = Participation.objects.filter(challenge=challenge, team=joining).first()
        if found is not None and found.state != State.LEFT:
            return found
        team_fits(challenge, len(members))
        in_one_team(challenge, joining, members)
        state = State.PENDING if challenge.needs_approval else State.ACCEPTED
        participation, _ = Participation.objects.update_or_create(
            challenge=challenge, team=joining,
            defaults={"state": state, "joined_by": user, "rules_accepted_at": received_at},
        )  # fmt: skip
        _log(challenge, "joined", joining.name, actor=joining.name, is_public=True)
        tables_stale(challenges=[challenge.pk])  # who left and comes back has its entries again
    return participation


def team_in(challenge: Challenge, user: Any, name: str = "") -> Team:
    """The team a user acts for in a challenge: the named one, or the one that takes part, or the
    first."""
    return (None if name else _taking(challenge, user)) or team_of(user, name, Act.COMPETE)


def _taking(challenge: Challenge, user: Any) -> Team | None:
    """The user's team that takes part, of those in which they may."""
    mine = teams_joined(user, Act.COMPETE).order_by()
    taking = Participation.objects.filter(challenge=challenge, team__in=mine)
    found = taking.exclude(state=State.LEFT).select_related("team").first()
    return found.team if found is not None else None


def team_in_seen(challenge: Challenge, user: Any) -> Team | None:
    """The same for who only looks: None before the user's first team."""
    return _taking(challenge, user) or team_seen(user)


def challenge_leave(*, challenge: Challenge, user: Any, received_at: datetime) -> Participation:
    """Take a team out before the end; its entries are ranked no more.

    Raises:
        Forbidden: the challenge is over, or the team is not in it.
    """
    if received_at >= challenge.closes_at:
        raise errors.CHALLENGE_CLOSED()
    with transaction.atomic():
        team = Team.objects.select_for_update().get(pk=team_in(challenge, user).pk)
        participation = Participation.objects.filter(challenge=challenge, team=team).first()
        if participation is None or participation.state not in ACTIVE:
            raise _not_in(participation)
        participation.state = State.LEFT
        participation.save(update_fields=["state"])
        _log(challenge, "left", team.name, actor=team.name, is_public=True)
        challenge_stale(challenge.pk, gone=Q(team=team, phase__challenge=challenge))
    return participation


@transaction.atomic
def challenges_left(*, team: Team) -> None:
    """Take a team out of every challenge that has no final ranking: nobody is left in it."""
    Team.objects.select_for_update().get(pk=team.pk)
    taking = Participation.objects.filter(team=team, state__in=ACTIVE, challenge__published_at=None)
    for participation in taking.select_related("challenge"):
        participation.state = State.LEFT
        participation.save(update_fields=["state"])
        challenge_stale(
            participation.challenge_id,
            gone=Q(team=team, phase__challenge=participation.challenge_id),
        )


_NOT_IN = {
    State.PENDING: errors.CHALLENGE_PENDING,
    State.DECLINED: errors.CHALLENGE_DECLINED,
    State.DISQUALIFIED: errors.CHALLENGE_DISQUALIFIED,
}


def _not_in(participation: Participation | None) -> DomainError:
    """Why a team cannot take part; with the organisers' reason, which is the team's to see."""
    state = participation.state if participation else State.LEFT
    kind = _NOT_IN.get(State(state), errors.CHALLENGE_NOT_JOINED)
    return kind(hint=(participation and participation.reason) or None)


def phase_for(
    *, challenge: Challenge, team: Team | None, received_at: datetime, split: str = ""
) -> Phase:
    """The phase that a team's submission counts in, judged by when the request was received.

    Raises:
        Forbidden: there is none then, or the team does not take part.
        InvalidInput: `split` is not the phase's.
    """
    if received_at < challenge.opens_at:
        raise errors.CHALLENGE_UPCOMING(opens_at=challenge.opens_at.isoformat())
    if received_at >= challenge.closes_at or challenge.published_at:
        raise errors.CHALLENGE_CLOSED(closed_at=challenge.closes_at.isoformat())
    phases = challenge.phases.select_related("split__benchmark")
    phase = next((p for p in phases if p.holds(received_at)), None)
    if phase is None:
        raise errors.CHALLENGE_BETWEEN_PHASES()
    participation = Participation.objects.filter(challenge=challenge, team=team).first()
    if participation is None or participation.state != State.ACCEPTED:
        raise _not_in(participation)
    other = sealed_by(phase.split)
    if other is not None and other.pk != challenge.pk:
        raise errors.SPLIT_SEALED(
            f"{phase.split.name} takes submissions to “{other.title}” alone, until its final ranking.",
            challenge=other.slug,
        )
    if split and split != phase.split.name:
        raise errors.CHALLENGE_SPLIT(
            f"The phase “{phase.name}” takes predictions for {phase.split.name}.", field="split"
        )
    return phase


def challenge_submit(
    *, challenge: Challenge, user: Any, card: Card, file: IO[bytes], received_at: datetime,
    team: str = "", split: str = "", is_public: bool = True, idempotency_key: str = "",
) -> Submission:  # fmt: skip
    """Submit predictions to a challenge: as to its benchmark, counted in the phase of that moment. A
    request repeated with its key is answered after the end too.

    Raises:
        InvalidInput: bad predictions, or another split than the phase's; nothing is counted.
        Forbidden: it takes none now, or not of this team, or none are left.
        Conflict: the key was used for other predictions.
    """
    repeated = Submission.objects.filter(
        created_by=user,
        team__in=teams_joined(user, Act.SUBMIT).order_by(),
        phase__challenge=challenge,
        idempotency_key=idempotency_key or None,
    ).first()
    of = repeated.team if repeated and not team else team_in(challenge, user, team)

    def phase_now() -> Phase:
        return phase_for(challenge=challenge, team=of, received_at=received_at, split=split)

    earlier = Submission.objects.filter(
        team=of, phase__challenge=challenge, idempotency_key=idempotency_key or None
    ).first()
    phase = (earlier and earlier.phase) or phase_now()
    return submission_take(
        split=phase.split, phase=phase, team=of, user=user, card=card, file=file,
        is_public=is_public, idempotency_key=idempotency_key, received_at=received_at,
        check=phase_now,
    )  # fmt: skip


def entry_choose(*, challenge: Challenge, user: Any, submission: Submission | None) -> Participation:  # fmt: skip
    """Let one submission of the last phase count at the end; None leaves it to the rule.

    Raises:
        Forbidden: the team does not take part, or the ranking is published.
        NotFound: it is not a submission of this team to the last phase that can count.
    """
    team = team_in(challenge, user)
    with transaction.atomic():
        participation = (
            Participation.objects.select_for_update().filter(challenge=challenge, team=team).first()
        )
        if participation is None or participation.state != State.ACCEPTED:
            raise _not_in(participation)
        if Challenge.objects.get(pk=challenge.pk).published_at:
            raise errors.CHALLENGE_CLOSED("The final ranking is published.")
        last = challenge.phases.last()
        if submission is not None and (
            submission.team_id != team.pk
            or submission.phase_id != (last.pk if last else None)
            or not submission.is_public
            or submission.status in (Submission.Status.FAILED, Submission.Status.WITHDRAWN)
        ):
            raise errors.SUBMISSION_NOT_FOUND(
                "Only a submission of yours to the last phase can count, and not a private one."
            )
        participation.chosen = submission
        participation.save(update_fields=["chosen"])
    return participation


@dataclass(frozen=True, slots=True)
class Decision:
    """What an organiser can do about a team."""

    done: str
    from_states: tuple[State, ...]
    to: State
    needs_reason: bool = False
    is_public: bool = False
    """Whether the public log has a line of it, without the reason."""


DECISIONS = {
    "accept": Decision("accepted", (State.PENDING, State.DECLINED), State.ACCEPTED),
    "decline": Decision("declined", (State.PENDING,), State.DECLINED, needs_reason=True),
    "disqualify": Decision(
        "disqualified", (State.ACCEPTED,), State.DISQUALIFIED, needs_reason=True, is_public=True
    ),
    "reinstate": Decision("reinstated", (State.DISQUALIFIED,), State.ACCEPTED, is_public=True),
}


def participation_decide(
    *, participation: Participation, decision: str, by: Any, reason: str = ""
) -> Participation:
    """Accept, decline, disqualify or reinstate a team: it sees the state and the reason, and is
    told by mail. The public sees that a team was disqualified, and not why.

    Raises:
        InvalidInput: a reason is needed.
        Conflict: not from the state it is in.
    """
    what = DECISIONS[decision]
    reason = reason.strip()[:500]
    if what.needs_reason and not reason:
        raise errors.REASON_REQUIRED("The team has to know why.", field="reason")
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=participation.team_id)
        participation.refresh_from_db()
        if participation.state not in what.from_states:
            raise errors.TEAM_STATE(f"The team is {participation.get_state_display().lower()} now.")
        participation.state, participation.reason = what.to, reason
        participation.decided_by, participation.decided_at = by, timezone.now()
        participation.save(update_fields=["state", "reason", "decided_by", "decided_at"])
        challenge, team = participation.challenge, participation.team
        if what.is_public:
            _log(challenge, what.done, team.name, actor="organisers", is_public=True)
        _log(
            challenge,
            what.done,
            f"{team.name}: {reason}" if reason else team.name,
            actor=str(by or "organisers"),
        )
        is_out = what.to != State.ACCEPTED
        rows = Q(team=team, phase__challenge=challenge) if is_out else None
        challenge_stale(challenge.pk, gone=rows)
        transaction.on_commit(lambda: _mail(participation, decision))
    return participation


def _mail(participation: Participation, decision: str) -> None:
    """Tell every member with an address. What was decided stands, also when no mail can be sent:
    the page tells it too."""
    challenge, team = participation.challenge, participation.team
    values = {
        "team": team.name, "challenge": challenge.title, "reason": participation.reason,
        "link": site.url(challenge.get_absolute_url()),
    }  # fmt: skip
    addresses = team.members.exclude(email="").values_list("email", flat=True)
    mails.send(DECISION_MAILS[decision], addresses, values)


def challenge_freeze(*, challenge: Challenge, by: Any) -> Challenge:
    """Let the public standings stand still from now on.

    Raises:
        Conflict: they do already, or it is not open.
    """
    now = timezone.now()
    if challenge.state != "open" or challenge.is_frozen:
        raise errors.CHALLENGE_STATE("Only the standings of an open challenge can be frozen, once.")
    challenge.freeze_at = now
    with transaction.atomic():
        challenge.save(update_fields=["freeze_at"])
        _log(challenge, "frozen", "The standings stand still", actor=str(by or "organisers"))
        _log(challenge, "frozen", "The standings stand still", actor="organisers", is_public=True)
        tables_stale(challenges=[challenge.pk])
    return challenge


def final_publish(*, challenge: Challenge, by: Any) -> Challenge:
    """Fix what each team lets count, and let a worker rank it on the hidden split of the last phase;
    the entries then join the benchmark's own table. Again, the same is ranked anew, as after a
    re-scoring.

    Raises:
        Conflict: it is not over, has no hidden split, or something is still being scored.
    """
    last = challenge.phases.select_related("split").last()
    if timezone.now() < challenge.closes_at:
        raise errors.CHALLENGE_STATE("The challenge is not over.")
    if last is None or last.split.is_public:
        raise errors.CHALLENGE_STATE("Its last phase has no hidden split.")
    waiting = last.submissions.filter(status__in=Submission.UNFINISHED)  # fmt: skip
    if waiting.exists():
        raise errors.CHALLENGE_STATE("Submissions are still being scored.")
    is_first = challenge.published_at is None
    challenge.published_at = challenge.published_at or timezone.now()
    with transaction.atomic():
        tables_stale(challenges=[challenge.pk])  # its lock first: see `challenge_stale`
        if is_first:
            counted_note(challenge=challenge)
        Standing.objects.filter(challenge=challenge, is_final=True).update(rank=None)
        challenge.save(update_fields=["published_at"])
        text = f"Final ranking of “{challenge.title}”"
        _log(challenge, "final", text, actor=str(by or "organisers"))
        _log(challenge, "final", text, actor="organisers", is_public=True)
        tables_stale(benchmarks=[challenge.benchmark_id])
    return challenge


def challenge_is_used(challenge: Challenge) -> bool:
    """Whether submissions were made to it, so that it cannot be deleted."""
    return Submission.objects.filter(phase__challenge=challenge).exists()


def challenge_changed(*, challenge: Challenge, by: Any) -> None:
    """Its dates or phases are others, or it is published, or no more."""
    with transaction.atomic():
        _log(challenge, "changed", f"“{challenge.title}”", actor=str(by or "organisers"))
        tables_stale(challenges=[challenge.pk])
        # A sealed phase takes its split's rows away, or gives them back.
        tables_stale(benchmarks=[challenge.benchmark_id], gone=Q(Exists(sealing())))


def challenge_announced(*, url: str, challenge: Challenge | None) -> None:
    """The page at an address has the rules of a challenge, or of none any more."""
    for other in Challenge.objects.filter(page_url=url).exclude(pk=challenge and challenge.pk):
        other.page_url = ""
        other.save(update_fields=["page_url"])
    if challenge and challenge.page_url != url:
        challenge.page_url = url
        challenge.save(update_fields=["page_url"])


@transaction.atomic
def challenge_make(*, slug: str, phases: Iterable[dict[str, Any]], **fields: Any) -> Challenge:
    """A challenge of that name; one that is there keeps what an editor changed."""
    challenge, is_new = Challenge.objects.get_or_create(
        slug=slug, defaults={"first_published_at": timezone.now(), **fields}
    )
    if is_new:
        Phase.objects.bulk_create(Phase(challenge=challenge, **phase) for phase in phases)
    return challenge


def challenge_sample(
    *, slug: str, title: str, summary: str, on: str, days: tuple[int, int]
) -> Challenge:
    """A sample on one of our own benchmarks, from today on: practice on its public split, then the
    hidden one, frozen for the last two days."""
    benchmark = Benchmark.objects.get(slug=on)
    opens = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    turns = opens + timedelta(days=days[0])
    closes = turns + timedelta(days=days[1])
    public, hidden = (benchmark.splits.filter(is_public=p).first() for p in (True, False))
    return challenge_make(
        slug=slug, title=title, summary=summary[:300], benchmark=benchmark, opens_at=opens,
        closes_at=closes, freeze_at=closes - timedelta(days=2), is_sample=True,
        phases=[
            {"name": "practice", "split": public, "starts_at": opens, "ends_at": turns,
             "daily_limit": 50},
            {"name": "final", "split": hidden, "starts_at": turns, "ends_at": closes,
             "daily_limit": 5, "total_limit": 50},
        ],
    )  # fmt: skip


def _log(
    challenge: Challenge, action: str, text: str, *, actor: str, is_public: bool = False
) -> None:
    """A line in the benchmark's log; organisers' names and reasons are not for the public one."""
    LogLine.objects.create(
        benchmark_id=challenge.benchmark_id, actor=actor[:80], action=action,
        text=f"{challenge.title}: {text}"[:300], is_public=is_public,
    )  # fmt: skip
