"""The status page and its JSON."""

from dataclasses import asdict
from typing import TypeVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from inference import page_cache
from status import readiness, selectors

KEPT_S = 2.0
"""The broker and the cache are asked at each making of the page, not at each sending."""
Answer = TypeVar("Answer", bound=HttpResponse)


@require_safe
@vary_on_headers("HX-Request")
def index(request: HttpRequest) -> HttpResponse:
    """How it is going; htmx fetches the part that changes. On a host of its own it has no navigation."""
    template = "status/index.html"
    base = "status/own_base.html" if hasattr(request, "urlconf") else "base.html"
    if page_cache.wants_part(request):
        template += "#components"
    found = selectors.summary()
    context = {"summary": found, "base": base, "site_url": settings.WAGTAILADMIN_BASE_URL}
    return _kept(render(request, template, context), found)


@require_safe
def summary_json(request: HttpRequest) -> JsonResponse:
    """The same for machines."""
    found = selectors.summary()
    response = JsonResponse(
        {
            "status": {"indicator": found.state, "description": found.sentence},
            "checked_at": found.checked_at,
            "components": [asdict(c) for c in found.components],
        }
    )
    return _kept(response, found)


def _kept(response: Answer, found: selectors.Summary) -> Answer:
    """Kept for a moment, until the next check, and never longer than the latest one may be relied on."""
    topics = (page_cache.STATUS, page_cache.PAGES)  # what surrounds it is an editor's
    page_cache.keep(response, min(KEPT_S, found.holds_for), topics=topics)
    return response


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Whether this process should be sent readers: 503 while it cannot reach the database. Without
    the broker or the cache pages are served all the same; then it says "degraded"."""
    found = asdict(readiness.look())
    state = "ready" if all(found.values()) else "degraded" if found["database"] else "unavailable"
    parts = {name: "up" if answers else "down" for name, answers in found.items()}
    response = JsonResponse({"status": state, **parts}, status=200 if found["database"] else 503)
    if response.status_code == 503:
        response["Retry-After"] = "5"
    return response
