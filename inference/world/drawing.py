"""Drawing shapes and signs with Pillow: no installed font, same pixels for the same scene."""

import functools
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from inference.world.scenes import Box, Scene, WorldObject
from inference.world.vocabulary import BACKGROUNDS, COLOURS

FONT_FILES = tuple(sorted((Path(__file__).parent / "fonts").glob("*.woff")))

Point = tuple[float, float]
Colour = tuple[int, int, int]


def draw_shapes(canvas: Image.Image, scene: Scene, rng: random.Random) -> None:
    """Draw a scene of shapes and signs over a canvas."""
    canvas.paste(_background(rng, scene.background, canvas.size))
    draw = ImageDraw.Draw(canvas)
    for item in scene.objects:
        if item.is_sign:
            _draw_sign(canvas, draw, item, rng, sign_font(scene), scene.aspect)
        else:
            _draw_shape(draw, item, canvas.size, rng)


def shade(rng: random.Random, colour: Colour, spread: int) -> Colour:
    """The colour, a little lighter or darker."""
    shift = rng.randint(-spread, spread)
    r, g, b = (max(0, min(255, c + shift + rng.randint(-6, 6))) for c in colour)
    return r, g, b


def _background(rng: random.Random, name: str, size: tuple[int, int]) -> Image.Image:
    """A gentle gradient between two shades of the named background."""
    top, bottom = (shade(rng, BACKGROUNDS[name], 10) for _ in range(2))
    ramp = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270))).resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), ramp)


def _regular(corners: int, turn: float) -> list[Point]:
    return [
        (math.cos(turn + math.tau * k / corners), math.sin(turn + math.tau * k / corners))
        for k in range(corners)
    ]


def _star() -> list[Point]:
    outer, inner = _regular(5, -math.pi / 2), _regular(5, -math.pi / 2 + math.pi / 5)
    return [p for o, i in zip(outer, inner, strict=True) for p in (o, (i[0] * 0.45, i[1] * 0.45))]


def _heart() -> list[Point]:
    points = []
    for k in range(48):
        t = math.tau * k / 48
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((x, -y))
    return points


def _cross(arm: float = 0.36) -> list[Point]:
    a = arm
    return [(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a),
            (a, 1), (-a, 1), (-a, a), (-1, a), (-1, -a), (-a, -a)]  # fmt: skip


def _fit(points: Sequence[Point]) -> list[Point]:
    """Stretch an outline so that it touches all four sides of the box -1..1: boxes are exact."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    mx, my = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
    sx, sy = (max(xs) - min(xs)) / 2, (max(ys) - min(ys)) / 2
    return [((x - mx) / sx, (y - my) / sy) for x, y in points]


_OUTLINES: dict[str, Callable[[], Sequence[Point]]] = {
    "circle": lambda: _regular(64, 0.0),
    "square": lambda: [(-1, -1), (1, -1), (1, 1), (-1, 1)],
    "triangle": lambda: [(0, -1), (1, 1), (-1, 1)],
    "star": _star,
    "cross": _cross,
    "heart": _heart,
}


@functools.cache
def _outline(shape: str) -> tuple[Point, ...]:
    return tuple(_fit(_OUTLINES[shape]()))


def _draw_shape(
    draw: ImageDraw.ImageDraw, item: WorldObject, size: tuple[int, int], rng: random.Random
) -> None:
    (cx, cy), (hw, hh) = item.centre, item.half
    width, height = size
    polygon = [((cx + x * hw) * width, (cy + y * hh) * height) for x, y in _outline(item.shape)]
    draw.polygon(polygon, fill=shade(rng, COLOURS[item.colour], 14))


@functools.cache
def _font(index: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONT_FILES[index]), 96)


def sign_font(scene: Scene) -> int:
    """Which of `FONT_FILES` the scene's sign is written in."""
    return scene.seed % len(FONT_FILES)


_TEXT_WIDTH, _TEXT_HEIGHT = 0.86, 0.66
"""Share of the plate that its text may fill."""


def _text_half(item: WorldObject, font: int, aspect: float) -> tuple[float, float]:
    """Half width and half height of a sign's text on its plate, normalised as the scene is.

    Reckoned in units of the plate's height, so that the plate's own aspect decides which side binds,
    and a canvas of another aspect squeezes plate and text alike.
    """
    mask = _text_mask(item.text, font)
    hw, hh = item.half
    plate, natural = hw / hh * aspect, mask.width / mask.height
    wide = min(plate * _TEXT_WIDTH, _TEXT_HEIGHT * natural) / plate * hw
    return wide, wide / hw * plate / natural * hh


def letter_boxes(scene: Scene) -> list[tuple[str, Box]]:
    """Each character of the sign with its (x0, y0, x1, y1), normalised as the scene is."""
    sign = scene.sign
    if sign is None:
        return []
    font = sign_font(scene)
    face = _font(font)
    (cx, cy), (wide, tall) = sign.centre, _text_half(sign, font, scene.aspect)
    edges = [face.getlength(sign.text[:n]) for n in range(len(sign.text) + 1)]
    scale = 2 * wide / edges[-1]
    return [
        (char, (cx - wide + a * scale, cy - tall, cx - wide + b * scale, cy + tall))
        for char, a, b in zip(sign.text, edges, edges[1:], strict=False)
    ]


@functools.lru_cache(maxsize=512)
def _text_mask(text: str, font: int) -> Image.Image:
    """The text's own pixels as an "L" mask at 96 px, cropped to its ink."""
    face = _font(font)
    left, top, right, bottom = face.getbbox(text)
    mask = Image.new("L", (int(right - left), int(bottom - top)), 0)
    ImageDraw.Draw(mask).text((-left, -top), text, font=face, fill=255)
    return mask


def _draw_sign(
    canvas: Image.Image,
    draw: ImageDraw.ImageDraw,
    item: WorldObject,
    rng: random.Random,
    font: int,
    aspect: float,
) -> None:
    width, height = canvas.size
    x0, y0, x1, y1 = item.box
    left, top, right, bottom = x0 * width, y0 * height, x1 * width, y1 * height
    ink = shade(rng, (24, 26, 32), 8)
    radius, line = (bottom - top) * 0.12, max(1, round((bottom - top) * 0.045))
    draw.rounded_rectangle(
        (left, top, right, bottom), radius, fill=shade(rng, (250, 250, 248), 4),
        outline=ink, width=line,
    )  # fmt: skip
    mask = _text_mask(item.text, font)
    wide, tall = _text_half(item, font, aspect)
    text_w, text_h = 2 * wide * width, 2 * tall * height
    scaled = mask.resize((max(1, round(text_w)), max(1, round(text_h))), Image.Resampling.BILINEAR)
    corner = (round((left + right - text_w) / 2), round((top + bottom - text_h) / 2))
    canvas.paste(ink, (*corner, corner[0] + scaled.width, corner[1] + scaled.height), scaled)
