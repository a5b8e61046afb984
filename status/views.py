"""The status page and its JSON."""

from dataclasses import asdict

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.vary import vary_on_headers

from status import selectors


@vary_on_headers("HX-Request")
def index(request: HttpRequest) -> HttpResponse:
    """How it is going; htmx fetches the part that changes."""
    template = "status/index.html"
    if request.headers.get("HX-Request") and not request.headers.get("HX-Boosted"):
        template += "#components"
    return render(request, template, {"summary": selectors.summary()})


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
