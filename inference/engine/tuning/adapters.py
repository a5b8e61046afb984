"""LoRA adapters through PEFT on a loaded model (Hu et al. 2021, arXiv 2106.09685).

A model may hold several; at most one is active. While none is, the layers that were loaded stand in
their places, so that the base answers exactly as before, at no cost.
"""

import json
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from inference.engine.kernels import FrozenLinear
from inference.engine.layers import Skip
from inference.engine.moondream import Moondream
from inference.engine.tuning.names import CARD, CONFIG, WEIGHTS

MAX_RANK = 256
Part = Literal["text", "regions", "mlp", "variant"]
_BLOCK = r"model\.text\.blocks\.\d+\."
_TARGETS: Mapping[Part, str] = {
    "text": rf"{_BLOCK}(attn\.(qkv|proj)|mlp\.(fc1|fc2))",
    "regions": r"model\.region\.(coord|size)_decoder\.(fc1|fc2)",
    "mlp": rf"{_BLOCK}mlp\.(fc1|fc2)",
    "variant": rf"{_BLOCK}(attn\.qkv|skip|mlp\.(fc1|fc2))",
}
"""All Linears of the text blocks; the region heads, where places are tuned; what Moondream's service
trains; what upstream's variants change (`inference.engine.tuning.vendor`)."""
_SAVED = "base_model.model."
"""PEFT's files name tensors as they are called within its own model class."""
_TENSOR = re.compile(rf"{re.escape(_SAVED)}(?P<layer>.+)\.lora_(?P<side>[AB])\.weight")


class AdapterError(ValueError):
    """A folder that holds no adapter for this model, with the reason."""


@dataclass(frozen=True, slots=True)
class AdapterSettings:
    """What an adapter adds: to a weight W, `alpha / rank * B @ A` of that rank.

    Raises:
        ValueError: out of range, or an unknown part.
    """

    rank: int = 16
    alpha: float | None = None
    """None: twice the rank."""
    parts: tuple[Part, ...] = ("text",)

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= MAX_RANK:
            raise ValueError(f"An adapter's rank is 1 to {MAX_RANK}, not {self.rank}.")
        if not self.parts or any(part not in _TARGETS for part in self.parts):
            raise ValueError(f"An adapter's parts are of {', '.join(_TARGETS)}.")
        if len({"text", "mlp", "variant"} & set(self.parts)) > 1:
            raise ValueError("An adapter changes the text blocks in one way: text, mlp or variant.")

    @property
    def scale(self) -> float:
        return 2 * self.rank if self.alpha is None else self.alpha

    @property
    def pattern(self) -> str:
        """Full names of the Linears that are adapted, as a regular expression."""
        return "|".join(f"({_TARGETS[part]})" for part in self.parts)


@dataclass(frozen=True, slots=True)
class BaseModel:
    """The model an adapter was trained on."""

    name: str
    revision: str
    precision: str
    """"full", "int8" or "nf4"."""

    @classmethod
    def of(cls, model: Moondream) -> "BaseModel":
        info = model.info
        return cls(info["name"], info["revision"], info["quantization"] or "full")

    def __str__(self) -> str:
        return f"{self.name} {self.revision} ({self.precision})"


@dataclass(slots=True)
class Adapters:
    """The adapters of one loaded model."""

    model: Moondream
    active: str | None = None
    _base: dict[str, nn.Module] = field(default_factory=dict)
    """Layers as they were loaded, by full name; those that some adapter changes."""
    _wrapped: dict[str, Any] = field(default_factory=dict)
    """PEFT's layers around them."""
    _layers: dict[str, list[str]] = field(default_factory=dict)
    """Names of the layers that each adapter changes."""
    _key: str = ""
    _compiled_step: Any = None

    def __post_init__(self) -> None:
        self._key = self.model.key
        self._compiled_step = self.model.compiled_step

    def __contains__(self, name: str) -> bool:
        return name in self._layers

    def add(self, name: str, settings: AdapterSettings, *, seed: int = 0) -> None:
        """Add an adapter that changes nothing yet (B is 0), and activate it.

        Raises:
            ValueError: the name is taken.
        """
        if name in self:
            raise ValueError(f"There is an adapter {name!r} already.")
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self._inject(name, settings)
        self.activate(name)

    def _inject(self, name: str, settings: AdapterSettings) -> None:
        from peft import LoraConfig, inject_adapter_in_model
        from peft.tuners.lora import Linear

        network, scale = self.model.model, float(settings.scale)
        self._place(self._wrapped)
        # bitsandbytes' layers are wrapped by what suits them only where these say so.
        for bits, word in ((8, "int8"), (4, "nf4")):
            setattr(network, f"is_loaded_in_{bits}bit", self.model.quantization == word)
        config = LoraConfig(
            r=settings.rank, target_modules=settings.pattern, init_lora_weights=True,
            lora_alpha=int(scale) if scale.is_integer() else scale,  # type: ignore[arg-type]
        )  # fmt: skip
        config._register_custom_module({FrozenLinear: Linear, Skip: Linear})
        before = {
            layer: module for layer, module in network.named_modules() if layer not in self._base
        }
        with warnings.catch_warnings():
            # PEFT does not know our layers, of which it asks nothing but widths; several adapters are meant.
            warnings.filterwarnings(
                "ignore", "Unsupported layer type|Already found a `peft_config`"
            )
            inject_adapter_in_model(config, network, adapter_name=name)
        self._layers[name] = []
        for layer, module in network.named_modules():
            if name not in getattr(module, "lora_A", ()):
                continue
            self._layers[name].append(layer)
            self._wrapped[layer] = module
            self._base.setdefault(layer, before.get(layer) or module.get_base_layer())
            # PEFT gives it its base's type: bf16 swallows small updates.
            for side in ("lora_A", "lora_B"):
                getattr(module, side)[name].to(self.model.device, torch.float32)
        for parameter in network.parameters():
            parameter.requires_grad = False

    def activate(self, name: str | None) -> None:
        """Answer with an adapter from now on; None is the base.

        Raises:
            KeyError: there is no such adapter.
        """
        layers = self._layers[name] if name is not None else []
        self._place(self._base)
        for layer in layers:
            self._wrapped[layer]._active_adapter = [name]
        self._place({layer: self._wrapped[layer] for layer in layers})
        self.active = name
        # A step was compiled with the base's layers.
        self.model.compiled_step = None if name else self._compiled_step
        # What is encoded belongs to the adapter too: the image's prefix goes through its layers.
        self.model.key = self._key if name is None else f"{self._key}/{name}"

    def _place(self, modules: Mapping[str, nn.Module]) -> None:
        for layer, module in modules.items():
            parent, _, own = layer.rpartition(".")
            self.model.model.get_submodule(parent)._modules[own] = module

    @contextmanager
    def using(self, name: str | None) -> Iterator[None]:
        """Answer with an adapter, or with the base, within the block."""
        before = self.active
        if before == name:
            yield
            return
        self.activate(name)
        try:
            yield
        finally:
            self.activate(before)

    def remove(self, name: str) -> None:
        """Forget an adapter; the base is active then if it was."""
        if self.active == name:
            self.activate(None)
        for layer in self._layers.pop(name):
            self._wrapped[layer].delete_adapter(name)
            if not self._wrapped[layer].lora_A:
                del self._wrapped[layer], self._base[layer]

    def settings(self, name: str) -> AdapterSettings:
        """What an adapter was added with."""
        layer = self._wrapped[self._layers[name][0]]
        return AdapterSettings(
            layer.r[name], float(layer.lora_alpha[name]), _parts(self._layers[name])
        )

    def parameters(self, name: str) -> dict[str, nn.Parameter]:
        """What is trained of an adapter, by the names its file has (fp32)."""
        return {
            f"{_SAVED}{layer}.lora_{side}.weight": getattr(
                self._wrapped[layer], f"lora_{side}"
            )[name].weight
            for layer in sorted(self._layers[name])
            for side in "AB"
        }  # fmt: skip

    def save(self, name: str, folder: str | os.PathLike[str], **card: Any) -> None:
        """Write an adapter as PEFT does, with a card of ours that names its base.

        Args:
            card: further facts for the card.

        Raises:
            OSError: it cannot be written.
        """
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        layer = self._wrapped[self._layers[name][0]]
        weights = {key: value.detach().cpu() for key, value in self.parameters(name).items()}
        save_file(weights, path / WEIGHTS, metadata={"format": "pt"})
        base = BaseModel.of(self.model)
        config = {
            "peft_type": "LORA", "task_type": None, "base_model_name_or_path": base.name,
            "revision": base.revision, "inference_mode": True, "r": layer.r[name],
            "lora_alpha": layer.lora_alpha[name], "lora_dropout": 0.0, "bias": "none",
            "fan_in_fan_out": False, "init_lora_weights": True,
            # A list, since a pattern of PEFT's must match names of its own model class whole.
            "target_modules": sorted(self._layers[name]),
        }  # fmt: skip
        (path / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        facts = {
            "base": base.name, "revision": base.revision, "precision": base.precision,
            "rank": layer.r[name], "parameters": sum(v.numel() for v in weights.values()), **card,
        }  # fmt: skip
        (path / CARD).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")

    def load(
        self, name: str, folder: str | os.PathLike[str], *, on_this_base: bool = False
    ) -> None:
        """Read an adapter that `save` or PEFT wrote, and activate it.

        Args:
            on_this_base: refuse one whose card says that it was trained on another base, or on another
                revision or precision of this one: it would answer otherwise than it was trained to.

        Raises:
            AdapterError: no adapter, or not one for this model.
        """
        weights, settings = read(folder)
        trained, own = trained_on(folder), BaseModel.of(self.model)
        if on_this_base and trained not in (None, own):
            raise AdapterError(f"The adapter was trained on {trained}, and this is {own}.")
        self.add_read(name, weights, settings)

    def add_read(
        self, name: str, weights: Mapping[str, torch.Tensor], settings: AdapterSettings
    ) -> None:
        """Add an adapter with weights that were read, and activate it.

        Args:
            weights: by the names of its file.

        Raises:
            AdapterError: they are not for this model.
        """
        known = {
            layer for layer, module in self.model.model.named_modules()
            if hasattr(module, "in_features") and re.fullmatch(settings.pattern, layer)
        }  # fmt: skip
        known |= {layer for layer in self._base if re.fullmatch(settings.pattern, layer)}
        found = {_TENSOR.fullmatch(key)["layer"] for key in weights}  # type: ignore[index]
        if found != known:
            raise AdapterError(
                f"This adapter changes other layers than {self.model.info['name']} has."
            )
        self.add(name, settings)
        try:
            self.assign(name, weights)
        except AdapterError:
            self.remove(name)
            raise

    @torch.no_grad()
    def assign(self, name: str, weights: Mapping[str, torch.Tensor]) -> None:
        """Put weights into an adapter.

        Raises:
            AdapterError: other names or shapes than its own.
        """
        own = self.parameters(name)
        if own.keys() != weights.keys() or any(own[k].shape != weights[k].shape for k in own):
            raise AdapterError(
                f"The adapter's tensors are not those that {self.model.info['name']} takes."
            )
        if not all(value.isfinite().all() for value in weights.values()):
            raise AdapterError("The adapter holds a weight that is not a number.")
        for key, parameter in own.items():
            parameter.copy_(weights[key])


def read(folder: str | os.PathLike[str]) -> tuple[dict[str, torch.Tensor], AdapterSettings]:
    """Weights and settings of an adapter's folder.

    Raises:
        AdapterError: it holds no LoRA adapter of these layers.
    """
    path = Path(folder)
    try:
        config = json.loads((path / CONFIG).read_text())
        weights = load_file(path / WEIGHTS)
    except FileNotFoundError as error:
        raise AdapterError(f"There is no adapter in this folder: {error}") from error
    except Exception as error:
        raise AdapterError(f"This adapter cannot be read: {error}") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise AdapterError("This is no LoRA adapter.")
    if config.get("use_dora") or config.get("use_rslora") or config.get("bias", "none") != "none":
        raise AdapterError("Only plain LoRA adapters are read: no DoRA, rsLoRA or biases.")
    if config.get("rank_pattern") or config.get("alpha_pattern") or config.get("modules_to_save"):
        raise AdapterError("Only adapters of one rank and one alpha in all layers are read.")
    names = [match["layer"] for key in weights if (match := _TENSOR.fullmatch(key))]
    if len(names) != len(weights) or not names:
        raise AdapterError("The adapter holds tensors that are no LoRA weights.")
    try:
        settings = AdapterSettings(int(config["r"]), float(config["lora_alpha"]), _parts(names))
    except (KeyError, TypeError, ValueError) as error:
        raise AdapterError(f"The adapter's settings cannot be used: {error}") from error
    return weights, settings


def _parts(layers: Iterable[str]) -> tuple[Part, ...]:
    """What an adapter of these layers changes; whether it is all of that is for `Adapters.load`."""
    ways: tuple[tuple[str, Part], ...] = (
        (".attn.proj", "text"), (".skip", "variant"), (".mlp.fc1", "mlp"), ("_decoder.fc1", "regions"),
    )  # fmt: skip
    found = [part for end, part in ways if any(layer.endswith(end) for layer in layers)]
    if len(found) > 1 and "mlp" in found and found[0] != "mlp":
        found.remove("mlp")
    return tuple(found)


def trained_on(folder: str | os.PathLike[str]) -> BaseModel | None:
    """What an adapter's card says it was trained on; None where it has no card."""
    try:
        card = json.loads((Path(folder) / CARD).read_text())
        return BaseModel(card["base"], card["revision"], card["precision"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
