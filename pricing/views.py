"""API keys of one's own account, and what it has used."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from inference.errors import Conflict, InvalidInput
from pricing import errors, selectors, services
from pricing.models import ApiKey, Scope
from pricing.periods import month_read
from pricing.services.keys import LIFETIMES, OVERLAPS


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def keys(request: HttpRequest) -> HttpResponse:
    """List them; make one, whose secret this answer shows and no other ever will."""
    if request.method != "POST":
        return _page(request)
    try:
        _, secret = services.key_make(
            user=request.user, name=request.POST.get("name", ""),
            scopes=request.POST.getlist("scopes"), days=_whole(request, "days") or 0,
            per_minute=_whole(request, "per_minute"), monthly_images=_whole(request, "monthly_images"),
        )  # fmt: skip
    except (InvalidInput, Conflict) as error:
        return _page(request, error=error.whole if isinstance(error, Conflict) else error.message,
                     field=error.extra.get("field", ""), status=422)  # fmt: skip
    return _page(request, secret=secret)


def _whole(request: HttpRequest, name: str) -> int | None:
    """A whole number of a form; None where the field is empty.

    Raises:
        InvalidInput: it is none.
    """
    text = request.POST.get(name, "").strip()
    if not text:
        return None
    if not text.isdecimal() or len(text) > 10:
        raise errors.BAD_KEY("A limit is a whole number above zero.", field=name)
    return int(text)


def _page(
    request: HttpRequest, *, secret: str = "", error: str = "", field: str = "", status: int = 200
) -> HttpResponse:
    now = timezone.now()
    rows = [(key, _state(key)) for key in selectors.keys_of(request.user)]
    rows.sort(key=lambda row: not row[0].works_at(now))  # those that work first
    typed = request.POST if error else {}
    context: dict[str, Any] = {
        "scopes": Scope.choices, "secret": secret, "error": error, "field": field, "keys": rows,
        "lifetimes": LIFETIMES, "overlaps": OVERLAPS, "typed": typed,
        "chosen": request.POST.getlist("scopes") if error else [Scope.INFER, Scope.SUBMIT],
    }  # fmt: skip
    return render(request, "pricing/keys.html", context, status=status)


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.has_expired:
        return "expired"
    return "rotated" if key.replaced_by_id else "works"


@require_POST
@never_cache
@login_required
def rotate(request: HttpRequest, key_id: int) -> HttpResponse:
    """Make a key in the place of another, and show its secret this once."""
    try:
        overlap = _whole(request, "overlap")
        _, secret = services.key_rotate(
            user=request.user, key_id=key_id, overlap_days=7 if overlap is None else overlap
        )
    except InvalidInput as error:
        return _page(request, error=error.message, field="overlap", status=422)
    return _page(request, secret=secret)


@require_safe
@never_cache
@login_required
def usage(request: HttpRequest) -> HttpResponse:
    """What one's account has used in a month, and what is left of the present one."""
    return render(request, "pricing/usage.html", {"usage": _month(request)})


@require_safe
@never_cache
@login_required
def usage_csv(request: HttpRequest) -> HttpResponse:
    """The same as a spreadsheet."""
    found = _month(request)
    name = f"usage-{found.month:%Y-%m}.csv"
    return HttpResponse(
        selectors.usage_csv(found), content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )  # fmt: skip


def _month(request: HttpRequest) -> selectors.Usage:
    return selectors.usage_of(request.user, month_read(request.GET.get("month", "")))


@require_POST
@login_required
def revoke(request: HttpRequest, key_id: int) -> HttpResponse:
    """End a key."""
    services.key_revoke(user=request.user, key_id=key_id)
    return redirect("api_keys")
