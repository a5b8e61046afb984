"""Which links of a page lead nowhere on this site. Other sites are not asked."""

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup
from django.contrib.auth.models import AnonymousUser
from django.http import Http404, HttpRequest
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.urls import Resolver404, ResolverMatch, resolve
from wagtail.contrib.redirects.models import Redirect
from wagtail.models import Page, Site
from wagtail.views import serve

from inference.errors import NotFound

_UNJUDGED = ("/v1/", "/api/", "/admin/", "/django-admin/", "/account/", "/static/", "/media/", "/documents/")  # fmt: skip
"""Addresses that need an account or a file to be judged."""


@dataclass(frozen=True, slots=True)
class Link:
    """What is linked, and its words."""

    address: str
    text: str


def broken(page: Page) -> list[Link]:
    """Links of a page's main part that lead nowhere; one of each kind. A link to a page that was
    deleted has no address any more."""
    site = page.get_site()
    if site is None:
        return []
    found = dict.fromkeys(
        Link(address[:500], text[:200])
        for address, text in _links(page, _request(site, page.url))
        if not _leads_somewhere(address, site)
    )
    return list(found)


def _request(site: Site, path: str) -> HttpRequest:
    request = RequestFactory().get(path, headers={"host": site.hostname})
    request.user = AnonymousUser()
    return request


def _links(page: Page, request: HttpRequest) -> Iterator[tuple[str, str]]:
    html = render_to_string(page.get_template(request), page.get_context(request), request)
    main = BeautifulSoup(html, "html.parser").find("main")
    for link in main.find_all("a") if main else ():
        if not link.get("id") or link.get("href"):  # an anchor of old needs no address
            yield str(link.get("href") or ""), link.get_text(" ", strip=True)


def _leads_somewhere(address: str, site: Site) -> bool:
    parts = urlsplit(address)
    if not address:
        return False
    if parts.scheme or parts.netloc or not parts.path or parts.path.startswith(_UNJUDGED):
        return True
    path = unquote(parts.path)
    return any(_answers(path, site) for path in dict.fromkeys((path, f"{path.rstrip('/')}/")))


def _answers(path: str, site: Site) -> bool:
    try:
        match = resolve(path)
    except Resolver404:
        return False
    if match.func == serve:
        return _is_page(path, site) or Redirect.get_for_site(site).filter(
            old_path=Redirect.normalise_path(path)
        ).exists()  # fmt: skip
    return _has_view(match, _request(site, path))


def _is_page(path: str, site: Site) -> bool:
    try:
        site.root_page.specific.route(_request(site, path), [p for p in path.split("/") if p])
    except Http404:
        return False
    return True


def _has_view(match: ResolverMatch, request: HttpRequest) -> bool:
    """What a view answers, where it can be asked here; where it cannot, it is taken to be there."""
    view: Any = match.func
    if iscoroutinefunction(view):
        return True
    request.resolver_match = match
    try:
        view(request, *match.args, **match.kwargs)
    except (Http404, NotFound):
        return False
    except Exception:  # noqa: BLE001  # it needs what only a whole request has: not for us to judge
        return True
    return True
