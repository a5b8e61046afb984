"""Applying for research credits: a form in steps, and where an application stands."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from inference.errors import DomainError
from pricing import selectors, services
from pricing.application import missing as missing_of
from pricing.forms import STEPS

TRAP = "website"
"""A field that people do not see; programs that fill everything in are told that all is well."""


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def credits(request: HttpRequest) -> HttpResponse:  # noqa: A001  # its address
    """One's applications; begin one."""
    if request.method == "POST":
        try:
            begun = services.application_begin(user=request.user)
        except DomainError as error:
            messages.error(request, error.message)
            return redirect("credits")
        return redirect("credits_step", begun.pk, 1)
    context = {
        "applications": selectors.applications_of(request.user), "settings": selectors.settings_now(),
    }  # fmt: skip
    return render(request, "pricing/credits.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def step(request: HttpRequest, application_id: int, number: int) -> HttpResponse:
    """One step; what is written is kept, complete or not. The one after the last sends it in."""
    application = services.application_own(user=request.user, application_id=application_id)
    if not 1 <= number <= len(STEPS) + 1:
        raise Http404
    if not application.is_editable:
        return redirect("credits_application", application.pk)
    if number == len(STEPS) + 1:
        return _review(request, application)
    form = STEPS[number - 1](request.POST or None, instance=application)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("credits_step", application.pk, number + 1)
    status = 422 if request.method == "POST" else 200
    context = _context(application, number) | {
        "form": form,
        "heading": form.heading,
        "lede": form.lede,
        "needed": form.needed,
    }
    return render(request, "pricing/credits_step.html", context, status=status)


def _context(application: Any, number: int) -> dict[str, Any]:
    missing = missing_of(application)
    open_steps = {n for n, _ in missing}
    steps = [(n, s.heading, n not in open_steps) for n, s in enumerate(STEPS, 1)]
    return {"application": application, "number": number, "steps": steps, "missing": missing}


def _review(request: HttpRequest, application: Any) -> HttpResponse:
    context, status = _context(application, len(STEPS) + 1) | {"trap": TRAP}, 200
    if request.method == "POST":
        if request.POST.get(TRAP):
            return redirect("credits")
        try:
            services.application_submit(
                application=application, answer=request.POST.get("answer", "")
            )
        except DomainError as error:
            context |= {"error": error, "answer": request.POST.get("answer", "")}
            status = 422
        else:
            return redirect("credits_application", application.pk)
    rows = [
        (s.heading, n, [(str(f.label), s(instance=application)[f.name].value()) for f in s(instance=application)])
        for n, s in enumerate(STEPS, 1)
    ]  # fmt: skip
    asked = application.events.filter(kind="asked").last()
    return render(request, "pricing/credits_review.html", context | {"rows": rows, "asked": asked}, status=status)  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def application(request: HttpRequest, application_id: int) -> HttpResponse:
    """Where it stands: its place, what was decided, what was granted and used; report back."""
    found = services.application_own(user=request.user, application_id=application_id)
    context: dict[str, Any] = {}
    if request.method == "POST":
        try:
            services.application_report(application=found, text=request.POST.get("report", ""))
        except DomainError as error:
            context["error"] = error
        else:
            messages.success(request, "Your report is saved.")
            return redirect("credits_application", found.pk)
    context["standing"] = selectors.standing(found)
    return render(request, "pricing/credits_application.html", context, status=422 if "error" in context else 200)  # fmt: skip


@require_POST
@login_required
def withdraw(request: HttpRequest, application_id: int) -> HttpResponse:
    """Take it back."""
    found = services.application_own(user=request.user, application_id=application_id)
    services.application_withdraw(application=found)
    messages.success(request, "The application is withdrawn.")
    return redirect("credits")
