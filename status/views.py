"""The status page and its JSON."""

from dataclasses import asdict

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from status import readiness, selectors


@require_safe
@vary_on_headers("HX-Request")
def index(request: HttpRequest) -> HttpResponse:
    """How it is going; htmx fetches the part that changes. On a host of its own it has no navigation."""
    template = "status/index.html"
    base = "status/own_base.html" if hasattr(request, "urlconf") else "base.html"
    if request.headers.get("HX-Request") and not request.headers.get("HX-Boosted"):
        template += "#components"
    return render(
        request,
        template,
        {"summary": selectors.summary(), "base": base, "site_url": settings.WAGTAILADMIN_BASE_URL},
    )


@require_safe
def summary_json(request: HttpRequest) -> JsonResponse:
    """The same for machines."""
    found = selectors.summary()
    return JsonResponse(
        {
            "status": {"indicator": found.state, "description": found.sentence},
            "checked_at": found.checked_at,
            "components": [asdict(c) for c in found.components],
        }
    )


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
