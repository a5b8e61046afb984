"""Who may do what in a team: one table, which services, API and pages ask."""

from enum import StrEnum
from typing import Any

from leaderboard import errors
from leaderboard.models import Membership, Role, Team


class Act(StrEnum):
    """What somebody does for a team."""

    SEE = "see"
    """Its members, and that it is there."""
    SEE_WORK = "see_work"
    """What it submitted, also what is private."""
    SUBMIT = "submit"
    """Submit in its name, show, hide and withdraw."""
    COMPETE = "compete"
    """Join and leave challenges, and choose what counts."""
    SEE_USE = "see_use"
    """What its members used of its submissions."""
    RENAME = "rename"
    INVITE = "invite"
    MANAGE = "manage"
    """Give others a role, and take them out."""
    DISSOLVE = "dissolve"


MAY: dict[Role, frozenset[Act]] = {
    Role.OWNER: frozenset(Act),
    Role.MEMBER: frozenset({Act.SEE, Act.SEE_WORK, Act.SUBMIT, Act.COMPETE, Act.SEE_USE}),
    Role.BILLING: frozenset({Act.SEE, Act.SEE_USE}),
}
"""The table. Leaving is everybody's own, but for the last owner."""


def roles_for(act: Act) -> list[str]:
    """Roles that may do it, as a query names them."""
    return [role.value for role, acts in MAY.items() if act in acts]


def acts_of(team: Team, user: Any) -> frozenset[Act]:
    """What somebody may do for a team; nothing for who is not in it."""
    mine = Membership.objects.filter(team=team, user=user.pk).values_list("role", flat=True).first()
    return MAY[Role(mine)] if mine else frozenset()


def check(team: Team, user: Any, act: Act) -> None:
    """
    Raises:
        NotFound: they are not in the team.
        Forbidden: their role does not allow it.
    """
    acts = acts_of(team, user)
    if not acts:
        raise errors.TEAM_NOT_FOUND()
    if act not in acts:
        raise errors.ROLE_FORBIDS()
