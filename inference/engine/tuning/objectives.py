"""What reinforcement learning maximises: advantages of answers, and the loss of their choices.

Group-relative policy optimisation and what followed it; TRL's names, and its numbers
(`tests/engine/tuning/test_oracle.py`). Nothing here knows a model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from inference.engine.tuning.plan import COMBINATIONS, LOSSES, SCALINGS, check_ranges

Scaling = Literal["group", "batch", "none"]
Loss = Literal["dapo", "grpo", "dr_grpo", "cispo"]
Combination = Literal["sum_then_normalize", "normalize_then_sum"]
FLAT = 1e-6
"""A group whose rewards differ by no more teaches nothing. Float noise over a tiny deviation would."""
_EPSILON = 1e-4
"""Added to the deviation that divides an advantage, as TRL does."""


@dataclass(frozen=True, slots=True)
class Objective:
    """How rewards become a gradient.

    Raises:
        ValueError: out of range.
    """

    loss: Loss = "dapo"
    """"dapo": mean over all tokens (Yu et al. 2025, arXiv 2503.14476); "grpo": mean over answers of the
    mean over their tokens (Shao et al. 2024, 2402.03300); "dr_grpo": sum over tokens by a constant length
    (Liu et al. 2025, 2503.20783); "cispo": as dapo, with the ratio clipped as a weight (2506.13585)."""
    scaling: Scaling = "group"
    """What an advantage is divided by: its group's deviation, the batch's, or nothing (2508.08221)."""
    combination: Combination = "sum_then_normalize"
    """"normalize_then_sum": each reward term is normalised in its group before it is weighed (GDPO,
    2601.05242); else the term with the widest range decides."""
    clip_low: float = 0.2
    clip_high: float = 0.28
    """Of cispo it is the largest weight itself."""
    beta: float = 0.0
    """Weight of the KL divergence to the base."""
    max_length: int = 128
    """Tokens that "dr_grpo" divides by."""

    def __post_init__(self) -> None:
        check_ranges(self, "clip_low", "clip_high", "beta")
        if self.clip_low >= 1 and self.loss != "cispo":
            raise ValueError("clip_low must be below 1.")
        if self.max_length < 1:
            raise ValueError("max_length is at least 1.")
        for value, known in (
            (self.loss, LOSSES), (self.scaling, SCALINGS), (self.combination, COMBINATIONS),
        ):  # fmt: skip
            if value not in known:
                raise ValueError(f"{value!r} is none of {', '.join(known)}.")


@dataclass(frozen=True, slots=True)
class Advantages:
    """Of each answer of each group, in their order."""

    values: list[list[float | None]]
    """None: the answer is left out, for its group is flat or nobody could reward it."""
    is_flat: list[bool]
    """Of each group."""


def advantages(
    rewards: Sequence[Sequence[float | None]],
    objective: Objective,
    terms: Sequence[Sequence[Sequence[float | None]]] | None = None,
    weights: Sequence[float] = (),
) -> Advantages:
    """How much better than its group each answer is.

    Args:
        rewards: of each group's answers; None is no vote.
        terms: of each group's answers, their terms' values; for "normalize_then_sum".
        weights: of the terms.

    A group of one has advantage 0. Flat groups are left out, of the batch's deviation too.
    """
    flat = [len(group) > 1 and is_flat(group) for group in rewards]
    kept = [n for n, is_flat in enumerate(flat) if not is_flat]
    if objective.combination == "normalize_then_sum" and terms is not None:
        found = _normalised_terms([terms[n] for n in kept], [rewards[n] for n in kept], weights)
    else:
        found = _relative([rewards[n] for n in kept], objective.scaling)
    values: list[list[float | None]] = [[None] * len(group) for group in rewards]
    for number, group in zip(kept, found, strict=True):
        values[number] = group
    return Advantages(values, flat)


def is_flat(rewards: Sequence[float | None]) -> bool:
    """Whether answers were rewarded alike, so that none is better than another; or by nobody."""
    votes = [value for value in rewards if value is not None]
    return not votes or max(votes) - min(votes) <= FLAT


def _relative(
    groups: Sequence[Sequence[float | None]], scaling: Scaling
) -> list[list[float | None]]:
    everything = [value for group in groups for value in group if value is not None]
    of_batch = _deviation(everything)
    made = []
    for group in groups:
        votes = [value for value in group if value is not None]
        mean = math.fsum(votes) / max(1, len(votes))
        by = {"group": _deviation(votes), "batch": of_batch, "none": 1 - _EPSILON}[scaling]
        made.append(
            [None if value is None else (value - mean) / (by + _EPSILON) for value in group]
        )
    return made


def _normalised_terms(
    groups: Sequence[Sequence[Sequence[float | None]]],
    rewards: Sequence[Sequence[float | None]],
    weights: Sequence[float],
) -> list[list[float | None]]:
    """GDPO: each term relative to its group, weighed and summed, relative to the batch."""
    sums: list[list[float | None]] = []
    for group, votes in zip(groups, rewards, strict=True):
        columns = [_relative([column], "group")[0] for column in zip(*group, strict=True)]
        sums.append([
            None if vote is None else math.fsum(
                weight * value for weight, value in zip(weights, row, strict=True) if value is not None
            )
            for row, vote in zip(zip(*columns, strict=True), votes, strict=True)
        ])  # fmt: skip
    everything = [value for group in sums for value in group if value is not None]
    mean, by = math.fsum(everything) / max(1, len(everything)), _deviation(everything)
    return [
        [None if value is None else (value - mean) / (by + _EPSILON) for value in group]
        for group in sums
    ]


def _deviation(values: Sequence[float]) -> float:
    """Of a sample (n - 1)."""
    if len(values) < 2:
        return 0.0
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def token_weights(numbers: torch.Tensor, objective: Objective) -> torch.Tensor:
    """What each token's loss is multiplied by before all are summed, (N,).

    Numerator and denominator see the same tokens, and a batch in parts gives the gradient of the whole
    (trl #6369).

    Args:
        numbers: (N,) the answer that each token is of.
    """
    answers, lengths = numbers.unique(return_counts=True)
    if objective.loss in ("dapo", "cispo"):
        return torch.full_like(numbers, 1 / max(1, len(numbers)), dtype=torch.float32)
    if objective.loss == "dr_grpo":
        each = 1 / (max(1, len(answers)) * objective.max_length)
        return torch.full_like(numbers, each, dtype=torch.float32)
    of_answer = 1 / (lengths.float() * len(answers))
    return of_answer[torch.searchsorted(answers, numbers)]


@dataclass(frozen=True, slots=True)
class TokenLosses:
    """Of N tokens."""

    losses: torch.Tensor
    """(N,), with gradients."""
    kl: torch.Tensor
    """(N,) the k3 estimate of the divergence to the base, without; zeros where there is no reference."""
    is_low_clipped: torch.Tensor
    is_high_clipped: torch.Tensor


def token_losses(
    log_probabilities: torch.Tensor,
    sampled: torch.Tensor,
    advantage: torch.Tensor,
    objective: Objective,
    reference: torch.Tensor | None = None,
) -> TokenLosses:
    """The loss of each token, (N,) each.

    The KL term is the k3 estimate times the importance ratio, for by itself its gradient is not that of
    the divergence (arXiv 2512.21852).

    Args:
        log_probabilities: of the choices now, with gradients.
        sampled: when they were sampled.
        advantage: of each token's answer.
        reference: under the base.
    """
    ratio = (log_probabilities - sampled).exp()
    if objective.loss == "cispo":
        weight = ratio.clamp(max=objective.clip_high).detach()
        losses = -weight * advantage * log_probabilities
        low = torch.zeros_like(ratio, dtype=torch.bool)
        high = (ratio > objective.clip_high) & (advantage > 0)
    else:
        clipped = ratio.clamp(1 - objective.clip_low, 1 + objective.clip_high)
        losses = -torch.min(ratio * advantage, clipped * advantage)
        low = (ratio < 1 - objective.clip_low) & (advantage < 0)
        high = (ratio > 1 + objective.clip_high) & (advantage > 0)
    kl = torch.zeros_like(ratio)
    if reference is not None:
        difference = reference - log_probabilities
        kl = difference.exp() - difference - 1
        if objective.beta:
            losses = losses + objective.beta * kl * ratio
    return TokenLosses(losses, kl.detach(), low, high)
