"""What can be said of a scene of any kind: captions, questions with exact answers, phrases."""

import random

from inference.world.domain import LENGTHS, QA, check_length
from inference.world.domains import DOMAINS
from inference.world.scenes import Scene, WorldObject

__all__ = ["KINDS", "LENGTHS", "QA", "caption", "question", "questions", "targets"]

KINDS: tuple[str, ...] = tuple(dict.fromkeys(k for d in DOMAINS.values() for k in d.askers))


def caption(scene: Scene, length: str = "normal") -> str:
    """The scene's one reference caption; what it lists is in reading order.

    Raises:
        ValueError: `length` is not "short", "normal" or "long".
    """
    check_length(length)
    return DOMAINS[scene.domain].caption(scene, length)


def questions(scene: Scene, rng: random.Random) -> list[QA]:
    """One question of every kind that the scene allows, drawn with `rng`."""
    asked = (ask(scene, rng) for ask in DOMAINS[scene.domain].askers.values())
    return [qa for qa in asked if qa is not None]


def question(scene: Scene, kind: str, rng: random.Random) -> QA | None:
    """A question of one kind, or None where the scene has no such question."""
    return DOMAINS[scene.domain].askers[kind](scene, rng)


def targets(scene: Scene, rng: random.Random) -> tuple[str, list[WorldObject]]:
    """A phrase to point at or detect, and the objects it names (left to right; may be none)."""
    return DOMAINS[scene.domain].targets(scene, rng)
