"""Pages of one's own subscriptions, and those that a link in a mail leads to."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from inference.errors import Conflict, InvalidInput
from notifications import errors, selectors, services
from notifications.kinds import choosable
from notifications.models import Delivery, Subscription
from notifications.services import Wanted
from notifications.signing import leave_read, leave_token
from research.feeds import KINDS

_FEEDS = {"feeds": [(slug, source.title) for slug, source in KINDS.items()]}
_FIELDS = ("target", "name", "url", "email", "frequency")


def _wanted(request: HttpRequest) -> Wanted:
    sent = request.POST
    text = {name: sent.get(name, "").strip() for name in _FIELDS}
    return Wanted(
        target=text["target"], kinds=sent.getlist("kinds"), name=text["name"], url=text["url"],
        email=text["email"], boards=sent.getlist("boards"),
        frequency=text["frequency"] or Subscription.Frequency.AT_ONCE,
    )  # fmt: skip


def _form(
    *, wanted: Wanted | None = None, subscription: Subscription | None = None, public: bool = False,
    error: InvalidInput | None = None, email: str = "", target: str = "",
) -> dict[str, Any]:  # fmt: skip
    """What the fields show: what was typed, else what is stored, else what is usual."""
    if wanted is not None:
        values: dict[str, Any] = {name: getattr(wanted, name) for name in _FIELDS}
        values |= {"kinds": list(wanted.kinds), "boards": list(wanted.boards)}
    elif subscription is not None:
        values = {name: getattr(subscription, name, "") for name in _FIELDS}
        values |= {"kinds": subscription.kinds, "boards": [b.slug for b in subscription.boards.all()]}  # fmt: skip
    else:
        usual = Subscription.Target.EMAIL if public else Subscription.Target.WEBHOOK
        target = target if target in Subscription.Target.values else usual
        values = {"target": target, "frequency": "at_once", "email": email, "kinds": [], "boards": []}  # fmt: skip
    groups: dict[str, list[Any]] = {}
    for kind in choosable(with_private=not public):
        groups.setdefault(kind.group, []).append(kind)
    targets = [
        choice for choice in Subscription.Target.choices
        if settings.SENDS_MAIL or choice[0] != Subscription.Target.EMAIL
    ]  # fmt: skip
    return {
        "values": values, "groups": groups, "targets": targets, "offered_boards": selectors.boards_offered(),
        "frequencies": Subscription.Frequency.choices, "public": public, "editing": subscription is not None,
        "error": error.message if error else "", "field": error.extra.get("field", "") if error else "",
    }  # fmt: skip


@require_safe
@never_cache
@login_required
def webhooks(request: HttpRequest) -> HttpResponse:
    """All of one's own."""
    context = {"subscriptions": selectors.subscriptions_of(request.user)}
    return render(request, "notifications/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def webhook_new(request: HttpRequest) -> HttpResponse:
    """Make one; of a webhook this answer shows the secret."""
    if request.method != "POST":
        form = _form(email=request.user.email, target=request.GET.get("target", ""))  # type: ignore[union-attr]  # signed in
        return render(request, "notifications/new.html", form)
    wanted = _wanted(request)
    try:
        made, _ = services.subscription_make(user=request.user, wanted=wanted)
    except InvalidInput as error:
        return render(
            request, "notifications/new.html", _form(wanted=wanted, error=error), status=422
        )
    except Conflict as error:
        messages.error(request, error.whole)
        return redirect("webhooks")
    if made.state == Subscription.State.UNCONFIRMED:
        messages.success(request, f"A mail to {made.email} asks to confirm it.")
    else:
        messages.success(request, "Made. Send a test to see that it arrives.")
    return redirect("webhook", made.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def webhook(request: HttpRequest, subscription_id: UUID) -> HttpResponse:
    """One: its settings, what can be done, its log."""
    found = selectors.subscription_own(user=request.user, subscription_id=subscription_id)
    if request.method != "POST":
        return _page(request, found, _form(subscription=found))
    wanted = _wanted(request)
    try:
        services.subscription_update(subscription=found, wanted=wanted)
    except InvalidInput as error:
        typed = Wanted(found.target, wanted.kinds, wanted.name, wanted.url, found.email, wanted.boards, wanted.frequency)  # fmt: skip
        form = _form(wanted=typed, subscription=found, error=error)
        return _page(request, found, form, status=422)
    messages.success(request, "Saved.")
    return redirect("webhook", subscription_id)


def _page(
    request: HttpRequest, found: Subscription, form: dict[str, Any], status: int = 200
) -> HttpResponse:
    state = request.GET.get("state", "")
    page = selectors.deliveries_of(found, state=state, number=request.GET.get("page", "1"))
    context = form | {
        "subscription": found, "secret": selectors.secret_of(found), "page": page, "state": state,
        "states": Delivery.State.choices, "query": f"state={state}&" if state in Delivery.State.values else "",
    }  # fmt: skip
    return render(request, "notifications/detail.html", context, status=status)


@require_POST
@never_cache
@login_required
def webhook_act(request: HttpRequest, subscription_id: UUID, action: str) -> HttpResponse:
    """Test, pause, enable, rotate, redeliver what failed, delete."""
    found = selectors.subscription_own(user=request.user, subscription_id=subscription_id)
    try:
        messages.success(request, _done(found, action))
    except Conflict as error:
        messages.error(request, error.whole)
    return redirect("webhooks") if action == "delete" else redirect("webhook", subscription_id)


def _done(found: Subscription, action: str) -> str:
    """Do it, and say what was done."""
    if action == "test":
        services.subscription_test(subscription=found)
        return "A test is on its way. Reload this page to see how it went."
    if action == "pause":
        services.subscription_pause(subscription=found)
        return "Paused."
    if action == "enable":
        services.subscription_enable(subscription=found)
        return "Enabled."
    if action == "rotate":
        services.secret_rotate(subscription=found)
        return "There is a new secret. The former one signs as well for 24 hours."
    if action == "redeliver":
        count = services.failed_repeat(subscription=found)
        return f"{count} on their way." if count else "There is nothing that did not arrive."
    services.subscription_delete(subscription=found)
    return "Deleted."


@require_safe
@never_cache
@login_required
def webhook_delivery(request: HttpRequest, subscription_id: UUID, uid: str) -> HttpResponse:
    """One delivery with each try: what was sent, and what came back."""
    found = selectors.delivery_own(user=request.user, subscription_id=subscription_id, uid=uid)
    context = {
        "delivery": found, "subscription": found.subscription, "attempts": list(found.attempts.all()),
    }  # fmt: skip
    return render(request, "notifications/delivery.html", context)


@require_POST
@never_cache
@login_required
def webhook_redeliver(request: HttpRequest, subscription_id: UUID, uid: str) -> HttpResponse:
    """Send it once more."""
    found = selectors.delivery_own(user=request.user, subscription_id=subscription_id, uid=uid)
    try:
        made = services.delivery_repeat(delivery=found)
    except Conflict as error:
        messages.error(request, error.whole)
        return redirect("webhook_delivery", subscription_id, uid)
    messages.success(request, "On its way, as a delivery of its own.")
    return redirect("webhook_delivery", subscription_id, made.uid)


# Without an account.


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def subscribe(request: HttpRequest) -> HttpResponse:
    """Ask for news; a mail asks to confirm it."""
    if request.method != "POST":
        form = _form(public=True, target=request.GET.get("target", ""))
        return render(request, "notifications/subscribe.html", form | _FEEDS)
    wanted = _wanted(request)
    try:
        if settings.SENDS_MAIL:
            services.subscription_ask(wanted=wanted)
    except InvalidInput as error:
        form = _form(wanted=wanted, public=True, error=error)
        return render(request, "notifications/subscribe.html", form | _FEEDS, status=422)
    return render(request, "notifications/asked.html", {"address": wanted.email})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """A link of a mail: its button confirms, not the link, which programs open that look at mails."""
    if request.method != "POST":
        found = selectors.subscription_to_confirm(token)
        return render(request, "notifications/confirm.html", {"subscription": found})
    found, secret = services.subscription_confirm(token=token)
    context = {"subscription": found, "secret": secret, "token": leave_token(found.pk)}
    return render(request, "notifications/confirmed.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def manage(request: HttpRequest, token: str) -> HttpResponse:
    """Choose otherwise, by the link in a mail."""
    found = selectors.subscription_by_link(token)
    if request.method != "POST":
        return _managed(request, token, found, _form(subscription=found, public=found.user_id is None))  # fmt: skip
    wanted = _wanted(request)
    try:
        services.subscription_update(subscription=found, wanted=wanted)
    except InvalidInput as error:
        typed = Wanted(found.target, wanted.kinds, wanted.name, wanted.url, found.email, wanted.boards, wanted.frequency)  # fmt: skip
        form = _form(wanted=typed, subscription=found, public=found.user_id is None, error=error)
        return _managed(request, token, found, form, status=422)
    messages.success(request, "Saved.")
    return redirect("notifications:manage", token)


def _managed(
    request: HttpRequest, token: str, found: Subscription, form: dict[str, Any], status: int = 200
) -> HttpResponse:
    context = form | {"subscription": found, "token": token}
    return render(request, "notifications/manage.html", context, status=status)


@csrf_exempt  # mail programs send it (RFC 8058); what it may do, the link says
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """One click ends it. Once more is no error: mail programs do it."""
    if request.method != "POST":
        found = selectors.subscription_by_link(token)
        return render(request, "notifications/unsubscribe.html", {"subscription": found})
    pk = leave_read(token)
    if pk is None:
        raise errors.LINK_EXPIRED()
    services.subscription_delete(subscription=Subscription(pk=pk))
    return render(request, "notifications/unsubscribed.html")
