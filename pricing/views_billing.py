"""Plans that are bought, and invoices."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseRedirect
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from inference.errors import Busy, Conflict, DomainError, NotFound
from pricing import errors, selectors, services, stripe_api
from pricing.invoice_pdf import invoice_pdf

PER_PAGE = 20
MAX_EVENT_BYTES = 512 * 1024


@require_safe
@never_cache
@login_required
def billing(request: HttpRequest) -> HttpResponse:
    """The plan and how it is paid for, and invoices. Reading it asks nobody: what Stripe knows comes by its
    events."""
    page = Paginator(selectors.invoices_of(request.user), PER_PAGE).get_page(
        request.GET.get("page", "1")
    )
    found = selectors.billing_of(request.user)
    back = request.GET.get("checkout", "")
    context = {
        "billing": found, "page": page, "wanted": request.GET.get("plan", ""),
        "waits": back == "done" and found.is_on and found.subscription is None,
        "was_cancelled": back == "cancelled" and found.is_on and found.subscription is None,
    }  # fmt: skip
    answer = render(request, "pricing/billing.html", context)
    if found.is_on:
        # Browsers hold a form's policy against where its answer leads, too.
        answer._csp_update = {"form-action": settings.STRIPE_PAGES}  # type: ignore[attr-defined]
    return answer


@require_POST
@never_cache
@login_required
def checkout(request: HttpRequest) -> HttpResponse:
    """To the page on which a plan is paid for. Of the form only the plan's name is read."""
    try:
        address = services.checkout_begin(
            user=request.user, plan_slug=request.POST.get("plan", "")[:40]
        )
    except (Conflict, Busy, NotFound) as error:
        return _back(request, error)
    return _away(address)


@require_POST
@never_cache
@login_required
def portal(request: HttpRequest) -> HttpResponse:
    """To the page on which what was bought is changed."""
    try:
        address = services.portal_begin(user=request.user)
    except (Busy, NotFound) as error:
        return _back(request, error)
    return _away(address)


@require_POST
@never_cache
@login_required
def check(request: HttpRequest) -> HttpResponse:
    """Read from Stripe what no event has told yet."""
    try:
        services.customer_sync(customer=services.customer_of(request.user))
    except (Busy, NotFound) as error:
        return _back(request, error)
    return redirect("billing")


def _back(request: HttpRequest, error: DomainError) -> HttpResponse:
    if error.kind is errors.PAYMENTS_OFF:
        raise error
    messages.error(request, error.whole)
    return redirect("billing")


def _away(address: str) -> HttpResponse:
    answer = HttpResponseRedirect(address)
    answer.status_code = 303
    return answer


@require_safe
@never_cache
@login_required
def invoice(request: HttpRequest, number: str) -> HttpResponse:
    """One invoice, at an address that stays."""
    found = selectors.invoice_of(request.user, number)
    return render(request, "pricing/invoice.html", {"shown": selectors.invoice_page(found)})


@require_safe
@never_cache
@login_required
def invoice_file(request: HttpRequest, number: str) -> HttpResponse:
    """The same as a PDF."""
    found = selectors.invoice_of(request.user, number)
    return HttpResponse(
        invoice_pdf(found), content_type="application/pdf",
        headers={"Content-Disposition": f'inline; filename="{found.number}.pdf"'},
    )  # fmt: skip


@csrf_exempt
@require_POST
@never_cache
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """What Stripe tells. Its signature stands for a session: none is looked at."""
    if not stripe_api.is_on():
        raise Http404
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or int(length) > MAX_EVENT_BYTES:
        return _told({"error": "too_large"}, 413)
    body = request.body
    if len(body) > MAX_EVENT_BYTES:
        return _told({"error": "too_large"}, 413)
    try:
        event = services.event_receive(
            body=body, signature=request.headers.get("Stripe-Signature", "")
        )
    except DomainError as error:
        return _told({"error": error.code, "message": error.message}, error.status)
    return _told({"received": event.stripe_id}, 200)


def _told(body: dict[str, Any], status: int) -> HttpResponse:
    return JsonResponse(body, status=status)
