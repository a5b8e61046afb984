"""What an image costs by each variant and skill, with where its figures come from."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from inference import selectors as inference
from inference.models import Skill, Variant, VariantMeasurement
from pricing import costs
from pricing.models import MachinePrice, MeasuredTime


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


def costs_now(skills: tuple[str, ...] = tuple(Skill.values)) -> list[Cost]:
    """By every variant that was measured here on a machine whose price is known, and every skill it has; the
    default variant first. Three queries."""
    machines = list(MachinePrice.objects.all())
    times = {(row.variant_id, row.skill): row for row in MeasuredTime.objects.all()}
    found = []
    for measurement in inference.latest_measurements():
        machine = next(
            (m for m in machines if m.fits(measurement.device, measurement.hardware)), None
        )
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
