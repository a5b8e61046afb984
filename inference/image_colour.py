"""Colours brought to sRGB, by the profile that a file carries."""

import io

from PIL import Image, ImageCms

_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""A profile's colour space, and the only mode it says something of."""
_CLASSES = ("scnr", "mntr", "prtr", "spac")
"""Profiles of devices and spaces. Others link two devices, or hold names of colours."""


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An image of mode L, RGB, CMYK or LAB as RGB in sRGB, by perceptual intent.

    A profile that is broken, or of another colour space than the image, is passed over.
    """
    if profile:
        try:
            return _by_profile(image, profile)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    return image.convert("RGB")


def _by_profile(image: Image.Image, data: bytes) -> Image.Image:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
    told = profile.profile
    if told.device_class not in _CLASSES or _SPACES.get(told.xcolor_space.strip()) != image.mode:
        raise ValueError("the profile is of something else")
    made = ImageCms.profileToProfile(
        image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert made is not None  # it is only where the image is changed in place
    return made
