"""The steps of a guided project, and how far it has come."""

from collections.abc import Mapping
from dataclasses import dataclass

from inference.models import Job
from playground.models import GuidedProject


@dataclass(frozen=True, slots=True)
class Step:
    """One step, as it is named in addresses and on pages."""

    slug: str
    title: str
    short: str


STEPS = (
    Step("image", "Choose an image", "Image"),
    Step("ask", "Ask the base model", "Ask"),
    Step("reward", "Say what a good answer is", "Reward"),
    Step("train", "Train on it", "Train"),
    Step("evaluate", "Compare before and after", "Compare"),
    Step("summary", "What came of it", "Summary"),
)
BY_SLUG = {step.slug: step for step in STEPS}


@dataclass(frozen=True, slots=True)
class Place:
    """A step in the list of them."""

    number: int
    step: Step
    is_current: bool
    is_done: bool
    is_open: bool
    """It can be gone to now."""


def done(project: GuidedProject | None) -> dict[str, bool]:
    """Of each step, whether it has what the next one needs; of none yet, nothing.

    Expects `base_run.job`, `tuned_run.job` and `training.finetune` to be there without a query.
    """
    if project is None:
        return {step.slug: False for step in STEPS}
    base, training, tuned = project.base_run, project.training, project.tuned_run
    is_trained = training is not None and training.is_finished and training.finetune.step > 0
    return {
        "image": project.image_id is not None or base is not None,
        "ask": base is not None and base.job.status == Job.Status.SUCCEEDED,
        "reward": project.reward is not None,
        "train": is_trained,
        "evaluate": tuned is not None and tuned.job.status == Job.Status.SUCCEEDED,
        "summary": project.share_token is not None,
    }


def is_open(slug: str, is_done: Mapping[str, bool]) -> bool:
    """Whether a step can be gone to: all before it are done. What was compared can be looked at when the
    training has been deleted since."""
    if slug in ("evaluate", "summary") and is_done["evaluate"]:
        return True
    return all(is_done[step.slug] for step in STEPS[: STEPS.index(BY_SLUG[slug])])


def furthest(is_done: Mapping[str, bool]) -> str:
    """The step to go on with."""
    if is_done["evaluate"]:
        return "summary"
    return next((step.slug for step in STEPS if not is_done[step.slug]), "summary")


def places(is_done: Mapping[str, bool], current: str) -> list[Place]:
    """All steps, for the list of them."""
    return [
        Place(number, step, step.slug == current, is_done[step.slug], is_open(step.slug, is_done))
        for number, step in enumerate(STEPS, 1)
    ]
