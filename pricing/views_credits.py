"""Applying for research credits: a form in steps, and where an application stands."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from inference.errors import DomainError
from pricing import errors, selectors, services
from pricing.application import missing as missing_of
from pricing.forms import STEPS, OutcomeForm
from pricing.models import CreditAttachment
from pricing.services.credit_files import ACCEPTED, MOST_BYTES, MOST_FILES

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
    context |= {
        "rows": rows, "asked": application.events.filter(kind="asked").last(),
        "attachments": list(application.attachments.all()), "accepted": ACCEPTED,
        "most_files": MOST_FILES, "most_mb": MOST_BYTES >> 20,
    }  # fmt: skip
    return render(request, "pricing/credits_review.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def application(request: HttpRequest, application_id: int) -> HttpResponse:
    """Where it stands: its place, what was decided, what was granted and used; report back."""
    found = services.application_own(user=request.user, application_id=application_id)
    context: dict[str, Any] = {"outcome_form": OutcomeForm()}
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
@never_cache
@login_required
def attach(request: HttpRequest, application_id: int) -> HttpResponse:
    """Send a file along."""
    found = services.application_own(user=request.user, application_id=application_id)
    file = request.FILES.get("file")
    try:
        if file is None or file.file is None:
            raise errors.BAD_ATTACHMENT("Choose a file first.", field="file")
        services.attachment_add(application=found, file=file.file, name=file.name or "")
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("credits_step", found.pk, len(STEPS) + 1)


@require_safe
@never_cache
@login_required
def attachment(request: HttpRequest, application_id: int, attachment_id: int) -> HttpResponse:
    """A file of one's own application."""
    found = services.application_own(user=request.user, application_id=application_id)
    return file_response(selectors.attachment_of(found, attachment_id))


def file_response(attachment: CreditAttachment) -> HttpResponse:
    """To be saved, never shown in this site's name: a stranger made it."""
    return HttpResponse(
        services.attachment_read(attachment=attachment), content_type=attachment.media_type,
        headers={
            "Content-Disposition": content_disposition_header(as_attachment=True, filename=attachment.name)
            or "attachment",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "X-Content-Type-Options": "nosniff",
        },
    )  # fmt: skip


@require_POST
@never_cache
@login_required
def detach(request: HttpRequest, application_id: int, attachment_id: int) -> HttpResponse:
    """Take a file back."""
    found = services.application_own(user=request.user, application_id=application_id)
    try:
        services.attachment_remove(application=found, attachment_id=attachment_id)
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("credits_step", found.pk, len(STEPS) + 1)


@require_POST
@never_cache
@login_required
def outcome(request: HttpRequest, application_id: int) -> HttpResponse:
    """Something that came of a grant."""
    found = services.application_own(user=request.user, application_id=application_id)
    form = OutcomeForm(request.POST)
    if form.is_valid():
        try:
            services.outcome_add(application=found, **form.cleaned_data)
        except DomainError as error:
            form.add_error(error.extra.get("field"), error.message)
        else:
            return redirect("credits_application", found.pk)
    context = {"standing": selectors.standing(found), "outcome_form": form}
    return render(request, "pricing/credits_application.html", context, status=422)


@require_POST
@never_cache
@login_required
def outcome_remove(request: HttpRequest, application_id: int, outcome_id: int) -> HttpResponse:
    """It was noted by mistake."""
    found = services.application_own(user=request.user, application_id=application_id)
    services.outcome_remove(application=found, outcome_id=outcome_id)
    return redirect("credits_application", found.pk)


@require_POST
@login_required
def withdraw(request: HttpRequest, application_id: int) -> HttpResponse:
    """Take it back."""
    found = services.application_own(user=request.user, application_id=application_id)
    services.application_withdraw(application=found)
    messages.success(request, "The application is withdrawn.")
    return redirect("credits")
