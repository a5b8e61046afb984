"""The form that asks several models, and what they answered."""

import contextlib
import dataclasses
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from inference.adapters import Asker
from inference.errors import DomainError, NotFound
from inference.images import ACCEPTED
from playground import errors
from playground import selectors as playground
from playground.comparison import selectors, services
from playground.comparison.pictures import picture
from playground.comparison.selectors import ComparisonView, GridView
from playground.exports import EXPORTS, Model
from playground.models import Run
from playground.recipes import recipe_of
from playground.replies import attached, code_reply, refused, site_of, with_retry
from playground.sessions import selectors as sessions
from playground.sessions.selectors import RunView
from playground.sessions.visitor import Visitor, visitor_of
from pricing import throttling
from pricing.auth import account_of
from pricing.callers import caller_of
from pricing.payers import payer_of


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def start(request: HttpRequest) -> HttpResponse:
    """Ask two to four models the same of one image."""
    visitor = visitor_of(request, make=request.method == "POST")
    given = request.POST if request.method == "POST" else request.GET
    again = _again(visitor, given.get("run", ""), given.get("link", ""))
    if request.method != "POST":
        return _form(request, again, _prefilled(again))
    try:
        throttling.check(request)
        group = request.POST.get("group", "")
        made = services.comparison_make(
            group=selectors.own_group(visitor, group) if group else None,
            fields=request.POST.dict(), models=request.POST.getlist("model"),
            file=request.FILES.get("image"), again=again, visitor=visitor,
            owner_key=caller_of(request).digest, account=lambda: account_of(request),
            payer=payer_of(request),
        )  # fmt: skip
    except DomainError as error:
        if not request.accepts("text/html"):
            return refused(error)
        entered = {**request.POST.dict(), "models": request.POST.getlist("model")}
        return with_retry(_form(request, again, entered, error), error)
    if not request.accepts("text/html"):
        grid = reverse("playground:grid", args=[made.group_id or made.pk])
        return visitor.remembered(request, JsonResponse({"id": made.pk, "grid": grid}, status=201))
    return visitor.remembered(request, redirect("playground:comparison", made.pk))


def _again(visitor: Visitor, run_id: str, token: str) -> Run | None:
    """The run whose question is asked again, if an address names one of the visitor's, or a link that shows
    one."""
    with contextlib.suppress(NotFound):
        if token:
            return sessions.share_get(token[:64]).run
        if run_id.isascii() and run_id.isdecimal() and len(run_id) < 18:
            return sessions.run_get(visitor, int(run_id))
    return None


def _prefilled(again: Run | None) -> dict[str, Any]:
    if again is None:
        return {"skill": "caption", "blind": "1"}
    view = RunView(again)
    return {
        "skill": view.job.skill, sessions.LINES[view.job.skill]: view.prompt,
        "models": [view.job.model_name], "blind": "1",
    }  # fmt: skip


def _form(request: HttpRequest, again: Run | None, entered: dict[str, Any], error: DomainError | None = None) -> HttpResponse:  # fmt: skip
    asker = Asker(caller_of(request).digest, lambda: account_of(request))
    models = selectors.choices(asker)
    if not entered.get("models"):
        entered["models"] = [model.name for model in models[: services.LEAST]]
    context = {
        "models": models, "entered": entered, "error": error, "again": RunView(again) if again else None,
        "link": (request.POST.get("link") or request.GET.get("link", "")) if again else "",
        "samples": playground.sample_cards(), "skills": playground.SKILLS, "accepted": ACCEPTED, "most_images": services.MOST_IMAGES,
    }  # fmt: skip
    status = error.status if error else 200
    return render(request, "playground/comparison/start.html", context, status=status)


@never_cache
@require_safe
def comparison(request: HttpRequest, comparison_id: str) -> HttpResponse:
    """The answers side by side."""
    view = selectors.comparison_get(visitor_of(request), comparison_id)
    context = {
        "view": view, "exports": EXPORTS.values(), "site": request.build_absolute_uri("/")[:-1],
        "shares": view.comparison.shares.open().filter(is_grid=False),
    }  # fmt: skip
    return render(request, "playground/comparison/comparison.html", context)


@never_cache
@require_safe
def grid(request: HttpRequest, comparison_id: str) -> HttpResponse:
    """The same question about several images."""
    view = selectors.grid_get(visitor_of(request), comparison_id)
    context = {
        "view": view, "site": request.build_absolute_uri("/")[:-1],
        "shares": view.group.shares.open().filter(is_grid=True),
    }  # fmt: skip
    return render(request, "playground/comparison/grid.html", context)


@require_POST
def grid_share(request: HttpRequest, comparison_id: str) -> HttpResponse:
    """Make a link to all of it."""
    group = selectors.own_group(visitor_of(request), comparison_id)
    try:
        services.grid_share_make(group=group, days=request.POST.get("days", ""))
    except NotFound:
        raise
    except DomainError as error:
        messages.error(request, f"{error.message} {error.hint}")
    else:
        messages.success(request, "The link is below.")
    return redirect("playground:grid", comparison_id)


@never_cache
@require_safe
def grid_file(request: HttpRequest, comparison_id: str, kind: str) -> HttpResponse:
    """The same as data: `json` or `csv`."""
    view = selectors.grid_get(visitor_of(request), comparison_id)
    return _data_file(view, view.data(), f"grid-{comparison_id}", kind)


def _data_file(view: ComparisonView | GridView, answers: list[dict[str, Any]], stem: str, kind: str) -> HttpResponse:  # fmt: skip
    reply: HttpResponse
    if kind == "csv":
        reply = HttpResponse(view.csv(), content_type="text/csv; charset=utf-8")
    else:
        reply = JsonResponse({"prompt": view.first.prompt, "answers": answers}, json_dumps_params={"indent": 2})  # fmt: skip
    return attached(reply, f"{stem}.{kind}")


@require_POST
def comparison_act(request: HttpRequest, comparison_id: str, name: str) -> HttpResponse:
    """Say which answer is better, show the names, or make a link."""
    visitor = visitor_of(request)
    found = selectors.comparison_get(visitor, comparison_id).comparison
    try:
        match name:
            case "prefer":
                chosen = request.POST.get("run", "")
                if chosen != "alike" and not (
                    chosen.isascii() and chosen.isdecimal() and len(chosen) < 18
                ):
                    raise errors.COMPARISON_NOT_FOUND()
                services.comparison_prefer(
                    comparison=found,
                    run_id=None if chosen == "alike" else int(chosen),
                    visitor=visitor,
                )
                messages.success(request, "Kept. These are the models.")
            case "names":
                services.comparison_name(comparison=found)
            case "share":
                services.share_make(comparison=found, days=request.POST.get("days", ""))
                messages.success(request, "The link is below.")
            case _:
                raise Http404
    except NotFound:
        raise
    except DomainError as error:  # it went on meanwhile: the page says how it is now
        messages.error(request, f"{error.message} {error.hint}")
    return redirect("playground:comparison", comparison_id)


@require_safe
def votes(request: HttpRequest) -> HttpResponse:
    """What visitors preferred, pair by pair."""
    return render(request, "playground/comparison/votes.html", {"pairs": selectors.pairs()})


@require_safe
def comparison_code(request: HttpRequest, comparison_id: str, language: str) -> HttpResponse:
    """Code that asks all of its models again, as a file."""
    view = selectors.comparison_get(visitor_of(request), comparison_id)
    export = EXPORTS.get(language)
    if export is None or view.is_hidden:
        raise Http404
    recipes = [
        recipe_of(
            column.view.job.pk, site=site_of(request), owner_key=caller_of(request).digest
        )
        for column in view.columns
    ]  # fmt: skip
    others = tuple(Model(r.model, r.revision, r.quantization) for r in recipes[1:])
    recipe = dataclasses.replace(recipes[0], others=others)
    return code_reply(export, recipe)


@never_cache
@require_safe
def comparison_file(request: HttpRequest, comparison_id: str, kind: str) -> HttpResponse:
    """The same as data, `json` or `csv`, or as a picture, `png`."""
    view = selectors.comparison_get(visitor_of(request), comparison_id)
    if view.is_hidden:
        raise Http404
    stem = f"comparison-{comparison_id}"
    if kind == "png":
        drawn = HttpResponse(picture(view, request.get_host()), content_type="image/png")
        return attached(drawn, f"{stem}.png")
    return _data_file(view, view.rows(), stem, kind)
