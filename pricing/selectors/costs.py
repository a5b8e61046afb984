"""What an image costs by each variant and skill, with where its figures come from."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, Expression, F, FloatField, When

from inference import page_cache
from inference import selectors as inference
from inference.models import Skill, Variant, VariantMeasurement
from pricing import costs
from pricing.models import MachinePrice, MeasuredTime
from pricing.selectors.plans import Terms


@dataclass(frozen=True, slots=True)
class Cost:
    """What one image costs by one variant, and what that rests on."""

    variant: Variant
    skill: str
    precision: str
    rates: costs.Rates
    p95_s: float | None
    output_tokens: float | None
    answers: int
    """How many of the last thirty days it is the median of; 0 is the variant's own measurement."""
    hardware: str
    measured_at: datetime
    machine: MachinePrice

    @property
    def dollars(self) -> float:
        return costs.image_cost(self.rates)

    def price(self, margin_percent: Any) -> float:
        """Dollars for an image with a plan's margin."""
        return costs.image_price(self.rates, float(margin_percent))

    @property
    def source(self) -> str:
        """Where the seconds come from, in words."""
        if self.answers:
            return f"median of {self.answers:,} answers of the last thirty days"
        return f"measured on {self.hardware}"


def machine_prices() -> list[MachinePrice]:
    """What machines cost; the first that fits counts."""
    return page_cache.remember("machine prices", lambda: list(MachinePrice.objects.all()))


def machine_price(
    machines: Iterable[MachinePrice], device: str, hardware: str
) -> MachinePrice | None:
    """The price of what something was measured on; None where it is not known."""
    return next((machine for machine in machines if machine.fits(device, hardware)), None)


def measured_cost(
    machines: Iterable[MachinePrice], device: str, hardware: str, seconds: float
) -> float | None:
    """Dollars for one image by the worker's seconds that it was measured to take, in which the gain of
    batches is already. None where the machine's price is not known."""
    machine = machine_price(machines, device, hardware)
    if machine is None:
        return None
    return costs.image_cost(costs.Rates(seconds, float(machine.dollars_an_hour)))


def order_by_cost(machines: Iterable[MachinePrice], milliseconds: str) -> Expression:
    """What rows with `device` and `hardware` can be sorted by to be in the order of `measured_cost`."""
    whens = [
        When(
            device__startswith=machine.device, hardware__icontains=machine.matches,
            then=F(milliseconds) * float(machine.dollars_an_hour),
        )
        for machine in machines
    ]  # fmt: skip
    return Case(*whens, default=None, output_field=FloatField())


def machine_of(variant: Variant) -> MachinePrice | None:
    """The price of the machine that a variant was measured on last; None where that is not known."""
    for measurement in inference.latest_measurements():
        if measurement.variant_id == variant.pk:
            return machine_price(machine_prices(), measurement.device, measurement.hardware)
    return None


def plan_total(terms: Terms, images: int, rates: costs.Rates) -> str:
    """What a plan asks for a number of images in one month, as people read it."""
    if terms.monthly_dollars == 0:
        if terms.images is None or images <= terms.images:
            return "included"
        return f"more than its {terms.images:,} images"
    return costs.money(costs.month_price(images, rates, float(terms.margin_percent)))


def costs_now(skills: tuple[str, ...] = tuple(Skill.values)) -> list[Cost]:
    """By every variant that was measured here on a machine whose price is known, and every skill it has; the
    default variant first. Three queries."""
    machines = machine_prices()
    times = {(row.variant_id, row.skill): row for row in MeasuredTime.objects.all()}
    found = []
    for measurement in inference.latest_measurements():
        machine = machine_price(machines, measurement.device, measurement.hardware)
        if machine is None:
            continue
        found += [
            _cost(measurement, skill, machine, times)
            for skill in skills
            if skill not in measurement.variant.lacks
        ]
    return found


def _cost(
    measurement: VariantMeasurement, skill: str, machine: MachinePrice,
    times: dict[tuple[int, str], MeasuredTime],
) -> Cost:  # fmt: skip
    time = times.get((measurement.variant_id, skill))
    seconds = time.median_s if time else costs.seconds_of(
        measurement.encode_ms, measurement.first_token_ms, measurement.tokens_per_s, costs.TOKENS[skill]
    )  # fmt: skip
    rates = costs.Rates(seconds, float(machine.dollars_an_hour), float(machine.batch_gain))
    return Cost(
        measurement.variant, skill, measurement.precision, rates, time.p95_s if time else None,
        time.output_tokens if time else None, time.answers if time else 0, measurement.hardware,
        time.measured_at if time else measurement.measured_at, machine,
    )  # fmt: skip
