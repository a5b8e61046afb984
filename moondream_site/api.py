"""Composes the API: every app's router, who is calling, how fast, and one shape for errors."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError as BrokerError
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from redis.exceptions import RedisError

from inference import errors as inference_errors
from inference.api import jobs_router
from inference.api import router as skills_router
from inference.errors import DomainError
from inference.tuning.api import router as tuning_router
from inference.tuning.api_runs import router as tuning_runs_router
from inference.world.samples import InvalidSample
from leaderboard.api import router as leaderboards_router
from leaderboard.api_challenges import router as challenges_router
from moondream_site import errors, openapi, problems
from moondream_site.readable import ReadableParser
from pricing.api import keys_router, usage_router
from pricing.auth import Account, AccountOrVisitor, ClientIdentity
from pricing.models import Scope
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
        openapi.add_errors(schema)
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
api.add_router("/v1/tuning", tuning_router, auth=[Account(Scope.FINETUNE)])
api.add_router("/v1/tuning", tuning_runs_router, auth=[AccountOrVisitor(Scope.FINETUNE)])
api.add_router("/api/keys", keys_router)
api.add_router("/api/usage", usage_router, auth=[Account(Scope.READ)])
api.add_router("/api/leaderboards", leaderboards_router, auth=[Account("submit")])
api.add_router("/api/challenges", challenges_router, auth=[Account("submit")])


@api.exception_handler(DomainError)
def _domain(request: HttpRequest, error: DomainError) -> HttpResponse:
    return api.problem(request, error)


@api.exception_handler(RedisError)
@api.exception_handler(BrokerError)
def _broker_away(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.warning("The broker cannot be reached: %s", type(error).__name__)
    return api.problem(request, inference_errors.QUEUE_UNAVAILABLE())


@api.exception_handler(OperationalError)
@api.exception_handler(InterfaceError)
def _database_away(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("The database cannot be reached: %s", type(error).__name__)
    return api.problem(request, errors.DATABASE_UNAVAILABLE())


@api.exception_handler(InvalidSample)
def _sample(request: HttpRequest, error: InvalidSample) -> HttpResponse:
    return api.problem(request, inference_errors.UNKNOWN_SAMPLE(str(error)))


def _field(where: Sequence[str | int]) -> str:
    """A field's name, as the caller wrote it: ninja puts before it where it was, and before a field of
    JSON the name of a parameter of ours."""
    is_json = tuple(where[:2]) == ("body", "body")
    return ".".join(str(part) for part in where[2 if is_json else 1 :])


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    problems = [{"field": _field(e["loc"]), "problem": e["msg"]} for e in error.errors[:10]]
    first = problems[0] if problems else {"field": "", "problem": "invalid"}
    return api.problem(
        request,
        errors.INVALID_FIELD(
            f"{first['field'] or 'body'}: {first['problem']}.",
            field=first["field"] or None,
            fields=problems,
        ),
    )


@api.exception_handler(RequestDataTooBig)
def _body_too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return api.problem(request, errors.BODY_TOO_LARGE())


@api.exception_handler(BadRequest)
@api.exception_handler(MultiPartParserError)
@api.exception_handler(SuspiciousOperation)
def _suspicious(request: HttpRequest, error: Exception) -> HttpResponse:
    return api.problem(request, errors.BAD_REQUEST())


@api.exception_handler(Http404)
def _absent(request: HttpRequest, error: Http404) -> HttpResponse:
    return api.problem(request, errors.NOT_FOUND("There is nothing here."))


@api.exception_handler(HttpError)
def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    if isinstance(error.__cause__, DomainError):  # the parser knows what is wrong with the body
        return api.problem(request, error.__cause__)
    if error.status_code != 400:
        logger.error("ninja answers %s: %s", error.status_code, error.message)
        return api.problem(request, inference_errors.INTERNAL_ERROR())
    kind = errors.BAD_JSON if request.content_type else errors.UNSUPPORTED_CONTENT_TYPE
    return api.problem(request, kind())


@api.exception_handler(Exception)
def _broken(request: HttpRequest, error: Exception) -> HttpResponse:
    # Ninja's own handler would answer in plain text while DEBUG is on.
    got_request_exception.send(sender=HubAPI, request=request)
    logger.error("%s %s broke", request.method, request.path, exc_info=error)
    return api.problem(request, inference_errors.INTERNAL_ERROR())


def nothing_here(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Any other address under `/v1` and `/api`: an error in the reader's shape, not the site's 404
    page, and no redirect."""
    return api.problem(request, errors.NOT_FOUND(f"There is no {request.path[:80]} here."))


class PlainSlashes:
    """Middleware: programs join addresses by putting one behind the other. A slash too many, at the
    end or between, means nothing under `/v1` and `/api`; a redirect would lose the body.

    Synchronous, as all of them are (see `MethodNotAllowed`).
    """

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if problems.wants_json(request.path_info):
            plain = "/" + "/".join(part for part in request.path_info.split("/") if part)
            request.path = request.path_info = plain
        return self.get_response(request)


class MethodNotAllowed:
    """Middleware: what the API's operations leave open of HTTP. HEAD is GET without its body, OPTIONS
    says what is allowed, and 405 has the shape of the other errors.

    It is the innermost one, and synchronous by intent: so all of them run in one thread, one after
    the other. Were it asynchronous, each would hop between the event loop and a thread, twice.
    """

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not problems.wants_json(request.path):
            return self.get_response(request)
        if request.method == "HEAD":
            request.method = "GET"
            response = _without_body(self.get_response(request))
            request.method = "HEAD"
        else:
            response = self.get_response(request)
        is_told = response.status_code == 405 and "Allow" in response
        return _allowed(request, response) if is_told else response


def _without_body(response: HttpResponseBase) -> HttpResponseBase:
    """The same head. The server leaves a body out, and keeps its length; a stream is not begun."""
    if isinstance(response, StreamingHttpResponse):
        response.streaming_content = _nothing() if response.is_async else iter(())
    return response


async def _nothing() -> AsyncIterator[bytes]:
    empty: tuple[bytes, ...] = ()
    for piece in empty:
        yield piece


def _allowed(request: HttpRequest, response: HttpResponseBase) -> HttpResponse:
    """What an address allows, to who asked for it or for something else."""
    methods = {word.strip() for word in response["Allow"].split(",")}
    if "GET" in methods:
        methods.add("HEAD")
    if request.method == "OPTIONS":
        told = HttpResponse(status=204)
        methods.add("OPTIONS")
    else:
        told = api.problem(
            request, errors.METHOD_NOT_ALLOWED(f"{request.method} is not answered here.")
        )
    told["Allow"] = ", ".join(sorted(methods))
    return told


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
