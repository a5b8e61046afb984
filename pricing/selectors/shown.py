"""What the page of prices shows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from pricing import costs, stripe_api
from pricing.models import PricingSettings
from pricing.selectors.billing import offers_now
from pricing.selectors.costs import Cost, costs_now
from pricing.selectors.plans import Terms, plans_now


def settings_now() -> PricingSettings:
    """What editors say around prices; what it is at first where nobody has saved any."""
    return PricingSettings.objects.first() or PricingSettings()


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One thing that plans differ in, with a cell for each."""

    label: str
    help: str
    cells: list[str]


@dataclass(frozen=True, slots=True)
class PlansTable:
    """The plans that are shown, and what they differ in."""

    plans: list[Terms]
    rows: list[PlanRow]
    caption: Cost | None
    """What an image costs at present, by the default variant with a caption."""
    sold: frozenset[str]
    """Slugs of the plans that can be bought here."""
    is_test: bool
    """Whether paying takes no money."""


def _count(number: int | None, otherwise: str) -> str:
    return otherwise if number is None else f"{number:,}"


def _rate(terms: Terms, *, is_trial: bool) -> str:
    if terms.per_second:
        return f"{terms.per_second} a second"
    from pricing.throttling import key_rate, rate_read

    rate = rate_read(settings.ANON_RATE) if is_trial else key_rate()
    unit = {1: "a second", 60: "a minute", 3600: "an hour", 86400: "a day"}.get(rate.seconds, f"in {rate.seconds} s")  # fmt: skip
    return f"{rate.amount:,} {unit}" + (", by address" if is_trial else "")


def _storage(terms: Terms, *, is_trial: bool) -> str:
    megabytes = terms.storage_mb
    if megabytes is None:
        megabytes = settings.TUNING_ANON_STORAGE_MB if is_trial else settings.TUNING_STORAGE_MB
    return f"{megabytes / 1024:,.0f} GB" if megabytes >= 1024 else f"{megabytes:,} MB"


def _training(terms: Terms, *, is_trial: bool) -> str:
    if terms.training_minutes is not None:
        return f"{terms.training_minutes:,} minutes"
    limit = settings.TUNING_ANON_MAX_S if is_trial else settings.TUNING_MAX_S
    return f"runs of {limit // 60} min"


def plans_table() -> PlansTable:
    """Every plan that is shown, side by side."""
    plans = plans_now()
    shown, trial = plans.shown, plans.trial.plan_id
    cost = next(iter(costs_now(("caption",))), None)

    def by_agreement(terms: Terms) -> bool:
        return terms.images is None and terms.plan_id != trial

    def price(terms: Terms) -> str:
        if terms.monthly_dollars is not None:
            whole = float(terms.monthly_dollars)
            return costs.money(whole) + " a month" if whole else "free"
        return "by agreement"

    def image(terms: Terms) -> str:
        if terms.monthly_dollars == 0:
            return "included"
        return costs.image_cents(cost.price(terms.margin_percent)) if cost else "as measured"

    rows: list[tuple[str, str, Callable[[Terms], str]]] = [
        ("Price", "", price),
        ("Images a month", "One question about one image counts as one.",
         lambda t: _count(t.images, "by agreement" if by_agreement(t) else "no limit")),
        ("Which images", "", lambda t: "of registered benchmarks" if t.benchmarks_only else "any"),
        ("Price of an image", "", lambda t: image(t) if t.monthly_dollars != 0 else "—"),
        ("Requests", "", lambda t: "by agreement" if by_agreement(t) and not t.per_second else _rate(t, is_trial=t.plan_id == trial)),
        ("Jobs at a time", "", lambda t: _count(t.concurrent, "by agreement" if by_agreement(t) else "as the queue allows")),
        ("Training a month", "", lambda t: "by agreement" if by_agreement(t) and t.training_minutes is None else _training(t, is_trial=t.plan_id == trial)),
        ("Data sets and checkpoints", "", lambda t: "by agreement" if by_agreement(t) and t.storage_mb is None else _storage(t, is_trial=t.plan_id == trial)),
        ("Leaderboards", "", lambda t: "read" if t.plan_id == trial else "submit"),
    ]  # fmt: skip
    return PlansTable(
        shown, [PlanRow(label, text, [cell(t) for t in shown]) for label, text, cell in rows], cost,
        frozenset(t.slug for t in offers_now()), not stripe_api.is_live(),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Calculator:
    """What the calculator computes with."""

    costs: list[Cost]
    plans: list[Terms]
    data: dict[str, Any]
    """The same for the script: rates by variant and skill, margins by plan."""
    first: Cost | None

    @property
    def variants(self) -> list[Any]:
        return list({cost.variant.pk: cost.variant for cost in self.costs}.values())

    @property
    def skills(self) -> list[str]:
        return list(dict.fromkeys(cost.skill for cost in self.costs))


def calculator() -> Calculator:
    """Rates by variant and skill, and the plans' margins."""
    found = costs_now()
    plans = plans_now().shown
    data = {
        "rates": {
            f"{cost.variant.slug} {cost.skill}": {
                "seconds": cost.rates.seconds, "hourly": cost.rates.hourly,
                "batchGain": cost.rates.batch_gain, "overhead": cost.rates.overhead,
                "p95": cost.p95_s, "source": cost.source, "on": f"{cost.measured_at:%Y-%m-%d}",
            }
            for cost in found
        },
        "plans": {
            terms.slug: {
                "name": terms.name, "margin": float(terms.margin_percent), "images": terms.images,
                "isFree": terms.monthly_dollars == 0, "benchmarksOnly": terms.benchmarks_only,
            }
            for terms in plans
        },
    }  # fmt: skip
    return Calculator(found, plans, data, next(iter(found), None))
