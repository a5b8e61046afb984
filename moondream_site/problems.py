"""One error as the reader of an address expects it: OpenAI's shape below `/v1`, below `/api` a problem
(RFC 9457)."""

import json
import math
import re

from django.http import HttpResponse

from inference.errors import Busy, DomainError, openai_body

_OPENAI = re.compile(r"/+v1(/|$)")
_PROGRAMS = re.compile(r"/+(v1|api)(/|$)")


def wants_json(path: str) -> bool:
    """Whether an address is read by programs."""
    return _PROGRAMS.match(path) is not None


def _shaped(path: str, error: DomainError) -> tuple[str, bytes]:
    """An error's content type and body. Its hint is a field of its own, and a part of the text that
    clients show."""
    if _OPENAI.match(path):
        return "application/json", json.dumps({"error": openai_body(error)}).encode()
    problem = {
        "type": f"urn:moondream:problem:{error.code}", "title": error.kind.title,
        "status": error.status, "detail": _detail(error), "code": error.code, "hint": error.hint,
        **error.extra,
    }  # fmt: skip
    return "application/problem+json", json.dumps(problem).encode()


def _detail(error: DomainError) -> str:
    """What is particular this time; the title is not said twice."""
    return error.hint or error.message if error.message == error.kind.title else error.whole


def problem(path: str, error: DomainError) -> HttpResponse:
    """An error as a response."""
    kind, body = _shaped(path, error)
    response = HttpResponse(body, content_type=kind, status=error.status)
    if isinstance(error, Busy):
        response["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return response
