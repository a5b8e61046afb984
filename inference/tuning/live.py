"""What a worker of the queue `train` holds between two pieces of work: base models, and tuners on them."""

import tempfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.models import Variant
from inference.tuning import errors, files
from inference.tuning.models import Finetune

if TYPE_CHECKING:
    from inference.engine import Moondream
    from inference.engine.rewards import Reward
    from inference.engine.tuning.adapters import Adapters
    from inference.engine.tuning.objectives import Objective
    from inference.engine.tuning.plan import Plan
    from inference.engine.tuning.tuner import Tuner

_BASES, _TUNERS = 2, 8
"""Models and tuners that stay in memory."""


@dataclass(slots=True)
class _Base:
    model: "Moondream"
    adapters: "Adapters"


@dataclass(slots=True)
class _Held:
    tuner: "Tuner"
    base: tuple[Any, ...]
    head: int | None
    """The checkpoint that it came from or was stored as."""


_bases: OrderedDict[tuple[Any, ...], _Base] = OrderedDict()
_tuners: OrderedDict[str, _Held] = OrderedDict()


def check_base(finetune: Finetune) -> None:
    """
    Raises:
        Conflict: the base is not the one that the adapter was made for.
    """
    variant = finetune.variant
    now = (variant.model_name, variant.revision, variant.quantization or "full")
    then = (finetune.base_name, finetune.base_revision, finetune.base_precision)
    if now != then:
        raise errors.TUNING_BASE_CHANGED(
            f"It was made for {then[0]} {then[1]} ({then[2]}); {variant.name} is {now[0]} {now[1]} "
            f"({now[2]}) now."
        )


def objective_of(plan: "Plan") -> "Objective":
    """What a plan has its rewards become."""
    from inference.engine.tuning.objectives import Objective

    return Objective(
        loss=plan.loss, scaling=plan.scaling, combination=plan.combination,  # type: ignore[arg-type]
        clip_low=plan.clip_low, clip_high=plan.clip_high, beta=plan.beta, max_length=plan.max_tokens,
    )  # fmt: skip


def weights_of(reward: "Reward | None") -> tuple[float, ...]:
    """Of a reward's terms."""
    return tuple(term.weight for term in reward.terms) if reward else ()


def tuner_of(
    finetune: Finetune, objective: "Objective | None" = None, weights: tuple[float, ...] = ()
) -> "Tuner":
    """A fine-tune's tuner where its head stands: the one held here, or read from the storage.

    Raises:
        Conflict: the base has changed.
        Busy: the storage cannot be used.
    """
    from inference.engine.tuning.adapters import AdapterSettings
    from inference.engine.tuning.tuner import Tuner, TunerSettings

    held = _tuners.get(finetune.pk)
    if held is not None and held.head == finetune.head_id:
        _tuners.move_to_end(finetune.pk)
        return held.tuner
    forget(finetune.pk)
    check_base(finetune)
    key, base = _base(finetune.variant)
    parts: Any = (finetune.layers, "regions") if finetune.regions else (finetune.layers,)
    more: dict[str, Any] = {} if objective is None else {"objective": objective}
    tuner = Tuner(
        base.model,
        TunerSettings(AdapterSettings(finetune.rank, parts=parts), reward_weights=weights, **more),
        seed=finetune.seed, adapters=base.adapters, name=finetune.pk,
    )  # fmt: skip
    if finetune.head is not None:
        with tempfile.TemporaryDirectory(prefix="checkpoint-") as folder:
            files.folder_fetch(finetune.head.folder, finetune.head.files, Path(folder))
            tuner.restore(folder)
    _tuners[finetune.pk] = _Held(tuner, key, finetune.head_id)
    while len(_tuners) > _TUNERS:
        forget(next(iter(_tuners)))
    return tuner


def stored(finetune: Finetune) -> None:
    """What is held of a fine-tune is its head now."""
    if finetune.pk in _tuners:
        _tuners[finetune.pk].head = finetune.head_id


def forget(finetune_id: str) -> None:
    """Hold a fine-tune's tuner no longer."""
    held = _tuners.pop(finetune_id, None)
    base = _bases.get(held.base) if held else None
    if base is not None and finetune_id in base.adapters:
        base.adapters.remove(finetune_id)


def forget_all() -> None:
    """Hold nothing: work was interrupted at a place nobody knows."""
    _tuners.clear()
    _bases.clear()


def _base(variant: Variant) -> tuple[tuple[Any, ...], _Base]:
    key = (variant.folder, variant.revision, variant.quantization, variant.dtype)
    if key not in _bases:
        while len(_bases) >= _BASES:
            oldest, _ = _bases.popitem(last=False)
            for name in [n for n, held in _tuners.items() if held.base == oldest]:
                del _tuners[name]
        _bases[key] = _loaded(variant)
    _bases.move_to_end(key)
    return key, _bases[key]


def _loaded(variant: Variant) -> _Base:
    from inference.backends.engine import load_model
    from inference.engine.tuning.adapters import Adapters

    model = load_model(variant.folder, variant.quantization, variant.dtype, trainable=True)
    return _Base(model, Adapters(model))
