from django.urls import path, re_path
from django.views.decorators.http import require_safe
from django.views.generic import RedirectView
from wagtail.contrib.sitemaps.views import sitemap

from research import feeds, views
from research.sitemaps import ReadableSitemap

app_name = "research"
urlpatterns = [
    path("search/", views.search, name="search"),
    path("docs/api/", views.api_reference, name="api_reference"),
    path("docs/api/try/", views.api_sandbox, name="api_sandbox"),
    path("api/docs", RedirectView.as_view(pattern_name="research:api_sandbox")),
    path("feeds/<slug:kind>.rss", feeds.feed, {"form": "rss"}, name="rss"),
    path("feeds/<slug:kind>.atom", feeds.feed, {"form": "atom"}, name="atom"),
    path("feeds/<slug:kind>.json", feeds.feed, {"form": "json"}, name="json"),
    path("og/<int:page_id>.png", views.card, name="card"),
    path(
        "sitemap.xml",
        require_safe(sitemap),
        {"sitemaps": {"wagtail": ReadableSitemap}},
        name="sitemap",
    ),
    path("robots.txt", views.robots, name="robots"),
    path("llms.txt", views.llms, name="llms"),
    re_path(r"^(?P<path>[\w/-]+)\.md$", views.as_markdown, name="markdown"),
    re_path(
        r"^(?P<path>[\w/-]+)\.md/$",
        require_safe(
            RedirectView.as_view(
                pattern_name="research:markdown", query_string=True, permanent=True
            )
        ),
    ),
]
