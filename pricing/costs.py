"""What an image costs: the arithmetic alone, without Django. The page's `static/js/pricing/costs.js` is the
same, operation for operation; a test compares the two.

    cost of an image = seconds of a worker × price of an hour / 3600 / batch gain + overhead
    price of an image = cost × (1 + margin)
"""

import math
from dataclasses import dataclass

TOKENS = {"caption": 24, "query": 6, "detect": 18, "point": 9}
"""Tokens that an answer of each skill is reckoned with where it was not measured."""
OVERHEAD = 0.000001
"""Dollars an image for what is not the worker: the web process, the database and the storage."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What goes into the cost of an image.

    Attributes:
        seconds: a worker's for one image, one after the other.
        hourly: dollars for an hour of its machine.
        batch_gain: how many times more images an hour has when they are answered together; at least 1.
        overhead: dollars an image besides.
    """

    seconds: float
    hourly: float
    batch_gain: float = 1.0
    overhead: float = OVERHEAD


def image_cost(rates: Rates) -> float:
    """Dollars for one image."""
    return worker_cost(rates.seconds, rates.hourly) / max(1.0, rates.batch_gain) + rates.overhead


def worker_cost(seconds: float, hourly: float) -> float:
    """Dollars for some time of a worker, as a training takes it."""
    return seconds * hourly / 3600


def image_price(rates: Rates, margin_percent: float) -> float:
    """Dollars for one image with a plan's margin."""
    return image_cost(rates) * (1 + margin_percent / 100)


def month_price(images: int, rates: Rates, margin_percent: float) -> float:
    """Dollars for a number of images."""
    return images * image_price(rates, margin_percent)


def cents(dollars: float) -> int:
    """The nearest whole number of cents, halves upwards."""
    return math.floor(dollars * 100 + 0.5)


def seconds_of(encode_ms: float, first_token_ms: float, tokens_per_s: float, tokens: int) -> float:
    """A worker's seconds for one image, from what was measured of a variant."""
    return (encode_ms + first_token_ms) / 1000 + tokens / tokens_per_s


def money(dollars: float) -> str:
    """A sum as people read it: whole cents from ten cents on, two significant digits below."""
    if dollars >= 0.1:
        whole = cents(dollars)
        return f"${whole // 100:,}.{whole % 100:02d}"
    if dollars <= 0:
        return "$0.00"
    digits = 1 - math.floor(math.log10(dollars))
    return f"${dollars:.{digits}f}"


def image_cents(dollars: float) -> str:
    """A price of one image as people read it: in cents, with two significant digits."""
    value = dollars * 100
    if value <= 0:
        return "0¢"
    digits = max(0, 1 - math.floor(math.log10(value)))
    return f"{value:.{digits}f}¢"
