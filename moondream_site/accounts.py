"""One's own account: what the rooms below keep of a person, on one page."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from inference.errors import InvalidInput
from leaderboard import selectors as leaderboard
from leaderboard import services as leaderboards


def display_name(user: Any) -> str:
    """How mails and pages address somebody: by the address that was signed up with."""
    return str(user.email or user.get_username())


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """Team, submissions, and the way to keys and passwords."""
    team = leaderboards.team_of(request.user)
    context = {"team": team, "error": ""}
    if request.method == "POST":
        try:
            leaderboards.team_rename(team=team, name=request.POST.get("team", ""))
        except InvalidInput as error:
            context["error"] = error.message
        else:
            messages.success(request, "The team has its new name.")
            return redirect("account")
    context["submissions"] = leaderboard.submissions_of(request.user)
    return render(request, "account/home.html", context, status=422 if context["error"] else 200)
