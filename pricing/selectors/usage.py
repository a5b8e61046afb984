"""What an account has used, by day and by what it was for."""

import calendar
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from inference.spreadsheets import csv_text
from pricing.models import Allotment, ApiKey, LedgerAccount, Meter, UsageDay
from pricing.periods import begins, ends, month_after, month_before, month_of
from pricing.selectors.plans import Terms, terms_of

FORECAST_DAYS = 7
"""The last days that a forecast goes by."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What an account may use of a meter now, in what people count in: images, minutes."""

    meter: str
    unit: str
    limit: int | None
    used: float
    reserved: float
    left: float | None
    resets_at: datetime
    forecast: float | None
    """What the month comes to if it goes on as in the last days."""

    @property
    def percent(self) -> float:
        return min(100.0, 100 * self.used / self.limit) if self.limit else 0.0

    @property
    def is_short(self) -> bool:
        """Whether the forecast is above the limit."""
        return bool(self.limit and self.forecast and self.forecast > self.limit)


@dataclass(frozen=True, slots=True)
class Bar:
    """A day of the chart."""

    day: date
    images: int
    height: float
    """Of the highest day, in percent."""

    @property
    def top(self) -> float:
        return round(100 - self.height, 2)


@dataclass(frozen=True, slots=True)
class Usage:
    """A month of an account."""

    month: date
    terms: Terms
    allowances: list[Allowance]
    bars: list[Bar]
    tables: list[tuple[str, list[tuple[str, int, float, float]]]]
    """By what: rows of name, images, training minutes and worker's seconds."""
    rows: list[UsageDay]
    keys: dict[int, str]
    credits: list[Allotment]

    @property
    def before(self) -> date:
        return month_before(self.month)

    @property
    def after(self) -> date | None:
        following = month_after(self.month)
        return following if begins(following) <= timezone.now() else None

    @property
    def images(self) -> int:
        return sum(bar.images for bar in self.bars)


_SCALE = {Meter.IMAGES: 1, Meter.TRAINING: 60}
_UNITS = {Meter.IMAGES: "images", Meter.TRAINING: "minutes"}


def usage_of(user: Any, month: date | None = None) -> Usage:
    """A month of a person's use; the present one by default. Five queries."""
    month = month or month_of(timezone.now())
    account = LedgerAccount.objects.filter(user=user).select_related("plan").first()
    terms = terms_of(account)
    rows = list(
        UsageDay.objects.filter(
            account=account, day__gte=month, day__lt=month_after(month)
        ).order_by("day")
    ) if account else []  # fmt: skip
    keys = dict(ApiKey.objects.filter(user=user).values_list("pk", "name"))
    now = timezone.now()
    pots = list(
        Allotment.objects.filter(account=account, starts_at__lte=now)
        .filter(Q(ends_at=None) | Q(ends_at__gt=now)).order_by("ends_at")
    ) if account else []  # fmt: skip
    is_now = month == month_of(now)
    allowances = [_allowance(m, terms, pots, rows, now) for m in _UNITS] if is_now else []
    return Usage(
        month, terms, allowances, _bars(rows, month), _tables(rows, keys), rows, keys,
        [pot for pot in pots if pot.kind == Allotment.Kind.CREDIT],
    )  # fmt: skip


def _allowance(
    meter: Meter, terms: Terms, pots: Iterable[Allotment], rows: list[UsageDay], now: datetime
) -> Allowance:  # fmt: skip
    scale, month = _SCALE[meter], month_of(now)
    mine = [
        p for p in pots
        if p.meter == meter and (p.kind != "plan" or (p.period == month and p.plan_version_id == terms.version_id))
    ]  # fmt: skip
    has_month = any(p.kind == "plan" for p in mine)
    granted = [p.granted if p.granted is None else p.granted - p.lapsed for p in mine]
    if not has_month:  # nothing was used yet: the whole month is there
        granted.append(terms.limit(meter))
    limit = None if None in granted else sum(g for g in granted if g is not None)
    used, held = sum(p.used for p in mine), sum(p.held for p in mine)
    return Allowance(
        str(meter), _UNITS[meter], None if limit is None else limit // scale, used / scale, held / scale,
        None if limit is None else max(0, limit - used - held) / scale, ends(month),
        _forecast(meter, rows, now, scale),
    )  # fmt: skip


def _forecast(meter: Meter, rows: list[UsageDay], now: datetime, scale: int) -> float | None:
    """What was used and, for each day to come, the mean of the last days that are over."""
    today = now.date()
    mine = [r for r in rows if r.meter == meter]
    over = min(FORECAST_DAYS, today.day - 1)
    if not over:
        return None
    first = today - timedelta(days=over)
    mean = sum(r.amount for r in mine if first <= r.day < today) / over
    days = calendar.monthrange(today.year, today.month)[1]
    return float(round((sum(r.amount for r in mine) + mean * (days - today.day)) / scale))


def _bars(rows: list[UsageDay], month: date) -> list[Bar]:
    images: dict[date, int] = defaultdict(int)
    for row in rows:
        if row.meter == Meter.IMAGES:
            images[row.day] += row.amount
    most = max(images.values(), default=0)
    days = (month_after(month) - month).days
    listed = [month + timedelta(days=n) for n in range(days)]
    return [
        Bar(day, images[day], round(100 * images[day] / most, 2) if most else 0.0) for day in listed
    ]


def _tables(
    rows: list[UsageDay], keys: dict[int, str]
) -> list[tuple[str, list[tuple[str, int, float, float]]]]:
    """By key, model, skill, adapter and place."""

    def key(row: UsageDay) -> str:
        return keys.get(row.key_id, "a key that is gone") if row.key_id else "this site, signed in"

    by: dict[str, Any] = {
        "Key": key, "Model": lambda r: r.variant or "—", "Skill": lambda r: r.skill or "—",
        "Tuned model": lambda r: r.adapter, "From": lambda r: r.source or "—",
    }  # fmt: skip
    made = []
    for title, name in by.items():
        sums: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0])
        for row in rows:
            if row.meter == Meter.STORAGE or not name(row):
                continue
            cell = sums[name(row)]
            cell[0] += row.amount if row.meter == Meter.IMAGES else 0
            cell[1] += row.amount / 60 if row.meter == Meter.TRAINING else 0
            cell[2] += row.seconds
        ordered = sorted(sums.items(), key=lambda item: (-item[1][0], -item[1][1], item[0]))
        if ordered:
            made.append((title, [(n, int(c[0]), c[1], c[2]) for n, c in ordered]))
    return made


COLUMNS = (
    "day",
    "meter",
    "key",
    "model",
    "adapter",
    "skill",
    "from",
    "amount",
    "requests",
    "seconds",
)


def usage_rows(usage: Usage) -> list[dict[str, Any]]:
    """Each day's use of each kind, as CSV and API have it."""
    return [
        {
            "day": row.day.isoformat(), "meter": row.meter, "key": usage.keys.get(row.key_id, "") if row.key_id else "",
            "model": row.variant, "adapter": row.adapter, "skill": row.skill, "from": row.source,
            "amount": row.amount, "requests": row.requests, "seconds": round(row.seconds, 3),
        }
        for row in usage.rows
    ]  # fmt: skip


def usage_csv(usage: Usage) -> str:
    """The same as CSV; no cell is a formula of a spreadsheet."""
    rows = ([str(row[name]) for name in COLUMNS] for row in usage_rows(usage))
    return csv_text(COLUMNS, rows, line_end="\n")
