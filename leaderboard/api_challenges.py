"""`/api/challenges`: what can be entered, who leads it, and taking part. Submitting is the
leaderboard's own operation, with a `challenge` beside the predictions."""

from typing import Any

from django.http import HttpRequest
from ninja import Router

from leaderboard import schemas, selectors, services
from leaderboard.api import news, stale_since
from leaderboard.models import Challenge
from leaderboard.received import received_at

router = Router(tags=["Challenges"])


def _challenge_out(challenge: Challenge) -> dict[str, Any]:
    plain = ("slug", "title", "summary", "state", "team_size", "needs_approval", "is_sample")
    return {name: getattr(challenge, name) for name in plain} | {
        "benchmark": challenge.benchmark.slug, "metric": challenge.benchmark.ranked_by.slug,
        "opens_at": challenge.opens_at.isoformat(), "closes_at": challenge.closes_at.isoformat(),
        "freeze_at": challenge.freeze_at.isoformat() if challenge.freeze_at else None,
        "final_published_at": challenge.published_at.isoformat() if challenge.published_at else None,
        "phases": [
            {
                "name": p.name, "split": p.split.name, "starts_at": p.starts_at.isoformat(),
                "ends_at": p.ends_at.isoformat(), "state": p.state, "feedback": p.feedback,
                "daily_limit": p.daily_limit, "total_limit": p.total_limit,
            }
            for p in challenge.phases.all()
        ],
        "url": challenge.get_absolute_url(), "rules_url": challenge.page_url or None,
    }  # fmt: skip


@router.get("", auth=None, response={200: list[schemas.ChallengeOut]}, operation_id="challenges")  # fmt: skip
def challenges(request: HttpRequest) -> Any:
    """Every challenge with its dates and phases, the newest first."""
    return [_challenge_out(c) for c in selectors.challenges()]


@router.get("/{slug}", auth=None, response={200: schemas.ChallengeOut}, operation_id="challenge")  # fmt: skip
def challenge(request: HttpRequest, slug: str) -> Any:
    """One challenge: its dates, its phases with their limits, where its rules are."""
    return _challenge_out(selectors.challenge_get(slug))


@router.get("/{slug}/standings", auth=None, response={200: schemas.StandingsOut}, operation_id="challenge_standings")  # fmt: skip
def standings(request: HttpRequest, slug: str, phase: str = "", page: int = 1) -> Any:
    """A page of the standings: the final ranking once it is published, before that the newest phase
    that tells them. `phase` asks for another. From `frozen_at` on they stand still."""
    found = selectors.standings(selectors.challenge_get(slug), phase, page)
    metric = found.challenge.benchmark.ranked_by
    return {
        "challenge": slug, "phase": found.phase.name if found.phase else None,
        "is_final": found.is_final, "metric": metric.slug, "unit": metric.unit,
        "frozen_at": found.frozen_at.isoformat() if found.frozen_at else None,
        "stale_since": stale_since(found.challenge),
        "disqualified": found.disqualified, "page": found.page.number,
        "pages": found.page.paginator.num_pages,
        "rows": [
            {
                "rank": row.entry.rank, "rank_first": row.entry.rank_first,
                "rank_last": row.entry.rank_last, "team": row.entry.team_name,
                "model": "" if row.entry.is_withdrawn else row.entry.model_name,
                "is_withdrawn": row.entry.is_withdrawn, "value": row.cell.scaled,
                "low": row.cell.low and row.cell.low * metric.scale,
                "high": row.cell.high and row.cell.high * metric.scale,
                "at": row.entry.scored_at.isoformat(),
            }
            for row in found.rows
        ],
    }  # fmt: skip


@router.get("/{slug}/events", auth=None, operation_id="challenge_events")
def challenge_events(request: HttpRequest, slug: str) -> Any:
    """`standings` whenever they change, as server-sent events, from now on."""
    return news(request, services.challenge_stream(selectors.challenge_get(slug)))


def _own_out(request: HttpRequest, slug: str) -> dict[str, Any]:
    own = selectors.own(selectors.challenge_get(slug), request.auth)  # type: ignore[attr-defined]
    there = own.participation
    return {
        "challenge": slug, "team": own.team.name if own.team else "", "state": there.state if there else "none",
        "reason": there.reason if there else "",
        "rules_accepted_at": there.rules_accepted_at.isoformat() if there else None,
        "phase": own.phase.name if own.phase else None, "today": own.quota.get("today"),
        "total": own.quota.get("total"),
        "submissions": [
            {
                "id": row.submission.pk, "phase": row.submission.phase.name if row.submission.phase else "",
                "model_name": row.submission.model_name, "status": row.submission.status,
                "value": row.cell.scaled if row.cell else None, "counts": row.counts,
                "created_at": row.submission.created_at.isoformat(),
            }
            for row in own.submissions
        ],
    }  # fmt: skip


@router.get("/{slug}/team", response={200: schemas.ParticipationOut}, operation_id="challenge_team")  # fmt: skip
def team(request: HttpRequest, slug: str) -> Any:
    """Your team in a challenge: its state, with the organisers' reason if they gave one, what is
    left today and in all, its newest submissions."""
    return _own_out(request, slug)


@router.post("/{slug}/join", response={200: schemas.ParticipationOut}, operation_id="challenge_join")  # fmt: skip
def join(request: HttpRequest, slug: str, body: schemas.JoinIn) -> Any:
    """Enter your team; `accept_rules` has to be true. Joining again changes nothing."""
    services.challenge_join(
        challenge=selectors.challenge_get(slug), user=request.auth, team=body.team,  # type: ignore[attr-defined]
        rules_accepted=body.accept_rules, received_at=received_at(request),
    )  # fmt: skip
    return _own_out(request, slug)


@router.post("/{slug}/leave", response={200: schemas.ParticipationOut}, operation_id="challenge_leave")  # fmt: skip
def leave(request: HttpRequest, slug: str) -> Any:
    """Take your team out before the end; its entries are ranked no more."""
    services.challenge_leave(
        challenge=selectors.challenge_get(slug), user=request.auth,  # type: ignore[attr-defined]
        received_at=received_at(request),
    )  # fmt: skip
    return _own_out(request, slug)


@router.post("/{slug}/choose", response={200: schemas.ParticipationOut}, operation_id="challenge_choose")  # fmt: skip
def choose(request: HttpRequest, slug: str, body: schemas.ChooseIn) -> Any:
    """Let one submission of the last phase count in the final ranking; without one the rule of the
    benchmark decides."""
    own = services.submission_own(submission_id=body.submission, user=request.auth) if body.submission else None  # type: ignore[attr-defined] # fmt: skip
    services.entry_choose(
        challenge=selectors.challenge_get(slug), user=request.auth, submission=own  # type: ignore[attr-defined]
    )  # fmt: skip
    return _own_out(request, slug)
