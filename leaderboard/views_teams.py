"""Pages of one's own teams: who is in them, and how others join."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from inference.errors import DomainError, InvalidInput
from leaderboard import services
from leaderboard.models import Team


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def team(request: HttpRequest, team_id: int) -> HttpResponse:
    """A team's members, its invitation, its name."""
    own = services.team_own(user=request.user, team_id=team_id)
    error = ""
    if request.method == "POST":
        try:
            services.team_rename(team=own, name=request.POST.get("team", ""))
        except InvalidInput as refused:
            error = refused.message
        else:
            messages.success(request, "The team has its new name.")
            return redirect("team", team_id)
    link = services.invite_link(own)
    context = {
        "team": own, "members": own.members.order_by("pk"), "error": error,
        "link": request.build_absolute_uri(link) if link else "",
    }  # fmt: skip
    return render(request, "leaderboard/team.html", context, status=422 if error else 200)


@require_POST
@login_required
def invite(request: HttpRequest, team_id: int, action: str) -> HttpResponse:
    """Make a new link to join by, or end it."""
    own = services.team_own(user=request.user, team_id=team_id)
    if action == "invite":
        services.team_invite(own, request.user)
    else:
        services.invite_end(own)
    return redirect("team", team_id)


@require_POST
@login_required
def remove(request: HttpRequest, team_id: int, user_id: int) -> HttpResponse:
    """Take a member out, or leave."""
    own = services.team_own(user=request.user, team_id=team_id)
    left = user_id == request.user.pk
    try:
        services.member_remove(team=own, user_id=user_id, by=request.user)
    except DomainError as error:
        messages.error(request, f"{error.message} {error.hint}")
        return redirect("team", team_id)
    done = f"You left {own.name}." if left else "The member is out; the team's link has ended."
    messages.success(request, done)
    return redirect("account") if left else redirect("team", team_id)


def _default(request: HttpRequest, joined: Team) -> str:
    """What a notebook that names no team goes on to do."""
    default = services.team_of(request.user)
    if default == joined:
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
