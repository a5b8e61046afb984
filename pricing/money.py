"""Sums of money as payment services count them: whole numbers of a currency's smallest unit."""

from decimal import Decimal

WHOLE = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf")
)  # fmt: skip
"""Currencies without a smaller unit, as Stripe lists them."""
_SIGNS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}


def amount_text(amount: int | Decimal, currency: str) -> str:
    """A sum as people read it, as in `$1,234.50`, `-$3.00` or `CHF 12.00`. A price of less than a cent keeps
    its digits."""
    digits = 0 if currency in WHOLE else 2
    value = Decimal(amount).scaleb(-digits)
    places = max(digits, -int(value.normalize().as_tuple().exponent)) if value else digits
    sign = _SIGNS.get(currency, f"{currency.upper()} ")
    return f"{'-' if value < 0 else ''}{sign}{abs(value):,.{places}f}"
