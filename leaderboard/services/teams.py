"""Teams: who an entry belongs to. Every member may do what any other may, but for taking out whoever
founded it."""

import re
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.utils import timezone

from inference.errors import DomainError, NotFound
from leaderboard import errors, names
from leaderboard.models import Challenge, Participation, Team

MOST_MEMBERS = 20
INVITE_FOR = timedelta(days=14)
_CODE = re.compile(r"[\w-]{20,43}", re.ASCII)
ACTIVE = (Participation.State.PENDING, Participation.State.ACCEPTED)


OUR_TEAM = "Moondream hub"


def our_team() -> Team:
    """The team that what we run ourselves belongs to."""
    return Team.objects.get_or_create(name=OUR_TEAM, defaults={"is_ours": True})[0]


def teams_joined(user: Any) -> QuerySet[Team]:
    """A user's teams in the order in which they came in. The first is what they submit for unless they
    name another: who accepts an invitation goes on to submit for the same."""
    through = Team.members.through
    joined = through.objects.filter(team=OuterRef("pk"), user=user.pk).values("pk")[:1]
    return Team.objects.filter(members=user).order_by(Subquery(joined))


def team_of(user: Any, name: str = "") -> Team:
    """One of a user's teams by its name, by default the one they have been in longest; made when there is none, under a name
    that gives nothing away.

    Raises:
        InvalidInput: the user is in no team of that name.
    """
    if name:
        named = user.teams.filter(name__iexact=name.strip())
        found = named.first() if "\x00" not in name else None
        if found is None:
            raise errors.NOT_YOUR_TEAM(field="team")
        return found  # type: ignore[no-any-return]
    team = teams_joined(user).first()
    return team if team is not None else _first_team(user)


def team_seen(user: Any, name: str = "") -> Team | None:
    """The same for who only looks: reading makes no team, so it is None before the first.

    Raises:
        InvalidInput: the user is in no team of that name.
    """
    return team_of(user, name) if name else teams_joined(user).first()


@transaction.atomic
def _first_team(user: Any) -> Team:
    get_user_model().objects.select_for_update().get(pk=user.pk)  # two first requests, one team
    team = teams_joined(user).first()
    if team is None:
        team = Team.objects.create(name=f"team-{secrets.token_hex(4)}", founder=user)
        team.members.add(user)
    return team  # type: ignore[no-any-return]


def team_own(*, user: Any, team_id: int) -> Team:
    """
    Raises:
        NotFound: the user is in no such team.
    """
    team = user.teams.filter(pk=team_id).first()
    if team is None:
        raise errors.TEAM_NOT_FOUND()
    return team  # type: ignore[no-any-return]


def team_rename(*, team: Team, name: str) -> Team:
    """
    Raises:
        InvalidInput: as `team_name_check`.
    """
    name = names.cleaned(name)
    if name == team.name:
        return team
    team_name_check(team, name)
    try:
        with transaction.atomic():
            team.name = name
            team.save(update_fields=["name"])
    except IntegrityError:  # another took it meanwhile
        team.refresh_from_db(fields=["name", "look"])
        raise _taken() from None
    return team


def team_name_check(team: Team, name: str, *, by_admin: bool = False) -> None:
    """Whether a team may have a (cleaned) name. Admins may give reserved ones.

    Raises:
        InvalidInput: it cannot be read, would pass for the site or its staff, or looks like another
            team's.
    """
    if not 2 <= len(name) <= 60:
        raise errors.BAD_TEAM("A name has 2 to 60 characters.", field="team")
    problem = names.problem_of(name)
    if problem:
        raise errors.BAD_TEAM(problem, field="team")
    if Team.objects.filter(look=names.look_of(name)).exclude(pk=team.pk).exists():
        raise _taken()
    if names.is_reserved(name) and not by_admin:
        raise errors.BAD_TEAM("That name is kept for this site and what it measures.", field="team")


def _taken() -> DomainError:
    return errors.TEAM_TAKEN(field="team")


_INVITE_FIELDS = ["invite_code", "invite_until", "invited_by"]


def team_invite(team: Team, by: Any) -> Team:
    """A new link by which others may join, while the member who made it is one; an earlier one ends."""
    team.invite_code, team.invite_until = secrets.token_urlsafe(32), timezone.now() + INVITE_FOR
    team.invited_by = by
    team.save(update_fields=_INVITE_FIELDS)
    return team


def invite_end(team: Team) -> None:
    """Nobody can join by the link any more."""
    team.invite_code, team.invite_until, team.invited_by = "", None, None
    team.save(update_fields=_INVITE_FIELDS)


def invites_end(team_ids: Iterable[int]) -> None:
    """Somebody is out of these teams, in whatever way: they know the links, which end."""
    Team.objects.filter(pk__in=list(team_ids)).update(
        invite_code="", invite_until=None, invited_by=None
    )


def invite_link(team: Team) -> str:
    """The path by which others may join now; empty while there is none."""
    try:
        team_invited(team.invite_code)
    except NotFound:
        return ""
    return f"/account/teams/join/{team.invite_code}/"


def team_invited(code: str) -> Team:
    """The team whose link this is.

    Raises:
        NotFound: of none, or it has ended, or who made it is no member any more.
    """
    found = Team.objects.filter(
        invite_code=code, invite_until__gt=timezone.now(), members=F("invited_by"),
        invited_by__is_active=True,
    )  # fmt: skip
    team = found.first() if _CODE.fullmatch(code) else None
    if team is None:
        raise errors.INVITE_NOT_FOUND()
    return team


@transaction.atomic
def team_join(*, code: str, user: Any) -> Team:
    """Join by a link; who is in it already stays so.

    Raises:
        NotFound: the link has ended.
        Conflict: the team is full, or it and another of the user's are in one challenge.
        Forbidden: it would be too large for a challenge it is in.
    """
    team = Team.objects.select_for_update().get(pk=team_invited(code).pk)
    team_invited(code)  # still, now that nobody else can end it
    if team.members.filter(pk=user.pk).exists():
        return team
    if team.members.count() >= MOST_MEMBERS:
        raise errors.TEAM_FULL(f"A team has at most {MOST_MEMBERS} members.")
    team_size_check(team, 1, [user])
    team.members.add(user)
    return team


@transaction.atomic
def member_remove(*, team: Team, user_id: int, by: Any) -> None:
    """A member leaves, or another takes them out; what the team submitted stays the team's, and its
    invitation ends. A founder who leaves is followed by who has been in it longest.

    Raises:
        NotFound: `by` is no member any more, or there is no such member.
        Forbidden: another member would take the founder out.
        Conflict: it is the last one: nobody could act for the team any more.
    """
    team = Team.objects.select_for_update().get(pk=team.pk)
    in_it = set(team.members.values_list("pk", flat=True))
    if by.pk not in in_it or user_id not in in_it:
        raise errors.MEMBER_NOT_FOUND()
    if user_id == team.founder_id != by.pk:
        raise errors.FOUNDER_STAYS()
    if in_it == {user_id}:
        raise errors.LAST_MEMBER()
    team.members.remove(user_id)  # which ends the invitation (receivers)
    if user_id == team.founder_id:
        longest = team.members.through.objects.filter(team=team).order_by("pk").first()
        team.founder_id = longest.user_id if longest else None
        team.save(update_fields=["founder"])


def team_fits(challenge: Challenge, count: int) -> None:
    """
    Raises:
        Forbidden: so many members are too many for the challenge.
    """
    if count > challenge.team_size:
        raise errors.TEAM_TOO_LARGE(
            f"A team of “{challenge.title}” has at most {challenge.team_size} members.",
            team_size=challenge.team_size,
        )


def in_one_team(challenge: Challenge, team: Team, members: Iterable[Any]) -> None:
    """
    Raises:
        Conflict: one of the members is in the challenge with another team.
    """
    others = Participation.objects.filter(
        challenge=challenge, team__members__in=list(members)
    ).exclude(team=team)
    if others.exclude(state=Participation.State.LEFT).exists():
        raise errors.CHALLENGE_MEMBER_TWICE(
            f"A member of the team is in “{challenge.title}” with another team."
        )


def team_size_check(team: Team, adding: int = 1, users: Iterable[Any] = ()) -> None:
    """Whether a team may grow: every challenge it is in, and that is not over, has a cap. Call it in
    the transaction that adds the members, under the team's lock.

    Args:
        users: who is added, if known: nobody may be in one challenge with two teams.

    Raises:
        Forbidden: it would be too large for one of its challenges.
        Conflict: one of `users` is in such a challenge with another team.
    """
    running = Challenge.objects.filter(
        closes_at__gt=timezone.now(), participations__team=team, participations__state__in=ACTIVE
    )
    count = team.members.count() + adding
    for challenge in running:
        team_fits(challenge, count)
        in_one_team(challenge, team, users)


def members_check(team: Team, members: Iterable[Any]) -> None:
    """Whether a team may have just these members: who is new has to fit, as by an invitation. Call
    it in the transaction that saves them; the team is locked until its end.

    Raises:
        Forbidden, Conflict: as `team_size_check`.
    """
    Team.objects.select_for_update().get(pk=team.pk)
    wanted = list(members)
    before = set(team.members.values_list("pk", flat=True))
    added = [member for member in wanted if member.pk not in before]
    if added:
        team_size_check(team, len(wanted) - len(before), added)
