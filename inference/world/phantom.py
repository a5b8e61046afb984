"""A radiology-style phantom: drawn, synthetic, not clinical; soft shapes with round nodules.

It shows what a detection model is asked in that field, and nothing about a patient: no scan was
used, and a score on it says nothing of real images.
"""

import math
import random

from PIL import Image, ImageDraw, ImageFilter

from inference.world.domain import (
    QA,
    Domain,
    count_wording,
    existence_wording,
    here_question,
    place_question,
    scene_question,
    sentence,
)
from inference.world.scenes import Scene, WorldObject
from inference.world.vocabulary import SIZES, join_phrases

NODULE = "nodule"
_LUNGS = ((0.3, 0.52), (0.7, 0.52))
_LUNG_HALF = (0.155, 0.29)
_RADIUS = {"small": (0.034, 0.042), "large": (0.062, 0.078)}


def sample_phantom(rng: random.Random) -> Scene:
    """Up to three nodules in two lung-like fields; half of the scenes have none or one."""
    items: list[WorldObject] = []
    for _ in range(rng.choice((0, 0, 1, 1, 1, 2, 2, 3))):
        nodule = _sample_nodule(rng, items)
        if nodule:
            items.append(nodule)
    items.sort(key=lambda o: o.centre)
    return Scene("black", tuple(items), 1.0, rng.getrandbits(32), "phantom")


def _sample_nodule(rng: random.Random, placed: list[WorldObject]) -> WorldObject | None:
    for _ in range(40):
        size = rng.choice(SIZES)
        radius = rng.uniform(*_RADIUS[size])
        (lx, ly), turn, out = rng.choice(_LUNGS), rng.uniform(0, math.tau), math.sqrt(rng.random())
        x = lx + (_LUNG_HALF[0] - radius - 0.02) * out * math.cos(turn)
        y = ly + (_LUNG_HALF[1] - radius - 0.03) * out * math.sin(turn)
        if all(math.dist((x, y), o.centre) > radius + o.half[0] + 0.04 for o in placed):
            return WorldObject(NODULE, "", size, (x, y), (radius, radius))
    return None


def draw_phantom(canvas: Image.Image, scene: Scene, rng: random.Random) -> None:
    width, height = canvas.size
    grey = Image.new("L", canvas.size, rng.randint(4, 14))
    draw = ImageDraw.Draw(grey)

    def ellipse(cx: float, cy: float, hw: float, hh: float, tone: int) -> None:
        draw.ellipse(
            ((cx - hw) * width, (cy - hh) * height, (cx + hw) * width, (cy + hh) * height), tone
        )

    body, lung = rng.randint(104, 136), rng.randint(34, 52)
    ellipse(0.5, 0.52, 0.46 + rng.uniform(-0.02, 0.02), 0.44, body)
    for cx, cy in _LUNGS:
        ellipse(cx, cy, *_LUNG_HALF, lung)
    for _ in range(5):  # faint ribs and vessels, so that not every edge is a nodule
        y = rng.uniform(0.28, 0.76) * height
        draw.arc((0.08 * width, y - 0.12 * height, 0.92 * width, y + 0.2 * height), 200, 340,
                 lung + 24, max(1, round(0.012 * width)))  # fmt: skip
    ellipse(0.5, 0.55, 0.05, 0.36, body + 64)
    grey = grey.filter(ImageFilter.GaussianBlur(0.008 * width))
    draw = ImageDraw.Draw(grey)
    for item in scene.objects:
        ellipse(*item.centre, *item.half, rng.randint(168, 222))
    grey = grey.filter(ImageFilter.GaussianBlur(0.004 * width))
    canvas.paste(Image.merge("RGB", (grey, grey, grey)))


def _side(item: WorldObject) -> str:
    return "left" if item.centre[0] < 0.5 else "right"


def caption(scene: Scene, length: str) -> str:
    count = len(scene.objects)
    if length == "short" or not count:
        some = ("no nodule", "1 nodule")[count] if count < 2 else f"{count} nodules"
        text = sentence(f"a synthetic phantom with {some}")
        return text + (" It is not a real scan." if length == "long" else "")
    if length == "normal":
        listed = [f"a {o.size} nodule on the {_side(o)}" for o in scene.objects]
        return sentence(f"a synthetic phantom with {join_phrases(listed)}")
    listed = [f"a {o.size} nodule at the {o.place}" for o in scene.objects]
    text = sentence(f"a synthetic phantom with {join_phrases(listed)}")
    return text + " It is not a real scan."


def _ask_count(scene: Scene, rng: random.Random) -> QA:
    return QA("count", count_wording(rng).format("nodules"), str(len(scene.objects)))


def _ask_exists(scene: Scene, rng: random.Random) -> QA:
    wording = existence_wording(rng).format("a nodule")
    return QA("existence", wording, "yes" if scene.objects else "no")


def _only(scene: Scene) -> WorldObject | None:
    return scene.objects[0] if len(scene.objects) == 1 else None


def _ask_side(scene: Scene, rng: random.Random) -> QA | None:
    only = _only(scene)
    wording = rng.choice(
        ("Which side is the nodule on?", "On which side of the image is the nodule?")
    )
    return QA("side", wording, _side(only)) if only else None


def _ask_size(scene: Scene, rng: random.Random) -> QA | None:
    only = _only(scene)
    wording = rng.choice(("Is the nodule small or large?", "What size is the nodule?"))
    return QA("size", wording, only.size) if only else None


def _ask_place(scene: Scene, rng: random.Random) -> QA | None:
    only = _only(scene)
    return place_question([only], rng) if only else None


def _ask_here(scene: Scene, rng: random.Random) -> QA | None:
    return here_question(scene.objects, rng)


def _ask_scene(scene: Scene, rng: random.Random) -> QA:
    if rng.random() < 0.5:
        return QA("scene", rng.choice(("Is this a real scan?", "Is this a real X-ray?")), "no")
    return scene_question("a synthetic phantom", rng)


def targets(scene: Scene, rng: random.Random) -> tuple[str, list[WorldObject]]:
    return ("nodules" if rng.random() < 0.5 else NODULE), list(scene.objects)


PHANTOM = Domain(
    "phantom", "Radiology-style phantom", (NODULE,), sample_phantom, draw_phantom, caption,
    {
        "count": _ask_count, "existence": _ask_exists, "side": _ask_side, "size": _ask_size,
        "place": _ask_place, "here": _ask_here, "scene": _ask_scene,
    },
    targets,
)  # fmt: skip
