"""The status page under a host of its own (`STATUS_HOST`): there it is the root, beside what machines
read, and nothing else is answered. On the site's own host its address leads there."""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.request import split_domain_port
from django.http.response import HttpResponseBase

URLS = "moondream_site.status_urls"
_ANSWERED = ("/", "/summary.json")
_PAGE = "/status/"


def host_of_status() -> str:
    """The status page's own host, without a port; empty where it has none."""
    return split_domain_port(settings.STATUS_HOST)[0]


def linked(address: str) -> str:
    """An address of this site as its pages link to it: the status page's is on its own host."""
    if address != _PAGE or not settings.STATUS_HOST:
        return address
    return f"{urlsplit(settings.WAGTAILADMIN_BASE_URL).scheme}://{settings.STATUS_HOST}/"


class StatusHost:
    """Middleware, before all that looks at paths. Synchronous, as all of them are (see
    `moondream_site.api.MethodNotAllowed`)."""

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        own = host_of_status()
        if not own:
            return self.get_response(request)
        if split_domain_port(request.get_host())[0] == own:
            return self._answer(request)
        is_part = "HX-Request" in request.headers  # of a page that is open since before
        if request.path_info == _PAGE and request.method in ("GET", "HEAD") and not is_part:
            return HttpResponseRedirect(linked(_PAGE))
        return self.get_response(request)

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if path not in _ANSWERED and not path.startswith(settings.STATIC_URL):
            return HttpResponse("There is nothing here.\n", content_type="text/plain", status=404)
        request.urlconf = URLS
        return self.get_response(request)
