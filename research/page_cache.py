"""Whole pages for readers without a session, until something is published.

A middleware ahead of all that touches the database, on Django's cache. A response is kept when its
view marked it with `keep`, together with the generation of its time; `forget_all` raises the
generation, and what is older counts no more. When the cache cannot be reached, this steps aside.
"""

import logging
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_vary_headers
from redis.exceptions import RedisError

log = logging.getLogger(__name__)
_GENERATION = "pages:generation"
_MARK = "_page_cache_seconds"
_NEVER = ("/v1/", "/api/", "/admin/", "/django-admin/", "/healthz")
"""Addresses without kept pages: they need not ask the cache."""
_QUERY = {"page": 3, "tag": 40, "year": 4}
"""Query fields that make a page of their own, and how long their values may be: other addresses are
answered but not kept, so that nobody can fill the cache."""


def keep(response: HttpResponseBase, seconds: int) -> None:
    """Mark a response as the same for every reader who is not signed in."""
    setattr(response, _MARK, seconds)


def forget_all(*args: Any, **kwargs: Any) -> None:
    """Something that pages show has changed; also a signal's receiver."""
    del args, kwargs
    try:
        cache.incr(_GENERATION)
    except ValueError:
        cache.set(_GENERATION, 1, None)
    except RedisError:
        log.warning("The page cache cannot be reached; kept pages may be old until they expire.")


class PageCache:
    """Middleware; synchronous, as all of them are (see `moondream_site.api.MethodNotAllowed`)."""

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not _is_shared(request):
            return self.get_response(request)
        key = _key(request)
        try:
            found = cache.get_many([_GENERATION, key])
        except RedisError:
            return self.get_response(request)
        generation = found.get(_GENERATION, 0)
        if key in found and found[key][0] == generation:
            _, body, headers = found[key]
            return _conditional(request, HttpResponse(body, headers=headers))
        response = self.get_response(request)
        seconds = getattr(response, _MARK, 0)
        if not seconds or response.status_code != 200 or response.cookies:
            return response
        assert isinstance(response, HttpResponse)
        response["ETag"] = f'"{sha256(response.content).hexdigest()[:32]}"'
        response["Cache-Control"] = "public, max-age=0, must-revalidate"
        patch_vary_headers(response, ("Cookie", "HX-Request"))
        try:
            cache.set(key, (generation, response.content, dict(response.items())), seconds)
        except RedisError:
            log.warning("The page cache cannot be reached; nothing is kept.")
        return _conditional(request, response)


def _is_shared(request: HttpRequest) -> bool:
    """Whether any reader without a session would get the same answer."""
    return (
        request.method in ("GET", "HEAD")
        and not request.path.startswith(_NEVER)
        and settings.SESSION_COOKIE_NAME not in request.COOKIES
        and all(
            name in _QUERY and len(value) <= _QUERY[name] for name, value in request.GET.items()
        )
    )


def _key(request: HttpRequest) -> str:
    htmx = request.headers.get("HX-Request", "")
    address = f"{request.method} {request.build_absolute_uri()} {htmx}"
    return f"pages:{sha256(address.encode()).hexdigest()}"


def _conditional(request: HttpRequest, response: HttpResponse) -> HttpResponseBase:
    return get_conditional_response(request, etag=response["ETag"], response=response) or response
