"""From the form to a run: checked, tried on a few answers, then started."""

from dataclasses import dataclass
from typing import Any

from inference.errors import DomainError
from inference.tuning import services
from inference.tuning.models import TuningRun
from inference.tuning.services import Checked, Trial
from inference.tuning.who import Who
from playground import errors
from playground.rewards.work import Work
from playground.tuning.forms import OWN, RunForm, as_text
from playground.tuning.rollouts import Shown, shown
from playground.tuning.selectors import Estimate, estimate

_DATA_OF = {
    "short-captions": "captions-short", "valid-json": "json-answers", "count-right": "counts",
    "boxes-overlap": "boxes",
}  # fmt: skip
"""The preset of questions that a reward preset judges."""
_QUESTIONS_OF = {
    "scenes-caption": "captions-normal", "scenes-query": "counts", "scenes-detect": "boxes",
    "scenes-point": "points",
}  # fmt: skip
"""The same, by the builder's sets of drawn scenes."""


@dataclass(slots=True)
class Outcome:
    """What came of the form."""

    run: TuningRun | None = None
    error: DomainError | None = None
    """What went wrong and belongs to no field."""
    faults: list[dict[str, Any]] | None = None
    """Of a data set that was sent."""
    faulty: int = 0
    trial: Trial | None = None
    shown: Shown | None = None
    """The trial's answers."""
    estimate: Estimate | None = None
    is_checked: bool = False
    """Everything fits, and nothing hinders a start."""
    status: int = 200


def from_preset(slug: str) -> dict[str, Any]:
    """What the form holds at first for one of the reward presets."""
    return {"reward": slug, "preset": _DATA_OF[slug]} if slug in _DATA_OF else {}


def from_builder(work: Work) -> dict[str, Any]:
    """What the form holds at first for the builder's bench: its reward, and data like its samples."""
    reward = work.reward()
    document = reward.to_dict() if reward else work.document
    found: dict[str, Any] = {"method": "rl", "reward": OWN, "document": as_text(document)}
    name = str(document.get("name") or "")
    if name:
        found["title"] = name[:80]
    if work.chosen in _QUESTIONS_OF:
        found["preset"] = _QUESTIONS_OF[work.chosen]
    elif work.chosen:
        found |= {"source": "benchmark", "benchmark": work.chosen}
    return found


def submit(form: RunForm, who: Who, *, starts: bool) -> Outcome:
    """Check what the form holds, try its reward, and start the run where that is asked for.

    What is wrong with a field is said in the form.
    """
    outcome = Outcome()
    try:
        if form.is_valid():
            _take_file(form, who)
            _try(form, who, outcome, starts=starts)
    except DomainError as error:
        _explain(form, outcome, error)
    if form.errors:
        outcome.status = 422
    return outcome


def _take_file(form: RunForm, who: Who) -> None:
    file = form.cleaned_data.get("file")
    if file is not None and form.cleaned_data["source"] == "upload":
        form.take_upload(services.upload_make(file=file, name=file.name or "", who=who))


def _try(form: RunForm, who: Who, outcome: Outcome, *, starts: bool) -> None:
    data = form.cleaned_data
    variant = services.base_of(data["base"], who)
    given: dict[str, Any] = {"data": form.chosen, "plan": form.plan, "reward": form.rewarded}
    checked = services.run_check(who=who, variant=variant, **given)
    if checked.reward is not None:
        outcome.trial = services.trial_ask(who=who, variant=variant, checked=checked)
        outcome.shown = shown(outcome.trial.groups, checked.data.data, checked.reward)
    outcome.estimate = estimate(checked.plan, variant, who, _answer_s(outcome.trial))
    outcome.is_checked = _may_start(checked, outcome.trial)
    if not starts:
        return
    if outcome.trial is not None and outcome.trial.status == "done" and not outcome.is_checked:
        raise errors.FLAT_REWARD()
    if outcome.is_checked:
        outcome.run = services.run_make(
            who=who, title=data["title"], variant_slug=variant.slug, **given
        )


def _answer_s(trial: Trial | None) -> float | None:
    if trial is None or trial.status != "done":
        return None
    return trial.seconds / max(1, sum(len(group["answers"]) for group in trial.groups))


def _may_start(checked: Checked, trial: Trial | None) -> bool:
    """Taught steps may bring about the difference that a flat reward has not yet."""
    if trial is None:
        return True
    return trial.status == "done" and (not trial.is_flat or checked.plan.warmup_steps > 0)


def _explain(form: RunForm, outcome: Outcome, error: DomainError) -> None:
    outcome.status = error.status
    if "fields" in error.extra:
        form.add_problems(error.extra["fields"])
    elif "lines" in error.extra:
        outcome.faults, outcome.faulty = error.extra["lines"], error.extra["faulty"]
        form.add_error("file", error.message)
    elif str(error.extra.get("field", "")).startswith("data."):
        form.add_problems([{"field": error.extra["field"], "problem": error.message.rstrip(".")}])
    else:
        outcome.error = error
