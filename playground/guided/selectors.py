"""Reads of guided projects, and what their pages show."""

from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import redis
from django.db.models import QuerySet

from inference import selectors as inference
from inference.engine.rewards import Reward
from inference.engine.tuning.defaults import settings_of
from inference.engine.tuning.plan import Plan
from inference.models import Job, Variant
from inference.tuning import selectors as tuning
from inference.tuning.models import Checkpoint, Finetune
from inference.tuning.services import defaults_for
from inference.tuning.who import Who
from leaderboard import selectors as leaderboard
from playground import errors
from playground.guided.aims import AIMS, Aim, Length
from playground.guided.path import Place, done, furthest, places
from playground.models import GuidedProject, HeldOutScene, Session
from playground.sessions.selectors import RunView, runs_named
from playground.sessions.visitor import Visitor
from playground.tuning import pictures
from playground.tuning.figures import term_titles
from playground.tuning.selectors import Estimate, estimate_by, spark
from playground.tuning.selectors import RunView as TrainingView
from pricing import selectors as pricing

MOST_LISTED = 12
_CHARTS = ("reward", "raw")
"""The console's charts that the page draws; the console has them all."""
_BUDGET_S = 2.0


def _projects() -> QuerySet[GuidedProject]:
    return GuidedProject.objects.select_related(
        "session", "image", "base_run__job__variant", "base_run__job__image",
        "tuned_run__job__variant", "tuned_run__job__image", "training__finetune__variant", "training__upload",
    )  # fmt: skip


def project_get(visitor: Visitor, project_id: str) -> GuidedProject:
    """
    Raises:
        NotFound: no such project, or another's.
    """
    own = Session.objects.filter(visitor.owns)
    found = _projects().filter(pk=project_id, session__in=own).first()
    if found is None:
        raise errors.PROJECT_NOT_FOUND()
    return found


def latest(visitor: Visitor) -> GuidedProject | None:
    """The project that a visitor worked on last."""
    return _projects().filter(session__in=Session.objects.filter(visitor.owns)).first()


def shared_get(token: str) -> GuidedProject:
    """A project whose summary is shared.

    Raises:
        NotFound: there is none, or the link was revoked.
    """
    found = _projects().filter(share_token=token).first()
    if found is None:
        raise errors.SHARE_NOT_FOUND()
    return found


@dataclass(frozen=True, slots=True)
class Row:
    """A project in the list of those to go on with."""

    project: GuidedProject
    place: Place


def projects_of(visitor: Visitor) -> list[Row]:
    """A visitor's projects, the one used last first; one query."""
    own = Session.objects.filter(visitor.owns)
    rows = []
    for project in _projects().filter(session__in=own)[:MOST_LISTED]:
        is_done = done(project)
        slug = furthest(is_done)
        rows.append(Row(project, next(p for p in places(is_done, slug) if p.is_current)))
    return rows


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the base and of the tuned model; None where it could not be told."""

    name: str
    before: float | None
    after: float | None = None

    @property
    def change(self) -> float | None:
        if self.before is None or self.after is None:
            return None
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class SceneView:
    """A held-out scene with both answers and what the reward gives them."""

    scene: HeldOutScene
    base: RunView
    tuned: RunView
    totals: Figure
    metrics: list[Figure]

    @property
    def picture(self) -> str:
        return pictures.address({"source": "world"}, self.scene.image_key)


@dataclass(frozen=True, slots=True)
class Choice:
    """A length of training with what it takes."""

    length: Length
    estimate: Estimate
    is_advised: bool


def text_of(view: RunView | None) -> str:
    """A finished answer in words; empty without one."""
    if view is None or view.job.status != Job.Status.SUCCEEDED:
        return ""
    return view.text or ""


class ProjectView:
    """A project as its pages show it, worked out once."""

    def __init__(self, project: GuidedProject, current: str = "summary") -> None:
        self.project, self.current = project, current
        self.is_done = done(project)

    @property
    def places(self) -> list[Place]:
        return places(self.is_done, self.current)

    @property
    def furthest(self) -> str:
        return furthest(self.is_done)

    @property
    def title(self) -> str:
        return self.project.session.name or "Guided project"

    @cached_property
    def base(self) -> RunView | None:
        run = self.project.base_run
        return RunView(run) if run else None

    @cached_property
    def tuned(self) -> RunView | None:
        run = self.project.tuned_run
        return RunView(run) if run else None

    @property
    def base_text(self) -> str:
        return text_of(self.base)

    @property
    def tuned_text(self) -> str:
        return text_of(self.tuned)

    @property
    def skill(self) -> str:
        return self.base.job.skill if self.base else "caption"

    @property
    def world(self) -> str:
        """What the base knows, where that is not everything."""
        return self.base.job.variant.world if self.base else ""

    @property
    def is_upload(self) -> bool:
        return not self.project.sample

    @cached_property
    def aim(self) -> Aim | None:
        return AIMS.get(self.project.aim)

    @cached_property
    def training(self) -> TrainingView | None:
        return TrainingView(self.project.training) if self.project.training else None

    @cached_property
    def reward(self) -> Reward | None:
        """What answers are judged by: what was trained on, else what was chosen."""
        training = self.project.training
        document = (training.reward if training else None) or self.project.reward
        return Reward.from_dict(document) if document else None

    @property
    def is_stale(self) -> bool:
        """The reward was changed after the training."""
        training = self.project.training
        return training is not None and training.reward != self.project.reward

    @property
    def terms(self) -> list[tuple[str, float]]:
        """The reward's terms with their weights."""
        if self.reward is None:
            return []
        titles = term_titles(self.reward).values()
        return [(title, t.weight) for title, t in zip(titles, self.reward.terms, strict=True)]

    @cached_property
    def checkpoint(self) -> Checkpoint | None:
        """The newest that is kept of the training."""
        training = self.project.training
        if training is None or training.finetune.deleted_at is not None:
            return None
        return tuning.checkpoints(training.finetune).first()

    @property
    def model(self) -> str:
        """The name of the tuned model; empty without one."""
        kept = self.checkpoint
        if kept is None or self.project.training is None:
            return ""
        return self.project.training.finetune.model_name(kept.step)

    @property
    def is_model_shared(self) -> bool:
        """Whether whoever has its name may ask the tuned model."""
        training = self.project.training
        return training is not None and training.finetune.visibility != Finetune.Visibility.PRIVATE

    # Figures.

    def _figures(
        self, reference: Any, right: str, before: str, after: str
    ) -> tuple[list[Figure], list[Figure]]:
        """Of one pair of answers: the reward with its terms, and the metrics of the benchmarks."""
        if self.reward is None or not before:
            return [], []
        pairs = [(before, reference), (after or before, reference)]
        first, second = self.reward.score_all(pairs, budget_s=_BUDGET_S)
        rows = [Figure("Reward", first.total, second.total if after else None)]
        for number, title in enumerate(term_titles(self.reward).values()):
            rows.append(
                Figure(title, first.values[number], second.values[number] if after else None)
            )
        found = leaderboard.text_scores(self.skill, before, right)
        now = leaderboard.text_scores(self.skill, after, right) if after else []
        values = {score.name: score.value for score in now}
        return rows, [Figure(s.name, s.value, values.get(s.name)) for s in found]

    @cached_property
    def own_figures(self) -> list[Figure]:
        """Of the visitor's own image."""
        reference = self.project.reference.strip()
        rewarded, metrics = self._figures(
            reference or None, reference, self.base_text, self.tuned_text
        )
        return [*rewarded, *metrics]

    @property
    def measured(self) -> list[Figure]:
        """Of all held-out scenes of the training, before and after it."""
        rows = self.training.measured if self.training else []
        return [Figure(*row) for row in rows]

    @property
    def measured_count(self) -> int:
        training = self.project.training
        return int(training.measured["before"]["count"]) if training and self.measured else 0

    @cached_property
    def scenes(self) -> list[SceneView]:
        """Held-out scenes that both were asked about; three queries."""
        rows = list(self.project.scenes.all())
        views = runs_named([pk for row in rows for pk in (row.base_run_id, row.tuned_run_id)])
        made = []
        for row in rows:
            base, tuned = views[row.base_run_id], views[row.tuned_run_id]
            totals, metrics = self._figures(row.reference, row.right, text_of(base), text_of(tuned))
            made.append(
                SceneView(
                    row, base, tuned, totals[0] if totals else Figure("Reward", None), metrics
                )
            )
        return made

    @property
    def scene_metrics(self) -> list[Figure]:
        """The benchmarks' metrics, as means over the scenes; nothing before all were answered."""
        found = [scene.metrics for scene in self.scenes]
        if not found or not all(found) or self.is_comparing:
            return []
        return [
            Figure(
                column[0].name, fmean(f.before or 0.0 for f in column), fmean(f.after or 0.0 for f in column)
            )
            for column in zip(*found, strict=True)
        ]  # fmt: skip

    @cached_property
    def compared(self) -> list[RunView]:
        """Every answer of the comparison."""
        views = [self.tuned] if self.tuned else []
        return views + [view for scene in self.scenes for view in (scene.base, scene.tuned)]

    @property
    def is_comparing(self) -> bool:
        return any(view.is_running for view in self.compared)

    @property
    def answered_count(self) -> int:
        return sum(not view.is_running for view in self.compared)

    @property
    def failures(self) -> list[str]:
        """Why answers of the comparison are missing, each reason once."""
        failed = [
            v.job
            for v in self.compared
            if v.job.status in (Job.Status.FAILED, Job.Status.CANCELLED)
        ]
        return list(dict.fromkeys(job.error_message or "It was cancelled." for job in failed))

    @property
    def spark(self) -> str:
        """The reward by step, as an SVG's points in a box of 100 by 24."""
        steps = self.training.steps if self.training else []
        return spark([step["reward"] for step in steps if step.get("reward") is not None])

    @property
    def rewards(self) -> list[tuple[int, float]]:
        """The reward of each step."""
        steps = self.training.steps if self.training else []
        return [(step["step"], step["reward"]) for step in steps if step.get("reward") is not None]

    @property
    def drawn(self) -> list[Any]:
        """The charts that the page draws, each with its table."""
        view = self.training
        return [pair for pair in view.drawn if pair[0].slug in _CHARTS] if view else []

    @property
    def for_script(self) -> dict[str, Any]:
        """What the page's script draws and follows."""
        assert self.training is not None
        data = self.training.for_script
        return {**data, "charts": [c for c in data["charts"] if c["slug"] in _CHARTS]}


def choices(aim: Aim, variant: Variant, who: Who, answer_s: float | None = None) -> list[Choice]:
    """How long one can train, and what that takes. Advised is the longest that ends within its time.

    Args:
        answer_s: what one sampled answer took in the check.
    """
    measured_s = tuning.seconds_an_answer(variant.pk, "rl")
    machine = pricing.machine_of(variant)
    made = []
    for length in aim.lengths:
        plan = Plan.from_dict(settings_of(defaults_for(variant), aim.plan(variant, length.steps)))
        made.append((length, estimate_by(plan, who, answer_s, measured_s, machine)))
    fitting = [length for length, takes in made if not takes.is_over]
    advised = fitting[-1] if fitting else aim.lengths[0]
    return [Choice(length, takes, length == advised) for length, takes in made]


def has_trainer() -> bool | None:
    """Whether a worker that trains was seen lately; None where that cannot be told."""
    try:
        return any("train" in worker.queues for worker in inference.workers_seen())
    except redis.exceptions.RedisError:
        return None
