"""Pages of the shell itself: the style guide and the error pages."""

from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from inference.errors import DomainError
from inference.measurement import Measurement
from moondream_site import problems


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
        error = {
            "message": "There is nothing at this address.",
            "type": "not_found_error",
            "code": "not_found",
        }
        return JsonResponse({"error": error}, status=404)
    return render(request, "404.html", status=404)


def bad_request(request: HttpRequest, exception: Any = None, *, status: int = 400) -> HttpResponse:
    """400 in the reader's shape, also to who Django finds suspicious; the page needs no database.

    Args:
        exception: what was wrong; a text of ours is told.
    """
    message = exception if isinstance(exception, str) else "The request cannot be read."
    if problems.wants_json(request.path):
        code = "not_found" if status == 404 else "bad_request"
        return problems.problem(request.path, DomainError(message, code=code, status=status))
    return render(None, "400.html", {"message": message, "status": status}, status=status)  # type: ignore[arg-type]


def server_error(request: HttpRequest) -> HttpResponse:
    """500 in the reader's shape; the page needs no database."""
    if problems.wants_json(request.path):
        error = {
            "message": "Something broke on our side.",
            "type": "server_error",
            "code": "internal_error",
        }
        return JsonResponse({"error": error}, status=500)
    return render(request, "500.html", status=500)
