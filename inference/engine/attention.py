"""Where an answer's tokens looked: attention over the image's patches.

The decoder is run once more over prompt and answer with its attention written out. What is shown
is an average over layers and heads; it tells where information was read, not why.
"""

from dataclasses import dataclass

import torch

from inference.engine.answers import ImageLike
from inference.engine.layers import KVCache, TextBlock, rotary
from inference.engine.moondream import Moondream


@dataclass(frozen=True, slots=True)
class AttentionMaps:
    """One map for each piece of the answer."""

    pieces: list[str]
    maps: list[list[list[float]]]
    """(pieces, grid, grid), rows from the top; each map sums to 1 over the patches."""
    image_share: list[float]
    """How much of each piece's attention fell on the image at all, 0..1."""


@torch.inference_mode()
def attention_maps(
    model: Moondream, image: ImageLike, question: str, answer: str, *, layers: int | None = None
) -> AttentionMaps:
    """Attention of the positions that produced each token of `answer` to `question`.

    Args:
        layers: average over this many last layers; None is all.

    Raises:
        ValueError: question or answer is empty.
    """
    if not question.strip() or not answer:
        raise ValueError("A question and its answer are needed.")
    encoded = model.encode_image(image)
    prompt = model.query_prompt(question.strip())
    ids = model.tokenizer.encode(answer, add_special_tokens=False).ids
    cache = encoded.prefix.fork(len(prompt) + len(ids))
    weights = _weights(model, prompt + ids[:-1], cache, layers)
    # The position before a token is the one that chose it.
    chosen = weights[len(prompt) - 1 :]
    grid = model.sections.vision.grid
    on_image = chosen[:, 1 : 1 + grid**2]
    share = on_image.sum(-1)
    maps = (on_image / share[:, None].clamp(min=1e-9)).unflatten(-1, (grid, grid))
    return AttentionMaps(
        [model.tokenizer.decode([token]) for token in ids],
        maps.tolist(),
        share.tolist(),
    )


def _weights(model: Moondream, ids: list[int], cache: KVCache, layers: int | None) -> torch.Tensor:
    """(T, prefix + T) attention, mean over heads and the last `layers` layers."""
    text = model.model.text
    start, length = cache.length, len(ids)
    x = text.embed(torch.tensor([ids], device=model.device))
    positions = torch.arange(start, start + length, device=model.device)
    mask = torch.arange(start + length, device=model.device)[None, :] <= positions[:, None]
    cos, sin = rotary(positions, text.config)
    first = len(text.blocks) - (layers or len(text.blocks))
    total = torch.zeros(length, start + length, device=model.device)
    for number, block in enumerate(text.blocks):
        assert isinstance(block, TextBlock)
        y = block.ln(x)
        q, k, v = block.attn.split_rotated(y, cos, sin)
        k, v = cache.extend(number, k, v)
        if number >= first:
            repeat = q.shape[1] // k.shape[1]
            keys = k.repeat_interleave(repeat, dim=1).float()
            scores = q.float() @ keys.transpose(-1, -2) * q.shape[-1] ** -0.5
            scores = scores.masked_fill(~mask, -torch.inf)
            total += scores.softmax(-1).mean(1)[0]
        x = x + block.attn.attend(q, k, v, mask) + block.mlp(y)
    return total / (len(text.blocks) - first)
