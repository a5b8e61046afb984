"""A rate limit by address: keeps one caller from crowding out the rest. Not a quota."""

from typing import Any

from django.conf import settings
from django.core.cache.backends.redis import RedisCache
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from ninja.throttling import SimpleRateThrottle

from inference.errors import Busy


def _cache() -> RedisCache:
    chosen = settings.CACHES["default"]
    return RedisCache(chosen["LOCATION"], {"KEY_PREFIX": chosen["KEY_PREFIX"]})


class AddressThrottle(SimpleRateThrottle):
    """`ANON_RATE` requests of work (anything but GET) for each address."""

    scope = "anon"

    # One for the process: Django's own is one a thread, and under ASGI each request has a thread
    # of its own, which would connect anew.
    cache: Any = SimpleLazyObject(_cache)

    def __init__(self, rate: str = "", counted_as: str = "") -> None:
        """
        Args:
            rate: another than `ANON_RATE`, for what costs little; counted by itself, under a name.
        """
        super().__init__(rate or settings.ANON_RATE)
        self.counted_as = counted_as

    def get_cache_key(self, request: HttpRequest) -> str | None:
        if request.method in ("GET", "HEAD", "OPTIONS"):
            return None
        return f"throttle:{self.counted_as}{self.get_ident(request)}"


def too_many(wait_s: float | None) -> Busy:
    """What an address over its limit is told."""
    wait = int(wait_s or 1)
    return Busy(
        "Too many requests from this address.", retry_after=wait, code="rate_limited",
        hint=f"Try again in {wait} s.",
    )  # fmt: skip
