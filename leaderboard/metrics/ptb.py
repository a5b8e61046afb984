"""The tokenisation of the COCO caption metrics; it lives in the engine, whose rewards use it too."""

from inference.engine.metrics.ptb import DROPPED, NAME, tokenise

__all__ = ["DROPPED", "NAME", "tokenise"]
