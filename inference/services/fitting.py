"""Which precision of a model fits this machine, and why."""

from dataclasses import dataclass

from inference import errors
from inference.machine import Room
from inference.models import Variant

_FULL, _INT8, _NF4 = "", Variant.Quantization.INT8.value, Variant.Quantization.NF4.value
NAMES = {_FULL: "16-bit", _INT8: "8-bit", _NF4: "4-bit"}
PROCESS = 700 * 2**20
"""What a worker takes without a model."""
ON_CPU = {_FULL: 2.1, _INT8: 1.8, _NF4: 1.6}
"""The peak of a process that loads a model, in its 16-bit weights: Moondream2's on a processor with bf16
(`bench.real_size`; the table is in `inference/engine/README.md`)."""
IN_FP32 = 2.0
"""Times that, where a processor without bf16 holds what is not quantised in 32 bits: twice as much."""
ON_GPU = {_FULL: 1.2, _INT8: 0.9, _NF4: 0.7}
"""The peak of the GPU's memory. The makers report 4.2 GB and, at 4 bits, 2.4 GB of 3.9 GB of weights."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A precision, and why it is that one."""

    quantization: str
    reason: str


def need(quantization: str, weights: int, room: Room) -> int:
    """Bytes that a model needs while it is loaded.

    Args:
        weights: bytes of its weights at 16 bits.
    """
    if room.gpu:
        return int(weights * ON_GPU[quantization])
    wide = 1.0 if room.has_quick_8_bit else IN_FP32 if quantization == _FULL else 1.3
    return int(weights * ON_CPU[quantization] * wide) + PROCESS


def precision_choose(weights: int, room: Room, wanted: str | None = None) -> Fit:
    """The best precision that fits; on a processor that is quickest at 8 bits these come first.

    Args:
        weights: bytes of the model's weights at 16 bits.
        wanted: a precision that somebody asked for, which is not judged by what it needs.

    Raises:
        InvalidInput: none fits.
    """
    where = "GPU memory" if room.gpu else "memory"
    free = room.gpu or room.memory
    if wanted is not None:
        return Fit(wanted, f"as asked; it needs about {_gb(need(wanted, weights, room))} of {where}, and {_gb(free)} are free")  # fmt: skip
    order = (_INT8, _NF4) if room.has_quick_8_bit else (_FULL, _INT8, _NF4)
    needs = {one: need(one, weights, room) for one in order}
    fitting = [one for one in order if needs[one] <= free]
    if not fitting:
        least = min(needs.values())
        raise errors.MODEL_TOO_LARGE(
            f"Even at 4 bits it needs about {_gb(least)} of {where}, and {_gb(free)} are free."
        )
    chosen = fitting[0]
    fits = f"it needs about {_gb(needs[chosen])} of the {_gb(free)} of {where} that are free"
    if chosen != order[0]:
        return Fit(chosen, f"{fits}; {NAMES[order[0]]} would need {_gb(needs[order[0]])}")
    if chosen == _INT8:
        return Fit(chosen, f"the quickest on a processor like this one, and {fits}")
    return Fit(chosen, f"nothing is lost to rounding, and {fits}")


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
