"""One step's questions with their sampled answers, as pages show them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference.engine.rewards import Reward
from playground.rewards.page import plain
from playground.rewards.samples import completion
from playground.tuning import pictures
from playground.tuning.figures import term_titles

_FLAT = 1e-6


@dataclass(frozen=True, slots=True)
class Answer:
    """A sampled answer and what it was given."""

    text: str
    is_cut: bool
    terms: list[tuple[str, float | None]]
    """Titles of the reward's terms with what each gave."""
    reward: float
    advantage: float | None
    """As the step trained with it; None: it was left out of the loss."""


@dataclass(frozen=True, slots=True)
class Box:
    """A place in the image, in percent of its sides."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Group:
    """A question with its answers, the best first."""

    number: int
    picture: str
    prompt: str
    right: str
    answers: list[Answer]
    boxes: list[Box]
    """Of the best answer; a point is a small one."""

    @property
    def is_flat(self) -> bool:
        rewards = [answer.reward for answer in self.answers]
        return bool(rewards) and max(rewards) - min(rewards) <= _FLAT


@dataclass(frozen=True, slots=True)
class Shown:
    """The questions of one step, or of a check."""

    groups: list[Group]
    terms: list[str]
    """Titles of the reward's terms, in order."""


def shown(
    groups: Sequence[Mapping[str, Any]], data: Mapping[str, Any], reward: Reward | None
) -> Shown:
    """Kept questions as a page shows them.

    Args:
        groups: see `inference.tuning.shown`.
        data: where their images come from.
    """
    titles = list(term_titles(reward).values()) if reward else []
    made = [_group(number, group, data, titles) for number, group in enumerate(groups, 1)]
    return Shown(made, titles)


def _group(
    number: int, group: Mapping[str, Any], data: Mapping[str, Any], titles: Sequence[str]
) -> Group:
    ordered = sorted(group["answers"], key=lambda a: -a["reward"])
    params = group["params"]
    prompt = params.get("question") or params.get("object") or f"{params.get('length')} caption"
    target = group["target"]
    return Group(
        number, pictures.address(data, group["image"]), prompt,
        completion(target) if target else plain(group["reference"]),
        [
            Answer(completion(a["output"]), a["finish_reason"] == "length",
                   list(zip(titles, a["terms"], strict=False)), a["reward"], a["advantage"])
            for a in ordered
        ],
        list(_boxes(ordered[0]["output"])) if ordered else [],
    )  # fmt: skip


def _boxes(output: Mapping[str, Any]) -> Iterator[Box]:
    for box in output.get("objects") or ():
        left, top = 100 * box["x_min"], 100 * box["y_min"]
        yield Box(left, top, 100 * box["x_max"] - left, 100 * box["y_max"] - top)
    for point in output.get("points") or ():
        yield Box(100 * point["x"] - 1.5, 100 * point["y"] - 1.5, 3, 3)
