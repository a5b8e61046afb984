"""Replies that several of the playground's pages give."""

from typing import TypeVar

from django.http import HttpRequest, HttpResponse, JsonResponse

from inference.errors import Busy, DomainError
from playground.exports import Export, Recipe

_Reply = TypeVar("_Reply", bound=HttpResponse)


def with_retry(reply: _Reply, error: DomainError | None) -> _Reply:
    """The reply with when to come back, where the error says it."""
    if isinstance(error, Busy):
        reply["Retry-After"] = str(error.retry_after)
    return reply


def refused(error: DomainError) -> JsonResponse:
    """An error as scripts read it."""
    return with_retry(JsonResponse({"error": error.payload}, status=error.status), error)


def refused_as_text(error: DomainError) -> HttpResponse:
    """An error where the status alone is read, as of a picture."""
    reply = HttpResponse(error.message, status=error.status, content_type="text/plain")
    return with_retry(reply, error)


def attached(reply: _Reply, name: str) -> _Reply:
    """The reply as a file to keep."""
    reply["Content-Disposition"] = f'attachment; filename="{name}"'
    reply["X-Content-Type-Options"] = "nosniff"
    return reply


def code_reply(export: Export, recipe: Recipe) -> HttpResponse:
    """A recipe as a file of code."""
    kind = f"{export.media_type}; charset=utf-8"
    return attached(HttpResponse(export.write(recipe), content_type=kind), export.file_name(recipe))


def site_of(request: HttpRequest) -> str:
    """ "https://host" as the reader has it, without a slash at the end."""
    return f"{request.scheme}://{request.get_host()}"
