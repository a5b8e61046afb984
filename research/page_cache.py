"""Whole pages for readers without a session, until something is published.

A middleware ahead of all that touches the database, on Django's cache. A response is kept when its
view marked it with `keep`, together with the generation of its time; `forget_all` begins another,
and what is older counts no more. When the cache cannot be reached, this steps aside.

Strangers choose addresses, hosts and headers, so none of them is a key as it was sent. A key is the
scheme, a host of the settings, the path, and the query fields that the view says it used; an answer
to a field that it did not use is not kept. Everything else a request carries (the order of its
fields, its encoding, HX-Request, Accept-Language, its method) makes no entry of its own.

What Django finally answers with a kept page, `research.kept_pages` sends from this process's memory.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_vary_headers
from redis.exceptions import RedisError

log = logging.getLogger(__name__)
GENERATION = "pages:generation"
_MARK = "_page_cache"
KEPT = "moondream.kept_page"
"""Of an ASGI scope: the key of the kept page that answers it, and until when."""
_NEVER = (
    "/v1/", "/api/", "/admin/", "/django-admin/", "/media/", "/documents/", "/healthz", "/readyz",
)  # fmt: skip
"""Addresses without kept pages: they need not ask the cache."""
_PERSONAL = ("Authorization", "X-Moondream-Auth")
"""Headers of a request whose answer may be for its sender alone."""
_QUERY = {
    "page": re.compile(r"[1-9][0-9]{0,3}"),
    "tag": re.compile(r".{1,100}"),
    "year": re.compile(r"[12][0-9]{3}"),
}
"""Query fields that may make a page of their own, and the one form of their values."""


def keep(response: HttpResponseBase, seconds: int, fields: Mapping[str, str] | None = None) -> None:
    """Mark a response as the same for every reader who is not signed in.

    Args:
        seconds: how long it may be kept; 0 takes an earlier mark away.
        fields: the query fields it depends on, with the values it was made from. It is kept only
            for a request with exactly these: what matches nothing makes no entry.
    """
    setattr(response, _MARK, (seconds, dict(fields or {})))


def forget_all(*args: Any, **kwargs: Any) -> None:
    """Something that pages show has changed; also a signal's receiver.

    Within a transaction this also happens at its end: a page that was made before it, of what was
    there before, is then not kept.
    """
    del args, kwargs
    _new_generation()
    if transaction.get_connection().in_atomic_block:
        transaction.on_commit(_new_generation)


def _new_generation() -> None:
    # Not a count: one that the cache drops would begin again, and what is older would count once more.
    try:
        cache.set(GENERATION, uuid4().hex, None)
    except RedisError:
        log.warning("The page cache cannot be reached; kept pages may be old until they expire.")


def _begin() -> str:
    """The first generation of an empty cache."""
    made = uuid4().hex
    try:
        cache.add(GENERATION, made, None)
    except RedisError:
        log.warning("The page cache cannot be reached; nothing is kept.")
    return made


@dataclass(frozen=True, slots=True)
class Address:
    """What a kept page is found by."""

    origin: str
    path: str
    fields: dict[str, str]
    as_sent: bool
    """Whether the request named the host in just this form: pages print it in their links."""

    @property
    def key(self) -> str:
        text = f"2 {self.origin}{self.path}?{urlencode(sorted(self.fields.items()))}"
        return f"pages:{sha256(text.encode()).hexdigest()}"


class PageCache:
    """Middleware; synchronous, as all of them are (see `moondream_site.api.MethodNotAllowed`)."""

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        address = address_of(request)
        if address is None:
            return self.get_response(request)
        try:
            found = cache.get_many([GENERATION, address.key])
        except RedisError:
            return self.get_response(request)
        generation = found.get(GENERATION) or _begin()
        if address.key in found and found[address.key][0] == generation:
            _, body, headers, until = found[address.key]
            _tell(request, address, until)
            return _conditional(request, HttpResponse(body, headers=headers))
        response = self.get_response(request)
        seconds = _seconds(request, response, address)
        if not seconds:
            return response
        assert isinstance(response, HttpResponse)
        response["ETag"] = f'"{sha256(response.content).hexdigest()[:32]}"'
        response["Cache-Control"] = "public, max-age=0, must-revalidate"
        patch_vary_headers(response, ("Cookie",))
        until = time.time() + seconds
        _tell(request, address, until)
        try:
            kept = (generation, response.content, dict(response.items()), until)
            cache.set(address.key, kept, seconds)
        except RedisError:
            log.warning("The page cache cannot be reached; nothing is kept.")
        return _conditional(request, response)


def _tell(request: HttpRequest, address: Address, until: float) -> None:
    """Let the server know which kept page this is, and until when (`time.time()`)."""
    getattr(request, "scope", {})[KEPT] = (address.key, until)


def _seconds(request: HttpRequest, response: HttpResponseBase, address: Address) -> int:
    """How long an answer may be kept under an address; 0 for not at all."""
    seconds, fields = getattr(response, _MARK, (0, {}))
    varies = {part.strip().lower() for part in response.get("Vary", "").split(",")} - {"", "cookie"}
    private = {"private", "no-store"} & set(response.get("Cache-Control", "").split(", "))
    kept = (
        request.method == "GET"
        and address.as_sent
        and fields == address.fields
        and response.status_code == 200
        and not (response.streaming or response.cookies or varies or private)
    )
    return seconds if kept else 0


def address_of(request: HttpRequest) -> Address | None:
    """Where an answer to this request may be found or kept; None where it may not, as one that is
    not the same for every reader without a session."""
    if (
        request.method not in ("GET", "HEAD")
        or request.path.startswith(_NEVER)
        or settings.SESSION_COOKIE_NAME in request.COOKIES
        or any(name in request.headers for name in _PERSONAL)
    ):
        return None
    host, fields = _host(request), _fields(request)
    if host is None or fields is None:
        return None
    as_sent = request.get_host() == host
    return Address(f"{request.scheme}://{host}", request.path, fields, as_sent)


def _fields(request: HttpRequest) -> dict[str, str] | None:
    """The query's fields in one form: the last of each, without empty ones and the first page's
    number; None if there is another field or a value in another form."""
    fields = {name: str(value) for name, value in request.GET.items() if value}
    if any(name not in _QUERY or not _QUERY[name].fullmatch(v) for name, v in fields.items()):
        return None
    if fields.get("page") == "1":
        del fields["page"]
    return fields


def _host(request: HttpRequest) -> str | None:
    """The request's host in one form: named in full by the settings, on the port this server listens
    on, the scheme's own, or the site's; None for any other, whose pages are not kept."""
    domain, port = split_domain_port(request.get_host())
    site = urlsplit(settings.WAGTAILADMIN_BASE_URL)
    if settings.STATUS_HOST and domain == split_domain_port(settings.STATUS_HOST)[0]:
        return None  # the same paths are something else there
    if domain not in {host.lower() for host in settings.ALLOWED_HOSTS} | {site.hostname}:
        return None
    usual = "443" if request.is_secure() else "80"
    number = str(int(port)) if port else usual
    if number not in (usual, str(request.META.get("SERVER_PORT")), str(site.port)):
        return None
    return domain if number == usual else f"{domain}:{number}"


def _conditional(request: HttpRequest, response: HttpResponse) -> HttpResponseBase:
    return get_conditional_response(request, etag=response["ETag"], response=response) or response
