"""Scenes: what is where, before anything is drawn; and how scenes of shapes are laid out.

All coordinates are normalised to 0..1 of the image's width and height, origin top-left, as in
the API. A scene's aspect ratio (width / height) keeps shapes regular on images that are not
square.
"""

import math
import random
from dataclasses import dataclass, field

from inference.world.vocabulary import (
    BACKGROUNDS,
    COLOURS,
    MAX_OBJECTS,
    SHAPES,
    SIGN,
    SIZES,
    WORDS,
    plural,
)

Box = tuple[float, float, float, float]

_ASPECTS = (1.0, 1.0, 4 / 3, 3 / 4)
_RADIUS = {"small": (0.085, 0.105), "large": (0.145, 0.175)}
_COLUMNS = ("left", "middle", "right")
_ROWS = ("top", "middle", "bottom")


@dataclass(frozen=True, slots=True)
class WorldObject:
    """One thing in a scene: a coloured shape, a sign with text on it, a product, a defect…

    `colour` and `size` are empty where they mean nothing.
    """

    shape: str
    colour: str
    size: str
    centre: tuple[float, float]
    half: tuple[float, float]
    """Half width and half height, normalised."""
    text: str = ""

    @property
    def box(self) -> Box:
        (cx, cy), (hw, hh) = self.centre, self.half
        return (cx - hw, cy - hh, cx + hw, cy + hh)

    @property
    def is_sign(self) -> bool:
        return self.shape == SIGN

    @property
    def phrase(self) -> str:
        """How the world names it: "red circle", "sign", "apple"."""
        return self.shape if self.is_sign or not self.colour else f"{self.colour} {self.shape}"

    @property
    def place(self) -> str:
        """The cell of a 3×3 grid its centre lies in: "top left" … "center" … "bottom right"."""
        column = _COLUMNS[min(2, int(self.centre[0] * 3))]
        row = _ROWS[min(2, int(self.centre[1] * 3))]
        if row == column == "middle":
            return "center"
        return " ".join(part for part in (row, column) if part != "middle")


@dataclass(frozen=True, slots=True)
class Scene:
    """A background and its objects, ordered from left to right by their centres."""

    background: str
    objects: tuple[WorldObject, ...]
    aspect: float = 1.0
    seed: int = field(default=0, compare=False)
    """Drives the drawing's small variations (shade, grain, font), not what the scene means."""
    domain: str = "shapes"
    rows: int = 0
    """How many shelves there are, on a retail shelf."""

    @property
    def shapes(self) -> tuple[WorldObject, ...]:
        return tuple(o for o in self.objects if not o.is_sign)

    @property
    def sign(self) -> WorldObject | None:
        return next((o for o in self.objects if o.is_sign), None)

    def matching(self, phrase: str) -> list[WorldObject]:
        """Objects that a phrase of the world names: "red circle", "circles", "red shape", "gaps"…"""
        if self.domain != "shapes":
            wanted = phrase.lower().strip()
            return [o for o in self.objects if wanted in (o.shape, plural(o.shape))]
        words = [w.lower() for w in phrase.split()]
        colours = [w for w in words if w in COLOURS]
        nouns = [_singular(w) for w in words if w not in COLOURS]
        return [
            o
            for o in self.objects
            if (not colours or o.colour in colours)
            and all(n == o.shape or (n in ("shape", "object") and not o.is_sign) for n in nouns)
        ]


def _singular(noun: str) -> str:
    if noun in SHAPES or noun == SIGN:
        return noun
    for ending in ("es", "s"):
        stem = noun.removesuffix(ending)
        if stem != noun and (stem in SHAPES or stem in (SIGN, "shape", "object")):
            return stem
    return noun


def sample_scene(
    rng: random.Random,
    *,
    objects: tuple[int, int] = (1, MAX_OBJECTS),
    sign: float = 0.25,
    aspect: float | None = None,
) -> Scene:
    """Draw a scene: `objects` shapes (inclusive range), a sign with probability `sign`."""
    aspect = rng.choice(_ASPECTS) if aspect is None else aspect
    placed: list[WorldObject] = []
    wanted = rng.randint(*objects)
    if rng.random() < sign:
        placed.append(_sample_sign(rng, aspect))
        wanted = min(wanted, 3)
    for _ in range(wanted):
        candidate = _sample_shape(rng, aspect, placed)
        if candidate is not None:
            placed.append(candidate)
    placed.sort(key=lambda o: o.centre)
    return Scene(rng.choice(tuple(BACKGROUNDS)), tuple(placed), aspect, rng.getrandbits(32))


def _half(radius: float, aspect: float) -> tuple[float, float]:
    root = math.sqrt(aspect)
    return radius / root, radius * root


def _sample_sign(rng: random.Random, aspect: float) -> WorldObject:
    text = rng.choice(WORDS) if rng.random() < 0.5 else str(rng.randint(0, 99))
    height = rng.uniform(0.11, 0.15)
    width = height * (1.5 if len(text) < 3 else 2.3)
    hw, hh = _half(1.0, aspect)
    half = (width * hw, height * hh)
    centre = tuple(rng.uniform(h + 0.02, 0.98 - h) for h in half)
    return WorldObject(SIGN, "white", "large", (centre[0], centre[1]), half, text)


def _sample_shape(
    rng: random.Random, aspect: float, placed: list[WorldObject]
) -> WorldObject | None:
    for _ in range(60):
        size = rng.choice(SIZES)
        half = _half(rng.uniform(*_RADIUS[size]), aspect)
        centre = (
            rng.uniform(half[0] + 0.02, 0.98 - half[0]),
            rng.uniform(half[1] + 0.02, 0.98 - half[1]),
        )
        if all(_apart(centre, half, other) for other in placed):
            return WorldObject(rng.choice(SHAPES), rng.choice(tuple(COLOURS)), size, centre, half)
    return None


def _apart(centre: tuple[float, float], half: tuple[float, float], other: WorldObject) -> bool:
    gap = 0.015
    return (
        abs(centre[0] - other.centre[0]) > half[0] + other.half[0] + gap
        or abs(centre[1] - other.centre[1]) > half[1] + other.half[1] + gap
    )
