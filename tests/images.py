"""Images and bodies for tests."""

import base64
import io
from typing import Any

from PIL import Image


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """A Pillow image as a file's bytes."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def data_url(data: bytes, mime: str = "image/png") -> str:
    """Bytes as a data URL."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def plain(width: int = 64, height: int = 48) -> bytes:
    """A small PNG."""
    return encode(Image.effect_noise((width, height), 50).convert("RGB"))
