"""Errors of the domain; the shell turns them into responses, once, in the reader's shape."""

from typing import Any


class DomainError(Exception):
    """Something the caller can understand and act on."""

    status = 400
    code = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        hint: str = "",
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.status = status or self.status
        self.hint = hint
        self.extra = extra


class InvalidInput(DomainError):
    status, code = 400, "invalid_input"


class NotFound(DomainError):
    status, code = 404, "not_found"


class Conflict(DomainError):
    status, code = 409, "conflict"


class TooLarge(DomainError):
    status, code = 413, "too_large"


class Unsupported(DomainError):
    status, code = 415, "unsupported_media"


class Busy(DomainError):
    """Too much work waiting, or a part of the system is away: try again after `retry_after` s."""

    status, code = 429, "busy"

    def __init__(self, message: str, *, retry_after: int, **extra: Any) -> None:
        super().__init__(message, **extra)
        self.retry_after = retry_after


class TimedOut(DomainError):
    status, code = 504, "timeout"


class JobFailed(DomainError):
    """The job ended without an answer."""

    status, code = 500, "internal_error"
