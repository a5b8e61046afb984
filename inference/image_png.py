"""PNGs of 16 bits with colours or opacity, of which Pillow alone keeps the upper byte of each sample."""

import io
from typing import TYPE_CHECKING, Any

from PIL import Image

from inference.image_depth import eight_bits

if TYPE_CHECKING:
    import numpy as np

_LOWER = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L", "LA;16B": "RGBA"}
"""How Pillow unpacks the samples, and how to have the lower bytes too: as of the other byte order; grey
and opacity as the four bytes that they are."""
_FEW = 64
"""Upper bytes are below this where 14 bits or fewer are used."""


def layout(image: Image.Image) -> str:
    """How the samples of a PNG that is not loaded yet lie in the file."""
    tile = getattr(image, "tile", None)
    return str(tile[0].args) if tile else ""


def read_deep(data: bytes, upper: Image.Image, raw: str) -> Image.Image | None:
    """The picture in eight bits by the bits that it uses; None where the upper bytes are right as they
    are, or there is nothing above eight bits.

    Args:
        upper: the loaded picture.
        raw: its `layout`.
    """
    if raw not in _LOWER or _largest(upper) >= _FEW:
        return None
    with Image.open(io.BytesIO(data), formats=["PNG"]) as lower:
        lower.tile = [lower.tile[0]._replace(args=_LOWER[raw])]
        lower.load()
        return eight_bits(_Both(upper, lower, raw))


def _largest(upper: Image.Image) -> int:
    """The largest upper byte of a colour; opacity, the fourth band, does not count."""
    bands: Any = upper.getextrema()
    return max(int(high) for _, high in bands[:3])


class _Both:
    """Rows of an array of height × width × samples, put together as they are asked for."""

    def __init__(self, upper: Image.Image, lower: Image.Image, raw: str) -> None:
        self._upper, self._lower, self._is_grey = upper, lower, raw == "LA;16B"
        samples = 2 if self._is_grey else len(lower.getbands())
        self.shape, self.ndim = (lower.height, lower.width, samples), 3

    def __getitem__(self, rows: slice) -> "np.ndarray[Any, Any]":
        import numpy as np

        box = (0, rows.start, self.shape[1], rows.stop)
        low = np.asarray(self._lower.crop(box)).astype(np.uint16)
        if self._is_grey:
            return low[..., 0::2] * 256 + low[..., 1::2]
        return np.asarray(self._upper.crop(box)).astype(np.uint16) * 256 + low
