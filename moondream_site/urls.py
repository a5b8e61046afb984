"""Every address of the site. Wagtail's pages come last: they take what is left."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views.decorators.http import require_safe
from django.views.generic import RedirectView
from wagtail import urls as wagtail_urls
from wagtail.admin import urls as wagtailadmin_urls
from wagtail.documents import urls as wagtaildocs_urls
from wagtail.documents.views.serve import authenticate_with_password as document_password
from wagtail.views import authenticate_with_password as page_password

from leaderboard.urls import team_patterns
from moondream_site import api, signin
from moondream_site.accounts import account
from moondream_site.design.views import styleguide
from notifications.urls import account_patterns
from pricing.views_billing import stripe_webhook
from research import media
from status.views import readyz


@require_safe
async def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers; nothing else is checked (see /readyz and /status/ for the rest)."""
    return HttpResponse("ok\n", content_type="text/plain")


urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("", api.urls()),
    path("playground/", include("playground.urls")),
    path("leaderboards/", include("leaderboard.urls")),
    path("account/", account, name="account"),
    path("account/", include("pricing.urls")),
    path("stripe/webhook", stripe_webhook, name="stripe_webhook"),
    path("account/teams/", include(team_patterns)),
    path("account/webhooks/", include(account_patterns)),
    path("subscriptions/", include("notifications.urls")),
    path("account/password/reset/", signin.password_reset, name="account_reset_password"),
    path("account/", include("allauth.urls")),
    path("status/", include("status.urls")),
    path("styleguide/", styleguide, name="styleguide"),
    # The admin's door is the site's way in, with its limits and its second step.
    path("admin/login/", signin.AdminLogin.as_view()),
    re_path(r"^admin/password_reset/", RedirectView.as_view(pattern_name="account_reset_password")),
    path("_util/login/", signin.reader_login),
    path(
        "_util/authenticate_with_password/<int:page_view_restriction_id>/<int:page_id>/",
        signin.shared_password(page_password),
    ),
    path(
        "documents/authenticate_with_password/<int:restriction_id>/",
        signin.shared_password(document_password),
    ),
    path("admin/", include(wagtailadmin_urls)),
    re_path(r"^documents/(\d+)/(.*)$", media.document, name="document"),
    path("documents/", include(wagtaildocs_urls)),
    path("media/<path:name>", media.file, name="media"),
    path("", include("research.urls")),
    # The rest of what programs read; the CMS's pages would answer in HTML, or redirect.
    path("v1", api.nothing_here),
    path("v1/<path:rest>", api.nothing_here),
    path("api", api.nothing_here),
    path("api/<path:rest>", api.nothing_here),
    path("", include(wagtail_urls)),
]

handler400 = "moondream_site.design.views.bad_request"
handler404 = "moondream_site.design.views.not_found"
handler500 = "moondream_site.design.views.server_error"
