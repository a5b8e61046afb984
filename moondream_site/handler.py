"""Django's ASGI handler, which gives database connections back before it sends, and always closes."""

import logging
from collections.abc import Callable
from typing import Any

import django
from asgiref.sync import sync_to_async
from django import db
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_started
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from inference.database import release

logger = logging.getLogger(__name__)


class Handler(ASGIHandler):
    """Whatever breaks while a response is sent, it is closed: what it held is free again.

    What middlewares do before a view is done in one go: the way to a thread and back, which Django takes
    for each of them, costs more than most of them do.
    """

    _view_middleware: list[Any]

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: FBT001, FBT002  # Django's signature
        super().load_middleware(is_async)
        processors: tuple[Any, ...] = tuple(self._view_middleware)

        def process_view(*args: Any) -> HttpResponseBase | None:
            responses = (process(*args) for process in processors)
            return next((response for response in responses if response), None)

        self._view_middleware = [sync_to_async(process_view)]

    def adapt_method_mode(self, is_async: bool, method: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: FBT001
        if getattr(method, "__name__", "") == "process_view":
            return method  # all of them are adapted as one
        return super().adapt_method_mode(is_async, method, *args, **kwargs)

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().handle(scope, receive, send)
        except BaseException:
            await sync_to_async(release)()
            raise

    async def send_response(self, response: Any, send: Any) -> None:
        # What is raised from here goes past Django's own `response.close()`. The server notices that
        # the response has no end, and cuts the connection off.
        try:
            await super().send_response(response, send)
        except Exception:
            logger.exception("A response with status %s broke off", response.status_code)


def get_handler() -> Handler:
    """The handler, with Django set up and all addresses loaded: the first request need not wait."""
    django.setup(set_prefix=False)
    if not settings.DEBUG:
        # A request begins with no connection (`ReleaseConnections`) and no list of queries: for looking
        # after them each would go to a thread and back.
        request_started.disconnect(db.close_old_connections)
        request_started.disconnect(db.reset_queries)
    handler = Handler()
    reverse("healthz")
    return handler


class ReleaseConnections:
    """Middleware, the outermost one: when all others are done, the request's connection goes back to
    the pool. Sending comes after that, and takes as long as the client likes.

    Synchronous, as all of them are (see `moondream_site.api.MethodNotAllowed`).
    """

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        release()
        return response
