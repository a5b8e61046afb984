"""API keys of one's own account."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from inference.errors import InvalidInput
from pricing import selectors, services
from pricing.models import Scope


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def keys(request: HttpRequest) -> HttpResponse:
    """List them; make one, whose secret this answer shows and no other ever will."""
    context: dict[str, Any] = {
        "scopes": Scope.choices,
        "secret": "",
        "error": "",
        "name": request.POST.get("name", ""),
    }
    status = 200
    if request.method == "POST":
        try:
            _, context["secret"] = services.key_make(
                user=request.user, name=request.POST.get("name", ""),
                scopes=request.POST.getlist("scopes"),
            )  # fmt: skip
        except InvalidInput as error:
            context["error"], status = error.message, 422
    context["keys"] = selectors.keys_of(request.user)
    return render(request, "pricing/keys.html", context, status=status)


@require_POST
@login_required
def revoke(request: HttpRequest, key_id: int) -> HttpResponse:
    """End a key."""
    services.key_revoke(user=request.user, key_id=key_id)
    return redirect("api_keys")
