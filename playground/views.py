"""The playground, as a page, as a bare panel for the dialog, and without JavaScript."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from inference.errors import DomainError
from playground import selectors, services
from pricing.throttling import AddressThrottle, too_many


@require_http_methods(["GET", "HEAD", "POST"])
def index(request: HttpRequest) -> HttpResponse:
    """The page; its form works without JavaScript by posting here."""
    context: dict[str, Any] = {"playground": selectors.playground()}
    if request.method != "POST":
        return render(request, "playground/index.html", context)
    try:
        _throttle(request)
        job = services.ask(fields=request.POST, file=request.FILES.get("image"))
    except DomainError as error:
        context |= {"error": error, "entered": request.POST}
        return render(request, "playground/index.html", context, status=error.status)
    return redirect("playground:job", job_id=job.id)


def _throttle(request: HttpRequest) -> None:
    throttle = AddressThrottle()
    if not throttle.allow_request(request):
        raise too_many(throttle.wait())


@require_GET
def panel(request: HttpRequest) -> HttpResponse:
    """The panel alone."""
    return render(request, "playground/_panel.html", {"playground": selectors.playground()})


@require_GET
def job(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """One answer as a page, for readers without JavaScript; it reloads until there is one."""
    return render(request, "playground/job.html", {"answer": selectors.answer(job_id)})
