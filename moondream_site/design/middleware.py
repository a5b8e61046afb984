"""Errors of the domain on pages."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from inference.errors import Busy, NotFound
from moondream_site.design.views import not_found, unavailable


class ErrorPages:
    """Middleware: what a view's selectors or services did not find is a 404 page; what they need and is
    away, as the file storage, is one with 503 or 429. The API has its own handler, and never comes
    here. Synchronous, as all of them are (see `moondream_site.api.MethodNotAllowed`)."""

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, Busy):
            return unavailable(request, error)
        missing = isinstance(error, NotFound) or _is_no_id(request, error)
        return not_found(request, error) if missing else None


def _is_no_id(request: HttpRequest, error: Exception) -> bool:
    """Whether an admin's page was asked for an object by something that is no number: Wagtail's
    choosers look it up as it came."""
    return (
        isinstance(error, ValueError)
        and "expected a number but got" in str(error)
        and request.path.startswith(("/admin/", "/django-admin/"))
    )
