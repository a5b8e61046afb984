"""The console's pages. They work without JavaScript; scripts draw what comes live."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from inference.errors import DomainError, NotFound
from inference.tuning import selectors as tuning
from inference.tuning import services
from inference.tuning.downloads import Format, token_of
from inference.tuning.models import TuningRun
from inference.tuning.who import Who
from leaderboard.tuning import splits
from playground.replies import refused_as_text, with_retry
from playground.rewards.work import read_form
from playground.tuning import pictures, selectors, starting
from playground.tuning.forms import ADVANCED, MAIN, RunForm
from playground.tuning.links import GUIDE
from playground.tuning.selectors import RunView
from playground.tuning.starting import Outcome
from pricing import throttling
from pricing.callers import caller_of
from pricing.payers import payer_of

_ACTS = {
    "pause": services.run_pause, "resume": services.run_resume, "cancel": services.run_cancel,
}  # fmt: skip


def who_asks(request: HttpRequest) -> Who:
    """The account that is signed in, or the caller without one."""
    user = request.user if request.user.is_authenticated else None
    return Who(user, caller_of(request).digest, payer_of(request))


@never_cache
@require_safe
def runs(request: HttpRequest) -> HttpResponse:
    """The caller's runs."""
    page, rows = selectors.runs_page(who_asks(request), request.GET.get("page"))
    is_part = request.headers.get("X-Partial") == "latest"
    context = {"page": page, "rows": rows[:3] if is_part else rows, "guide": GUIDE}
    answer = render(request, f"playground/tuning/{'_latest' if is_part else 'index'}.html", context)
    answer["Vary"] = "X-Partial"
    return answer


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def start(request: HttpRequest) -> HttpResponse:
    """The form that starts a run: it checks, tries the reward on a few answers, and starts."""
    who, action = who_asks(request), request.POST.get("do", "")
    given: dict[str, Any] = {
        "variants": selectors.bases(who), "splits": splits(), "uploads": selectors.uploads(who),
    }  # fmt: skip
    if action not in ("check", "start"):
        initial = (
            starting.from_builder(read_form(request.POST.dict()))
            if request.method == "POST"
            else starting.from_preset(request.GET.get("reward", ""))
        )
        if "benchmark" in initial:
            names = [f"{s.benchmark.slug}/{s.name}" for s in given["splits"] if s.benchmark.slug == initial["benchmark"]]  # fmt: skip
            initial |= {"split": names[0]} if names else {"source": "world"}
        return _form_page(request, who, RunForm(initial=initial, **given), Outcome())
    form = RunForm(request.POST.dict(), request.FILES, **given)
    try:
        throttling.check(request)
    except DomainError as error:
        return _form_page(request, who, form, Outcome(error=error, status=error.status))
    outcome = starting.submit(form, who, starts=action == "start")
    if outcome.run is not None:
        return redirect("playground:tuning_run", outcome.run.pk)
    return _form_page(request, who, form, outcome)


def _form_page(request: HttpRequest, who: Who, form: RunForm, outcome: Outcome) -> HttpResponse:
    context = {
        "form": form, "outcome": outcome, "guide": GUIDE, "who": who,
        "main": [form[name] for name in MAIN], "advanced": [form[name] for name in ADVANCED],
        "advanced_is_open": any(name in form.errors for name in ADVANCED) if form.is_bound else False,
    }  # fmt: skip
    answer = render(request, "playground/tuning/start.html", context, status=outcome.status)
    return with_retry(answer, outcome.error)


def _run(request: HttpRequest, run_id: UUID) -> TuningRun:
    return tuning.run_get(run_id, who_asks(request))


@never_cache
@require_safe
def run(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """A run: how far it is, its figures, its answers; with `X-Partial` only what changes."""
    view = RunView(_run(request, run_id), _step(request.GET.get("step", "")))
    partial = request.headers.get("X-Partial", "")
    name = {"1": "_live.html", "rollouts": "_rollouts.html"}.get(partial, "run.html")
    answer = render(request, f"playground/tuning/{name}", {"view": view, "run": view.run, "guide": GUIDE})  # fmt: skip
    answer["Vary"] = "X-Partial"
    return answer


def _step(text: str) -> int | None:
    """
    Raises:
        Http404: an address names a step that cannot be.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and 0 < len(text) < 7 and int(text)):
        raise Http404
    return int(text)


@require_POST
def act(request: HttpRequest, run_id: UUID, name: str) -> HttpResponse:
    """Pause, resume, cancel, share or delete a run."""
    found = _run(request, run_id)
    if name == "delete":
        services.run_delete(run=found)
        return redirect("playground:tuning")
    if name not in (*_ACTS, "share"):
        raise Http404
    try:
        if name == "share":
            _share(request, found)
        else:
            _ACTS[name](run=found)
    except DomainError as error:  # it went on meanwhile: the page says how it is now
        messages.error(request, error.message)
    return redirect("playground:tuning_run", found.pk)


def _share(request: HttpRequest, found: TuningRun) -> None:
    shared = services.finetune_share(
        finetune=found.finetune, who=who_asks(request),
        visibility=request.POST.get("visibility", ""), card=request.POST.get("card", ""),
    )  # fmt: skip
    messages.success(request, f"Saved. Who may ask it: {shared.get_visibility_display().lower()}.")


@require_safe
def checkpoint(request: HttpRequest, run_id: UUID, step: int) -> HttpResponse:
    """Where a checkpoint's files are for an hour."""
    found = tuning.checkpoint_get(_run(request, run_id).finetune, min(step, 2**31 - 1))
    chosen: Format = "moondream" if request.GET.get("format") == "moondream" else "peft"
    try:
        token = token_of(found, chosen)
    except DomainError as error:
        raise Http404 from error
    return redirect(reverse("api-1:adapter_file", kwargs={"token": token}))


@require_safe
def picture(request: HttpRequest, token: str) -> HttpResponse:
    """The image that a question is about."""
    try:
        found = pictures.picture(token, who_asks(request))
    except NotFound:
        raise
    except DomainError as error:
        return refused_as_text(error)
    response = HttpResponse(found.data, content_type=found.kind)
    response["Cache-Control"] = "private, max-age=86400"
    response["X-Content-Type-Options"] = "nosniff"
    return response
