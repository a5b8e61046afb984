"""A rate limit by address: keeps one caller from crowding out the rest. Not a quota."""

from django.conf import settings
from django.http import HttpRequest
from ninja.throttling import SimpleRateThrottle

from inference.errors import Busy


class AddressThrottle(SimpleRateThrottle):
    """`ANON_RATE` requests of work (anything but GET) for each address."""

    scope = "anon"

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
