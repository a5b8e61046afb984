"""The one ASGI application: pages, API, streams and static files."""

import gc
import os
import time
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from moondream_site import proxies
from moondream_site.bodies import BoundedBodies, Message, Receive, Send
from moondream_site.handler import get_handler
from moondream_site.kept_pages import KeptPages

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "moondream_site.settings.development")
proxies.take_over()
# What is made while everything is imported stays: to look for garbage among it is a fifth of the start,
# and of every full collection after it.
gc.disable()
_django: Any = get_handler()
gc.freeze()
gc.enable()


_PROBED = frozenset({"/healthz", "/readyz"})
_HOST = (b"host", urlsplit(settings.WAGTAILADMIN_BASE_URL).netloc.encode())
"""Whoever probes names the process's own address, which need be no host of the site."""


async def _answer(scope: Message, receive: Receive, send: Send) -> None:
    await _django(scope, receive, send)


_bounded = KeptPages(BoundedBodies(_answer))


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """Django, with the client known and the request's body bounded."""
    if scope["type"] != "http":
        await _django(scope, receive, send)
        return
    proxies.settle(scope)
    if scope.get("path") in _PROBED:
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"host"] + [_HOST]
    scope["received_at"] = time.time()  # deadlines are judged by it, however long the body takes
    await _bounded(scope, receive, send)
