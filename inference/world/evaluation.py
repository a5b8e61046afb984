"""Held-out scenes with their references: never seen in training, the same every time."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from inference.world.language import QA, questions, targets
from inference.world.render import render
from inference.world.scenes import Scene, WorldObject, sample_scene


@dataclass(frozen=True, slots=True)
class Item:
    """One held-out scene and what is asked of it."""

    scene: Scene
    image: Image.Image
    questions: list[QA]
    phrase: str
    objects: list[WorldObject]


def held_out(count: int, *, seed: int = 0) -> Iterator[Item]:
    """`count` scenes of the whole world: 1 to 5 shapes, a sign in three of ten.

    Training draws from other seeds (their strings begin with "train:").
    """
    for number in range(count):
        rng = random.Random(f"held-out:{seed}:{number}")
        scene = sample_scene(rng, sign=0.3)
        phrase, objects = targets(scene, rng)
        while not objects:
            phrase, objects = targets(scene, rng)
        yield Item(scene, render(scene), questions(scene, rng), phrase, objects)
