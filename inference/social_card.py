"""The picture of a shared link: 1200 × 630, drawn from the page's title, or of an image and its answer."""

import functools
import io
import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

from inference.world.drawing import FONT_FILES

SIZE = (1200, 630)
_GROUND, _INK, _QUIET = (10, 12, 18), (242, 244, 248), (139, 148, 167)
_ACCENTS = {
    "blue": (110, 168, 255), "purple": (183, 156, 255), "teal": (79, 214, 196),
    "green": (123, 224, 138), "amber": (243, 194, 102), "slate": (159, 179, 200),
}  # fmt: skip


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
    boxes: Sequence[tuple[float, float, float, float]] = (),
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
        for x0, y0, x1, y1 in boxes:
            corners = (
                left + x0 * shown.width, top + y0 * shown.height,
                left + max(x0, x1) * shown.width, top + max(y0, y1) * shown.height,
            )  # fmt: skip
            pen.rectangle(corners, outline=colour, width=4)
    _lines(pen, question, 170, 34, _QUIET, most=3)
    _lines(pen, answer, 300, 44, _INK, most=4)
    return _png(canvas)


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
