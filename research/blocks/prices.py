"""Sections about prices: plans side by side, what images cost, what a benchmark costs, research credits."""

from typing import Any, ClassVar

from inference import page_cache
from leaderboard import selectors as leaderboard
from pricing import selectors as pricing
from research.blocks.sections import Context, IntroducedBlock


class PlansBlock(IntroducedBlock):
    """The plans side by side, as they are this month."""

    class Meta:
        icon = "tag"
        group = "Sections"
        template = "research/blocks/plans.html"
        description = (
            "Every plan that is shown, compared in a table. They are edited under Prices, Plans."
        )
        preview_value: ClassVar[dict[str, str]] = {"title": "What each plan gives."}

    def get_context(self, value: Any, parent_context: Context | None = None) -> Context:
        context: Context = super().get_context(value, parent_context=parent_context)
        context["plans"] = page_cache.remember("plans table", pricing.plans_table)
        context["contact"] = page_cache.remember("pricing settings", pricing.settings_now)
        return context


class CalculatorBlock(IntroducedBlock):
    """What a number of images costs, and what each benchmark does."""

    class Meta:
        icon = "calendar-check"
        group = "Sections"
        template = "research/blocks/calculator.html"
        description = "A calculator over what this server measured; under it, what each benchmark costs to run."  # fmt: skip
        preview_value: ClassVar[dict[str, str]] = {"title": "What it would cost."}

    def get_context(self, value: Any, parent_context: Context | None = None) -> Context:
        context: Context = super().get_context(value, parent_context=parent_context)
        calculator = page_cache.remember("calculator", pricing.calculator)
        context["calculator"] = calculator
        context["benchmarks"] = page_cache.remember("benchmark costs", leaderboard.benchmark_costs)
        return context


class CreditsBlock(IntroducedBlock):
    """Research credits: what they are for, and where to ask. Its words are under Settings, Prices and credits."""

    class Meta:
        icon = "group"
        group = "Sections"
        template = "research/blocks/credits.html"
        description = "The call for research credits, with the address for bulk requests."
        preview_value: ClassVar[dict[str, str]] = {"title": "Research credits"}

    def get_context(self, value: Any, parent_context: Context | None = None) -> Context:
        context: Context = super().get_context(value, parent_context=parent_context)
        context["settings"] = page_cache.remember("pricing settings", pricing.settings_now)
        return context
