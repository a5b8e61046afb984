"""What jobs need, as the tests of inference have it."""

from tests.inference.conftest import image, scripted, variants

__all__ = ["image", "scripted", "variants"]
