"""Industrial inspection: a screwed metal plate with scratches, dents and missing screws."""

import math
import random

from PIL import Image, ImageDraw

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
from inference.world.drawing import shade
from inference.world.scenes import Scene, WorldObject
from inference.world.vocabulary import article, join_phrases, plural

SCREW, MISSING, SCRATCH, DENT = "screw", "missing screw", "scratch", "dent"
DEFECTS = (SCRATCH, DENT, MISSING)
_METALS = ((172, 176, 182), (140, 146, 156), (196, 188, 170), (120, 132, 140))
_BELTS = ((28, 30, 34), (52, 48, 44), (30, 44, 58))
_INSET, _SCREW = 0.15, 0.058
"""Where the screws sit, and their radius; of the image's side."""


def sample_plate(rng: random.Random) -> Scene:
    """Four or six screw positions, a few of them empty; up to two scratches and two dents."""
    ys = (_INSET, 1 - _INSET) if rng.random() < 0.6 else (_INSET, 0.5, 1 - _INSET)
    spots = [(x, y) for x in (_INSET, 1 - _INSET) for y in ys]
    flawless = rng.random() < 0.2
    empty = 0 if flawless else rng.choice((0, 0, 1, 1, 2))
    missing = set(rng.sample(range(len(spots)), empty))
    items = [
        WorldObject(MISSING if n in missing else SCREW, "", "", spot, (_SCREW, _SCREW))
        for n, spot in enumerate(spots)
    ]
    if not flawless:
        for name in [SCRATCH] * rng.choice((0, 0, 1, 1, 2)) + [DENT] * rng.choice((0, 0, 1, 1, 2)):
            defect = _sample_defect(name, rng, items)
            if defect:
                items.append(defect)
    items.sort(key=lambda o: o.centre)
    return Scene("plate", tuple(items), 1.0, rng.getrandbits(32), "plate")


def _sample_defect(name: str, rng: random.Random, placed: list[WorldObject]) -> WorldObject | None:
    for _ in range(60):
        if name == DENT:
            radius = rng.uniform(0.06, 0.095)
            half, slant = (radius, radius), ""
        else:
            length, angle = rng.uniform(0.22, 0.4), rng.uniform(0.15, math.pi / 2 - 0.15)
            half = (length / 2 * math.cos(angle) + 0.012, length / 2 * math.sin(angle) + 0.012)
            slant = rng.choice("/\\")
        centre = tuple(rng.uniform(0.1 + h, 0.9 - h) for h in half)
        if all(
            abs(centre[0] - o.centre[0]) > half[0] + o.half[0] + 0.02
            or abs(centre[1] - o.centre[1]) > half[1] + o.half[1] + 0.02
            for o in placed
        ):
            return WorldObject(name, "", "", (centre[0], centre[1]), half, slant)
    return None


def draw_plate(canvas: Image.Image, scene: Scene, rng: random.Random) -> None:
    width, height = canvas.size
    draw = ImageDraw.Draw(canvas)
    metal = shade(rng, rng.choice(_METALS), 8)
    draw.rectangle((0, 0, width, height), fill=shade(rng, rng.choice(_BELTS), 6))
    plate = (0.05 * width, 0.05 * height, 0.95 * width, 0.95 * height)
    draw.rounded_rectangle(plate, 0.04 * width, fill=metal)
    for _ in range(60):  # the brushing of the metal
        y, x = rng.uniform(0.07, 0.93) * height, rng.uniform(0.06, 0.6) * width
        end = min(0.94 * width, x + rng.uniform(0.2, 0.6) * width)
        draw.line((x, y, end, y), fill=shade(rng, metal, 5), width=max(1, width // 300))
    for item in scene.objects:
        _DRAWN[item.shape](draw, item, canvas.size, metal, rng)


def _scaled(item: WorldObject, size: tuple[int, int], share: float) -> tuple[float, ...]:
    (cx, cy), (hw, hh) = item.centre, item.half
    x, y, w, h = cx * size[0], cy * size[1], hw * share * size[0], hh * share * size[1]
    return (x - w, y - h, x + w, y + h)


def _darker(colour: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    r, g, b = (max(0, min(255, round(c * share))) for c in colour)
    return r, g, b


Canvas = ImageDraw.ImageDraw
Colour = tuple[int, int, int]


def _draw_screw(
    draw: Canvas, item: WorldObject, size: tuple[int, int], metal: Colour, rng: random.Random
) -> None:
    draw.ellipse(_scaled(item, size, 1.0), fill=_darker(metal, 0.55))
    draw.ellipse(_scaled(item, size, 0.82), fill=_darker(metal, 1.22))
    angle = rng.uniform(0, math.pi)
    x, y = item.centre[0] * size[0], item.centre[1] * size[1]
    dx, dy = (0.6 * h * s for h, s in zip(item.half, size, strict=True))
    dx, dy = dx * math.cos(angle), dy * math.sin(angle)
    line = max(1, round(0.018 * size[0]))
    draw.line((x - dx, y - dy, x + dx, y + dy), fill=_darker(metal, 0.35), width=line)


def _draw_hole(
    draw: Canvas, item: WorldObject, size: tuple[int, int], metal: Colour, rng: random.Random
) -> None:
    draw.ellipse(_scaled(item, size, 1.0), fill=_darker(metal, 0.7))
    draw.ellipse(_scaled(item, size, 0.8), fill=shade(rng, (18, 18, 20), 6))


def _draw_scratch(
    draw: Canvas, item: WorldObject, size: tuple[int, int], metal: Colour, rng: random.Random
) -> None:
    x0, y0, x1, y1 = _scaled(item, size, 0.94)
    if item.text == "/":
        y0, y1 = y1, y0
    bright = rng.random() < 0.5
    colour = _darker(metal, 1.5) if bright else _darker(metal, 0.42)
    bend = rng.uniform(-0.12, 0.12)
    middle = ((x0 + x1) / 2 + bend * (y1 - y0) * 0.3, (y0 + y1) / 2 - bend * (x1 - x0) * 0.3)
    line = max(2, round(rng.uniform(0.016, 0.024) * size[0]))
    draw.line([(x0, y0), middle, (x1, y1)], fill=colour, width=line, joint="curve")


def _draw_dent(
    draw: Canvas, item: WorldObject, size: tuple[int, int], metal: Colour, rng: random.Random
) -> None:
    del rng
    for ring in range(8):
        share = 1 - ring / 8
        tone = _darker(metal, 0.92 - 0.42 * ring / 7)
        box = list(_scaled(item, size, share))
        shift = ring / 8 * item.half[0] * 0.35 * size[0]
        draw.ellipse([v - shift for v in box], fill=tone)


_DRAWN = {
    SCREW: _draw_screw, MISSING: _draw_hole, SCRATCH: _draw_scratch, DENT: _draw_dent,
}  # fmt: skip


def _named(scene: Scene, noun: str) -> list[WorldObject]:
    """The objects of a noun; "defect" and "hole" take several."""
    if noun == "defect":
        return [o for o in scene.objects if o.shape in DEFECTS]
    return [o for o in scene.objects if o.shape == noun]


def caption(scene: Scene, length: str) -> str:
    found = {name: _named(scene, name) for name in DEFECTS}
    found = {name: items for name, items in found.items() if items}
    if not found:
        text = "a metal plate without defects"
        return sentence(text) + (" It passes inspection." if length == "long" else "")
    if length == "short":
        listed = [article(k) if len(v) == 1 else plural(k) for k, v in found.items()]
        return sentence(f"a metal plate with {join_phrases(listed)}")
    listed = [f"{len(v)} {k if len(v) == 1 else plural(k)}" for k, v in found.items()]
    text = sentence(f"a metal plate with {join_phrases(listed)}")
    if length == "normal":
        return text
    placed = [f"{article(o.shape)} at the {o.place}" for o in scene.objects if o.shape in DEFECTS]
    return f"{text} From left to right: {join_phrases(placed)}."


def _ask_count(scene: Scene, rng: random.Random) -> QA:
    noun = rng.choice((SCRATCH, DENT, MISSING, SCREW, "defect"))
    if noun == MISSING and rng.random() < 0.4:
        return QA("count", "How many screws are missing?", str(len(_named(scene, noun))))
    return QA("count", count_wording(rng).format(plural(noun)), str(len(_named(scene, noun))))


def _ask_exists(scene: Scene, rng: random.Random) -> QA:
    noun = rng.choice((*DEFECTS, "defect"))
    wording = existence_wording(rng).format(article(noun))
    if noun == MISSING and rng.random() < 0.4:
        wording = "Is a screw missing?"
    return QA("existence", wording, "yes" if _named(scene, noun) else "no")


def _ask_inspection(scene: Scene, rng: random.Random) -> QA:
    flawless = not _named(scene, "defect")
    if rng.random() < 0.5:
        return QA("inspection", "Does the part pass inspection?", "yes" if flawless else "no")
    return QA("inspection", "Is the plate damaged?", "no" if flawless else "yes")


def _ask_defect(scene: Scene, rng: random.Random) -> QA | None:
    kinds = {o.shape for o in _named(scene, "defect")}
    if len(kinds) != 1:
        return None
    wording = rng.choice(("What defect is there?", "What kind of defect does the plate have?"))
    return QA("defect", wording, kinds.pop())


def _ask_place(scene: Scene, rng: random.Random) -> QA | None:
    single = [o for name in DEFECTS if len(found := _named(scene, name)) == 1 for o in found]
    return place_question(single, rng)


def _ask_here(scene: Scene, rng: random.Random) -> QA | None:
    # A scratch's box is mostly bare metal, so only what fills its box is asked about.
    return here_question(tuple(o for o in scene.objects if o.shape != SCRATCH), rng)


def _ask_scene(scene: Scene, rng: random.Random) -> QA:
    return scene_question("a metal plate", rng)


def targets(scene: Scene, rng: random.Random) -> tuple[str, list[WorldObject]]:
    noun = rng.choice((SCRATCH, SCRATCH, DENT, DENT, MISSING, MISSING, SCREW, "defect"))
    found = _named(scene, noun)
    if not found and rng.random() < 0.8:
        noun, found = SCREW, _named(scene, SCREW)
    return (plural(noun) if rng.random() < 0.5 else noun), found


PLATE = Domain(
    "plate", "Industrial defect", (SCREW, *DEFECTS), sample_plate, draw_plate, caption,
    {
        "count": _ask_count, "existence": _ask_exists, "inspection": _ask_inspection,
        "defect": _ask_defect, "place": _ask_place, "here": _ask_here, "scene": _ask_scene,
    },
    targets,
)  # fmt: skip
