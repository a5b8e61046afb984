"""Pages of challenges: dates and standings for everybody, one's own team, submitting to one."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import add_never_cache_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from inference import page_cache
from inference.errors import DomainError
from leaderboard import selectors, services
from leaderboard.forms import ChallengeSubmitForm, JoinForm
from leaderboard.models import Challenge
from leaderboard.received import received_at
from leaderboard.views import SNIPPET, tell_checked

TOP = 10
"""Rows of the standings that another page shows."""


def _own(request: HttpRequest, challenge: Challenge, form: forms.Form | None = None) -> dict[str, Any]:  # fmt: skip
    """What the part about the reader's own team needs."""
    if not request.user.is_authenticated:
        return {"challenge": challenge}
    own = selectors.own(challenge, request.user)
    return {"challenge": challenge, "own": own, "form": form or JoinForm(user=request.user)}


def _page(request: HttpRequest, challenge: Challenge, form: forms.Form | None = None) -> HttpResponse:  # fmt: skip
    name, number = request.GET.get("phase", "")[:40], request.GET.get("page", "1")
    context = _own(request, challenge, form) | {
        "standings": selectors.standings(challenge, name, number),
        "benchmark": challenge.benchmark,
    }
    status = 422 if form is not None else 200
    return render(request, "leaderboard/challenge.html", context, status=status)


@require_safe
def challenge(request: HttpRequest, slug: str) -> HttpResponse:
    """A challenge with its standings; with HTMX those alone."""
    found = selectors.challenge_get(slug)
    if page_cache.wants_part(request):
        top = "top" in request.GET
        rows = selectors.standings(
            found, request.GET.get("phase", "")[:40], request.GET.get("page", "1"),
            **({"size": TOP} if top else {}),
        )  # fmt: skip
        context = {"challenge": found, "standings": rows, "top": top}
        response = render(request, "leaderboard/_standings.html", context)
    else:
        response = _page(request, found)
    response["Vary"] = "HX-Request"
    if request.user.is_authenticated:
        add_never_cache_headers(response)
    else:
        page_cache.keep(response)
    return response


@never_cache
@require_safe
def own(request: HttpRequest, slug: str) -> HttpResponse:
    """The reader's own team alone: other pages, which are the same for all, load it."""
    found = selectors.challenge_get(slug)
    return render(request, "leaderboard/_own.html", _own(request, found))


@require_POST
@login_required
def join(request: HttpRequest, slug: str) -> HttpResponse:
    """Enter a team."""
    found = selectors.challenge_get(slug)
    form = JoinForm(request.POST, user=request.user)
    if not form.is_valid():
        return _page(request, found, form)
    try:
        made = services.challenge_join(
            challenge=found, user=request.user, team=form.cleaned_data.get("team", ""),
            rules_accepted=form.cleaned_data["accept_rules"], received_at=received_at(request),
        )  # fmt: skip
    except DomainError as error:
        form.add_error(None, error.message)
        return _page(request, found, form)
    messages.success(request, f"{made.team.name}: {made.get_state_display().lower()}.")
    return redirect(found.get_absolute_url())


def _done(request: HttpRequest, challenge: Challenge, act: Callable[[], str]) -> HttpResponse:
    """Do something, and say on the challenge's page what, or why not."""
    try:
        messages.success(request, act())
    except DomainError as error:
        messages.error(request, error.message)
    return redirect(challenge.get_absolute_url())


@require_POST
@login_required
def leave(request: HttpRequest, slug: str) -> HttpResponse:
    """Take one's team out."""
    found = selectors.challenge_get(slug)

    def act() -> str:
        made = services.challenge_leave(
            challenge=found, user=request.user, received_at=received_at(request)
        )
        return f"{made.team.name} has left the challenge."

    return _done(request, found, act)


@require_POST
@login_required
def choose(request: HttpRequest, slug: str) -> HttpResponse:
    """Say which submission counts at the end; none leaves it to the rule."""
    found = selectors.challenge_get(slug)
    asked = request.POST.get("submission", "")
    try:
        chosen = UUID(asked) if asked else None
    except ValueError as error:
        raise Http404 from error

    def act() -> str:
        own = services.submission_own(submission_id=chosen, user=request.user) if chosen else None
        services.entry_choose(challenge=found, user=request.user, submission=own)
        return f"{own.model_name} counts at the end." if own else "The rule decides at the end."

    return _done(request, found, act)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def submit(request: HttpRequest, slug: str) -> HttpResponse:
    """The web form of a submission to a challenge, and how to do it from a notebook."""
    found = selectors.challenge_get(slug)
    form = ChallengeSubmitForm(request.POST or None, request.FILES or None)
    context: dict[str, Any] = {"challenge": found, "benchmark": found.benchmark, "form": form}
    received = received_at(request)
    try:
        team = services.team_in_seen(found, request.user)
        phase = services.phase_for(challenge=found, team=team, received_at=received)
    except DomainError as error:
        context["refused"] = error
        return render(request, "leaderboard/challenge_submit.html", context, status=error.status)
    context |= {
        "team": team, "phase": phase,
        "quota": services.quota_left(
            team=team, split=phase.split, phase=phase, user=request.user, at=received
        ),
        "example": json.dumps({"id": "…", **found.benchmark.rules.example}, ensure_ascii=False),
        "snippet": _snippet(request, found, phase.split.name),
    }  # fmt: skip
    if request.method == "POST" and form.is_valid():
        try:
            return redirect(_submitted(request, found, form))
        except DomainError as error:
            context["problem"] = error
            form.add_error(form.field_of(error), error.message)
    return render(request, "leaderboard/challenge_submit.html", context)


def _snippet(request: HttpRequest, challenge: Challenge, split: str) -> str:
    root = request.build_absolute_uri("/").rstrip("/")
    code = SNIPPET.format(root=root, slug=challenge.benchmark.slug, split=split)
    return code.replace('model_name="My model")', f'model_name="My model",\n                      challenge="{challenge.slug}")')  # fmt: skip


def _submitted(request: HttpRequest, challenge: Challenge, form: ChallengeSubmitForm) -> str:
    """Checked or taken; where to go on."""
    data = form.cleaned_data
    received = received_at(request)
    if "check" in request.POST:
        team = services.team_in(challenge, request.user)
        phase = services.phase_for(challenge=challenge, team=team, received_at=received)
        tell_checked(request, services.predictions_check(split=phase.split, file=data["file"].file))
        return request.path
    made = services.challenge_submit(
        challenge=challenge, user=request.user, card=services.card_read(data, request.user),
        file=data["file"].file, is_public=data["is_public"], received_at=received,
    )  # fmt: skip
    return made.get_absolute_url()
