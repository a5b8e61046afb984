"""Rounding weights to 4 bits on a CPU, as bitsandbytes does and four times as fast.

bitsandbytes has no kernel of its own for it there and falls back on `torch.bucketize`, 30 ns a weight:
a minute for Moondream2. Counting the bounds below a value, block by block in the cache, gives the same
numbers.
"""

import functools

import torch
from torch.nn import functional as F

_AT_ONCE = 1 << 18
"""Weights at a time: their fp32 form stays in the cache."""


@functools.cache
def register() -> None:
    """Make it bitsandbytes' kernel for CPUs, in this process."""
    from bitsandbytes._ops import register_kernel

    register_kernel("bitsandbytes::quantize_4bit", "cpu")(quantize_4bit)


def quantize_4bit(
    A: torch.Tensor,  # noqa: N803  # the operator's own names
    blocksize: int,
    quant_type: str,
    quant_storage: torch.dtype,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of any shape → two to a byte, the first in the high half, (bytes, 1); and the largest of
    each block of the flattened weights, fp32."""
    from bitsandbytes.backends.default.ops import _get_4bit_quantize_bounds

    bounds, order = _get_4bit_quantize_bounds(quant_type, A.device)
    codes = None if quant_type == "nf4" else order.to(torch.uint8)
    flat = A.reshape(-1)
    count, blocks = len(flat), -(-len(flat) // blocksize)
    packed = torch.empty((count + 1) // 2, dtype=torch.uint8)
    largest = torch.empty(blocks, dtype=torch.float32)
    step = max(1, _AT_ONCE // blocksize) * blocksize
    for start in range(0, count, step):
        values = flat[start : start + step].float()
        rows = F.pad(values, (0, -len(values) % blocksize)).view(-1, blocksize)
        most = rows.abs().amax(-1)
        first = start // blocksize
        largest[first : first + len(most)] = most
        scaled = (rows * (1.0 / most.clamp(min=1e-38)).view(-1, 1)).clamp_(-1, 1).view(-1)
        levels = _levels(scaled[: len(values) + len(values) % 2], bounds.tolist())
        if codes is not None:
            levels = codes[levels.int()]
        packed[start // 2 : (start + len(values) + 1) // 2] = (levels[::2] << 4) | levels[1::2]
    made = packed if quant_storage == torch.uint8 else packed.view(quant_storage)
    return made.unsqueeze(1), largest


def _levels(scaled: torch.Tensor, bounds: list[float]) -> torch.Tensor:
    """How many bounds each value is above: the number of the nearest level."""
    levels = torch.zeros(len(scaled), dtype=torch.uint8)
    for bound in bounds:
        levels += (scaled > bound).view(torch.uint8)
    return levels
