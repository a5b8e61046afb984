"""Pictures of more than eight bits a sample, brought to eight: what a viewer would show of them.

The rule, for one channel and for colours alike (the channels share one scale):

- Whole numbers, none below 0: the scale is the fewest of 8, 10, 12, 14 or 16 bits that hold the
  largest value (above 16, as many as it needs). Scanners keep 10, 12 or 14 bits in 16, and nothing in
  an exported file says how many; whole numbers in a float file follow the same rule.
- Whole numbers with some below 0 (Hounsfield units): from the lowest to the highest.
- Fractions within 0..1, and a float file of nothing but 0 and 1: as they are. Other fractions: from
  their 0.1th percentile, or 0 if none is below, to their 99.9th, so that one lamp does not make the
  rest black.
- NaN and what a TIFF declares as no data is black, an infinite value the end of the scale it is at.
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

if TYPE_CHECKING:  # half of the decoders' time to start, for few of their pictures
    import numpy as np

_DEPTHS = (8, 10, 12, 14, 16)
_BLOCK = 2**20
"""Samples worked on at once."""
_SAMPLED = 2**21
"""Samples that percentiles are taken from."""


class Rows(Protocol):
    """An array, or what can be asked for some of its rows as one."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def ndim(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> "np.ndarray[Any, Any]": ...


@dataclass(frozen=True, slots=True)
class Scale:
    """The values that become black and white."""

    black: float
    white: float


def is_deep(image: Image.Image) -> bool:
    """Whether a Pillow image has samples of more than eight bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def eight_bits(
    rows: "Image.Image | Rows",
    *,
    is_inverted: bool = False,
    nothing: float | None = None,
) -> Image.Image:
    """A deep picture in mode L, LA, RGB or RGBA.

    Args:
        rows: a deep Pillow image, or rows of height × width or height × width × 1 to 4 samples,
            the second or fourth of which is opacity.
        is_inverted: 0 is white.
        nothing: the value that stands for no data.
    """
    import numpy as np

    width, height, channels = _shape(rows)
    colours = 1 if channels < 3 else 3
    scale = _scale(_blocks(rows, colours, nothing), width * height * colours)
    mode = ("L", "LA", "RGB", "RGBA")[channels - 1]
    made = Image.new(mode, (width, height))
    top = 0
    for block in _blocks(rows, channels, nothing):
        out = _scaled(block, scale)
        if is_inverted:
            out = 255 - out
        if channels > colours:
            opaque = np.iinfo(block.dtype).max if block.dtype.kind in "iu" else 1.0
            out[..., colours:] = _scaled(block[..., colours:], Scale(0.0, float(opaque)))
        made.paste(Image.fromarray(out.squeeze(2) if channels == 1 else out), (0, top))
        top += len(out)
    return made


def _shape(rows: "Image.Image | Rows") -> tuple[int, int, int]:
    if isinstance(rows, Image.Image):
        return *rows.size, 1
    return rows.shape[1], rows.shape[0], rows.shape[2] if rows.ndim == 3 else 1


def _blocks(
    rows: "Image.Image | Rows", channels: int, nothing: float | None
) -> "Iterator[np.ndarray[Any, Any]]":
    """Some rows after the other, height × width × channels: a copy of all would take too much."""
    import numpy as np

    width, height, there = _shape(rows)
    step = max(1, _BLOCK // (width * there))
    for top in range(0, height, step):
        end = min(height, top + step)
        if isinstance(rows, Image.Image):
            block = np.asarray(rows.crop((0, top, width, end)))
        else:
            block = rows[top:end]
        block = block.reshape(end - top, width, there)[..., :channels]
        if nothing is not None:
            block = np.where(block == nothing, np.nan, block)
        yield block


def _scale(blocks: "Iterator[np.ndarray[Any, Any]]", samples: int) -> Scale:
    """The scale of all blocks, by the rule above."""
    import numpy as np

    every = max(1, samples // _SAMPLED)
    low, high, is_whole, kept = math.inf, -math.inf, True, []
    for block in blocks:
        flat = block.ravel()
        if flat.dtype.kind == "f":
            flat = flat[np.isfinite(flat)]
            is_whole = is_whole and bool((flat == np.rint(flat)).all())
            kept.append(flat[::every])
        if flat.size:
            low, high = min(low, float(flat.min())), max(high, float(flat.max()))
    if low > high:
        return Scale(0, 1)
    if kept and (not is_whole or high <= 1):
        return _scale_of_fractions(np.concatenate(kept).astype(np.float64), low, high)
    if low < 0:
        return Scale(low, high)
    bits = next((bits for bits in _DEPTHS if high < 2**bits), math.ceil(math.log2(high + 1)))
    return Scale(0, 2**bits - 1)


def _scale_of_fractions(kept: "np.ndarray[Any, Any]", low: float, high: float) -> Scale:
    import numpy as np

    if kept.size:
        dark = float(np.percentile(kept, 0.1, method="higher"))
        bright = float(np.percentile(kept, 99.9, method="lower"))
        if dark < bright:  # otherwise nearly all is one value, and the rest is what is shown
            low, high = dark, bright
    if low >= 0 and high <= 1:
        return Scale(0, 1)
    return Scale(min(low, 0), high)


def _scaled(block: "np.ndarray[Any, Any]", scale: Scale) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    import numpy as np

    if block.dtype == np.uint16:  # most files, and the largest: a third of the time
        return _table(scale)[block]
    with np.errstate(all="ignore"):
        part = (block.astype(np.float64) - scale.black) / ((scale.white - scale.black) or 1)
        part = np.nan_to_num(part, nan=0.0, posinf=1.0, neginf=0.0)
        return np.rint(part.clip(0, 1) * 255).astype(np.uint8)


@functools.lru_cache(2)
def _table(scale: Scale) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """What each value of sixteen bits becomes."""
    import numpy as np

    return _scaled(np.arange(2**16, dtype=np.uint32), scale)
