"""What one kind of scene brings: how it is sampled, drawn, and what can be said of it."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from inference.world.scenes import Scene, WorldObject
from inference.world.vocabulary import article

LENGTHS = ("short", "normal", "long")
DomainName = Literal["shapes", "shelf", "plate", "phantom"]


@dataclass(frozen=True, slots=True)
class QA:
    """A question about a scene with its one right answer.

    `point` is set for questions about a place given by coordinates ("What is here?"), the
    `spatial_refs` of the API.
    """

    kind: str
    question: str
    answer: str
    point: tuple[float, float] | None = None


Asker = Callable[[Scene, random.Random], QA | None]


@dataclass(frozen=True, slots=True)
class Domain:
    """One kind of scene."""

    name: DomainName
    title: str
    nouns: tuple[str, ...]
    """Every `WorldObject.shape` that its scenes hold."""
    sample: Callable[[random.Random], Scene]
    draw: Callable[[Image.Image, Scene, random.Random], None]
    """Draws the scene over the whole of an RGB canvas of any size."""
    caption: Callable[[Scene, str], str]
    """The one reference caption of a length."""
    askers: Mapping[str, Asker]
    """A question by kind; None where the scene has no such question."""
    targets: Callable[[Scene, random.Random], tuple[str, list[WorldObject]]]
    """A phrase to point at or detect, and the objects it names (left to right; may be none)."""


def check_length(length: str) -> None:
    """
    Raises:
        ValueError: `length` is not "short", "normal" or "long".
    """
    if length not in LENGTHS:
        raise ValueError(f"Unknown caption length {length!r}: use one of {', '.join(LENGTHS)}.")


def sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    return text[0].upper() + text[1:] + "."


def place_question(items: list[WorldObject], rng: random.Random) -> QA | None:
    """Where one of the items is on a 3×3 grid; centres near a line between two cells have no one
    right answer and are not asked about."""
    clear = [
        o for o in items if all(abs(c - line) > 0.03 for c in o.centre for line in (1 / 3, 2 / 3))
    ]
    if not clear:
        return None
    o = rng.choice(clear)
    wording = rng.choice(("Where is the {}?", "Where in the image is the {}?"))
    return QA("place", wording.format(o.phrase), o.place)


def here_question(items: tuple[WorldObject, ...], rng: random.Random) -> QA | None:
    """What lies at a point inside one of the items."""
    if not items:
        return None
    o = rng.choice(items)
    x, y = (c + rng.uniform(-0.25, 0.25) * h for c, h in zip(o.centre, o.half, strict=True))
    return QA("here", "What is here?", article(o.phrase), (x, y))


def scene_question(answer: str, rng: random.Random) -> QA:
    """What the whole image is."""
    return QA("scene", rng.choice(("What is this?", "What does the image show?")), answer)


def count_wording(rng: random.Random) -> str:
    """One of the ways to ask "how many"."""
    return rng.choice(
        ("How many {} are there?", "How many {} are in the image?", "How many {} can you see?")
    )


def existence_wording(rng: random.Random) -> str:
    """One of the ways to ask whether there is one."""
    return rng.choice(("Is there {}?", "Is there {} in the image?", "Can you see {}?"))
