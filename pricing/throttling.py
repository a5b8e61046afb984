"""Rate limits: keep one caller from crowding out the rest. Not a quota.

Which address of the site uses which allowance is in `moondream_site.limits`.
"""

import functools
import logging
import math
from dataclasses import dataclass
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError

from inference.circuit_breaker import CircuitBreaker
from inference.errors import DomainError
from inference.redis_client import options
from pricing import errors
from pricing.callers import Caller, caller_of
from pricing.models import ApiKey
from pricing.selectors import account_of_user, terms_of

log = logging.getLogger(__name__)

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PLAN_S = 10
"""Seconds over which a plan's requests a second are counted, so that they may come in bursts."""
_NETWORK_FACTOR = 8
"""How many accounts' allowances the accounts behind one address have together."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """How often a caller may do one kind of thing, as a multiple of their rate."""

    name: str
    factor: int
    does: str
    """What uses it, for the documentation."""


WORK = Allowance(
    "work", 1, "asking the model, submitting, and whatever else changes something by API"
)
SCORE = Allowance("score", 4, "scoring with a reward: it asks no model")
TUNE = Allowance("tune", 4, "sampling and training steps of a client that tunes")
READ = Allowance("read", 2, "pages that search or compute, and downloads")
STREAM = Allowance("stream", 4, "opening a stream of events")
PAGE = Allowance("page", 10, "any other page that is not kept ready")
FILE = Allowance("file", 40, "pictures on pages")
ALLOWANCES = (WORK, SCORE, TUNE, READ, STREAM, PAGE, FILE)


class Rate(NamedTuple):
    """So many in so many seconds."""

    amount: int
    seconds: int


def rate_read(text: str) -> Rate:
    """A rate as settings write it: `60/m`, `10/30s`.

    Raises:
        ValueError: it is none.
    """
    amount, _, period = text.strip().partition("/")
    count = int(period[:-1] or 1) if period[-1:] in _SECONDS else 0
    rate = Rate(int(amount), count * _SECONDS.get(period[-1:], 0))
    if rate.amount < 1 or rate.seconds < 1:
        raise ValueError(f"{text!r} is no rate; write it as 60/m")
    return rate


def key_rate() -> Rate:
    """An account's, by its keys together."""
    rate = rate_read(settings.ANON_RATE)
    return (
        rate_read(settings.KEY_RATE) if settings.KEY_RATE else Rate(2 * rate.amount, rate.seconds)
    )


def account_rate(key: ApiKey) -> Rate:
    """Of a key's account: its plan's, or else every account's."""
    per_second = terms_of(account_of_user(key.user)).per_second
    return Rate(per_second * _PLAN_S, _PLAN_S) if per_second else key_rate()


def _counted(caller: Caller) -> list[tuple[str, Rate]]:
    """Every name the caller's requests are counted under, with its rate."""
    rate = rate_read(settings.ANON_RATE)
    if caller.key is None:
        return [(caller.name, rate)]
    own = account_rate(caller.key)
    # Accounts cost nothing: those behind one address have a bound together.
    together = Rate(own.amount * _NETWORK_FACTOR, own.seconds)
    counted = [(caller.name, own), (f"accounts:{caller.network}", together)]
    if caller.key.per_minute:
        # First, so that one key's own limit uses nothing of what the account has.
        counted.insert(0, (f"key:{caller.key.pk}", Rate(caller.key.per_minute, 60)))
    return counted


class Told(NamedTuple):
    """What is left of an allowance, for the headers of an answer."""

    name: str
    rate: Rate
    left: int
    seconds: float
    """Until this window is over."""


def told(request: HttpRequest, allowance: Allowance = WORK) -> Told | None:
    """What the caller has left of the first limit that holds for them; None while the counters are away.
    It counts nothing."""
    name, rate = _counted(caller_of(request))[0]
    item = RateLimitItemPerSecond(rate.amount * allowance.factor, rate.seconds)
    whole = Rate(item.amount, rate.seconds)
    if not _breaker.may_ask():
        return None
    try:
        window = _shared().storage.get_sliding_window(  # type: ignore[attr-defined]
            item.key_for(allowance.name, name), item.get_expiry()
        )
    except RedisError:
        _breaker.failed()
        return None
    before, before_ends, now, now_ends = window
    used = now + before * before_ends / rate.seconds
    ends_s = now_ends - rate.seconds if now_ends > rate.seconds else now_ends
    return Told(allowance.name, whole, max(0, math.floor(whole.amount - used)), max(0.0, ends_s))


def check(request: HttpRequest, allowance: Allowance = WORK, cost: int = 1) -> None:
    """Count a request: of the account whose key was sent, else of the network its address is in.

    Raises:
        Busy: the caller has used the allowance up.
    """
    for name, rate in _counted(caller_of(request)):
        item = RateLimitItemPerSecond(rate.amount * allowance.factor, rate.seconds)
        wait_s = hit(item, allowance.name, name, cost=cost)
        if wait_s:
            raise too_many(wait_s)


def too_many(wait_s: float) -> DomainError:
    """What a caller over the limit is told."""
    wait = max(1, math.ceil(wait_s))
    return errors.RATE_LIMITED(
        "Too many requests from this address.", retry_after=wait, hint=f"Try again in {wait} s."
    )


@functools.cache
def _shared() -> SlidingWindowCounterRateLimiter:
    """The counters of all processes; a slow one must not hold a request up."""
    uri = settings.REDIS_URL.replace("unix://", "redis+unix://", 1)
    prefix = f"{settings.REDIS_PREFIX}limits"
    storage = RedisStorage(uri, key_prefix=prefix, **options(connect_s=1, answer_s=1))
    return SlidingWindowCounterRateLimiter(storage)


@functools.cache
def _own() -> SlidingWindowCounterRateLimiter:
    return SlidingWindowCounterRateLimiter(MemoryStorage())


_breaker = CircuitBreaker()
"""While it is open, this process counts by itself."""


def hit(item: RateLimitItem, *names: str, cost: int = 1) -> float:
    """Count `cost` at once, or nothing.

    While the shared counters are away, each process counts for itself: the site goes on, and a limit
    is at most as many times too wide as there are processes.

    Returns:
        0, or the seconds to wait.
    """
    cost = min(cost, item.amount)
    if _breaker.may_ask():
        try:
            wait = _hit(_shared(), item, names, cost)
        except RedisError:
            _breaker.failed()
            log.warning("The counters of the rate limits cannot be reached.")
        else:
            _breaker.answered()
            return wait
    return _hit(_own(), item, names, cost)


def _hit(
    limiter: SlidingWindowCounterRateLimiter, item: RateLimitItem, names: tuple[str, ...], cost: int
) -> float:
    if limiter.hit(item, *names, cost=cost):
        return 0.0
    storage: RedisStorage | MemoryStorage = limiter.storage  # type: ignore[assignment]
    window = storage.get_sliding_window(item.key_for(*names), item.get_expiry())
    return wait_s(window, Rate(item.amount, item.get_expiry()), cost)


def wait_s(window: tuple[int, float, int, float], rate: Rate, cost: int) -> float:
    """Seconds until a sliding window has room for `cost`; at least a moment.

    Args:
        window: requests of the window before and seconds until it counts no more, requests of this
            window and seconds until it becomes the one before.

    The window before counts in proportion to what is left of it.
    """
    before, before_ends, now, now_ends = window
    room = rate.amount - cost
    if now <= room and before:
        # before * (before_ends - t) / seconds must be below room - now + 1
        return max(0.001, before_ends - (room - now + 1) * rate.seconds / before)
    if now:
        now_ends = now_ends if now_ends <= rate.seconds else now_ends - rate.seconds
        decayed = max(0.0, rate.seconds - (room + 1) * rate.seconds / now)
        return max(0.001, now_ends + decayed)
    return 0.001
