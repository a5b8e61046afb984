"""Drawing scenes with Pillow; no network, no installed font, same pixels for the same scene."""

import random

from PIL import Image

from inference.world.domains import DOMAINS
from inference.world.scenes import Scene


def render(
    scene: Scene, size: tuple[int, int] | None = None, *, supersample: int = 2
) -> Image.Image:
    """Draw a scene as an RGB image.

    Args:
        scene: what to draw.
        size: (width, height) in pixels; by default 448 on the longer side at the scene's aspect.
        supersample: draws this many times larger, then reduces, for smooth edges.
    """
    width, height = size or default_size(scene)
    canvas = Image.new("RGB", (width * supersample, height * supersample))
    DOMAINS[scene.domain].draw(canvas, scene, random.Random(scene.seed))
    if supersample > 1:
        canvas = canvas.resize((width, height), Image.Resampling.LANCZOS)
    return canvas


def default_size(scene: Scene, longer: int = 448) -> tuple[int, int]:
    """(width, height) in pixels at the scene's aspect."""
    if scene.aspect >= 1:
        return longer, round(longer / scene.aspect)
    return round(longer * scene.aspect), longer
