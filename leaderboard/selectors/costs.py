"""What it costs to run a benchmark here."""

from dataclasses import dataclass

from leaderboard.models import Benchmark, Split
from pricing import costs
from pricing.selectors import Cost, Terms, costs_now, plan_total, plans_now


@dataclass(frozen=True, slots=True)
class BenchmarkCost:
    """One benchmark: its images, and what one costs by each variant."""

    benchmark: Benchmark
    split: str
    images: int
    costs: list[Cost]
    """The default variant's first."""
    plans: list[Terms]
    """Those that are shown."""

    def by_plan(self, cost: Cost) -> list[tuple[Terms, str]]:
        """What running it once by a variant takes of each plan."""
        return [(plan, plan_total(plan, self.images, cost.rates)) for plan in self.plans]

    @property
    def rows(self) -> list[tuple[Cost, list[tuple[Terms, str]]]]:
        """Each variant's cost, and the plans' prices of it."""
        return [(cost, self.by_plan(cost)) for cost in self.costs]

    @property
    def first(self) -> Cost | None:
        return self.costs[0] if self.costs else None

    @property
    def skill(self) -> str:
        return str(self.benchmark.rules.skill)

    def total(self, cost: Cost, margin_percent: float = 0) -> str:
        return costs.money(costs.month_price(self.images, cost.rates, margin_percent))

    @property
    def total_at_cost(self) -> str:
        return self.total(self.first) if self.first else ""

    @property
    def sentence(self) -> str:
        """As in "Running COCO Captions (5,000 images) would cost $0.02: 0.00032¢ an image."; empty where
        nothing was measured."""
        if self.first is None:
            return ""
        each = costs.image_cents(self.first.dollars)
        return f"Running {self.benchmark.title} ({self.images:,} images) would cost {self.total(self.first)}: {each} an image."


def benchmark_costs(benchmark: Benchmark | None = None) -> list[BenchmarkCost]:
    """Of every benchmark that is shown, or of one: of the split that ranks, or else of its largest."""
    shown = Benchmark.objects.filter(is_shown=True) if benchmark is None else [benchmark]
    splits: dict[int, Split] = {}
    rows = Split.objects.filter(retired_at=None, item_count__gt=0)
    if benchmark is not None:
        rows = rows.filter(benchmark=benchmark)
    for split in rows.order_by("benchmark", "-ranks", "-item_count").defer("labels", "slices"):
        splits.setdefault(split.benchmark_id, split)
    found, plans = costs_now(), plans_now().shown
    return [
        BenchmarkCost(
            one, splits[one.pk].name, splits[one.pk].item_count,
            [cost for cost in found if cost.skill == one.rules.skill], plans,
        )
        for one in shown
        if one.pk in splits
    ]  # fmt: skip
