"""The Moondream2 architecture at any size, on CPU or GPU, at full precision, 8 or 4 bits.

Imports no Django: usable from a notebook by itself. Torch is imported with the first name that
needs it; `inference.engine.settings` needs none.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference.engine.answers import Answer, EncodedImage, UnsupportedSkill
    from inference.engine.config import MoondreamConfig
    from inference.engine.manifest import CheckpointError
    from inference.engine.moondream import Moondream
    from inference.engine.settings import Settings

_HOMES = {
    "Answer": "answers",
    "CheckpointError": "manifest",
    "EncodedImage": "answers",
    "Moondream": "moondream",
    "MoondreamConfig": "config",
    "Settings": "settings",
    "UnsupportedSkill": "answers",
}

__all__ = [
    "Answer",
    "CheckpointError",
    "EncodedImage",
    "Moondream",
    "MoondreamConfig",
    "Settings",
    "UnsupportedSkill",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
