"""Reading a model folder: config.json, model.safetensors (official names), tokenizer.json."""

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import nn
from transformers.utils import logging as transformers_logging

from inference.engine import quantising
from inference.engine.kernels import adopt, held_bytes
from inference.engine.manifest import CheckpointError, manifest_check, manifest_write
from inference.engine.model import HIGH_PRECISION, MoondreamForVision

logger = logging.getLogger(__name__)
Quantization = Literal["int8", "nf4"]
Kernels = Literal["auto", "trainable", "loaded"]
FILES = ("config.json", "tokenizer.json")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
"""Whole, or the index of its parts."""


def choose_device(device: str) -> torch.device:
    """ "auto" takes a CUDA GPU when there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; without, half precision only costs time."""
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


def choose_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """ "auto": bf16 where the hardware has it, fp16 on an older GPU, fp32 on an older CPU."""
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype != "auto":
        chosen = getattr(torch, dtype, None)
        if not isinstance(chosen, torch.dtype):
            raise ValueError(f"Unknown dtype {dtype!r}: use auto, bfloat16, float16 or float32.")
        return chosen
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if cpu_has_bf16() else torch.float32


def load(
    folder: str | os.PathLike[str],
    *,
    quantization: Quantization | None,
    device: torch.device,
    dtype: torch.dtype,
    kernels: Kernels = "auto",
) -> tuple[MoondreamForVision, Tokenizer]:
    """Load a folder's network and tokenizer.

    Args:
        kernels: "auto" takes the layers measured fastest on the device; "trainable" those of them
            that gradients go through; "loaded" leaves torch's and bitsandbytes' own, to save them.

    Raises:
        CheckpointError: files are missing, or tensors are missing, extra or misshaped.
        ValueError: unknown `quantization`.
    """
    path = Path(folder)
    tokenizer = _files_check(path)
    saved = saved_quantization(path)
    if saved and quantization not in (None, saved):
        raise CheckpointError(
            f"{path.name} was saved in {saved}; it cannot be loaded in {quantization}."
        )
    transformers_logging.disable_progress_bar()
    try:
        loaded: Any = MoondreamForVision.from_pretrained(
            path,
            dtype=dtype,
            # A folder saved quantised says so itself.
            **({} if saved else {"quantization_config": _quantization_config(quantization, dtype)}),
            device_map={"": str(device)} if quantization or saved else None,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # told below, by name
        )
    except (OSError, SafetensorError) as error:  # their words have the folder's path in them
        logger.exception("A model folder cannot be loaded")
        raise CheckpointError(f"The weights of {path.name} cannot be read.") from error
    model: MoondreamForVision
    model, report = loaded
    wrong = {
        kind: _some(sorted(map(str, report[f"{kind}_keys"])))
        for kind in ("missing", "unexpected", "mismatched")
        if report.get(f"{kind}_keys")
    }
    if wrong:
        told = "; ".join(f"{kind}: {names}" for kind, names in wrong.items())
        raise CheckpointError(f"{path.name} does not hold this architecture's tensors: {told}.")
    if not (quantization or saved):
        model.to(device)  # type: ignore[arg-type]  # in place
    model.eval().requires_grad_(requires_grad=False)
    if kernels != "loaded" and device.type == "cpu":
        adopt(model, dtype, trainable=kernels == "trainable")
    return model, tokenizer


def _some(names: list[str], most: int = 8) -> str:
    """Names, the first of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _files_check(path: Path) -> Tokenizer:
    """Look at every file before the weights are read; the tokenizer is read in full.

    Raises:
        CheckpointError: a file is missing, is not as the manifest says, or cannot be read.
    """
    manifest_check(path)
    absent = [name for name in FILES if not (path / name).is_file()]
    if not any((path / name).is_file() for name in WEIGHTS):
        absent.append(WEIGHTS[0])
    if absent:
        raise CheckpointError(f"{path.name} is not a model folder: {', '.join(absent)} missing.")
    index = path / WEIGHTS[1]
    read = {file: _json(file) for file in (path / FILES[0], index) if file.is_file()}
    for file, value in read.items():
        if not isinstance(value, dict):
            raise CheckpointError(f"{file.name} cannot be read.")
    listed = read.get(index, {}).get("weight_map")
    parts = {str(name) for name in listed.values()} if isinstance(listed, dict) else set()
    lost = sorted(name for name in parts if not (path / name).is_file())
    if lost:
        raise CheckpointError(f"{path.name} lacks {_some(lost)}, which {index.name} lists.")
    for file in sorted(path.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt"):
                pass
        except (OSError, SafetensorError):
            raise CheckpointError(f"{file.name} is cut short or damaged.") from None
    try:
        return Tokenizer.from_file(str(path / FILES[1]))
    except Exception:  # noqa: BLE001  # the library raises this class itself
        raise CheckpointError(f"{FILES[1]} cannot be read.") from None


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def saved_quantization(folder: str | os.PathLike[str]) -> Quantization | None:
    """The precision a folder was saved in, None for a full one."""
    config = _json(Path(folder) / "config.json")
    kept = (config.get("quantization_config") if isinstance(config, dict) else None) or {}
    if kept.get("load_in_8bit"):
        return "int8"
    return "nf4" if kept.get("load_in_4bit") else None


def save_quantised(
    folder: str | os.PathLike[str], target: str | os.PathLike[str], quantization: Quantization
) -> Path:
    """Write a folder that holds its weights quantised: smaller, and quicker to load.

    The model is saved before it has answered anything: the first 4-bit pass on a CPU repacks the
    weights, and what is saved after it has lost precision.

    Raises:
        CheckpointError: `folder` is not a full-precision model folder.
    """
    source, out = Path(folder), Path(target)
    if saved_quantization(source):
        raise CheckpointError(f"{source.name} is quantised already.")
    device = choose_device("auto")
    dtype = choose_dtype("auto", device)
    model, tokenizer = load(
        source, quantization=quantization, device=device, dtype=dtype, kernels="loaded"
    )
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save(str(out / "tokenizer.json"))
    manifest_write(out)
    world = source / "world.txt"
    if world.is_file():
        shutil.copyfile(world, out / world.name)
    return out


def _quantization_config(quantization: Quantization | None, dtype: torch.dtype) -> Any:
    if quantization is None:
        return None
    if quantization not in get_args(Quantization):
        raise ValueError(f"Unknown quantization {quantization!r}: use int8 or nf4.")
    from transformers import BitsAndBytesConfig

    # On CPUs bitsandbytes says at every call that it casts its inputs to fp16, and once that it
    # looked for a kernel on the hub.
    for noisy in ("bitsandbytes.autograd._functions", "bitsandbytes.backends.cpu.ops"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    skipped = list(HIGH_PRECISION)
    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skipped)
    quantising.register()
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=skipped,
    )


def weight_bytes(model: nn.Module) -> int:
    """Bytes of all weights as held in memory, quantisation constants included."""
    total = held_bytes(model) + sum(t.nbytes for t in (*model.parameters(), *model.buffers()))
    for parameter in model.parameters():
        scale = getattr(parameter, "SCB", None)
        total += scale.nbytes if isinstance(scale, torch.Tensor) else 0
        state = getattr(parameter, "quant_state", None)
        for name in ("absmax", "code"):
            value = getattr(state, name, None)
            total += value.nbytes if isinstance(value, torch.Tensor) else 0
        nested = getattr(state, "state2", None)
        value = getattr(nested, "absmax", None)
        total += value.nbytes if isinstance(value, torch.Tensor) else 0
    return total
