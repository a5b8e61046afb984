"""The Moondream2 architecture at any size, on CPU or GPU, at full precision, 8 or 4 bits.

Imports no Django: usable from a notebook by itself. Needs torch.
"""

from inference.engine.answers import Answer, EncodedImage, Settings, UnsupportedSkill
from inference.engine.checkpoint import CheckpointError
from inference.engine.config import MoondreamConfig
from inference.engine.moondream import Moondream

__all__ = [
    "Answer",
    "CheckpointError",
    "EncodedImage",
    "Moondream",
    "MoondreamConfig",
    "Settings",
    "UnsupportedSkill",
]
