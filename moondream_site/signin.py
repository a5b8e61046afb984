"""One way to sign in for everybody, admins too, so that its limits and its second step hold everywhere."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.account.stages import EmailVerificationStage
from allauth.account.utils import user_display
from allauth.account.views import LoginView, PasswordResetView
from allauth.core.internal import ratelimit
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission
from django.core.mail import EmailMessage
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.cache import never_cache

from moondream_site import errors, problems
from pricing import mails
from pricing.models import is_staff

SETUP_S = 300
"""How long before a second step was set up the session that did so gave its password again: allauth
asks for it after as long."""


class Backend(ModelBackend):
    """Django's, which reads all that a user may do in one query: each page asks whether the user edits."""

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        plain = user_obj.is_active and not user_obj.is_anonymous and not user_obj.is_superuser
        if plain and obj is None and not hasattr(user_obj, "_perm_cache"):
            own = Permission.objects.filter(Q(user=user_obj) | Q(group__user=user_obj)).order_by()
            named = own.values_list("content_type__app_label", "codename").distinct()
            user_obj._perm_cache = {f"{app}.{name}" for app, name in named}
        return super().get_all_permissions(user_obj, obj)


MAILS: dict[str, tuple[mails.MailKind, dict[str, str]]] = {
    "account/email/email_confirmation": (mails.CONFIRM_ADDRESS, {"link": "activate_url"}),
    "account/email/email_confirmation_signup": (mails.CONFIRM_ADDRESS, {"link": "activate_url"}),
    "account/email/password_reset_key": (
        mails.PASSWORD_RESET, {"link": "password_reset_url", "username": "username"},
    ),
    "account/email/account_already_exists": (
        mails.ADDRESS_IN_USE, {"link": "password_reset_url", "address": "email"},
    ),
    "account/email/unknown_account": (
        mails.UNKNOWN_ADDRESS, {"link": "signup_url", "address": "email"},
    ),
}  # fmt: skip
"""By allauth's template: the mail, and what allauth calls its variables."""


class Adapter(DefaultAccountAdapter):
    """Failures of signing in are counted by account, whichever of its names is given at whichever host,
    and by address; what an account's failures from one address cost does not lock out another's."""

    def add_message(self, request: HttpRequest, level: int, message_template: str | None = None, *args: Any, **kwargs: Any) -> None:  # fmt: skip
        """Not that a letter was sent, where none is."""
        is_of_mail = message_template == "account/messages/email_confirmation_sent.txt"
        if settings.SENDS_MAIL or not is_of_mail:
            super().add_message(request, level, message_template, *args, **kwargs)

    def render_mail(self, template_prefix: str, email: str | list[str], context: dict[str, Any], headers: dict[str, str] | None = None) -> EmailMessage:  # fmt: skip
        """As editors wrote it, where this site sends it (`pricing.mails`)."""
        if template_prefix not in MAILS:
            made: EmailMessage = super().render_mail(template_prefix, email, context, headers)
            return made
        kind, names = MAILS[template_prefix]
        values = {name: str(context.get(key) or "") for name, key in names.items()}
        if "user" in context:
            values["account"] = user_display(context["user"])
        subject, body = kind.written(values | {"site": context["current_site"].domain})
        to = [email] if isinstance(email, str) else email
        return EmailMessage(subject, body.strip(), self.get_from_email(), to, headers=headers)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        return f"{account_of(**credentials)}:{ratelimit.get_ip(request)}"

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        super().pre_authenticate(request, **credentials)
        self._account_usage = ratelimit.consume(
            request, app="allauth.account", action="login_failed_account",
            key=account_of(**credentials),
        )  # fmt: skip
        if not self._account_usage:
            self._rollback_login_failed_rl_usage()
            raise self.validation_error("too_many_login_attempts")

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Any:
        user = super().authenticate(request, **credentials)
        if user is not None:
            self._account_usage.rollback()
        return user

    def _delete_login_attempts_cached_email(self, request: HttpRequest, **credentials: Any) -> None:
        super()._delete_login_attempts_cached_email(request, **credentials)
        ratelimit.clear(
            request, app="allauth.account", action="login_failed_account",
            key=account_of(**credentials),
        )  # fmt: skip

    def get_login_stages(self) -> list[str]:
        ours = f"{VerifyEmail.__module__}.{VerifyEmail.__name__}"
        theirs = "allauth.account.stages.EmailVerificationStage"
        return [ours if stage == theirs else stage for stage in super().get_login_stages()]


class VerifyEmail(EmailVerificationStage):
    """Asks for a verified address; who has none at all (an admin made at the console) gets no mail
    that could verify it."""

    def handle(self) -> tuple[Any, bool]:
        user = self.login.user  # none where somebody signs up with an address that has an account
        if user is not None and not user.email and not user.emailaddress_set.exists():
            return None, True
        found: tuple[Any, bool] = super().handle()
        return found


def password_reset(request: HttpRequest) -> HttpResponseBase:
    """A link by mail; where no mail is sent, whom to ask."""
    if settings.SENDS_MAIL:
        return PasswordResetView.as_view()(request)
    return render(request, "account/no_mail.html")


def account_of(**credentials: Any) -> str:
    """The account that credentials name, by its number; what was typed, where there is none."""
    typed = str(credentials.get("email") or credentials.get("username") or "").strip().lower()
    user = get_user_model()
    by_mail = Q(email__iexact=typed) | Q(emailaddress__email__iexact=typed)
    named = Q(username__iexact=typed) | (by_mail if "@" in typed else Q())
    if not typed or "\0" in typed:
        return typed.replace("\0", "")
    found = user.objects.filter(named).order_by("pk").values_list("pk", flat=True).first()
    return f"user-{found}" if found else typed


class AdminLogin(LoginView):
    """The admin's door: the site's own way in, with its limits and second step, at the admin's address.
    Who is in already and may not pass is told."""

    template_name = "account/admin_login.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
            return response
        if request.user.has_perm("wagtailadmin.access_admin"):
            return redirect(self.get_success_url())
        return render(request, "account/not_allowed.html", status=403)

    def get_form_kwargs(self) -> dict[str, Any]:
        kwargs: dict[str, Any] = super().get_form_kwargs()
        if "data" in kwargs:  # the admin's form calls it so, and so do password managers
            data = kwargs["data"].copy()
            data.setdefault("login", data.get("username", ""))
            kwargs["data"] = data
        return kwargs

    def get_success_url(self) -> str:
        return safe_next(self.request) or reverse("wagtailadmin_home")


def safe_next(request: HttpRequest) -> str:
    """Where a request asks to go on to, if that is on this site; else empty."""
    target = str(request.POST.get("next") or request.GET.get("next") or "")
    known = {request.get_host()}
    return target if url_has_allowed_host_and_scheme(target, known, request.is_secure()) else ""


@never_cache
def reader_login(request: HttpRequest) -> HttpResponse:
    """Where Wagtail sends readers of restricted pages and documents."""
    if request.user.is_authenticated:  # and not among those who may read it
        return render(request, "account/not_allowed.html", status=403)
    target = safe_next(request) or reverse("account")
    return redirect(f"{reverse('account_login')}?{urlencode({'next': target})}")


def shared_password(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Wagtail's form for the password of a page or collection, with a limit on guesses."""

    @wraps(view)
    def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        refused = ratelimit.consume_or_429(
            request, app="allauth.account", action="shared_password", key=request.path
        )
        return refused or view(request, *args, **kwargs)

    return limited


def has_second_step(request: HttpRequest) -> bool:
    """Whether this session stands on a second step: given when it began, or set up in it."""
    made = [each.created_at.timestamp() for each in second_steps(request)]
    if not made:
        return False
    records = get_authentication_records(request, request.user)
    return not records or any(
        record["method"] == "mfa"
        or (record.get("reauthenticated") and any(m - SETUP_S <= record["at"] <= m for m in made))
        for record in records
    )


def second_steps(request: HttpRequest) -> QuerySet[Authenticator]:
    """Authenticator apps, security keys and passkeys of whoever is signed in."""
    kinds = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
    return Authenticator.objects.filter(user=request.user, type__in=kinds)


class StaffSecondStep:
    """Middleware: with `REQUIRE_STAFF_MFA`, whoever has an admin's rights and no second step reaches
    nothing but the pages to set it up; so no right of theirs is used by any address, page or API.
    Synchronous, as all of them are (see `moondream_site.api.MethodNotAllowed`)."""

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if (
            settings.REQUIRE_STAFF_MFA
            and settings.SESSION_COOKIE_NAME in request.COOKIES
            and not request.path.startswith(_OPEN)
            and request.user.is_authenticated
            and is_staff(request.user)
            and not has_second_step(request)
        ):
            return _refused(request)
        return self.get_response(request)


_OPEN = (
    "/account/2fa/totp/activate/", "/account/2fa/webauthn/add/", "/account/2fa/webauthn/login/",
    "/account/2fa/webauthn/reauthenticate/", "/account/2fa/authenticate/", "/account/2fa/reauthenticate/",
    "/account/login/", "/account/logout/", "/account/reauthenticate/",
    "/account/confirm-email/", "/static/", "/healthz", "/readyz",
)  # fmt: skip


def _refused(request: HttpRequest) -> HttpResponse:
    if problems.wants_json(request.path):
        where = f"Set it up at {reverse('mfa_activate_totp')}."
        error = errors.MFA_REQUIRED(hint=where)
        return problems.problem(request.path, error)
    if second_steps(request).exists():
        return redirect(f"{reverse('mfa_reauthenticate')}?{urlencode({'next': request.path})}")
    return redirect(f"{reverse('mfa_activate_totp')}?{urlencode({'next': request.path})}")
