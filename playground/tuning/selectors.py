"""Reads for the console's pages."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.conf import settings
from django.core.paginator import Page, Paginator
from django.db.models import F, Q
from django.db.models.functions import Greatest, Mod

from inference import selectors as inference
from inference.engine.rewards import Reward
from inference.engine.tuning.plan import Plan
from inference.errors import DomainError
from inference.models import Variant, VariantMeasurement
from inference.tuning import selectors as tuning
from inference.tuning.models import Checkpoint, StepRecord, TuningRun, TuningUpload
from inference.tuning.services import base_of
from inference.tuning.services.owners import storage_limit
from inference.tuning.who import Who
from playground.tuning import figures
from playground.tuning.figures import Chart, TableRow
from playground.tuning.rollouts import Shown, shown
from pricing import costs
from pricing import selectors as pricing
from pricing.models import MachinePrice

PAGE = 12
_SPARK_POINTS = 40
_MOST_UPLOADS = 20
_STATES = {
    "queued": "Waiting", "running": "Running", "paused": "Paused", "succeeded": "Finished",
    "failed": "Failed", "cancelled": "Cancelled",
}  # fmt: skip
_WISHES = {"pause": "Pausing", "cancel": "Cancelling"}
_REASONS = {
    "steps": "All steps are trained.", "time_limit": "Its time was up.",
    "kl_limit": "It went as far from the base as its limit allows.",
}  # fmt: skip


def duration(seconds: float | None) -> str:
    """A time in words: "40 s", "3 min", "1 h 20 min"; empty for none."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    parts = [f"{hours} h"] if hours else []
    if minutes:
        parts.append(f"{minutes} min")
    return " ".join(parts)


def state_of(run: TuningRun) -> str:
    """A run's state in a word."""
    return _WISHES.get(run.wish) or _STATES[run.status]


def reason_of(run: TuningRun) -> str:
    """Why a run has finished, in a sentence; empty where there is nothing to say."""
    return _REASONS.get(run.finish_reason, "")


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in the list."""

    run: TuningRun
    spark: str
    """Points of a line in a box of 100 by 24; empty where there is none."""
    last: float | None
    """The reward of the last step that is known."""

    @property
    def state(self) -> str:
        return state_of(self.run)

    @property
    def steps(self) -> int:
        return int(self.run.plan["steps"])

    @property
    def reward_name(self) -> str:
        return self.run.reward["name"] if self.run.reward else "right answers"


def runs_page(who: Who, number: Any) -> tuple[Page[TuningRun], list[RunRow]]:
    """A caller's runs, the newest first; three queries."""
    page = Paginator(tuning.runs_of(who), PAGE).get_page(number)
    runs = list(page.object_list)
    lines: dict[str, list[float]] = {run.finetune_id: [] for run in runs}
    rows = StepRecord.objects.filter(finetune__in=list(lines)).annotate(
        rest=Mod(F("step"), Greatest(F("finetune__step") / _SPARK_POINTS, 1))
    )
    thinned = rows.filter(Q(rest=0) | Q(step=F("finetune__step"))).order_by("step")
    for finetune_id, reward in thinned.values_list("finetune_id", "metrics__reward"):
        if reward is not None:
            lines[finetune_id].append(reward)
    return page, [_row(run, lines[run.finetune_id]) for run in runs]


def _row(run: TuningRun, rewards: list[float]) -> RunRow:
    return RunRow(run, spark(rewards), rewards[-1] if rewards else None)


def spark(values: list[float]) -> str:
    """A line through values, as an SVG's points."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    size = (high - low) or 1.0
    wide = 100 / (len(values) - 1)
    return " ".join(
        f"{n * wide:.1f},{22 - 20 * (v - low) / size:.1f}" for n, v in enumerate(values)
    )


_SCALED = {
    "group": "divided by the group's deviation", "batch": "divided by the deviation of the whole step",
    "none": "as it is",
}  # fmt: skip


def advantage_text(plan: Plan) -> str:
    """What a plan's advantages are."""
    if plan.combination == "normalize_then_sum":
        return "Advantage: each term less its group's mean and normalised, then summed, as the step trains with it."
    return f"Advantage: the reward less its group's mean, {_SCALED[plan.scaling]}, as the step trains with it."


class RunView:
    """A run's page, worked out once.

    Args:
        step: whose answers are looked at; None for the newest.
    """

    def __init__(self, run: TuningRun, step: int | None = None) -> None:
        self.run, self.step = run, step
        self.plan = Plan.from_dict(run.plan)
        self.reward = Reward.from_dict(run.reward) if run.reward else None
        self.titles = figures.term_titles(self.reward) if self.reward else {}

    @property
    def state(self) -> str:
        return state_of(self.run)

    @property
    def reason(self) -> str:
        return reason_of(self.run)

    @property
    def data_text(self) -> str:
        """What it is trained on, in words."""
        data = self.run.data
        if data["source"] == "world":
            return f"{data['count']:,} drawn scenes ({data['domain']}): {data['preset']}"
        if data["source"] == "benchmark":
            return f"{data['benchmark']}, {data['split']}"
        return (
            f"your file {self.run.upload.name}" if self.run.upload else "your file, deleted since"
        )

    @cached_property
    def steps(self) -> list[dict[str, Any]]:
        return tuning.steps_of(self.run.finetune)

    @property
    def last(self) -> dict[str, Any]:
        return self.steps[-1] if self.steps else {}

    @property
    def at(self) -> int:
        """The last step that is known."""
        return int(self.last.get("step", 0))

    @property
    def eta_s(self) -> float | None:
        return None if self.run.is_finished else self.last.get("eta_s")

    @property
    def eta_text(self) -> str:
        return duration(self.eta_s)

    @cached_property
    def ahead(self) -> int:
        """Runs that wait or work before a waiting one."""
        return tuning.waiting_ahead(self.run) if self.run.status == "queued" else 0

    @cached_property
    def charts(self) -> list[Chart]:
        return figures.charts(
            self.reward, teaches=self.plan.needs_targets, rehearses=self.plan.rehearsal > 0
        )

    @property
    def drawn(self) -> list[tuple[Chart, list[TableRow]]]:
        """Each chart with its table."""
        return [(chart, figures.table(chart, self.steps)) for chart in self.charts]

    @property
    def for_script(self) -> dict[str, Any]:
        """What the page's script draws and follows."""
        return {
            "charts": [chart.for_script for chart in self.charts],
            "points": figures.points(self.charts, self.steps),
            "steps": self.plan.steps, "title": self.run.title, "status": self.run.status,
            "collapse": [figures.COLLAPSE_SHARE, figures.COLLAPSE_STEPS],
            "rows": figures.MOST_ROWS,
        }  # fmt: skip

    @property
    def is_collapsed(self) -> bool:
        return figures.is_collapsed(self.steps)

    @cached_property
    def checkpoints(self) -> list[tuple[Checkpoint, float | None, str]]:
        """Those that are kept, with the reward of their step and the name of the model."""
        rewards = {step["step"]: step.get("reward") for step in self.steps}
        finetune = self.run.finetune
        return [
            (kept, rewards.get(kept.step), finetune.model_name(kept.step))
            for kept in tuning.checkpoints(finetune)
        ]

    @property
    def measured(self) -> list[tuple[str, float, float | None]]:
        """What held-out examples came to: its name, before, after."""
        before, after = self.run.measured.get("before"), self.run.measured.get("after")
        if not before:
            return []
        rows = [("Reward", before["reward"], after and after["reward"])]
        for name, title in self.titles.items():
            if name in before["terms"]:
                rows.append((title, before["terms"][name], after and after["terms"].get(name)))
        return [*rows, ("Length, tokens", before["length"], after and after["length"])]

    @property
    def advantage_text(self) -> str:
        """What the advantages of sampled answers are, in a sentence."""
        return advantage_text(self.plan) if self.reward else ""

    @property
    def costs(self) -> list[VariantMeasurement]:
        """What checkpoints cost, where that was measured, the newest first."""
        finetune = self.run.finetune
        names = [f"{finetune.pk}@{kept.step}" for kept, _, _ in self.checkpoints]
        found = inference.adapter_measurements(names)
        return [found[name] for name in names if name in found]

    @property
    def shown_step(self) -> int:
        return min(self.step, self.at) if self.step else self.at

    @cached_property
    def rollouts(self) -> Shown:
        groups = tuning.rollouts_at(self.run.finetune, self.shown_step)
        return shown(groups, self.run.data, self.reward)

    @property
    def step_before(self) -> int | None:
        return self.shown_step - 1 if self.shown_step > 1 else None

    @property
    def step_after(self) -> int | None:
        return self.shown_step + 1 if self.shown_step < self.at else None


def bases(who: Who) -> list[Variant]:
    """Variants that a caller may tune."""
    return [variant for variant in inference.variants_available() if _may(variant, who)]


def _may(variant: Variant, who: Who) -> bool:
    try:
        base_of(variant.slug, who)
    except DomainError:
        return False
    return True


def uploads(who: Who) -> list[TuningUpload]:
    """A caller's newest data sets."""
    return list(TuningUpload.objects.filter(who.owns).order_by("-created_at")[:_MOST_UPLOADS])


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run takes."""

    answers: int
    """Sampled in all; of taught steps, examples."""
    seconds: float | None
    """By steps that were measured; None where there are none."""
    sampling_s: float | None
    """At least, by what the check sampled."""
    limit_s: int
    storage_mb: int
    machine: MachinePrice | None = None
    """Of the machine it runs on, where its price is known."""

    @property
    def cost_text(self) -> str:
        """What the worker's time costs, as in "about $0.02"; empty where it is not known."""
        if self.machine is None or not self.seconds:
            return ""
        dollars = costs.worker_cost(
            min(self.seconds, self.limit_s), float(self.machine.dollars_an_hour)
        )
        return f"about {costs.money(dollars)}"

    @property
    def seconds_text(self) -> str:
        return duration(self.seconds)

    @property
    def sampling_text(self) -> str:
        return duration(self.sampling_s)

    @property
    def limit_text(self) -> str:
        return duration(self.limit_s)

    @property
    def is_over(self) -> bool:
        """Its time is up before its last step."""
        return max(self.seconds or 0, self.sampling_s or 0) > self.limit_s


def estimate(plan: Plan, variant: Variant, who: Who, answer_s: float | None) -> Estimate:
    """What a run takes, before it is started.

    Args:
        answer_s: what one sampled answer took in the check.
    """
    measured_s = tuning.seconds_an_answer(variant.pk, plan.method)
    return estimate_by(plan, who, answer_s, measured_s, pricing.machine_of(variant))


def estimate_by(
    plan: Plan, who: Who, answer_s: float | None, measured_s: float | None,
    machine: MachinePrice | None,
) -> Estimate:  # fmt: skip
    """The same, where it is known what an answer took in runs that were measured; None: none was."""
    sampled = plan.steps - plan.warmup_steps if plan.method == "rl" else 0
    answers = sampled * plan.groups * plan.group_size + (plan.steps - sampled) * plan.groups
    return Estimate(
        answers, answers * measured_s if measured_s else None,
        answer_s * answers if answer_s else None,
        settings.TUNING_MAX_S if who.is_account else settings.TUNING_ANON_MAX_S,
        storage_limit(who) >> 20, machine,
    )  # fmt: skip
