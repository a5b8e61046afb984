"""Held-out scenes with their references: never seen in training, the same every time."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from PIL import Image

from inference.world.domain import QA
from inference.world.domains import DOMAINS
from inference.world.language import questions, targets
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


def held_out(count: int, *, seed: int | str = 0, domain: str = "shapes") -> Iterator[Item]:
    """`count` scenes of a domain; of shapes: 1 to 6 of them, a sign in three of ten.

    Training draws from other seeds (their strings begin with "train:"). A seed that is a text is a
    secret: then the 32 bits that draw a scene's pixels are not all that there is to guess either.
    """
    for number in range(count):
        rng = random.Random(f"held-out:{seed}:{number}" + f":{domain}" * (domain != "shapes"))
        shapes = domain == "shapes"
        scene = sample_scene(rng, sign=0.3) if shapes else DOMAINS[domain].sample(rng)
        if isinstance(seed, str):
            scene = replace(scene, seed=rng.getrandbits(128))
        phrase, objects = targets(scene, rng)
        while scene.objects and not objects:
            phrase, objects = targets(scene, rng)
        yield Item(scene, render(scene), questions(scene, rng), phrase, objects)
