"""Rehearsal: other skills are kept while one is tuned (learning without forgetting, Li & Hoiem 2016,
arXiv 1606.09282).

Some questions of other skills go along in each step. What is kept is the base's own distribution of every
choice of its answer, so that no right answers are needed, and an adapter that changes nothing loses nothing.
"""

import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from inference.engine.moondream import Moondream
from inference.engine.tuning.distributions import Distributions
from inference.engine.tuning.examples import Example
from inference.engine.tuning.rollouts import Kind
from inference.engine.tuning.scoring import Packed

if TYPE_CHECKING:
    from inference.engine.tuning.tuner import RehearsalGroup, Tuner


def distributions_of(model: Moondream, packed: Packed, hidden: torch.Tensor) -> list[torch.Tensor]:
    """Log-probabilities of all that could be chosen, kind by kind, (choices of the kind, options) each.

    Args:
        hidden: (N, dim), of the choices.
    """
    of = Distributions(model, 1.0)
    made = []
    for kind in Kind:
        where = packed.kinds == kind
        if where.any():
            made.append(of(kind, hidden[where], is_first=packed.is_first[where]))
    return made


def divergence(base: Iterable[torch.Tensor], now: Iterable[torch.Tensor]) -> torch.Tensor:
    """Sum over the choices of KL(base ‖ now), nats; 0 and without a gradient where both are alike."""
    total: Any = 0.0
    for before, after in zip(base, now, strict=True):
        ruled_out = before == -torch.inf
        difference = (before - after).masked_fill(ruled_out, 0.0)
        total = total + (before.exp() * difference).sum()
    return total  # type: ignore[no-any-return]


class Rehearsal:
    """Questions that are rehearsed.

    Args:
        examples: of other skills than the tuned one.
        seed: of their order.
    """

    def __init__(self, tuner: "Tuner", examples: Sequence[Example], *, seed: int = 0) -> None:
        self.tuner, self.examples, self.seed = tuner, examples, seed

    def groups(self, step: int, count: int) -> "list[RehearsalGroup]":
        """What is rehearsed in a step; it follows from seed and step alone."""
        from inference.engine.tuning.tuner import RehearsalGroup

        rng = random.Random(f"{self.seed}:{step}:rehearsal")
        drawn = rng.sample(self.examples, min(count, len(self.examples)))
        answers = self.tuner.base_answers(drawn)
        return [RehearsalGroup(*pair) for pair in zip(drawn, answers, strict=True)]


def without_conflicts(rehearsed: Iterable[Example], tuned: Iterable[Example]) -> list[Example]:
    """Those that do not ask in the words of what is tuned: they would hold on to the base's answers."""
    asked = {(example.skill, example.prompt) for example in tuned}
    return [example for example in rehearsed if (example.skill, example.prompt) not in asked]
