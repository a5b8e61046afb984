"""The form that asks several models, and what they answered."""

import contextlib
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from inference.adapters import Asker
from inference.errors import Busy, DomainError, NotFound
from inference.images import ACCEPTED
from playground import selectors as playground
from playground.comparison import selectors, services
from playground.models import Run
from playground.sessions import selectors as sessions
from playground.sessions.selectors import RunView
from playground.sessions.visitor import Visitor, visitor_of
from pricing import throttling
from pricing.auth import account_of
from pricing.callers import caller_of


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def start(request: HttpRequest) -> HttpResponse:
    """Ask two to four models the same of one image."""
    visitor = visitor_of(request, make=request.method == "POST")
    again = _again(visitor, request.POST.get("run") or request.GET.get("run", ""))
    if request.method != "POST":
        return _form(request, again, _prefilled(again))
    try:
        throttling.check(request)
        made = services.comparison_make(
            fields=request.POST.dict(), models=request.POST.getlist("model"),
            file=request.FILES.get("image"), again=again, visitor=visitor,
            owner_key=caller_of(request).digest, account=lambda: account_of(request),
        )  # fmt: skip
    except DomainError as error:
        entered = {**request.POST.dict(), "models": request.POST.getlist("model")}
        answer = _form(request, again, entered, error)
        if isinstance(error, Busy):
            answer["Retry-After"] = str(error.retry_after)
        return answer
    return visitor.remembered(request, redirect("playground:comparison", made.pk))


def _again(visitor: Visitor, run_id: str) -> Run | None:
    """The saved run whose question is asked again, if an address names one of the visitor's."""
    if run_id.isascii() and run_id.isdecimal() and len(run_id) < 18:
        with contextlib.suppress(NotFound):
            return sessions.run_get(visitor, int(run_id))
    return None


def _prefilled(again: Run | None) -> dict[str, Any]:
    if again is None:
        return {"skill": "caption"}
    view = RunView(again)
    return {
        "skill": view.job.skill, sessions.LINES[view.job.skill]: view.prompt,
        "models": [view.job.model_name],
    }  # fmt: skip


def _form(request: HttpRequest, again: Run | None, entered: dict[str, Any], error: DomainError | None = None) -> HttpResponse:  # fmt: skip
    asker = Asker(caller_of(request).digest, lambda: account_of(request))
    models = selectors.choices(asker)
    if not entered.get("models"):
        entered["models"] = [model.name for model in models[: services.LEAST]]
    context = {
        "models": models, "entered": entered, "error": error, "again": RunView(again) if again else None,
        "samples": playground.sample_cards(), "skills": playground.SKILLS, "accepted": ACCEPTED,
    }  # fmt: skip
    status = error.status if error else 200
    return render(request, "playground/comparison/start.html", context, status=status)


@never_cache
@require_safe
def comparison(request: HttpRequest, comparison_id: str) -> HttpResponse:
    """The answers side by side."""
    view = selectors.comparison_get(visitor_of(request), comparison_id)
    return render(request, "playground/comparison/comparison.html", {"view": view})


@never_cache
@require_safe
def comparison_file(request: HttpRequest, comparison_id: str, kind: str) -> HttpResponse:
    """The same as data: `json` or `csv`."""
    view = selectors.comparison_get(visitor_of(request), comparison_id)
    name = f"comparison-{comparison_id}.{kind}"
    if kind == "csv":
        answer = HttpResponse(view.csv(), content_type="text/csv; charset=utf-8")
    else:
        answer = JsonResponse({"prompt": view.first.prompt, "answers": view.rows()}, json_dumps_params={"indent": 2})  # fmt: skip
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
