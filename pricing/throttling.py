"""A rate limit by address: keeps one caller from crowding out the rest. Not a quota."""

from django.conf import settings
from django.http import HttpRequest
from ninja.throttling import SimpleRateThrottle


class AddressThrottle(SimpleRateThrottle):
    """`ANON_RATE` requests of work (anything but GET) for each address."""

    scope = "anon"

    def __init__(self) -> None:
        super().__init__(settings.ANON_RATE)

    def get_cache_key(self, request: HttpRequest) -> str | None:
        if request.method in ("GET", "HEAD", "OPTIONS"):
            return None
        return f"throttle:{self.get_ident(request)}"
