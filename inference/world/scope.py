"""Fits `inference.engine.scope` to the drawn world: what the embedded model knows, and where that ends."""

import dataclasses
import io
import random
from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from inference.engine import Moondream
from inference.engine.crops import make_crops
from inference.engine.scope import MOST, Scope, pooled
from inference.world.domains import DOMAINS
from inference.world.render import default_size, render
from inference.world.scenes import sample_scene

KNOWN_SHARE = 0.995
"""Of drawn scenes that the limit is to leave inside."""
_DECAY = 1e-3
"""Of the squared weights."""
_BATCH = 32


def scenes(domain: str, count: int, *, seed: str) -> Iterator[Image.Image]:
    """Drawn scenes as people send them: in many sizes, some as JPEG, some with the noise of a sensor."""
    for number in range(count):
        rng = random.Random(f"scope:{seed}:{domain}:{number}")
        scene = sample_scene(rng, sign=0.3) if domain == "shapes" else DOMAINS[domain].sample(rng)
        image = render(scene, default_size(scene, longer=rng.choice((112, 160, 224, 448, 640))))
        yield _as_sent(image, rng)


def _as_sent(image: Image.Image, rng: random.Random) -> Image.Image:
    way = rng.random()
    if way < 0.3:
        out = io.BytesIO()
        image.save(out, "JPEG", quality=rng.randint(50, 95))
        return Image.open(out).convert("RGB")
    if way < 0.5:
        pixels = np.asarray(image)
        noise = np.random.default_rng(rng.getrandbits(32)).normal(
            0, rng.uniform(1, 5), pixels.shape
        )
        return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))
    return image


@torch.inference_mode()
def features(model: Moondream, images: Iterator[Image.Image]) -> torch.Tensor:
    """(images, features), fp32, as `Scope` reads them."""
    rows = []
    while some := list(islice(images, _BATCH)):
        tokens = [model.model.image_tokens(make_crops(i, model.sections.vision)) for i in some]
        rows.append(pooled(torch.stack(tokens)))
    return torch.cat(rows).cpu()


def fit(
    model: Moondream,
    unlike: torch.Tensor,
    *,
    count: int = 900,
    calibration: int = 300,
    seed: str = "fit",
) -> Scope:
    """Tell drawn scenes of every domain from other images.

    Args:
        unlike: `features` of photographs, screenshots and whatever else is not drawn here.
        count: scenes of each domain to tell them from.
        calibration: further scenes of each, of which `KNOWN_SHARE` are to be within the limit.
    """
    known = torch.cat([features(model, scenes(d, count, seed=seed)) for d in DOMAINS])
    mean, deviation = known.mean(0), known.std(0) + 1e-6
    rows = ((torch.cat((unlike, known)) - mean) / deviation).clamp(-MOST, MOST).double()
    labels = torch.cat((torch.ones(len(unlike)), torch.zeros(len(known)))).double()
    balance = torch.where(labels > 0, len(known) / len(unlike), 1.0)
    weights = torch.zeros(rows.shape[1], dtype=torch.double, requires_grad=True)
    bias = torch.zeros(1, dtype=torch.double, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights, bias], max_iter=400, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        found = functional.binary_cross_entropy_with_logits(
            rows @ weights + bias, labels, weight=balance
        )
        total = found + _DECAY * weights.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    scope = Scope(mean, deviation, weights.detach().float(), bias.item(), 0.0)
    others = torch.cat(
        [features(model, scenes(d, calibration, seed=f"{seed}-limit")) for d in DOMAINS]
    )
    limit = torch.quantile(scope.logits(others), KNOWN_SHARE).item()
    return dataclasses.replace(scope, limit=limit)
