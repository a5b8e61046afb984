"""The picture of a shared link: 1200 × 630, drawn from the page's title."""

import functools
import io
import textwrap

from PIL import Image, ImageDraw, ImageFont

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
    """PNG bytes."""
    colour = _ACCENTS.get(accent, _ACCENTS["blue"])
    canvas = Image.new("RGB", SIZE, _GROUND)
    pen = ImageDraw.Draw(canvas)
    # A half moon, low on the right: a disc, and a disc of the ground over it.
    pen.ellipse((880, 250, 1360, 730), fill=colour)
    pen.ellipse((1000, 210, 1480, 690), fill=_GROUND)
    pen.rectangle((80, 96, 150, 102), fill=colour)
    pen.text((80, 124), eyebrow.upper(), font=_font(26), fill=colour)
    size, lines = _set(title)
    for number, line in enumerate(lines):
        pen.text((80, 180 + number * size * 1.18), line, font=_font(size), fill=_INK)
    pen.text((80, 550), site, font=_font(28), fill=_QUIET)
    out = io.BytesIO()
    canvas.save(out, "PNG", optimize=True)
    return out.getvalue()
