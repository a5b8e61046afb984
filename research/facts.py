"""Figures of this server that texts name in braces, as `{image_mb}`: what a page says is what is set, and
stays true when it changes."""

import re
from collections.abc import Callable

from django.conf import settings

from inference.engine.files.unpacking import MAX_BYTES, MAX_UNPACKED
from inference.images import REDUCED
from pricing.throttling import Rate, key_rate, rate_read

_PERIODS = {1: "a second", 60: "a minute", 3600: "an hour", 86400: "a day"}
_NAME = re.compile(r"\{([a-z_]+)\}")


def _rate(rate: Rate) -> str:
    """As in "60 times a minute"."""
    period = _PERIODS.get(rate.seconds, f"in {rate.seconds} seconds")
    return f"{rate.amount:,} times {period}"


def _whole(number: float) -> str:
    return f"{number:,.0f}"


def _hours(hours: int) -> str:
    return f"{hours} hour{'' if hours == 1 else 's'}"


FACTS: dict[str, Callable[[], str]] = {
    "address_rate": lambda: _rate(rate_read(settings.ANON_RATE)),
    "key_rate": lambda: _rate(key_rate()),
    "image_mb": lambda: _whole(settings.INFERENCE_MAX_IMAGE_BYTES / 2**20),
    "image_megapixels": lambda: _whole(settings.INFERENCE_MAX_IMAGE_PIXELS / 10**6),
    "jpeg_megapixels": lambda: _whole(settings.INFERENCE_MAX_IMAGE_PIXELS * REDUCED / 10**6),
    "image_kept": lambda: _hours(settings.INFERENCE_IMAGE_RETENTION_H),
    "session_kept": lambda: str(settings.SESSIONS_RETENTION_DAYS),
    "predictions_mb": lambda: _whole(MAX_BYTES / 2**20),
    "predictions_unpacked_mb": lambda: _whole(MAX_UNPACKED / 2**20),
}
"""By name: digits and plain words, which are safe in HTML."""


def filled(text: str) -> str:
    """A text with this server's figures in the place of their names; other braces stay."""
    return _NAME.sub(lambda found: FACTS[found[1]]() if found[1] in FACTS else found[0], text)
