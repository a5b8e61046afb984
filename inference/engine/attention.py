"""Where an answer's tokens looked: attention over the image's patches.

The decoder is run once more over prompt and answer with its attention written out. What is shown
is an average over layers and heads; it tells where information was read, not why.
"""

import base64
from dataclasses import dataclass
from typing import Any

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

    def to_dict(self) -> dict[str, Any]:
        """As the wire has it: `pieces`, `grid`, `maps` (base64 of one byte a patch, piece after piece, rows from
        the top; each map's largest share is 255), `peaks` (the share that 255 stands for), `image_share`."""
        maps = torch.tensor(self.maps)
        peaks = maps.flatten(1).amax(1)
        levels = (maps / peaks.clamp(min=1e-9)[:, None, None] * 255).round().to(torch.uint8)
        return {
            "pieces": self.pieces, "grid": maps.shape[-1],
            "maps": base64.b64encode(levels.numpy().tobytes()).decode(),
            "peaks": [round(peak, 5) for peak in peaks.tolist()],
            "image_share": [round(share, 5) for share in self.image_share],
        }  # fmt: skip


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
    return prompt_attention(
        model, image, model.query_prompt(question.strip()), answer, layers=layers
    )


@torch.inference_mode()
def prompt_attention(
    model: Moondream,
    image: ImageLike,
    prompt: list[int],
    answer: str,
    *,
    most: int | None = None,
    layers: int | None = None,
) -> AttentionMaps:
    """The same of any prompt, as `Moondream.prompt` gives it for a question or a caption.

    Args:
        most: of the answer's first tokens; None is all.
        layers: average over this many last layers; None is all.

    Raises:
        ValueError: the answer is empty.
    """
    if not answer:
        raise ValueError("An empty answer looked at nothing.")
    encoded = model.encode_image(image)
    ids = model.tokenizer.encode(answer, add_special_tokens=False).ids[:most]
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
        x = x + block.attn.attend(q, k, v, mask) + block.mlp(y) + block.skip(y)
    return total / (len(text.blocks) - first)
