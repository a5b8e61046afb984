"""Supervised tuning: what is right is made likelier, text and places alike."""

from collections.abc import Mapping
from typing import Any

import torch

from inference.engine.moondream import Moondream
from inference.engine.training import bin_loss
from inference.engine.tuning.distributions import Distributions
from inference.engine.tuning.rollouts import REGION_SKILLS, Kind, Rollout
from inference.engine.tuning.scoring import Packed

_SIGMA = 8.0
"""Width, in bins, of the soft labels around a coordinate; of a size's, half of it. As the embedded
model's own training ends."""


def right_answer(model: Moondream, skill: str, target: Mapping[str, Any]) -> Rollout:
    """What is to be learnt, as the answer that the model would have chosen.

    Boxes of a `point` target are pointed at by their centres.

    Raises:
        ValueError: the target is not one of the skill's.
    """
    tokens = coords = sizes = None
    if skill in REGION_SKILLS:
        coords, sizes = _bins(model, skill, target)
    else:
        text = target.get("answer" if skill == "query" else "caption")
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"A target of {skill} holds its text.")
        tokens = model.tokenizer.encode(text.strip(), add_special_tokens=False).ids
    return Rollout(skill, dict(target), "stop", tokens or [], coords or [], sizes or [])


def _bins(
    model: Moondream, skill: str, target: Mapping[str, Any]
) -> tuple[list[int], list[list[int]]]:
    region = model.model.region
    points: Any = target.get("points")
    boxes: Any = target.get("boxes")
    if (points is None) == (boxes is None) or (skill == "detect" and boxes is None):
        raise ValueError(f"A target of {skill} holds {'boxes' if skill == 'detect' else 'points'}.")
    if points is not None:
        centres = [(p["x"], p["y"]) for p in points]
    else:
        centres = [((b["x_min"] + b["x_max"]) / 2, (b["y_min"] + b["y_max"]) / 2) for b in boxes]
    coords = region.coord_bin(torch.tensor(centres).flatten()).tolist() if centres else []
    if skill == "point":
        return coords, []
    extents = [(b["x_max"] - b["x_min"], b["y_max"] - b["y_min"]) for b in boxes]
    return coords, region.size_bin(torch.tensor(extents)).tolist() if extents else []


def loss(
    model: Moondream, packed: Packed, hidden: torch.Tensor, totals: Mapping[str, int]
) -> torch.Tensor:
    """Of one part of a batch; the parts' losses sum up to the batch's.

    Cross-entropy of tokens and of "is there another", mean over both; soft labels and expectation of
    coordinates, and at half the weight of sizes, as in the model's own training.

    Args:
        hidden: (N, dim), of the choices.
        totals: numbers of "text", "coord" and "size" choices in the whole batch.
    """
    distributions = Distributions(model, 1.0)
    region = model.model.region
    total = hidden.float().sum() * 0.0
    for kind in Kind:
        where = (packed.kinds == kind).nonzero()[:, 0]
        if not len(where):
            continue
        targets, states = packed.targets[where], hidden[where]
        if kind in (Kind.TOKEN, Kind.ANOTHER):
            logs = distributions(kind, states, is_first=True)  # nothing is ruled out
            total = total - logs.gather(1, targets[:, None]).sum() / totals["text"]
        elif kind == Kind.COORD:
            share = len(where) / totals["coord"]
            total = total + share * bin_loss(region.coord_logits(states), targets, _SIGMA)
        else:
            side = 0 if kind == Kind.WIDTH else 1
            logits = region.size_logits(states)[:, side]
            share = len(where) / totals["size"]
            total = total + 0.5 * share * bin_loss(logits, targets, _SIGMA / 2)
    return total


def totals_of(kinds: list[Kind]) -> dict[str, int]:
    """How many choices of each part of the loss there are."""
    text = sum(kind in (Kind.TOKEN, Kind.ANOTHER) for kind in kinds)
    coord = sum(kind == Kind.COORD for kind in kinds)
    return {"text": text, "coord": coord, "size": len(kinds) - text - coord}
