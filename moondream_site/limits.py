"""Which address of the site uses which allowance, in one place.

A request that is answered from the page cache, and static files, use none.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from inference.errors import Busy
from moondream_site import problems
from pricing import throttling
from pricing.payers import payer_known
from pricing.throttling import FILE, PAGE, READ, STREAM, TUNE, WORK, Allowance


class Use(NamedTuple):
    """What one request uses of an allowance."""

    allowance: Allowance
    cost: int = 1


_WAITS = {429: "60", 503: "5"}
_GET = ("GET", "HEAD", "OPTIONS")
_API = "api-1:"

READING: dict[str, Use] = {
    # Whole tables and splits, read and written out.
    f"{_API}export": Use(READ, 20),
    f"{_API}entries": Use(READ, 4),
    f"{_API}items": Use(READ, 4),
    f"{_API}standings": Use(READ),
    f"{_API}log": Use(READ),
    f"{_API}openapi-json": Use(READ),
    # Streams: each holds a connection (how many may be open is `inference.places`'s).
    f"{_API}job_events": Use(STREAM),
    f"{_API}submission_events": Use(STREAM),
    f"{_API}board_events": Use(STREAM),
    "playground:shared_events": Use(STREAM),
    f"{_API}tuning_run_events": Use(STREAM),
    f"{_API}challenge_events": Use(STREAM),
    "playground:guided_events": Use(STREAM),
    # Searched, drawn or computed for this reader.
    "research:search": Use(READ, 2),
    "research:card": Use(READ, 2),
    "research:markdown": Use(READ),
    "research:llms": Use(READ),
    "research:sitemap": Use(READ, 2),
    "research:rss": Use(READ),
    "research:atom": Use(READ),
    "research:json": Use(READ),
    "playground:prompts": Use(READ),
    "compare": Use(READ, 2),
    "entry_items": Use(READ, 2),
    "document": Use(READ),
    "invoice_pdf": Use(READ, 4),
    # Pictures: a page shows many.
    "media": Use(FILE),
    "playground:prompt_image": Use(FILE),
    "playground:tuning_picture": Use(FILE),
    "playground:guided_image": Use(FILE),
    "playground:guided_shared_image": Use(FILE),
}
"""Reading that costs more than a page, or less."""

TUNING = frozenset({f"{_API}tuning_rollouts", f"{_API}tuning_train_step", f"{_API}tuning_metrics"})
"""Calls of a client that tunes in a loop of its own; how many of them wait is bounded as well."""

FREE = frozenset({"healthz", "readyz"})
"""What must always answer."""

CHEAP = frozenset(
    {
        f"{_API}job_cancel",
        f"{_API}tuning_run_cancel",
        f"{_API}tuning_run_pause",
        f"{_API}submission_withdraw",
        f"{_API}submission_publish",
    }
)
"""Operations that make less work, not more."""

WORKING = frozenset(
    {
        "billing_checkout",
        "billing_portal",
        "billing_check",
        "credits",
        "credits_step",
        "credits_attach",
        "leaderboard_submit",
        "challenge_submit",
        "team_invite",
        "api_keys",
        "data_export",
        "webhook_new",
        "webhook_act",
        "webhook_redeliver",
        "notifications:subscribe",
    }
)
"""Forms that make work. Those of the playground count it in their views as well, so that a refusal
shows what was entered."""


def use_of(view: str, method: str) -> Use | None:
    """What a request uses; None if nothing here counts it."""
    if view in FREE:
        return None
    if method in _GET:
        return READING.get(view, Use(PAGE))
    if view in TUNING:
        return Use(TUNE)
    works = view in WORKING or (view.startswith(_API) and view not in CHEAP)
    return Use(WORK if works else PAGE)


class RateLimits:
    """Middleware: counts a request before its body is read, and refuses one too many.

    It stands before what reads the body: `Readable`, and the check of forged forms. Synchronous, as all
    of them are (see `moondream_site.api.MethodNotAllowed`).
    """

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code in _WAITS:  # some say nothing, as allauth's
            response.headers.setdefault("Retry-After", _WAITS[response.status_code])
        if problems.wants_json(request.path):
            _tell(request, response)
        return response

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        match = request.resolver_match
        use = use_of(match.view_name or "" if match else "", request.method or "GET")
        if use is None:
            return None
        try:
            throttling.check(request, use.allowance, use.cost)
        except Busy as error:
            return refused(request, error)
        finally:
            if use.allowance is WORK and problems.wants_json(request.path):
                request.rate_left = throttling.told(request)  # type: ignore[attr-defined]
        return None


_MONTH_S = 30 * 86400


def _tell(request: HttpRequest, response: HttpResponseBase) -> None:
    """What is left of the allowance for work and of the month, as draft-ietf-httpapi-ratelimit-headers
    has it."""
    policies, states = [], []
    rate: throttling.Told | None = getattr(request, "rate_left", None)
    if rate is not None:
        policies.append(f'"{rate.name}";q={rate.rate.amount};w={rate.rate.seconds}')
        states.append(f'"{rate.name}";r={rate.left};t={math.ceil(rate.seconds)}')
    payer = payer_known(request)
    left = payer.left if payer is not None else None
    if left is not None and left.limit is not None and left.left is not None:
        policies.append(f'"{left.meter}";q={left.limit};w={_MONTH_S}')
        states.append(f'"{left.meter}";r={left.left};t={math.ceil(left.seconds)}')
    if policies:
        response["RateLimit-Policy"] = ", ".join(policies)
        response["RateLimit"] = ", ".join(states)


def refused(request: HttpRequest, error: Busy) -> HttpResponse:
    """A refusal in the reader's shape."""
    if problems.wants_json(request.path) or request.path.endswith(".json"):
        return problems.problem(request.path, error)
    response = render(request, "429.html", {"error": error}, status=error.status)
    response["Retry-After"] = str(error.retry_after)
    return response
