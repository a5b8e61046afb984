"""The distributions that choices are made from: the sampler's and the scorer's, in one place.

In the objective a choice's probability has to be the one it was sampled with: the same temperature, and
the same tokens ruled out.
"""

import torch

from inference.engine.moondream import Moondream
from inference.engine.tuning.rollouts import Kind


class Distributions:
    """Log-probabilities, fp32, from hidden states (rows, dim)."""

    def __init__(self, model: Moondream, temperature: float) -> None:
        self.network, self.temperature = model.model, temperature
        self.tokens = model.sections.tokenizer

    def __call__(
        self, kind: Kind, hidden: torch.Tensor, *, is_first: bool | torch.Tensor = False
    ) -> torch.Tensor:
        """(rows, number of possible choices).

        Args:
            is_first: whether the first token of a text is chosen; for all rows or for each, (rows,).
        """
        region = self.network.region
        if kind in (Kind.TOKEN, Kind.ANOTHER):
            logits = self.network.text.logits(hidden).float() / self.temperature
            return (
                self._tokens(logits, is_first=is_first)
                if kind == Kind.TOKEN
                else self._another(logits)
            )
        if kind == Kind.COORD:
            logits = region.coord_logits(hidden)
        else:
            logits = region.size_logits(hidden)[..., 0 if kind == Kind.WIDTH else 1, :]
        return (logits.float() / self.temperature).log_softmax(-1)

    def _tokens(self, logits: torch.Tensor, *, is_first: bool | torch.Tensor) -> torch.Tensor:
        answer = self.tokens.answer_id
        if answer is not None:
            # Upstream rules the answer token out from the second token on.
            ruled_out = torch.zeros_like(logits, dtype=torch.bool)
            ruled_out[:, answer] = ~torch.as_tensor(is_first, device=logits.device)
            logits = logits.masked_fill(ruled_out, -torch.inf)
        return logits.log_softmax(-1)

    def _another(self, logits: torch.Tensor) -> torch.Tensor:
        """(rows, 2): the list ends, or any other token: there is another object."""
        end = torch.zeros_like(logits, dtype=torch.bool)
        end[:, self.tokens.eos_id] = True
        others = logits.masked_fill(end, -torch.inf).logsumexp(-1)
        return torch.stack((logits[:, self.tokens.eos_id], others), -1).log_softmax(-1)


def entropies(logs: torch.Tensor) -> torch.Tensor:
    """(rows, n) log-probabilities → (rows,), in nats."""
    return -(logs.exp() * logs.masked_fill(logs == -torch.inf, 0.0)).sum(-1)
