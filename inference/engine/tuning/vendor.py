"""Moondream's own adapter files, to and from adapters of this engine.

    vendor_load(adapters, "theirs", "final.pt")
    vendor_save(adapters, "mine", "mine.pt", layout="checkpoint")

There are two layouts, both torch files of tensors, neither with a scale:

- `checkpoint`: what Moondream's tuning service hands out. `{"lora_state_dict": …}` with
  `text_lora.dense.<block>.up_a`, `up_b` (fc1) and `down_a`, `down_b` (fc2) of the text blocks' MLPs
  (github.com/m87-labs/kestrel, kestrel/models/moondream/lora.py).
- `variant`: what the `variant` setting of the torch code downloads. `text.blocks.<block>.attn.qkv.A` and `.B`, and
  so for `attn.proj`, `mlp.fc1` and `mlp.fc2`; older files name the layers otherwise. What is called `attn.proj`
  reads the block's normalised input there, not attention's output: it is the part `skip` of this engine's
  blocks (github.com/vikhyat/moondream, moondream/torch/lora.py and text.py).
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from inference.engine.tuning.adapters import AdapterError, Adapters, AdapterSettings, Part

Layout = Literal["checkpoint", "variant"]
MAX_FILE = 2 * 2**30
"""Bytes; rank 32 of the 2B model takes 31 MB."""
_CHECKPOINT = re.compile(r"(?:(?:text_lora|_text|text)\.)?dense\.(\d+)\.(up|down)_([ab])")
_VARIANT = re.compile(r"text\.blocks\.(\d+)\.(attn\.qkv|attn\.proj|mlp\.fc1|mlp\.fc2)\.([AB])")
_OLD_NAMES = (
    ("text_model.transformer.h", "text.blocks"), (".mixer", ".attn"), (".out_proj", ".proj"),
    (".Wqkv", ".qkv"), (".parametrizations.weight.0", ""),
)  # fmt: skip
"""As upstream renames them, in this order."""
_LAYER = {"up": "mlp.fc1", "down": "mlp.fc2", "attn.proj": "skip"}
_LAYOUT_OF: Mapping[Part, Layout] = {"mlp": "checkpoint", "variant": "variant"}
Key = tuple[int, str, str]
"""A block, its layer as this engine calls it, and "A" or "B"."""


def vendor_read(path: str | os.PathLike[str]) -> tuple[dict[str, torch.Tensor], AdapterSettings]:
    """Weights, by the names that an adapter's file has here, and settings of one of Moondream's files.

    Raises:
        AdapterError: it is none, with the reason.
    """
    found, part = _named(_tensors(Path(path)))
    ranks = {int(tensor.shape[0 if side == "A" else 1]) for (_, _, side), tensor in found.items()}
    if len(ranks) != 1:
        raise AdapterError("The adapter's layers are of several ranks.")
    (rank,) = ranks
    try:
        settings = AdapterSettings(rank, float(rank), (part,))
    except ValueError as error:
        raise AdapterError(f"The adapter's settings cannot be used: {error}") from error
    weights = {
        f"base_model.model.model.text.blocks.{block}.{layer}.lora_{side}.weight": tensor.float()
        for (block, layer, side), tensor in found.items()
    }
    return weights, settings


def vendor_load(adapters: Adapters, name: str, path: str | os.PathLike[str]) -> None:
    """Read one of Moondream's files as an adapter, and activate it.

    Raises:
        AdapterError: it is none, or not one for this model.
        ValueError: the name is taken.
    """
    weights, settings = vendor_read(path)
    adapters.add_read(name, weights, settings)


def vendor_save(
    adapters: Adapters,
    name: str,
    path: str | os.PathLike[str],
    *,
    dtype: torch.dtype = torch.bfloat16,
) -> Layout:
    """Write an adapter as Moondream's code reads it; which layout follows from what it changes.

    Args:
        dtype: of the tensors. Upstream multiplies by them as they are, so it has to be its model's.

    Raises:
        AdapterError: it changes layers that neither layout has.
        OSError: it cannot be written.
    """
    settings = adapters.settings(name)
    layout = layout_of(settings)
    if layout is None:
        raise AdapterError(
            "Moondream's files hold adapters of the MLPs alone, or as its variants place them: train one "
            f"with the parts mlp or variant, not {' and '.join(settings.parts)}."
        )
    made = {}
    for key, parameter in adapters.parameters(name).items():
        block, layer, side = re.findall(r"blocks\.(\d+)\.(.+)\.lora_([AB])\.weight", key)[0]
        scale = settings.scale / settings.rank if side == "B" else 1.0
        named = _checkpoint_name if layout == "checkpoint" else _variant_name
        tensor = (parameter.detach() * scale).to("cpu", dtype)
        made[named(int(block), layer, side)] = tensor.contiguous()
    held = {"lora_state_dict": made} if layout == "checkpoint" else made
    torch.save(held, path)
    return layout


def layout_of(settings: AdapterSettings) -> Layout | None:
    """The layout that has a place for all that an adapter changes; None where neither has."""
    return _LAYOUT_OF.get(settings.parts[0]) if len(settings.parts) == 1 else None


def _checkpoint_name(block: int, layer: str, side: str) -> str:
    way = {"mlp.fc1": "up", "mlp.fc2": "down"}[layer]
    return f"text_lora.dense.{block}.{way}_{side.lower()}"


def _variant_name(block: int, layer: str, side: str) -> str:
    return f"text.blocks.{block}.{'attn.proj' if layer == 'skip' else layer}.{side}"


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.stat().st_size > MAX_FILE:
            raise AdapterError(f"The file has over {MAX_FILE >> 30} GiB, which no adapter has.")
        held: Any = torch.load(path, map_location="cpu", weights_only=True)
    except AdapterError:
        raise
    except Exception as error:
        raise AdapterError(f"This adapter cannot be read: {error}") from error
    if isinstance(held, dict) and "lora_state_dict" in held:
        held = held["lora_state_dict"]
    if not isinstance(held, dict) or not held:
        raise AdapterError("The file holds no adapter of Moondream's.")
    for key, tensor in held.items():
        if not isinstance(key, str) or not isinstance(tensor, torch.Tensor) or tensor.ndim != 2:
            raise AdapterError(
                f"{str(key)[:80]!r} is no matrix of an adapter."
                + (" Mixtures of experts are not read." if "moe" in str(key) else "")
            )
    return held


def _named(tensors: Mapping[str, torch.Tensor]) -> tuple[dict[Key, torch.Tensor], Part]:
    """By block, layer and side; and what such an adapter changes."""
    part: Part = "mlp"
    matches = {key: m for key in tensors if (m := _CHECKPOINT.fullmatch(key))}
    if not matches:
        part = "variant"
        matches = {key: m for key in tensors if (m := _VARIANT.fullmatch(_renamed(key)))}
    strange = sorted(set(tensors) - set(matches))
    if strange:
        raise AdapterError(f"{strange[0][:80]!r} is no layer that Moondream's adapters change.")
    found: dict[Key, torch.Tensor] = {}
    for key, match in matches.items():
        block, layer, side = match.groups()
        place = (int(block), _LAYER.get(layer, layer), side.upper())
        if place in found and not torch.equal(found[place], tensors[key]):
            raise AdapterError(f"{key[:80]!r} is there twice, with other values.")
        found[place] = tensors[key]
    return found, part


def _renamed(key: str) -> str:
    for old, new in _OLD_NAMES:
        key = key.replace(old, new)
    return key
