"""One's own account: what the rooms below keep of a person, on one page."""

from typing import Any

from allauth.socialaccount.adapter import get_adapter
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from leaderboard import selectors as leaderboard
from pricing import selectors as billing
from pricing import services as pricing


def display_name(user: Any) -> str:
    """How mails and pages address somebody: by the address that was signed up with."""
    return str(user.email or user.get_username())


@require_safe
@never_cache
@login_required
def account(request: HttpRequest) -> HttpResponse:
    """Teams, submissions, and the way to keys and passwords."""
    context = {
        "teams": leaderboard.teams_of(request.user),
        "submissions": leaderboard.submissions_of(request.user),
        "pending": pricing.deletion_pending(request.user),
        "providers": [provider.name for provider in get_adapter().list_providers(request)],
        "has_billing": billing.has_billing(request.user),
    }
    return render(request, "account/home.html", context)
