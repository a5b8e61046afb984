"""Stripe, by its official library: one client for each key, and its errors as this room's own."""

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.conf import settings

from pricing import errors

if TYPE_CHECKING:
    from stripe import StripeClient

logger = logging.getLogger(__name__)
SECONDS = 10
"""How long one answer may take."""


def is_on() -> bool:
    """Whether anything is sold here."""
    return bool(settings.STRIPE_SECRET_KEY)


def is_live() -> bool:
    """Whether real money is taken."""
    return "_live_" in settings.STRIPE_SECRET_KEY


def client() -> "StripeClient":
    """
    Raises:
        NotFound: nothing is sold here.
    """
    if not is_on():
        raise errors.PAYMENTS_OFF()
    return _client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE)


@functools.lru_cache(maxsize=2)
def _client(key: str, base: str) -> "StripeClient":
    import stripe  # where nothing is sold it is not loaded at all

    # It asks again by itself only what is safe to repeat, with the same idempotency key.
    return stripe.StripeClient(
        key, base_addresses={"api": base}, max_network_retries=1,
        http_client=stripe.RequestsClient(timeout=SECONDS),
    )  # fmt: skip


@contextmanager
def asking() -> Iterator[None]:
    """
    Raises:
        Busy: Stripe is away, or refused what was asked; the log says which.
    """
    import stripe

    try:
        yield
    except stripe.StripeError as error:
        logger.warning("Stripe: %s: %s", type(error).__name__, error)
        raise errors.PAYMENTS_AWAY() from error


def plain(remote: Any) -> dict[str, Any]:
    """An object of the library as a dictionary."""
    made: dict[str, Any] = remote.to_dict()
    return made


def id_of(value: Any) -> str:
    """The id of something that Stripe names or includes whole."""
    return str(value.get("id", "")) if isinstance(value, dict) else str(value or "")
