"""What a guided project trains for: a reward to start from, the drawn scenes that go with it, and settings.

Where a setting is given here it was measured on the embedded model (`bench/tuning.py`); on another base its own
defaults are taken (`inference.engine.tuning.defaults`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference.engine.rewards import PRESETS, Reward
from inference.models import Variant
from inference.tuning.services import defaults_for
from inference.world import caption
from inference.world.samples import SAMPLES

EXAMPLES = 400
CHECKPOINT_EVERY = 20


@dataclass(frozen=True, slots=True)
class Length:
    """How long to train."""

    steps: int
    title: str
    about: str


@dataclass(frozen=True, slots=True)
class Aim:
    """Something to become better at."""

    slug: str
    title: str
    about: str
    skill: str
    reward: Reward
    preset: str
    """Of questions about drawn scenes."""
    domain: str
    settings: Mapping[str, Any]
    lengths: tuple[Length, ...]
    """The last one is that which was measured."""

    @property
    def data(self) -> dict[str, Any]:
        """What is trained on, as a run keeps it."""
        return {
            "source": "world", "preset": self.preset, "domain": self.domain, "count": EXAMPLES, "seed": 0,
        }  # fmt: skip

    def plan(self, variant: Variant, steps: int) -> dict[str, Any]:
        """A run's settings on a base."""
        measured = self.settings if defaults_for(variant).is_measured else {}
        return {**measured, "steps": steps, "checkpoint_every": CHECKPOINT_EVERY}

    def length(self, steps: int) -> Length | None:
        """The one of so many steps."""
        return next((length for length in self.lengths if length.steps == steps), None)


def _lengths(whole: int) -> tuple[Length, ...]:
    return (
        Length(8, "A look", "A few steps, to see how it goes. The answers hardly change."),
        Length(40, "A start", "Something moves, and not always for the better yet."),
        Length(whole, "The whole way", "What the settings were measured with."),
    )


AIMS: Mapping[str, Aim] = {
    aim.slug: aim
    for aim in (
        Aim(
            "short-captions", "Shorter captions", "Says what is there in fewer words, and leaves nothing out.", "caption",
            PRESETS["short-captions"].reward, "captions-shorter", "shapes",
            {"lr": 1e-3, "groups": 6, "group_size": 12, "temperature": 1.4, "max_tokens": 40, "rehearsal": 1.0},
            _lengths(110),
        ),
        Aim(
            "count-right", "Counting on a shelf", "Says how many there are, as a number and nothing else. It gains less than shorter captions do.", "query",
            PRESETS["count-right"].reward, "counts", "shelf",
            {"lr": 1.5e-3, "groups": 8, "group_size": 16, "temperature": 1.0, "max_tokens": 4, "rehearsal": 0.75},
            _lengths(160),
        ),
    )
}  # fmt: skip


def aims_of(skill: str) -> list[Aim]:
    """Those that a skill can be trained for."""
    return [aim for aim in AIMS.values() if aim.skill == skill]


SKILLS = tuple(dict.fromkeys(aim.skill for aim in AIMS.values()))


def reference_of(sample: str, skill: str) -> str:
    """What is right about a drawn scene, where one knows: its shortest caption; empty otherwise."""
    found = next((s for s in SAMPLES if s.slug == sample), None)
    return caption(found.scene(), "short") if found and skill == "caption" else ""
