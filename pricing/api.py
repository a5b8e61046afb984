"""`/api/keys`: ending a key by whoever holds it; `/api/usage`: what an account has used."""

from typing import Any

from django.http import HttpRequest
from ninja import Router

from pricing import errors, schemas, selectors, services
from pricing.callers import token_of
from pricing.periods import month_read

keys_router = Router(tags=["Keys"])
usage_router = Router(tags=["Usage"])


@usage_router.get(
    "", response={200: schemas.UsageOut}, operation_id="usage", summary="What was used"
)
def usage(request: HttpRequest, month: str = "") -> Any:
    """A month of the account, by day, key, model, adapter and skill; and, of the present month, what is left
    of each meter, when there is more, and what the month comes to as it goes. `month` is as in 2026-12."""
    asked = month_read(month)
    if month and asked is None:
        raise errors.BAD_MONTH(field="month")
    found = selectors.usage_of(request.auth, asked)  # type: ignore[attr-defined]
    meters = {
        a.meter: {
            "unit": a.unit, "limit": a.limit, "used": a.used, "reserved": a.reserved, "left": a.left,
            "resets_at": a.resets_at.isoformat(), "forecast": a.forecast,
        }
        for a in found.allowances
    }  # fmt: skip
    return {
        "month": f"{found.month:%Y-%m}", "plan": found.terms.name, "meters": meters,
        "rows": selectors.usage_rows(found),
    }  # fmt: skip


@keys_router.post(
    "/revoke", auth=None, response={200: schemas.RevokedOut}, operation_id="key_revoke",
    summary="Revoke a leaked key",
)  # fmt: skip
def key_revoke(request: HttpRequest, body: schemas.RevokeIn | None = None) -> Any:
    """Ends the key that is sent, in the body or as the request's own: whoever finds one may do so, and
    its owner is told by mail. Nothing else of the key is told; repeating it changes nothing."""
    secret = (body.key if body else "").strip() or token_of(request)
    if not services.key_give_up(secret=secret):
        raise errors.KEY_UNKNOWN(field="key")
    return {"revoked": True}
