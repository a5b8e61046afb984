"""Whether an image is like those that a model was trained on, told from its vision features.

A model folder may hold `scope.npz`: a linear classifier over the pooled image embeddings (logistic regression with
outliers shown to it, as Hendrycks et al. 2019, arXiv 1812.04606), and the score from which an image counts as
outside. `inference.world.scope` fits it.
"""

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from inference.engine.manifest import CheckpointError

FILE = "scope.npz"
MOST = 8.0
"""Standardised features are cut here: one that never varied in training must not decide alone."""


def pooled(tokens: torch.Tensor) -> torch.Tensor:
    """(B, tokens, dim) image embeddings → (B, 2 dim), fp32: each channel's mean and deviation over the image."""
    values = tokens.float()
    return torch.cat((values.mean(dim=1), values.std(dim=1)), dim=-1)


@dataclass(frozen=True, slots=True)
class Scope:
    """The images that a model knows."""

    mean: torch.Tensor
    """(features,), fp32, over known images."""
    deviation: torch.Tensor
    """(features,), fp32."""
    weights: torch.Tensor
    """(features,), fp32, of standardised features."""
    bias: float
    limit: float
    """Scores above it are outside."""

    def scores(self, tokens: torch.Tensor) -> list[float]:
        """How far beyond what is known images are: above 0 they are outside.

        Args:
            tokens: (B, tokens, dim) image embeddings.
        """
        return (self.logits(pooled(tokens)) - self.limit).tolist()  # type: ignore[no-any-return]

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """(B, features) → (B,): log-odds of being outside, before the limit."""
        mean, deviation, weights = (
            values.to(features.device) for values in (self.mean, self.deviation, self.weights)
        )
        return ((features - mean) / deviation).clamp(-MOST, MOST) @ weights + self.bias

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write `scope.npz` into a model folder; its manifest is to be written anew.

        Raises:
            OSError: it cannot be written.
        """
        held = {name: getattr(self, name).numpy() for name in ("mean", "deviation", "weights")}
        np.savez(Path(folder) / FILE, **held, bias=self.bias, limit=self.limit)

    @classmethod
    def read(cls, folder: str | os.PathLike[str], dim: int) -> Self | None:
        """What a model folder holds; None where it holds nothing of the kind.

        Args:
            dim: of the model's image embeddings.

        Raises:
            CheckpointError: it is damaged, or another model's.
        """
        path = Path(folder) / FILE
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as held:
                parts = [held[name].astype(np.float32) for name in ("mean", "deviation", "weights")]
                bias, limit = float(held["bias"]), float(held["limit"])
        except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile, EOFError) as error:
            raise CheckpointError(f"{FILE} cannot be read.") from error
        if any(part.shape != (2 * dim,) for part in parts):
            raise CheckpointError(f"{FILE} is of another model.")
        if (
            not all(np.isfinite(part).all() for part in (*parts, bias, limit))
            or parts[1].min() <= 0
        ):
            raise CheckpointError(f"{FILE} is damaged.")
        mean, deviation, weights = map(torch.from_numpy, parts)
        return cls(mean, deviation, weights, bias, limit)
