"""What multiplies a model's weights on a CPU.

`checkpoint.load` makes torch's and bitsandbytes' own layers on every device, and on a GPU they stay.
On a CPU `adopt` then exchanges those that something faster was measured for (`FASTEST`;
`python -m bench.kernels` measures it again) and those that go wrong there. The weights stay the same
numbers in the same number of bits; only the arithmetic is another.
"""

import ctypes
import gc
import math
import os
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

Part = Literal["vision", "text", "rest"]
"""Blocks of the vision tower meet hundreds of rows at a time, those of the decoder mostly one. The
rest (embeddings, projector, heads) is never quantised."""

_SCALED = 64
"""Values that share a scale in bitsandbytes' 4 bits, counted along the flattened weight."""
_AT_ONCE = 1 << 23
"""Weights unpacked at a time, 16 MiB in bf16: the allocator gives larger ones back to the system
each time, and every page of them is paid for again."""


_LEAST = 1e-12
"""The largest value of a row is taken to be at least this: a row of zeros has no scale."""
_OUTLIER = 12.0
"""A row has outliers when its largest value is this many times its root mean square: rounding to 8 bits
would then be wrong by more than 12 / 127 / √12 = 2.7% of the row."""
_ROWS = 256
"""Rows that are rounded to 8 bits at a time: what is made on the way stays in the cache."""


class _Frozen(torch.autograd.Function):
    """A layer whose weight is not trained, as adapters are trained through it: the gradient goes to
    its input, by the weight as it is unpacked. (Through 8 bits it is LLM.int8's: that of the product
    before its input was rounded.)"""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layer: "FrozenLinear") -> torch.Tensor:
        ctx.layer = layer
        return layer.multiply(x)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.layer.multiply_back(grads[0]), None


class FrozenLinear(nn.Module):
    """A Linear whose weight is held in a form of its own and is no parameter."""

    in_features: int
    out_features: int
    packed: torch.Tensor

    @property
    def qweight(self) -> torch.Tensor:
        """The weight as it is held, under the name that PEFT looks for."""
        return self.packed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.requires_grad:
            made: torch.Tensor = _Frozen.apply(x, self)
            return made
        return self.multiply(x)

    def multiply(self, x: torch.Tensor) -> torch.Tensor:
        """(…, in) → (…, out), without a gradient."""
        raise NotImplementedError

    def multiply_back(self, grad: torch.Tensor) -> torch.Tensor:
        """(…, out) → (…, in): the gradient of the input from that of the output."""
        raise NotImplementedError


class PackedLinear(FrozenLinear):
    """A bf16 Linear whose weight lies as oneDNN reads it; `F.linear` sorts it anew at every call. A
    state dict holds it as usual.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.bias = _bias(layer, layer.weight.dtype)
        self.packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), None)

    @property
    def weight(self) -> torch.Tensor:
        """(out, in), unpacked: a copy."""
        return self.packed.to_dense()

    @property
    def held_bytes(self) -> int:
        """Bytes that are neither parameters nor buffers."""
        return self.in_features * self.out_features * self.packed.element_size()

    def multiply(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")

    def multiply_back(self, grad: torch.Tensor) -> torch.Tensor:
        return grad @ self.weight

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:  # noqa: FBT001
        destination[f"{prefix}weight"] = self.weight
        if self.bias is not None:
            destination[f"{prefix}bias"] = self.bias


class Int8Linear(FrozenLinear):
    """bitsandbytes' 8-bit weights (a scale for each row), multiplied as integers by oneDNN.

    Each row of the input is rounded to 8 bits by its own largest value, as LLM.int8 does. A row with
    outliers, whose other values would be left few steps, is multiplied in two parts of 8 bits; LLM.int8
    takes the outliers' columns apart for that, which the weight's order here does not allow.

    Args:
        layer: a `bitsandbytes.nn.Linear8bitLt` with its weight quantised.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        weight = layer.weight
        self.scales = _buffer(weight.SCB.float() / 127)
        self.zeros = _buffer(torch.zeros(self.out_features, dtype=torch.int64))
        self.bias = _bias(layer, torch.float32)
        self._widest = _OUTLIER / math.sqrt(self.in_features)
        self.packed = torch.ops.onednn.qlinear_prepack(weight.data.view(torch.int8), None)

    @property
    def held_bytes(self) -> int:
        """Bytes that are neither parameters nor buffers."""
        return self.in_features * self.out_features

    def multiply(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, self.in_features)
        if len(rows) == 1:
            return self._one(rows).view(*x.shape[:-1], self.out_features)
        out = x.new_empty(len(rows), self.out_features)
        for some, into in zip(rows.split(_ROWS), out.split(_ROWS), strict=True):
            self._many(some, into)
        return out.view(*x.shape[:-1], self.out_features)

    def multiply_back(self, grad: torch.Tensor) -> torch.Tensor:
        made = grad.new_empty(*grad.shape[:-1], self.in_features)
        for start in range(0, self.in_features, _ROWS):
            # oneDNN's order cannot be read back: ones at one column each give the columns.
            count = min(_ROWS, self.in_features - start)
            levels = torch.full((count, self.in_features), 128, dtype=torch.uint8)
            levels[range(count), range(start, start + count)] += 1
            columns = self._product(levels, 1.0, None, torch.float32)
            made[..., start : start + count] = grad @ columns.T.to(grad.dtype)
        return made

    def _one(self, x: torch.Tensor) -> torch.Tensor:
        """(1, in) → (1, out), in as few steps as there are: they are a third of the time."""
        full = x.float()
        most = max(float(full.abs().max()), _LEAST)
        if most > self._widest * float(torch.linalg.vector_norm(full)):
            out = torch.empty(1, self.out_features, dtype=x.dtype)
            self._many(x, out)
            return out
        scale = most / 127
        return self._product(_levels(full, 1 / scale), scale, self.bias, x.dtype)

    def _many(self, x: torch.Tensor, into: torch.Tensor) -> None:
        full = x.float()
        most = full.abs().amax(-1, keepdim=True).clamp_(min=_LEAST)
        size = torch.linalg.vector_norm(full, dim=-1, keepdim=True)
        wide = (most > self._widest * size).flatten().nonzero().flatten()
        left = full[wide]
        scale = most.div_(127)
        out = self._product(_levels(full, scale.reciprocal()), 1.0, None, torch.float32).mul_(scale)
        if len(wide):
            coarse = scale[wide]
            left -= (left / coarse).round_() * coarse
            fine = coarse / 254  # what is left is half a step at most
            rest = self._product(_levels(left, fine.reciprocal()), 1.0, None, torch.float32)
            out.index_add_(0, wide, rest.mul_(fine))
        into.copy_(out if self.bias is None else out.add_(self.bias))

    def _product(
        self, levels: torch.Tensor, scale: float, bias: torch.Tensor | None, dtype: torch.dtype
    ) -> torch.Tensor:
        return torch.ops.onednn.qlinear_pointwise(
            levels, scale, 128, self.packed, self.scales, self.zeros, bias, 1.0, 0, dtype, "none", [], ""
        )  # fmt: skip


def _levels(x: torch.Tensor, per: torch.Tensor | float) -> torch.Tensor:
    """fp32 in steps → unsigned bytes around 128: for signed ones oneDNN has no fast way on x86. `x`
    is written over.

    The signed byte is the unsigned one without its highest bit turned; torch casts to it much
    faster.
    """
    return x.mul_(per).round_().to(torch.int8).view(torch.uint8).bitwise_xor_(128)


class Nf4Linear(FrozenLinear):
    """bitsandbytes' 4-bit weights of any width, unpacked block by block and multiplied in full.

    Takes as long as full precision from a hundred rows on. bitsandbytes' own kernels want widths
    that are multiples of 32 and 64: for others the one for AVX512-bf16 fails, and the one that
    unpacks gives other weights without a word.

    Args:
        layer: a `bitsandbytes.nn.Linear4bit` that has not been called yet: the first call may sort
            its weight for a kernel.
    """

    def __init__(self, layer: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        state = layer.weight.quant_state
        if getattr(state, "packing_format_for_cpu", False) or state.blocksize != _SCALED:
            raise ValueError("This 4-bit weight is packed for a kernel of its own.")
        self.quant_type, self.dtype = state.quant_type, dtype
        packed = layer.weight.data.view(torch.uint8).reshape(-1)
        # Whole groups only, and each as a row of its own: that is what the kernel unpacks rightly.
        whole = -(-self.in_features * self.out_features // _SCALED) * _SCALED // 2
        self.packed = _buffer(F.pad(packed, (0, whole - len(packed))))
        self.scales = _buffer(state.absmax)
        self.nested = state.nested
        if self.nested:  # scales have 8 bits themselves: "double quantisation"
            self.scale_levels, self.scale_scales = (
                _buffer(state.state2.code), _buffer(state.state2.absmax),
            )  # fmt: skip
            self.scale_mean, self.scale_block = float(state.offset), state.state2.blocksize
        self.bias = _bias(layer, dtype)

    def multiply(self, x: torch.Tensor) -> torch.Tensor:
        scales = self._scales()
        blocks = list(self._blocks())
        if len(blocks) == 1:
            return F.linear(x, self._unpacked(scales, *blocks[0]), self.bias)
        out = x.new_empty(*x.shape[:-1], self.out_features)
        for start, end in blocks:
            bias = None if self.bias is None else self.bias[start:end]
            out[..., start:end] = F.linear(x, self._unpacked(scales, start, end), bias)
        return out

    def multiply_back(self, grad: torch.Tensor) -> torch.Tensor:
        scales, made = self._scales(), grad.new_zeros(*grad.shape[:-1], self.in_features)
        for start, end in self._blocks():
            made += grad[..., start:end] @ self._unpacked(scales, start, end)
        return made

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Ranges of output rows; each begins with a group of its own."""
        step = max(1, _AT_ONCE // self.in_features // _SCALED) * _SCALED
        for start in range(0, self.out_features, step):
            yield start, min(start + step, self.out_features)

    def _scales(self) -> torch.Tensor:
        """The scale of every group, fp32."""
        if not self.nested:
            return self.scales.float()
        made = torch.ops.bitsandbytes.dequantize_blockwise(
            self.scales, self.scale_scales, self.scale_levels, self.scale_block, torch.float32
        )
        return made + self.scale_mean

    def _unpacked(self, scales: torch.Tensor, start: int, end: int) -> torch.Tensor:
        """(end - start, in) weights."""
        first, count = start * self.in_features // _SCALED, (end - start) * self.in_features
        last = first + -(-count // _SCALED)
        packed = self.packed[first * _SCALED // 2 : last * _SCALED // 2]
        made = torch.ops.bitsandbytes.dequantize_4bit(
            packed,
            scales[first:last],
            _SCALED,
            self.quant_type,
            (last - first, _SCALED),
            self.dtype,
        )
        return made.view(-1)[:count].view(end - start, self.in_features)


def _buffer(value: torch.Tensor) -> nn.Buffer:
    return nn.Buffer(value.detach(), persistent=False)


def _bias(layer: Any, dtype: torch.dtype) -> nn.Buffer | None:
    # A copy: what was loaded is a piece of the mapped file, and would keep all of it.
    return None if layer.bias is None else _buffer(layer.bias.to(dtype, copy=True))


Make = Callable[[Any, torch.dtype], nn.Module]
FASTEST: dict[tuple[str, Part], Make] = {
    ("Linear", "vision"): lambda layer, _: PackedLinear(layer),
    ("Linear", "text"): lambda layer, _: PackedLinear(layer),
    ("Linear", "rest"): lambda layer, _: PackedLinear(layer),
    ("Linear8bitLt", "vision"): lambda layer, _: Int8Linear(layer),
    ("Linear8bitLt", "text"): lambda layer, _: Int8Linear(layer),
    ("Linear4bit", "vision"): Nf4Linear,
}
"""What `python -m bench.kernels` found fastest in bf16 on CPUs as `measured_cpu` tells them, by the
layer that was loaded and where it stands. What is not named stays as it was loaded: 4-bit decoder
blocks, one row at a time, are fastest with bitsandbytes' own kernel."""


def measured_cpu() -> bool:
    """Whether this CPU is of the kind that was measured: x86 with AVX512-bf16 and VNNI."""
    cpu = torch.cpu
    return (
        torch.backends.mkldnn.is_available()
        and getattr(cpu, "_is_avx512_bf16_supported", lambda: False)()
        and getattr(cpu, "_is_vnni_supported", lambda: False)()
    )


def adopt(model: nn.Module, dtype: torch.dtype, *, trainable: bool = False) -> None:
    """Exchange a loaded model's Linears for the fastest that are right on this CPU, in place.

    Before the first answer. Weights are not trained, adapters may be.

    Args:
        trainable: adapters will be: no layers of bitsandbytes' 4 bits are left, which sort their weights
            for a kernel without gradients when they are first called.
    """
    fast = FASTEST if dtype == torch.bfloat16 and measured_cpu() else {}
    # By name: a layer that is held here would keep its memory until the last one is exchanged.
    for name in [name for name, _ in model.named_modules()]:
        layer = model.get_submodule(name)
        kind = type(layer).__name__
        make = fast.get((kind, _part(name)))
        if make is None and kind == "Linear4bit" and (trainable or not _is_right(layer)):
            make = Nf4Linear
        if make is not None:
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, make(layer, dtype))
    if fast:
        _let_go(model)


def _let_go(model: nn.Module) -> None:
    """Give back what the exchanged weights took: the file they were mapped from, which what is left
    of it would keep in memory whole, and what the allocator holds for later."""
    for value in model.parameters():
        if type(value) is nn.Parameter:
            value.data = value.data.clone()
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:  # glibc
        trim(0)


def _part(name: str) -> Part:
    for part in ("vision", "text"):
        if name.startswith(f"model.{part}.blocks."):
            return part
    return "rest"


def _is_right(layer: Any) -> bool:
    """Whether bitsandbytes' own 4-bit kernels for CPUs take a layer's widths."""
    return layer.out_features % 32 == 0 and layer.in_features % _SCALED == 0


def held_bytes(model: nn.Module) -> int:
    """Bytes that these layers hold and that are neither parameters nor buffers."""
    return sum(getattr(layer, "held_bytes", 0) for layer in model.modules())
