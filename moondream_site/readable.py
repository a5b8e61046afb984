"""What no part of the site can read is refused at the door, in the reader's shape: NUL characters (no
column of PostgreSQL holds one), halves of surrogate pairs, addresses and nests of any size."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.datastructures import MultiValueDict
from ninja.parser import Parser

from inference.errors import DomainError
from inference.nesting import TooDeepError, parts
from moondream_site import errors
from moondream_site.design.views import bad_request

MAX_PATH = 2048
"""Characters; the longest of ours have a few hundred."""
MAX_QUERY = 32 * 1024
"""Bytes; a shared prompt of 2,000 characters has at most 24,000 of them."""
_FORMS = frozenset({"multipart/form-data", "application/x-www-form-urlencoded"})
MAX_DEPTH = 24
"""Of JSON; the deepest that anything here asks for is 5."""


def is_readable(text: str) -> bool:
    """Whether a text can be stored and sent: no NUL, no half of a surrogate pair."""
    if "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _all_readable(data: MultiValueDict) -> bool:
    return all(
        is_readable(key) and all(is_readable(v) for v in values if isinstance(v, str))
        for key, values in data.lists()
    )


class Readable:
    """Middleware: answers 404 to a path that cannot be read, 400 or 414 to such a query, headers and
    forms. A cookie that cannot be read is none. Synchronous, as all of them are (see
    `moondream_site.api.MethodNotAllowed`).

    The API reads its forms and bodies itself, after it knows who is calling: see `ReadableParser`.
    """

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        query = request.META.get("QUERY_STRING", "")
        if len(request.path_info) > MAX_PATH or not is_readable(request.path_info):
            return bad_request(request, errors.NOT_FOUND())
        if len(query) > MAX_QUERY:
            return bad_request(request, errors.ADDRESS_TOO_LONG())
        headers = (v for k, v in request.META.items() if k.startswith(("HTTP_", "CONTENT_")))
        if not all(is_readable(str(text)) for text in headers):
            return bad_request(request)
        if ("%00" in query or "\x00" in query) and not _all_readable(request.GET):
            return bad_request(request)
        for name in [n for n, value in request.COOKIES.items() if not is_readable(value)]:
            del request.COOKIES[name]
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Iterable[Any], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Forms of pages, which the check of their token reads anyway."""
        if getattr(view, "csrf_exempt", False) or request.method in ("GET", "HEAD", "OPTIONS"):
            return None
        return None if _all_readable(request.POST) else bad_request(request)


class ReadableParser(Parser):
    """How the API reads JSON, queries and forms.

    Raises:
        InvalidInput: something in it cannot be read.
        Unsupported: the body is said to be something else than JSON.
        ValueError: the body is not JSON, which knows no NaN.
    """

    def parse_body(self, request: HttpRequest) -> Any:
        kind = request.content_type or ""
        if kind and kind != "application/json" and not kind.endswith("+json"):
            raise errors.UNSUPPORTED_CONTENT_TYPE(
                f"A body of the type {kind[:80]} is not read here."
            )
        coding = request.headers.get("Content-Encoding", "identity")
        if coding.lower() not in ("", "identity"):
            raise errors.UNSUPPORTED_CONTENT_TYPE(
                f"A body with the coding {coding[:40]} is not read here.",
                hint="Send it without Content-Encoding.",
            )
        value = json.loads(request.body, parse_constant=_no_constant)
        _check_json(value)
        return value

    def parse_querydict(
        self, data: MultiValueDict, list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        if data is request.POST and (request.content_type or "") not in _FORMS and request.body:
            raise errors.UNSUPPORTED_CONTENT_TYPE(
                f"A body of the type {(request.content_type or 'none')[:80]} is not read here.",
                hint="Send multipart/form-data.",
            )
        if not _all_readable(data):
            raise _unreadable()
        return super().parse_querydict(data, list_fields, request)


def _unreadable() -> DomainError:
    return errors.BAD_REQUEST(
        "The request holds characters that cannot be read.",
        hint="Send text without NUL and without halves of surrogate pairs.",
    )


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check_json(value: Any) -> None:
    try:
        for part in parts(value, MAX_DEPTH):
            if isinstance(part, str) and not is_readable(part):
                raise _unreadable()
    except TooDeepError as error:
        raise errors.BAD_REQUEST(
            f"The JSON is nested more than {MAX_DEPTH} levels deep."
        ) from error
