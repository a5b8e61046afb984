"""Pages of the shell itself: the style guide and the error pages."""

from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from inference.errors import INTERNAL_ERROR, Busy, DomainError
from inference.measurement import Measurement
from moondream_site import errors, problems


@require_safe
def styleguide(request: HttpRequest) -> HttpResponse:
    """Every component in every state; in debug mode or for staff."""
    if not (settings.DEBUG or getattr(request.user, "is_staff", False)):
        raise Http404
    figure = Measurement(22.4, "ms", "this style guide", provenance="sample")
    tokens = ["surface-0", "surface-1", "surface-2", "surface-3", "ink", "ink-2", "ink-3"]
    accents = ["blue", "purple", "teal", "green", "amber", "slate"]
    return render(
        request,
        "styleguide.html",
        {
            "figure": figure,
            "tokens": tokens,
            "accents": accents,
            "kinds": ["verified", "reproduced", "measured", "reported", "sample"],
        },
    )


def not_found(request: HttpRequest, exception: Any) -> HttpResponse:
    """404 in the reader's shape."""
    if problems.wants_json(request.path):
        return problems.problem(request.path, errors.NOT_FOUND())
    return render(request, "404.html", status=404)


def bad_request(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """400 in the reader's shape, also to who Django finds suspicious; the page needs no database.

    Args:
        exception: what was wrong; one of ours has a status of its own, and is told.
    """
    error = exception
    if isinstance(exception, RequestDataTooBig):
        error = errors.BODY_TOO_LARGE()
    elif not isinstance(exception, DomainError):
        error = errors.BAD_REQUEST()
    if problems.wants_json(request.path):
        return problems.problem(request.path, error)
    context = {"message": error.message, "status": error.status}
    return render(None, "400.html", context, status=error.status)  # type: ignore[arg-type]


def unavailable(request: HttpRequest, error: Busy) -> HttpResponse:
    """503 or 429 in the reader's shape, with when to come back; the page needs no database."""
    if problems.wants_json(request.path):
        return problems.problem(request.path, error)
    context = {"message": error.message, "hint": error.hint, "status": error.status}
    response = render(None, "503.html", context, status=error.status)  # type: ignore[arg-type]
    response["Retry-After"] = str(max(1, error.retry_after))
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    """500 in the reader's shape; the page needs no database."""
    if problems.wants_json(request.path):
        return problems.problem(request.path, INTERNAL_ERROR())
    return render(request, "500.html", status=500)
