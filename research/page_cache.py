"""Whole pages for readers without a session, until something is published.

A middleware ahead of all that touches the database, on Django's cache. A response is kept when its
view marked it with `keep`; a key holds the generation that `forget_all` raises.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_vary_headers

_GENERATION = "pages:generation"
_MARK = "_page_cache_seconds"


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


class PageCache:
    """Middleware; synchronous, as all of them are (see `moondream_site.api.MethodNotAllowed`)."""

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method not in ("GET", "HEAD") or settings.SESSION_COOKIE_NAME in request.COOKIES:
            return self.get_response(request)
        generation = cache.get(_GENERATION, 0)
        address = f"{request.method} {request.build_absolute_uri()} {request.headers.get('HX-Request', '')}"
        key = f"pages:{generation}:{sha256(address.encode()).hexdigest()}"
        kept = cache.get(key)
        if kept is None:
            response = self.get_response(request)
            seconds = getattr(response, _MARK, 0)
            if not seconds or response.status_code != 200 or response.cookies:
                return response
            assert isinstance(response, HttpResponse)
            if hasattr(response, "render") and not response.is_rendered:  # type: ignore[attr-defined]
                response.render()  # type: ignore[attr-defined]
            response["ETag"] = f'"{sha256(response.content).hexdigest()[:32]}"'
            response["Cache-Control"] = "public, max-age=0, must-revalidate"
            patch_vary_headers(response, ("Cookie", "HX-Request"))
            cache.set(key, (response.content, dict(response.items())), seconds)
            return self._answer(request, response)
        body, headers = kept
        return self._answer(request, HttpResponse(body, headers=headers))

    @staticmethod
    def _answer(request: HttpRequest, response: HttpResponse) -> HttpResponseBase:
        return (
            get_conditional_response(request, etag=response["ETag"], response=response) or response
        )
