"""What multiplies the vendor's weights fastest on this CPU: `inference.engine.kernels.FASTEST` is read off this.

    OMP_NUM_THREADS=1 python -m bench.kernels [--rounds 7] [--rows 1 8 730]

Each line is one Linear of Moondream2 2B or 0.5B and one way to keep its weight; the columns are
processor time relative to torch's own bf16 Linear (1.00), the best of some rounds in which the ways
take turns, in one thread. Processor time does not count what others do on the machine meanwhile.
"""

import argparse
import logging
import time
from collections.abc import Callable

import torch
from torch import nn

from inference.engine.kernels import Int8Linear, Nf4Linear, PackedLinear
from inference.engine.testing import linear_as_loaded

WIDTHS = {
    "2B vision fc1": (4304, 1152), "2B vision fc2": (1152, 4304), "2B vision qkv": (3456, 1152),
    "2B text qkv": (6144, 2048), "2B text fc1": (8192, 2048), "2B text fc2": (2048, 8192),
    "0.5B vision fc1": (2690, 720), "0.5B vision fc2": (720, 2690),
    "0.5B text fc1": (4096, 1024), "0.5B text fc2": (1024, 4096),
}  # fmt: skip
Way = Callable[[torch.Tensor], torch.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 730])
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)  # bitsandbytes tells of every cast
    print(f"{'rows':>34}" + "".join(f"{rows:>9}" for rows in options.rows))
    for name, shape in WIDTHS.items():
        random = torch.Generator().manual_seed(0)
        weight = torch.randn(*shape, generator=random).mul_(0.02).bfloat16()
        bias = torch.zeros(shape[0])
        ways = made(weight, bias)
        found: dict[str, list[float]] = {way: [] for way in ways}
        for rows in options.rows:
            x = torch.randn(rows, shape[1], generator=random).bfloat16()
            spent = race(ways, x, options.rounds if rows > 100 else 6 * options.rounds)
            for way, seconds in spent.items():
                found[way].append(seconds / spent["torch bf16"])
        print(f"{name} {shape[0]}x{shape[1]}")
        for way, ratios in found.items():
            print(f"{way:>34}" + "".join(f"{ratio:>9.2f}" for ratio in ratios), flush=True)


@torch.inference_mode()
def race(ways: dict[str, Way], x: torch.Tensor, rounds: int) -> dict[str, float]:
    """The least processor time of each way, in seconds."""
    seen: dict[str, list[float]] = {way: [] for way in ways}
    for multiply in ways.values():
        multiply(x)
    for _ in range(rounds):
        for way, multiply in ways.items():
            started = time.thread_time()
            multiply(x)
            seen[way].append(time.thread_time() - started)
    return {way: min(times) for way, times in seen.items()}


def made(weight: torch.Tensor, bias: torch.Tensor) -> dict[str, Way]:
    """Every way to keep one weight."""

    def loaded(quantization: str | None) -> nn.Module:
        return linear_as_loaded(weight, quantization, bias)

    plain = loaded(None)
    assert isinstance(plain, nn.Linear)
    ways: dict[str, Way] = {
        "torch bf16": plain,
        "bf16, packed (PackedLinear)": PackedLinear(plain),
        "8-bit, bitsandbytes": loaded("int8"),
        "8-bit, oneDNN (Int8Linear)": Int8Linear(loaded("int8")),
        "4-bit, unpacked (Nf4Linear)": Nf4Linear(loaded("nf4"), torch.bfloat16),
    }
    rows, columns = weight.shape
    if columns % 16 == 0:  # of 2690 torch's kernel reads beyond the end, and the process dies
        ways["8-bit, weights only, torch"] = weight_only_8bit(weight, bias)
    if rows % 32 == 0 and columns % 64 == 0:  # other widths fail
        ways["4-bit, bitsandbytes"] = loaded("nf4")
        ways["4-bit, even steps, torch"] = even_4bit(weight, bias)
    return ways


def weight_only_8bit(weight: torch.Tensor, bias: torch.Tensor) -> Way:
    """torch's own kernel for 8-bit weights and bf16 inputs."""
    scale = weight.float().abs().amax(1) / 127
    levels = (weight.float() / scale[:, None]).round().to(torch.int8)
    scales, added = scale.bfloat16(), bias.bfloat16()
    return lambda x: torch.ops.aten._weight_int8pack_mm(x, levels, scales) + added


def even_4bit(weight: torch.Tensor, bias: torch.Tensor, group: int = 64) -> Way:
    """torch's own kernel for 4-bit weights in even steps: not NF4."""
    rows, columns = weight.shape
    groups = weight.float().view(rows, columns // group, group)
    least, most = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    step = (most - least).clamp(min=1e-9) / 15
    levels = ((groups - least) / step).round().clamp(0, 15).view(rows, columns).to(torch.int32)
    both = torch.cat((step, least + 8 * step), dim=-1).transpose(0, 1).contiguous().bfloat16()
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(levels, 1)
    added = bias.bfloat16()
    return lambda x: torch.ops.aten._weight_int4pack_mm_for_cpu(x, packed, group, both) + added


if __name__ == "__main__":
    main()
