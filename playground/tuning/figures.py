"""What a run's steps came to, as charts draw and tables list it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference.engine.rewards import Reward
from playground.tuning.links import LINKS, Link

MOST_ROWS = 100
"""Rows of a table beneath a chart; of more steps every so manieth is listed, and the last."""
COLLAPSE_SHARE = 0.1
COLLAPSE_STEPS = 3
_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart."""

    key: str
    name: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Figures of one kind over the steps."""

    slug: str
    title: str
    unit: str
    about: str
    series: tuple[Series, ...]

    @property
    def link(self) -> Link | None:
        return LINKS.get(f"chart-{self.slug}")

    @property
    def for_script(self) -> dict[str, Any]:
        return {"slug": self.slug, "title": self.title, "unit": self.unit,
                "series": [[s.key, s.name] for s in self.series]}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TableRow:
    """A step's figures of one chart."""

    step: int
    values: list[float | None]


def charts(reward: Reward | None, *, teaches: bool, rehearses: bool) -> list[Chart]:
    """The charts of a run.

    Args:
        teaches: some of its steps teach right answers.
        rehearses: questions of other skills go along.
    """
    loss = [Series("loss", "loss")] if reward else []
    taught = [Series("sft_loss", "of right answers")] if teaches else []
    losses = Chart(
        "loss", "Loss", "", "At the first sampled step it is 0, or near it where answers differ in length, and that is right: its gradient is not 0."
        if reward else "How far the right answers are from the likeliest ones.", (*loss, *taught),
    )  # fmt: skip
    kept = Chart(
        "kept", "Other skills", "nats a token", "How far the answers to rehearsed questions moved from the base model's. It should stay small.",
        (Series("rehearsal/kl", "KL"),),
    )  # fmt: skip
    also = [kept] if rehearses else []
    if reward is None:
        return [losses, *also]
    names = term_titles(reward)
    return [
        Chart("reward", "Reward", "", "Mean over all sampled answers.", (Series("reward", "mean"), Series("reward_std", "deviation within a group"))),
        Chart("raw", "Terms, as measured", "", "Each term by itself, 0 to 1.", tuple(Series(f"rewards/{n}/mean", t) for n, t in names.items())),
        Chart("weighted", "Terms, as they count", "", "What each adds to the reward.", tuple(Series(f"rewards/{n}/weighted", t) for n, t in names.items())),
        Chart("kl", "Divergence to the base", "nats a token", "How far the answers moved from the base model's.", (Series("kl", "KL"),)),
        *also,
        Chart("entropy", "Entropy", "nats a token", "How undecided the model is. When it falls to nothing, all answers are alike, and nothing is learnt any more.", (Series("entropy", "entropy"),)),
        losses,
        Chart("length", "Length of the answers", "tokens", "Mean over all sampled answers.", (Series("completions/mean_length", "length"),)),
        Chart("flat", "Questions without a difference", "share", "Groups whose answers were all worth the same. They are left out of the loss.", (Series("frac_reward_zero_std", "share"),)),
    ]  # fmt: skip


def term_titles(reward: Reward) -> dict[str, str]:
    """A title for each term, by the name that its figures have."""
    titles = [term.type.title for term in reward.terms]
    return {
        name: title if titles.count(title) == 1 else f"{title} {titles[: n + 1].count(title)}"
        for n, (name, title) in enumerate(zip(reward.term_names, titles, strict=True))
    }


def points(shown: Iterable[Chart], steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the charts need of each step, and no more."""
    keys = [series.key for chart in shown for series in chart.series]
    return [
        {"step": step["step"]}
        | {key: round(step[key], _DIGITS) for key in keys if step.get(key) is not None}
        for step in steps
    ]


def table(chart: Chart, steps: Sequence[Mapping[str, Any]]) -> list[TableRow]:
    """A chart's figures, thinned where there are many steps."""
    every = max(1, -(-len(steps) // MOST_ROWS))
    last = len(steps) - 1
    return [
        TableRow(step["step"], [step.get(series.key) for series in chart.series])
        for n, step in enumerate(steps)
        if n % every == 0 or n == last
    ]


def is_collapsed(steps: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the entropy fell to less than a tenth of what it was at first."""
    found = [step["entropy"] for step in steps if step.get("entropy") is not None]
    if len(found) < 2 * COLLAPSE_STEPS:
        return False
    first, last = found[:COLLAPSE_STEPS], found[-COLLAPSE_STEPS:]
    return sum(last) < COLLAPSE_SHARE * sum(first)
