"""A procedural world of drawn scenes with exact captions, questions, boxes and points.

It trains the embedded model and supplies samples and benchmarks whose references are true by
construction. Needs Pillow only, so the web process may use it.
"""

from inference.world.domains import DOMAINS
from inference.world.language import KINDS, LENGTHS, QA, caption, question, questions, targets
from inference.world.render import default_size, render
from inference.world.scenes import Scene, WorldObject, sample_scene

__all__ = [
    "DOMAINS", "KINDS", "LENGTHS", "QA", "Scene", "WorldObject", "caption", "default_size", "question",
    "questions", "render", "sample_scene", "targets",
]  # fmt: skip
