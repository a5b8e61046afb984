"""Sample images for pages: scenes drawn once, kept as files, with prompts that suit them.

They were chosen among scenes that the embedded model answers rightly; how often it does not is in
its model card.
"""

import json
import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from inference.world.domains import DOMAINS
from inference.world.render import render
from inference.world.scenes import Scene, sample_scene

SAMPLE_DIR = Path(__file__).parent / "sample_images"


@dataclass(frozen=True, slots=True)
class Sample:
    """A drawn scene that a visitor can start from. `prompts` maps a skill to a good prompt."""

    slug: str
    seed: int
    alt: str
    prompts: dict[str, str]
    has_sign: bool = False
    domain: str = "shapes"

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the file in pixels; a plate and a phantom are square."""
        return (800, 600) if self.domain in ("shapes", "shelf") else (600, 600)

    @property
    def file_name(self) -> str:
        return f"{self.slug}.webp"

    @property
    def prompts_json(self) -> str:
        """For a page's script."""
        return json.dumps(self.prompts)

    def scene(self) -> Scene:
        """The scene behind the image."""
        if self.domain != "shapes":
            return DOMAINS[self.domain].sample(random.Random(self.seed))
        return sample_scene(
            random.Random(self.seed),
            objects=(3, 3) if self.has_sign else (4, 5),
            sign=1.0 if self.has_sign else 0.0,
            aspect=4 / 3,
        )


SAMPLES: tuple[Sample, ...] = (
    Sample(
        "night", 192, "Drawn scene on black: a heart, a triangle, two stars and a square",
        {"query": "How many stars are there?", "detect": "stars", "point": "blue star"},
    ),
    Sample(
        "moon", 117, "Drawn scene on white: a sign that reads MOON among three shapes",
        {"query": "What does the sign say?", "detect": "sign", "point": "yellow triangle"},
        has_sign=True,
    ),
    Sample(
        "triangles", 27734, "Drawn scene on white: a star, two triangles, a square and a cross",
        {"query": "Is the blue square above the red cross?", "detect": "triangles",
         "point": "triangles"},
    ),
    Sample(
        "number", 706, "Drawn scene on gray: a sign with the number 72 among three shapes",
        {"query": "What number is on the sign?", "detect": "green shapes", "point": "red heart"},
        has_sign=True,
    ),
    Sample(
        "greens", 316, "Drawn scene on gray: a star, a cross, a green triangle and a green square",
        {"query": "What color is the cross?", "detect": "green shapes", "point": "green shapes"},
    ),
    Sample(
        "crosses", 1167, "Drawn scene on black: two crosses, a heart and a purple star",
        {"query": "Where is the purple star?", "detect": "crosses", "point": "purple star"},
    ),
    Sample(
        "shelf", 369, "Drawn retail shelf: strawberries, bananas, a pizza and two gaps",
        {"query": "How many strawberries are there?", "detect": "gaps", "point": "strawberries"},
        domain="shelf",
    ),
    Sample(
        "plate", 256, "Drawn metal plate with a scratch, a dent and a missing screw",
        {"query": "Does the part pass inspection?", "detect": "scratch", "point": "missing screw"},
        domain="plate",
    ),
    Sample(
        "phantom", 110, "Drawn synthetic phantom, not clinical, with two nodules",
        {"query": "How many nodules are there?", "detect": "nodules", "point": "nodules"},
        domain="phantom",
    ),
)  # fmt: skip


def sample_bytes(slug: str) -> bytes:
    """The file of a sample.

    Raises:
        InvalidSample: no sample of that name.
    """
    for sample in SAMPLES:
        if sample.slug == slug:
            return (SAMPLE_DIR / sample.file_name).read_bytes()
    raise InvalidSample(slug)


@cache
def sample_answers() -> dict[str, Any]:
    """What the model really said of each: `manage.py sample_answers` ran it and wrote the file."""
    file = SAMPLE_DIR / "answers.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"samples": {}}
    return found


def draw_samples() -> None:
    """Draw the files again (they are committed; the drawing is deterministic)."""
    SAMPLE_DIR.mkdir(exist_ok=True)
    for sample in SAMPLES:
        image = render(sample.scene(), sample.size)
        image.save(SAMPLE_DIR / sample.file_name, "WEBP", quality=90, method=6)


class InvalidSample(ValueError):
    """There is no sample of that name."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"There is no sample image {slug[:40]!r}.")
