"""The picture of a shared link: 1200 × 630, drawn from the page's title, or of an image and its answer."""

import functools
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont, ImageOps

from inference.world.drawing import FONT_FILES

SIZE = (1200, 630)
_GROUND, _INK, _QUIET = (10, 12, 18), (242, 244, 248), (139, 148, 167)
_ACCENTS = {
    "blue": (110, 168, 255), "purple": (183, 156, 255), "teal": (79, 214, 196),
    "green": (123, 224, 138), "amber": (243, 194, 102), "slate": (159, 179, 200),
}  # fmt: skip


_MODELS = ((123, 224, 138), (110, 168, 255), (243, 194, 102), (229, 143, 216))
"""Of models that are compared, in their order: as the page has them."""
_MOST_LINES = 9
Box = tuple[float, float, float, float]
"""Left, top, right and bottom, each 0 to 1."""


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    file = next(f for f in FONT_FILES if f.stem == "inter-700")
    return ImageFont.truetype(str(file), size)


def _set(title: str) -> tuple[int, list[str]]:
    """The largest size at which the title fits, and its lines; what is left of the last is cut."""
    for size, width, most in ((72, 24, 3), (60, 29, 4), (48, 36, 5)):
        lines = textwrap.wrap(title, width)
        if len(lines) <= most:
            return size, lines
    return 48, lines[:5]


def draw(title: str, eyebrow: str, accent: str, site: str) -> bytes:
    """A page's title: PNG bytes."""
    colour = _ACCENTS.get(accent, _ACCENTS["blue"])
    canvas, pen = _canvas(eyebrow, colour, site)
    # A half moon, low on the right: a disc, and a disc of the ground over it.
    pen.ellipse((880, 250, 1360, 730), fill=colour)
    pen.ellipse((1000, 210, 1480, 690), fill=_GROUND)
    size, lines = _set(title)
    for number, line in enumerate(lines):
        pen.text((80, 180 + number * size * 1.18), line, font=_font(size), fill=_INK)
    return _png(canvas)


def draw_answer(
    image: Image.Image | None, question: str, answer: str, eyebrow: str, site: str,
    boxes: Sequence[Box] = (),
) -> bytes:  # fmt: skip
    """An image with what was asked about it and answered: PNG bytes.

    Args:
        boxes: to draw on the image: left, top, right and bottom, each 0 to 1.
    """
    colour = _ACCENTS["green"]
    canvas, pen = _canvas(eyebrow, colour, site)
    if image is not None:
        shown = ImageOps.contain(image, (540, 540))
        left, top = 1155 - shown.width, (SIZE[1] - shown.height) // 2
        canvas.paste(shown, (left, top))
        _boxes(pen, boxes, (left, top), shown.size, colour, width=4)
    _lines(pen, question, 170, 34, _QUIET, most=3)
    _lines(pen, answer, 300, 44, _INK, most=4)
    return _png(canvas)


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One model's answer in a picture of several."""

    model: str
    answer: str
    facts: str
    boxes: Sequence[Box] = ()


def draw_comparison(
    image: Image.Image | None, question: str, rows: Sequence[AnswerRow], site: str
) -> bytes:
    """An image with a question and several models' answers under each other: PNG bytes, 1200 px wide and as
    high as they need."""
    lines = [textwrap.wrap(row.answer, 50)[:_MOST_LINES] or [""] for row in rows]
    heights = [
        74 + 34 * len(some) + (30 if row.facts else 0)
        for some, row in zip(lines, rows, strict=True)
    ]
    asked = textwrap.wrap(question, 46)[:4] or [""]
    canvas = Image.new(
        "RGB", (SIZE[0], max(SIZE[1], 120 + 40 * len(asked) + sum(heights) + 90)), _GROUND
    )
    pen = ImageDraw.Draw(canvas)
    if image is not None:
        shown = ImageOps.contain(image.convert("RGB"), (500, 500))
        canvas.paste(shown, (60, 70))
        for number, row in enumerate(rows):
            _boxes(pen, row.boxes, (60, 70), shown.size, _MODELS[number % len(_MODELS)], width=3)
    top = 66.0
    for line in asked:
        pen.text((610, top), line, font=_font(30), fill=_INK)
        top += 40
    top += 24
    for number, (row, some, height) in enumerate(zip(rows, lines, heights, strict=True)):
        colour = _MODELS[number % len(_MODELS)]
        pen.ellipse((610, top + 6, 622, top + 18), fill=colour)
        pen.text((634, top), row.model[:44], font=_font(22), fill=colour)
        for at, line in enumerate(some):
            pen.text((610, top + 34 + at * 34), line, font=_font(24), fill=_INK)
        if row.facts:
            pen.text((610, top + 38 + 34 * len(some)), row.facts[:60], font=_font(18), fill=_QUIET)
        top += height
    pen.text((60, canvas.height - 60), site, font=_font(24), fill=_QUIET)
    return _png(canvas)


def _boxes(
    pen: ImageDraw.ImageDraw, boxes: Sequence[Box], at: tuple[int, int], size: tuple[int, int],
    colour: tuple[int, int, int], *, width: int,
) -> None:  # fmt: skip
    """Boxes of an image that stands at a place, in pixels, in a size."""
    (left, top), (wide, high) = at, size
    for x0, y0, x1, y1 in boxes:
        corners = (left + x0 * wide, top + y0 * high, left + max(x0, x1) * wide, top + max(y0, y1) * high)  # fmt: skip
        pen.rectangle(corners, outline=colour, width=width)


def _canvas(eyebrow: str, colour: tuple[int, int, int], site: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:  # fmt: skip
    canvas = Image.new("RGB", SIZE, _GROUND)
    pen = ImageDraw.Draw(canvas)
    pen.rectangle((80, 96, 150, 102), fill=colour)
    pen.text((80, 124), eyebrow.upper(), font=_font(26), fill=colour)
    pen.text((80, 550), site, font=_font(28), fill=_QUIET)
    return canvas, pen


def _lines(pen: ImageDraw.ImageDraw, text: str, top: int, size: int, colour: tuple[int, int, int], *, most: int) -> None:  # fmt: skip
    """Text in the left half, cut after `most` lines."""
    lines = textwrap.wrap(text, round(920 / size)) or [""]
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1] + " …"]
    for number, line in enumerate(lines):
        pen.text((80, top + number * size * 1.2), line, font=_font(size), fill=colour)


def _png(canvas: Image.Image) -> bytes:
    out = io.BytesIO()
    canvas.save(out, "PNG", optimize=True)
    return out.getvalue()
