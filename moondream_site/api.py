"""Composes the API: every app's router, who is calling, how fast, and one shape for errors."""

import logging
from collections.abc import Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError as BrokerError
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from redis.exceptions import RedisError

from inference.api import jobs_router
from inference.api import router as skills_router
from inference.errors import (
    Busy,
    DomainError,
    InvalidInput,
    NotFound,
    TooLarge,
    Unsupported,
    queue_away,
)
from inference.world.samples import InvalidSample
from leaderboard.api import router as leaderboards_router
from leaderboard.api_challenges import router as challenges_router
from moondream_site import problems
from moondream_site.readable import ReadableParser
from pricing.auth import Account, ClientIdentity
from research.selectors import register_schema

logger = logging.getLogger(__name__)


class HubAPI(NinjaAPI):
    """The site's one API. Under `/v1` errors have the clients' shape, elsewhere RFC 9457's."""

    def get_root_path(self, path_params: Any) -> str:
        """The API is mounted at the site's root, whose own page is the CMS's."""
        return "/"

    def get_openapi_schema(self, **kwargs: Any) -> OpenAPISchema:
        """The schema, with the key that may be sent: none is needed, and one gives limits of its own."""
        schema = super().get_openapi_schema(**kwargs)
        key = {"type": "apiKey", "in": "header", "name": "X-Moondream-Auth"}
        schema["components"]["securitySchemes"] = {"ApiKey": key}
        schema["security"] = [{}, {"ApiKey": []}]
        return schema

    def problem(self, request: HttpRequest, error: DomainError) -> HttpResponse:
        """One error as a response."""
        return problems.problem(request.path, error)


api = HubAPI(
    title="Moondream hub API",
    version="1",
    description=(
        "The skills of Moondream as the official clients call them. Point a client at "
        "`/v1`; no key is needed."
    ),
    docs_url=None,  # the sandbox is a page of ours, with assets of ours: /docs/api/try/
    openapi_url="/api/openapi.json",
    auth=ClientIdentity(),
    parser=ReadableParser(),
)
api.add_router("/v1", skills_router)
api.add_router("/v1", jobs_router)
api.add_router("/api/leaderboards", leaderboards_router, auth=[Account("submit")])
api.add_router("/api/challenges", challenges_router, auth=[Account("submit")])


@api.exception_handler(DomainError)
def _domain(request: HttpRequest, error: DomainError) -> HttpResponse:
    return api.problem(request, error)


@api.exception_handler(RedisError)
@api.exception_handler(BrokerError)
def _broker_away(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.warning("The broker cannot be reached: %s", type(error).__name__)
    return api.problem(request, queue_away())


@api.exception_handler(OperationalError)
@api.exception_handler(InterfaceError)
def _database_away(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("The database cannot be reached: %s", type(error).__name__)
    away = Busy(
        "The database cannot be reached.", retry_after=5, status=503, code="database_unavailable",
        hint="Try again in a moment.",
    )  # fmt: skip
    return api.problem(request, away)


@api.exception_handler(InvalidSample)
def _sample(request: HttpRequest, error: InvalidSample) -> HttpResponse:
    return api.problem(request, InvalidInput(str(error), code="unknown_sample"))


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    problems = [
        {"field": ".".join(str(part) for part in e["loc"] if part != "body"), "problem": e["msg"]}
        for e in error.errors[:10]
    ]
    first = problems[0] if problems else {"field": "", "problem": "invalid"}
    return api.problem(
        request,
        InvalidInput(
            f"{first['field'] or 'body'}: {first['problem']}", code="invalid_field", fields=problems
        ),
    )


@api.exception_handler(RequestDataTooBig)
def _body_too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return api.problem(request, TooLarge("The request is too large.", code="body_too_large"))


@api.exception_handler(MultiPartParserError)
@api.exception_handler(SuspiciousOperation)
def _suspicious(request: HttpRequest, error: Exception) -> HttpResponse:
    return api.problem(request, InvalidInput("The request cannot be read.", code="bad_request"))


@api.exception_handler(Http404)
def _absent(request: HttpRequest, error: Http404) -> HttpResponse:
    return api.problem(request, NotFound("There is nothing here."))


@api.exception_handler(HttpError)
def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    if error.status_code == 400:
        content_type = request.content_type or ""
        if content_type != "application/json" and not content_type.startswith("multipart/"):
            return api.problem(
                request,
                Unsupported(
                    f"Content type {request.content_type or 'none'!r} is not read here.",
                    code="unsupported_content_type",
                    hint="Send application/json.",
                ),
            )
    if isinstance(error.__cause__, DomainError):  # the parser knows what is wrong with the body
        return api.problem(request, error.__cause__)
    code = "bad_json" if error.status_code == 400 else "error"
    return api.problem(request, DomainError(error.message, code=code, status=error.status_code))


def nothing_here(request: HttpRequest, rest: str) -> HttpResponse:
    """Any other address under `/v1`: an error in the clients' shape, not the site's 404 page."""
    return api.problem(request, NotFound(f"There is no /v1/{rest[:80]} here."))


class MethodNotAllowed:
    """Middleware: gives the API's 405 the shape of its other errors.

    It is the innermost one, and synchronous by intent: so all of them run in one thread, one after
    the other. Were it asynchronous, each would hop between the event loop and a thread, twice.
    """

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code != 405 or not request.path.startswith("/v1/"):
            return response
        error = DomainError(
            f"{request.method} is not answered here.", code="method_not_allowed", status=405
        )
        shaped = api.problem(request, error)
        shaped["Allow"] = response["Allow"]
        return shaped


def urls() -> tuple[list[URLPattern | URLResolver], str, str]:
    """The API's patterns for the site's root, without ninja's "api-root", which would take `/`."""
    patterns, app_name, namespace = api.urls
    kept = [p for p in patterns if getattr(p, "name", None) != "api-root"]
    for pattern in kept:
        # Ninja's own view answers every method alike.
        if isinstance(pattern, URLPattern) and pattern.name == "openapi-json":
            pattern.callback = require_safe(pattern.callback)  # type: ignore[type-var]
    return kept, app_name, namespace


register_schema(api.get_openapi_schema)
