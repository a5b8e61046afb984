"""Which addresses pages cannot have, as something else answers there; and redirects that never end."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import Resolver404, URLResolver, get_resolver, resolve
from wagtail.admin.forms import WagtailAdminPageForm
from wagtail.admin.forms.pages import CopyForm
from wagtail.contrib.redirects.middleware import RedirectMiddleware
from wagtail.contrib.redirects.models import Redirect
from wagtail.fields import RichTextField
from wagtail.models import Page, Site
from wagtail.rich_text import RichText

from research import formulas

MAX_REDIRECTS = 10
"""One after another; browsers give up at about twenty."""
_SHARED = {"docs"}
"""First parts of our own addresses beside which pages stand."""
_TWIN = "index"
"""`/index.md` is the front page as Markdown."""
_LITERAL = re.compile(r"\^?([\w-]+)")
SAID = "This address is the site's own. Choose another slug."


@cache
def reserved() -> frozenset[str]:
    """First parts of addresses that the site itself answers, in small letters."""
    files = (settings.STATIC_URL, settings.MEDIA_URL)
    words = {*_first_parts(get_resolver().url_patterns), *(url.strip("/") for url in files), _TWIN}
    return frozenset(word.casefold() for word in words if word) - _SHARED


def _first_parts(patterns: Iterable[Any]) -> Iterator[str]:
    for entry in patterns:
        literal = _LITERAL.match(str(entry.pattern))
        if literal:
            yield literal[1]
        elif isinstance(entry, URLResolver) and not str(entry.pattern):
            yield from _first_parts(entry.url_patterns)


def is_taken(parent: Page, slug: str) -> bool:
    """Whether a page of this slug under a parent could not be reached."""
    parts = parent.get_url_parts()
    if parts is None:  # the root of all sites: what is under it has no part of its own
        return False
    path = f"{parts[2]}{slug}/"
    if parts[2] == "/" and slug.casefold() in reserved():
        return True
    try:
        return resolve(path).url_name != "wagtail_serve"
    except Resolver404:
        return False


class PageForm(WagtailAdminPageForm):
    """Any page's, which refuses a slug whose address is taken, and formulas that cannot be drawn."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean()
        slug = cleaned.get("slug")
        if slug and self.parent_page and is_taken(self.parent_page, slug):
            self.add_error("slug", SAID)
        for field in (f for f in self._meta.model._meta.fields if f.name in cleaned):
            value = cleaned[field.name]
            value = RichText(value) if isinstance(field, RichTextField) else value
            for problem in formulas.problems(value):
                self.add_error(field.name, problem)
        return cleaned


class PageCopyForm(CopyForm):
    """Likewise of a copy."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean()
        slug, parent = cleaned.get("new_slug"), cleaned.get("new_parent_page")
        if slug and parent and is_taken(parent, slug):
            self.add_error("new_slug", SAID)
        return cleaned


class EndingRedirects(RedirectMiddleware):
    """Wagtail's, which sends nobody round in circles: what leads back to itself is not found."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        found: HttpResponseBase = super().process_response(request, response)
        if found is response or ends(request.get_full_path(), found["Location"], Site.find_for_request(request), request.get_host()):  # fmt: skip
            return found
        return response


def ends(start: str, link: str, site: Site | None, *hosts: str, leaving_out: Any = None) -> bool:
    """Whether who is sent from an address of this site to a link arrives somewhere.

    Args:
        hosts: names of this site beside those that are known.
        leaving_out: key of a redirect that does not count, as it is being changed.
    """
    ours = {_name(host) for host in hosts} | _hosts()
    seen = {Redirect.normalise_path(start)}
    for _ in range(MAX_REDIRECTS):
        if _name(urlsplit(link).netloc) not in {"", *ours}:
            return True
        path = Redirect.normalise_path(link)
        if path in seen:
            return False
        if _answers(path, site):
            return True
        seen.add(path)
        further = _redirect(path, link, site, leaving_out)
        if further is None or not further.link:
            return True
        link = further.link
    return False


def _name(host: str) -> str:
    return (urlsplit(f"//{host}").hostname or "") if host else ""


def _hosts() -> set[str]:
    names = {name.lower() for name in Site.objects.values_list("hostname", flat=True)}
    return names | {_name(urlsplit(settings.WAGTAILADMIN_BASE_URL).netloc)}


def _redirect(path: str, link: str, site: Site | None, leaving_out: Any) -> Redirect | None:
    """The redirect that Wagtail takes: with the query, else without; the site's own first."""
    forms = [path, Redirect.normalise_path(link, decode_unicode=False), path.partition("?")[0]]
    found = {
        (redirect.old_path, redirect.site_id is None): redirect
        for redirect in Redirect.get_for_site(site)
        .filter(old_path__in=forms)
        .exclude(pk=leaving_out)
    }
    order = ((form, is_general) for form in forms for is_general in (False, True))
    return next((found[key] for key in order if key in found), None)


def _answers(path: str, site: Site | None) -> bool:
    """Whether there is something else than a redirect at an address."""
    path = path.partition("?")[0].rstrip("/") + "/"
    try:
        is_page = resolve(path).url_name == "wagtail_serve"
    except Resolver404:
        return False
    if not is_page:
        return True
    if site is None:
        site = Site.objects.filter(is_default_site=True).first()
    try:
        parts = [part for part in path.split("/") if part]
        return bool(site and site.root_page.specific.route(HttpRequest(), parts))
    except Http404:
        return False


def _clean(redirect: Redirect) -> None:
    _normalise(redirect)
    redirect.__dict__.pop("link", None)  # kept from before it was changed
    link = redirect.link
    if link and not ends(redirect.old_path, link, redirect.site, leaving_out=redirect.pk):
        name = "redirect_page" if redirect.redirect_page else "redirect_link"
        raise ValidationError(
            {name: "This leads back to where it comes from. Choose another target."}
        )


_normalise = Redirect.clean


def connect() -> None:
    """Wagtail's forms and its import have no setting for another form of redirects; each of them asks
    the model."""
    Redirect.clean = _clean  # type: ignore[method-assign]
