"""Teams: who an entry belongs to. Who may do what in one is a table, `leaderboard.roles`."""

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
from leaderboard import errors, names, roles
from leaderboard.models import Challenge, Membership, Participation, Role, Team
from leaderboard.roles import Act
from pricing.services import check_staying

MOST_MEMBERS = 20
INVITE_FOR = timedelta(days=14)
_CODE = re.compile(r"[\w-]{20,43}", re.ASCII)
ACTIVE = (Participation.State.PENDING, Participation.State.ACCEPTED)


OUR_TEAM = "Moondream hub"


def our_team() -> Team:
    """The team that what we run ourselves belongs to."""
    return Team.objects.get_or_create(name=OUR_TEAM, defaults={"is_ours": True})[0]


def teams_joined(user: Any, act: Act = Act.SEE) -> QuerySet[Team]:
    """A user's teams in the order in which they came in. The first is what they submit for unless they
    name another: who accepts an invitation goes on to submit for the same.

    Args:
        act: those alone in which they may do this.
    """
    mine = Membership.objects.filter(user=user.pk, role__in=roles.roles_for(act))
    joined = mine.filter(team=OuterRef("pk")).values("pk")[:1]
    return Team.objects.filter(pk__in=mine.values("team")).order_by(Subquery(joined))


def team_of(user: Any, name: str = "", act: Act = Act.SUBMIT) -> Team:
    """One of a user's teams by its name, by default the one they have been in longest and may act for; made
    when there is none, under a name that gives nothing away.

    Raises:
        InvalidInput: the user is in no team of that name.
        Forbidden: their role in it does not allow `act`.
    """
    if name:
        named = Team.objects.filter(memberships__user=user.pk, name__iexact=name.strip())
        found = named.first() if "\x00" not in name else None
        if found is None:
            raise errors.NOT_YOUR_TEAM(field="team")
        roles.check(found, user, act)
        return found
    team = teams_joined(user, act).first()
    return team if team is not None else _first_team(user, act)


def team_seen(user: Any, name: str = "") -> Team | None:
    """The same for who only looks: reading makes no team, so it is None before the first.

    Raises:
        InvalidInput: the user is in no team of that name.
    """
    return team_of(user, name, Act.SEE_WORK) if name else teams_joined(user, Act.SUBMIT).first()


@transaction.atomic
def _first_team(user: Any, act: Act) -> Team:
    get_user_model().objects.select_for_update().get(pk=user.pk)  # two first requests, one team
    team = teams_joined(user, act).first()
    if team is None:
        team = Team.objects.create(name=f"team-{secrets.token_hex(4)}")
        Membership.objects.create(team=team, user=user, role=Role.OWNER)
    return team


def team_own(*, user: Any, team_id: int, act: Act = Act.SEE) -> Team:
    """
    Raises:
        NotFound: the user is in no such team.
        Forbidden: their role in it does not allow `act`.
    """
    team = Team.objects.filter(pk=team_id, memberships__user=user.pk).first()
    if team is None:
        raise errors.TEAM_NOT_FOUND()
    roles.check(team, user, act)
    return team


def team_rename(*, team: Team, name: str, by: Any = None) -> Team:
    """
    Args:
        by: who wants it; None: this site itself.

    Raises:
        InvalidInput: as `team_name_check`.
        Forbidden: the role of `by` does not allow it.
    """
    if by is not None:
        roles.check(team, by, Act.RENAME)
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


_INVITE_FIELDS = ["invite_code", "invite_until", "invited_by", "invite_role"]


def team_invite(team: Team, by: Any, role: str = Role.MEMBER) -> Team:
    """A new link by which others may join, while who made it may invite; an earlier one ends.

    Raises:
        InvalidInput: no such role.
        Forbidden: the role of `by` does not allow it.
    """
    if role not in Role.values:
        raise errors.ROLE_UNKNOWN(field="role")
    roles.check(team, by, Act.INVITE)
    team.invite_code, team.invite_until = secrets.token_urlsafe(32), timezone.now() + INVITE_FOR
    team.invited_by, team.invite_role = by, role
    team.save(update_fields=_INVITE_FIELDS)
    return team


def invite_end(team: Team, by: Any) -> None:
    """Nobody can join by the link any more.

    Raises:
        Forbidden: the role of `by` does not allow it.
    """
    roles.check(team, by, Act.INVITE)
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
        NotFound: of none, or it has ended, or who made it may not invite any more.
    """
    found = Team.objects.filter(
        invite_code=code, invite_until__gt=timezone.now(), memberships__user=F("invited_by"),
        memberships__role__in=roles.roles_for(Act.INVITE), invited_by__is_active=True,
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
        Conflict: the team is full, or it and another of the user's are in one challenge; or the user's account is
            to be deleted.
        Forbidden: it would be too large for a challenge it is in.
    """
    team = Team.objects.select_for_update().get(pk=team_invited(code).pk)
    team_invited(code)  # still, now that nobody else can end it
    if team.members.filter(pk=user.pk).exists():
        return team
    if team.members.count() >= MOST_MEMBERS:
        raise errors.TEAM_FULL(f"A team has at most {MOST_MEMBERS} members.")
    team_size_check(team, 1, [user])
    check_staying(user)
    Membership.objects.create(team=team, user=user, role=team.invite_role)
    return team


@transaction.atomic
def member_remove(*, team: Team, user_id: int, by: Any) -> None:
    """A member leaves, or an owner takes them out; what the team submitted stays the team's, and its
    invitation ends. They have no access from then on.

    Raises:
        NotFound: `by` is no member any more, or there is no such member.
        Forbidden: the role of `by` does not allow to take others out.
        Conflict: it is the last owner, or the last one at all: nobody could act for the team any more.
    """
    team = Team.objects.select_for_update().get(pk=team.pk)
    member = _member(team, user_id, by)
    if member.user_id != by.pk:
        roles.check(team, by, Act.MANAGE)
    if team.memberships.count() == 1:
        raise errors.LAST_MEMBER()
    _keep_an_owner(team, member)
    member.delete()  # which ends the invitation (receivers)


@transaction.atomic
def member_role_set(*, team: Team, user_id: int, role: str, by: Any) -> Membership:
    """Give a member another role. An invitation by who may not invite any more ends by it.

    Raises:
        InvalidInput: no such role.
        NotFound: `by` is no member any more, or there is no such member.
        Forbidden: the role of `by` does not allow it.
        Conflict: it is the last owner.
    """
    if role not in Role.values:
        raise errors.ROLE_UNKNOWN(field="role")
    team = Team.objects.select_for_update().get(pk=team.pk)
    member = _member(team, user_id, by)
    roles.check(team, by, Act.MANAGE)
    if role != Role.OWNER:
        _keep_an_owner(team, member)
    member.role = role
    member.save(update_fields=["role"])
    if team.invited_by_id == user_id and role not in roles.roles_for(Act.INVITE):
        invites_end([team.pk])
    return member


def _member(team: Team, user_id: int, by: Any) -> Membership:
    """
    Raises:
        NotFound: one of the two is not in the team.
    """
    found = {m.user_id: m for m in team.memberships.filter(user__in=[user_id, by.pk])}
    if by.pk not in found or user_id not in found:
        raise errors.MEMBER_NOT_FOUND()
    return found[user_id]


def _keep_an_owner(team: Team, leaving: Membership) -> None:
    others = team.memberships.filter(role=Role.OWNER).exclude(pk=leaving.pk)
    if leaving.role == Role.OWNER and not others.exists():
        raise errors.LAST_OWNER()


def owners_ensure(team_ids: Iterable[int]) -> None:
    """Teams that have members and no owner, in whatever way they came to it, get one: who has been in it
    longest, of members before others."""
    without = Team.objects.filter(pk__in=list(team_ids)).exclude(memberships__role=Role.OWNER)
    for team in without:
        in_it = team.memberships.order_by("pk")
        longest = in_it.filter(role=Role.MEMBER).first() or in_it.first()
        if longest is not None:
            Membership.objects.filter(pk=longest.pk).update(role=Role.OWNER)


def teams_in_need(user: Any) -> list[Team]:
    """Teams that would have nobody to run them if this owner went, and have others."""
    owned = Membership.objects.filter(user=user.pk, role=Role.OWNER).values("team")
    others = Membership.objects.exclude(user=user.pk)
    return list(
        Team.objects.filter(pk__in=owned, is_ours=False)
        .filter(pk__in=others.values("team"))
        .exclude(pk__in=others.filter(role=Role.OWNER).values("team"))
    )


@transaction.atomic
def member_gone(*, team: Team, user: Any) -> None:
    """A member's account is erased; somebody else runs the team (receivers)."""
    Team.objects.select_for_update().get(pk=team.pk)
    for member in Membership.objects.filter(team=team, user=user.pk):
        member.delete()


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


def members_set(*, team: Team, members: Iterable[tuple[Any, str]]) -> None:
    """Let a team have just these members (an admin's form; see `members_check`).

    Args:
        members: each with a role; an empty one is the role that they have, or a member's.
    """
    wanted = {user.pk: role for user, role in members}
    # Owners first: nobody else is made one meanwhile.
    for user_id, role in sorted(wanted.items(), key=lambda item: item[1] != Role.OWNER):
        made, is_new = Membership.objects.get_or_create(
            team=team, user_id=user_id, defaults={"role": role or Role.MEMBER}
        )
        if not is_new and role and made.role != role:
            made.role = role
            made.save(update_fields=["role"])
    for gone in team.memberships.exclude(user__in=list(wanted)):
        gone.delete()
    owners_ensure([team.pk])


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
