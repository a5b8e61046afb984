"""TIFFs with more than eight bits a sample: Pillow reads few of them, and colours only in part."""

import contextlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from inference.image_depth import eight_bits

if TYPE_CHECKING:  # it is slow to load, and few need it
    from tifffile import TiffPage

_GREY, _RGB = (0, 1), 2
"""Photometric interpretations: 0 is white, 0 is black; colours."""


@dataclass(frozen=True, slots=True)
class Tiff:
    """The first page of a TIFF, in eight bits."""

    image: Image.Image
    """L, LA, RGB or RGBA, not yet upright."""
    orientation: int
    profile: bytes | None


def read_deep(data: bytes, max_pixels: int) -> Tiff | None:
    """The first page of a TIFF in grey or RGB with more than eight bits a sample.

    None if it is another kind, or packed in a way that tifffile alone cannot undo: for Pillow to try.
    """
    from tifffile import TiffFile

    try:
        with TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            if _is_ours(page, max_pixels):
                return Tiff(_picture(page), _tag(page, 274) or 1, _tag(page, 34675))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # of a stranger's file it raises anything; Pillow may yet read it
        return None
    return None


def _is_ours(page: "TiffPage", max_pixels: int) -> bool:
    is_grey = page.photometric in _GREY and page.samplesperpixel <= 2
    is_colour = page.photometric == _RGB and page.samplesperpixel in (3, 4)
    return (
        (is_grey or is_colour)
        and page.dtype is not None
        and page.dtype.kind in "iuf"
        and page.dtype.itemsize > 1
        and page.imagedepth == 1
        and page.imagewidth * page.imagelength <= max_pixels
    )


def _picture(page: "TiffPage") -> Image.Image:
    samples = page.asarray(maxworkers=1)
    wanted = (page.imagelength, page.imagewidth, page.samplesperpixel)
    if page.planarconfig == 2 and page.samplesperpixel > 1:
        samples = samples.reshape(wanted[2], *wanted[:2]).transpose(1, 2, 0)
    extra = page.extrasamples
    channels = wanted[2] - len(extra) if extra and extra[0] == 0 else wanted[2]
    samples = samples.reshape(wanted)[..., :channels]
    nothing = None
    with contextlib.suppress(ValueError, TypeError):
        nothing = float(_tag(page, 42113))  # GDAL's, as text
    return eight_bits(samples, is_inverted=page.photometric == 0, nothing=nothing)


def _tag(page: "TiffPage", code: int) -> Any:
    tag = page.tags.get(code)
    return None if tag is None else tag.value
