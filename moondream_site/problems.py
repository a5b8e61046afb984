"""One error as the reader of an address expects it: OpenAI's shape below `/v1`, elsewhere a problem
(RFC 9457)."""

import json
import math
from typing import Any

from django.http import HttpResponse

from inference.errors import Busy, DomainError

_TYPES = {
    400: "invalid_request_error", 403: "permission_error", 401: "authentication_error", 404: "not_found_error",
    408: "invalid_request_error", 409: "conflict_error", 413: "invalid_request_error", 414: "invalid_request_error",
    415: "invalid_request_error", 422: "invalid_request_error", 429: "rate_limit_error", 503: "overloaded_error",
    504: "timeout_error",
}  # fmt: skip


def wants_json(path: str) -> bool:
    """Whether an address is read by programs."""
    return path.startswith(("/v1", "/api/"))


def shaped(path: str, error: DomainError) -> tuple[str, bytes]:
    """An error's content type and body."""
    if path.startswith("/v1"):
        body: dict[str, Any] = {
            "message": error.message, "type": _TYPES.get(error.status, "server_error"),
            "code": error.code, "hint": error.hint,
        }  # fmt: skip
        if error.extra:
            body["details"] = error.extra
        return "application/json", json.dumps({"error": body}).encode()
    problem = {
        "type": f"urn:moondream:problem:{error.code}", "title": error.message,
        "status": error.status, "detail": error.hint, **error.extra,
    }  # fmt: skip
    return "application/problem+json", json.dumps(problem).encode()


def retry_after(error: Busy) -> int:
    """Whole seconds for the header of that name: at least one."""
    return max(1, math.ceil(error.retry_after))


def problem(path: str, error: DomainError) -> HttpResponse:
    """An error as a response."""
    kind, body = shaped(path, error)
    response = HttpResponse(body, content_type=kind, status=error.status)
    if isinstance(error, Busy):
        response["Retry-After"] = str(retry_after(error))
    return response
