"""Pages of one's own teams: who is in them, and how others join."""

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from inference.errors import DomainError, Forbidden, InvalidInput
from leaderboard import roles, selectors, services
from leaderboard.models import Role, Team
from leaderboard.roles import Act


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def team(request: HttpRequest, team_id: int) -> HttpResponse:
    """A team's members and their roles, its invitation, its name, and what it used."""
    own = services.team_own(user=request.user, team_id=team_id)
    error = ""
    if request.method == "POST":
        try:
            services.team_rename(team=own, name=request.POST.get("team", ""), by=request.user)
        except (InvalidInput, Forbidden) as refused:
            error = refused.message
        else:
            messages.success(request, "The team has its new name.")
            return redirect("team", team_id)
    may = roles.acts_of(own, request.user)
    link = services.invite_link(own) if Act.INVITE in may else ""
    members = list(own.memberships.select_related("user"))
    context = {
        "team": own, "members": members, "error": error, "may": {str(act) for act in may}, "roles": Role.choices,
        "mine": next((m for m in members if m.user_id == request.user.pk), None),
        "owners": sum(m.role == Role.OWNER for m in members),
        "use": selectors.use_of_team(own) if Act.SEE_USE in may else [],
        "kept_by": services.team_kept_by(own) if Act.DISSOLVE in may else "",
        "holds": services.team_holds(own) if Act.DISSOLVE in may else [],
        "table": [(Role(role).label, [act in acts for act in ROWS]) for role, acts in roles.MAY.items()],
        "acts": list(ROWS.values()),
        "link": request.build_absolute_uri(link) if link else "",
    }  # fmt: skip
    return render(request, "leaderboard/team.html", context, status=422 if error else 200)


ROWS = {
    Act.SUBMIT: "Submit, show and withdraw", Act.COMPETE: "Take part in challenges",
    Act.SEE_WORK: "See private submissions", Act.SEE_USE: "See what was used", Act.RENAME: "Rename",
    Act.INVITE: "Invite", Act.MANAGE: "Change roles, take out", Act.DISSOLVE: "Dissolve the team",
}  # fmt: skip
"""What the page tells of `roles.MAY`."""


@require_POST
@login_required
def invite(request: HttpRequest, team_id: int, action: str) -> HttpResponse:
    """Make a new link to join by, or end it."""
    own = services.team_own(user=request.user, team_id=team_id)

    def act() -> str:
        if action == "invite":
            services.team_invite(own, request.user, request.POST.get("role", Role.MEMBER))
        else:
            services.invite_end(own, request.user)
        return ""

    return _done(request, own, act)


@require_POST
@login_required
def role(request: HttpRequest, team_id: int, user_id: int) -> HttpResponse:
    """Give a member another role."""
    own = services.team_own(user=request.user, team_id=team_id)

    def act() -> str:
        made = services.member_role_set(
            team=own, user_id=user_id, role=request.POST.get("role", ""), by=request.user
        )
        return f"Their role is {made.get_role_display().lower()} now."

    return _done(request, own, act)


@require_POST
@login_required
def remove(request: HttpRequest, team_id: int, user_id: int) -> HttpResponse:
    """Take a member out, or leave."""
    own = services.team_own(user=request.user, team_id=team_id)
    left = user_id == request.user.pk

    def act() -> str:
        services.member_remove(team=own, user_id=user_id, by=request.user)
        return f"You left {own.name}." if left else "The member is out; the team's link has ended."

    return _done(request, own, act, after="account" if left else "")


@require_POST
@login_required
def dissolve(request: HttpRequest, team_id: int) -> HttpResponse:
    """Delete a team with all that it submitted, where nothing keeps it."""
    own = services.team_own(user=request.user, team_id=team_id)

    def act() -> str:
        services.team_dissolve(team=own, typed=request.POST.get("typed", ""), by=request.user)
        return f"{own.name} is dissolved."

    return _done(request, own, act, after="account")


def _done(
    request: HttpRequest, own: Team, act: Callable[[], str], *, after: str = ""
) -> HttpResponse:
    """Do it, say so or why not, and show the team again, or `after` if it worked.

    Raises:
        Forbidden: the role does not allow it.
    """
    try:
        told = act()
    except Forbidden as error:
        if error.code == "role_forbids":  # pages do not offer it: it was asked for by hand
            return render(request, "leaderboard/forbidden.html", {"error": error, "team": own}, status=403)  # fmt: skip
        messages.error(request, error.whole)
    except DomainError as error:
        messages.error(request, error.whole)
    else:
        if told:
            messages.success(request, told)
        if after:
            return redirect(after)
    return redirect("team", own.pk)


def _default(request: HttpRequest, joined: Team) -> str:
    """What a notebook that names no team goes on to do."""
    default = services.team_of(request.user)
    if default == joined or Act.SUBMIT not in roles.acts_of(joined, request.user):
        return ""
    return (
        f" What names no team goes on to count for {default.name}: to submit for {joined.name}, choose "
        f"it in the form, or write team={joined.name!r} in your notebook."
    )


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def join(request: HttpRequest, code: str) -> HttpResponse:
    """Where an invitation leads: who invites, and one button."""
    context: dict[str, object] = {}
    try:
        context["team"] = services.team_invited(code)
        if request.method == "POST":
            joined = services.team_join(code=code, user=request.user)
            messages.success(request, f"You are in {joined.name}.{_default(request, joined)}")
            return redirect("team", joined.pk)
    except DomainError as error:
        context["error"] = error
    return render(
        request, "leaderboard/join.html", context, status=404 if "error" in context else 200
    )
