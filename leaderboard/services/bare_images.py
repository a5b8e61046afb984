"""Images of hidden items: their pixels, and nothing that somebody wrote beside them."""

import io

from PIL import Image, ImageOps, UnidentifiedImageError

_HARMLESS = frozenset((
    "jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "adobe", "adobe_transform", "progressive",
    "progression", "loop", "background", "timestamp", "duration", "gamma", "srgb", "chromaticity", "interlace",
))  # fmt: skip
"""What Pillow tells of a file that holds no words."""


def bare(data: bytes, extension: str) -> tuple[bytes, str]:
    """An image file and its extension, without EXIF, XMP, comments, profiles, or bytes after its end.

    A file that has none of them is kept as it is; of others the pixels alone are kept, upright, as PNG.
    What is no image comes back as it was: who reads it finds that out.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            if _is_bare(image, data):
                return data, extension
            pixels = ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return data, extension
    out = io.BytesIO()
    Image.frombytes("RGB", pixels.size, pixels.tobytes()).save(out, "PNG")
    return out.getvalue(), "png"


def _is_bare(image: Image.Image, data: bytes) -> bool:
    if set(image.info) - _HARMLESS or image.getexif():
        return False
    if image.format == "JPEG":
        words = {f"APP{n}" for n in range(1, 16) if n != 14} | {"COM"}
        apps = {name for name, _ in getattr(image, "applist", ())}
        return not apps & words and data.count(b"\xff\xd9") == 1 and data.endswith(b"\xff\xd9")
    if image.format == "PNG":
        return data.find(b"IEND") == len(data) - 8
    return image.format == "WEBP" and int.from_bytes(data[4:8], "little") + 8 == len(data)
