"""Official Moondream2 checkpoints, in every published form, as a folder this engine loads.

Names, shapes and the packed 4-bit form are format facts of github.com/vikhyat/moondream
(`moondream/torch/weights.py` and `layers.py`, 2025-06-19). No code of a checkpoint is ever run.
"""

import functools
import hashlib
import json
import math
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer

from inference.engine.config import MoondreamConfig
from inference.engine.manifest import CheckpointError, manifest_write
from inference.engine.model import MoondreamForVision, tensor_shapes

SHARD_BYTES = 1 << 30
"""Converted weights are written in parts of this size: one part is all that is held in memory."""

_OLD_NAMES: tuple[tuple[str, str], ...] = (
    (r"^vision_encoder\.encoder\.model\.visual\.patch_embed\.linear\.", "vision.patch_emb."),
    (r"^vision_encoder\.encoder\.model\.visual\.pos_embed$", "vision.pos_emb"),
    (r"^vision_encoder\.encoder\.model\.visual\.blocks\.(\d+)\.norm([12])\.", r"vision.blocks.\1.ln\2."),
    (r"^vision_encoder\.encoder\.model\.visual\.blocks\.", "vision.blocks."),
    (r"^vision_encoder\.encoder\.model\.visual\.norm\.", "vision.post_ln."),
    (r"^vision_encoder\.projection\.mlp\.", "vision.proj_mlp."),
    (r"^text_model\.transformer\.embd\.wte\.weight$", "text.wte"),
    (r"^text_model\.transformer\.h\.(\d+)\.mixer\.Wqkv\.", r"text.blocks.\1.attn.qkv."),
    (r"^text_model\.transformer\.h\.(\d+)\.mixer\.out_proj\.", r"text.blocks.\1.attn.proj."),
    (r"^text_model\.transformer\.h\.", "text.blocks."),
    (r"^text_model\.lm_head\.ln\.", "text.post_ln."),
    (r"^text_model\.lm_head\.linear\.", "text.lm_head."),
    (r"^region_model\.(coordinate|size)_features\.weight$", r"region.\1_features"),
    (r"^region_model\.", "region."),
)  # fmt: skip
_KV_CACHE = re.compile(r"\.kv_cache\.[kv]_cache$")
_TRANSPOSED = re.compile(r"^region_model\.\w+_features\.weight$")

_OLD_TEMPLATES: dict[str, Any] = {
    "caption": {
        "short": [198, 198, 16438, 8305, 25],
        "normal": [198, 198, 24334, 1159, 25],
        "long": [198, 198, 14617, 8305, 25],
    },
    "query": {"prefix": [198, 198, 24361, 25], "suffix": [198, 198, 33706, 25]},
    "detect": {"prefix": [198, 198, 47504, 25], "suffix": [628]},
    "point": {"prefix": [198, 198, 12727, 25], "suffix": [628]},
}
_VISION_HEAD, _TEXT_HEAD = 72, 64
"""Head widths of all released sizes; head counts cannot be read from the tensors."""


def official_name(name: str) -> str | None:
    """The name under `model.` that this engine uses for a published tensor; None = not a weight.

    Reads today's names with or without `model.`, the names before 2025, and `_orig_mod` wrappers.
    """
    name = name.replace("._orig_mod", "").replace("_orig_mod.", "").removeprefix("model.")
    if _KV_CACHE.search(name):  # saved by upstream's fine-tuning scripts
        return None
    for pattern, new in _OLD_NAMES:
        name, hits = re.subn(pattern, new, name)
        if hits:
            break
    return name.replace("region.coordinate_", "region.coord_")


@dataclass(frozen=True, slots=True)
class Source:
    """A tensor of a published checkpoint: its file and the name it has there."""

    file: Path
    name: str
    shape: tuple[int, ...]


class OfficialCheckpoint:
    """The tensors of one or more safetensors files, by this engine's names, read one at a time."""

    def __init__(self, path: Path) -> None:
        self.files = _files(path)
        self._open = ExitStack()
        self._handles: dict[Path, Any] = {}
        self.sources: dict[str, Source] = {}
        for file in self.files:
            try:
                handle = self._open.enter_context(safe_open(file, "pt"))  # type: ignore[no-untyped-call]
            except (SafetensorError, OSError) as error:
                raise CheckpointError(f"{file.name} is not a safetensors file: {error}") from error
            self._handles[file] = handle
            for name in handle.keys():  # noqa: SIM118  # not a mapping
                mine = official_name(name)
                if mine is None:
                    continue
                if mine in self.sources:
                    raise CheckpointError(f"{name} is there twice.")
                shape = tuple(handle.get_slice(name).get_shape())
                self.sources[mine] = Source(file, name, shape)

    def __enter__(self) -> "OfficialCheckpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def is_packed(self) -> bool:
        """Whether it is the vendor's 4-bit form."""
        return any(name.endswith(".weight.packed") for name in self.sources)

    @functools.cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor after unpacking and transposing, by this engine's names."""
        found: dict[str, tuple[int, ...]] = {}
        for name, source in self.sources.items():
            if name.endswith((".weight.scale", ".weight.zero_point")):
                continue
            if name.endswith(".weight.packed"):
                weight = name.removesuffix(".packed")
                rows = self.sources[weight.removesuffix("weight") + "bias"].shape[0]
                found[weight] = (rows, math.prod(source.shape) * 2 // rows)
            elif _TRANSPOSED.match(source.name):
                found[name] = source.shape[::-1]
            else:
                found[name] = source.shape
        return found

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor under this engine's name, unpacked."""
        if name not in self.sources:
            return _unpack(
                self._raw(f"{name}.packed"), self._raw(f"{name}.scale"),
                self._raw(f"{name}.zero_point"), self.shapes[name],
            )  # fmt: skip
        value = self._raw(name)
        return value.T.contiguous() if _TRANSPOSED.match(self.sources[name].name) else value

    def _raw(self, name: str) -> torch.Tensor:
        source = self.sources[name]
        value: torch.Tensor = self._handles[source.file].get_tensor(source.name)
        return value


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    index = next(iter(sorted(path.glob("*.safetensors.index.json"))), None)
    if index is not None:
        listed = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        absent = [name for name in listed if not (path / name).is_file()]
        if absent:
            raise CheckpointError(
                f"{path.name} lacks {', '.join(absent)}, which {index.name} lists."
            )
        return [path / name for name in listed]
    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise CheckpointError(f"{path.name} holds no safetensors file.")
    return files


def _unpack(
    packed: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor, shape: tuple[int, ...]
) -> torch.Tensor:
    """The vendor's 4-bit form: groups of 128 of the flattened weight, the high nibbles the first
    half of the groups, the low ones the second; w = (q - zero) · scale, each step rounded to bf16."""
    levels = torch.cat((packed >> 4, packed & 0x0F)).to(torch.bfloat16)
    return levels.sub_(zero).mul_(scale).reshape(shape)


def config_for(
    shapes: Mapping[str, tuple[int, ...]],
    given: Mapping[str, Any],
    tokenizer: Tokenizer,
    *,
    name: str,
    revision: str,
) -> MoondreamConfig:
    """Sizes from the tensors themselves (the hub's own config.json is empty), prompts from the
    tokenizer: a vocabulary with the end of text at 50256 is that of before 2025-06-21.

    `given` may hold sections in upstream's field names, for sizes that were never released.

    Raises:
        CheckpointError: a tensor that gives a size is missing.
    """
    try:
        vision, text, region = _sizes(shapes)
    except (KeyError, IndexError) as error:
        raise CheckpointError(f"Not a Moondream checkpoint: {error} is missing.") from error
    old = tokenizer.token_to_id("<|endoftext|>") == 50256
    prompts: dict[str, Any] = (
        {"bos_id": 50256, "eos_id": 50256, "answer_id": None, "thinking_id": None,
         "question_space": revision >= "2025-03-27", "object_space": revision >= "2025-03-27",
         "templates": _OLD_TEMPLATES}
        if old
        else {}
    )  # fmt: skip
    tokens = prompts | dict(given.get("tokenizer") or {})
    return MoondreamConfig(
        name=name,
        revision=revision,
        lacks=[] if tokens.get("thinking_id", 4) is not None else ["reasoning"],
        text=text | dict(given.get("text") or {}),
        vision=vision | dict(given.get("vision") or {}),
        region=region | dict(given.get("region") or {}),
        tokenizer=tokens,
    )


def _sizes(
    shapes: Mapping[str, tuple[int, ...]],
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    enc_dim, patch = shapes["vision.patch_emb.weight"]
    side = math.isqrt(patch // 3)
    grid = math.isqrt(shapes["vision.pos_emb"][1])
    inner, _ = shapes["vision.proj_mlp.fc1.weight"]
    vocab, dim = shapes["text.wte"]
    heads = dim // _TEXT_HEAD
    kv_rows = (shapes["text.blocks.0.attn.qkv.weight"][0] - dim) // 2
    vision = {
        "enc_dim": enc_dim, "enc_patch_size": side, "enc_n_layers": _layers(shapes, "vision"),
        "enc_ff_dim": shapes["vision.blocks.0.mlp.fc1.weight"][0],
        "enc_n_heads": max(1, enc_dim // _VISION_HEAD), "proj_out_dim": dim,
        "proj_inner_dim": inner, "crop_size": grid * side,
    }  # fmt: skip
    text = {
        "dim": dim, "vocab_size": vocab, "n_layers": _layers(shapes, "text"),
        "ff_dim": shapes["text.blocks.0.mlp.fc1.weight"][0], "n_heads": max(1, heads),
        "n_kv_heads": max(1, kv_rows // _TEXT_HEAD), "prefix_attn": grid**2 + 1,
    }  # fmt: skip
    region = {
        "dim": dim, "coord_feat_dim": 2 * shapes["region.coord_features"][1],
        "size_feat_dim": 2 * shapes["region.size_features"][1],
        "coord_out_dim": shapes["region.coord_decoder.fc2.weight"][0],
        "size_out_dim": shapes["region.size_decoder.fc2.weight"][0],
        "inner_dim": shapes["region.coord_decoder.fc1.weight"][0],
    }  # fmt: skip
    return vision, text, region


def _layers(shapes: Mapping[str, tuple[int, ...]], part: str) -> int:
    pattern = re.compile(rf"^{part}\.blocks\.(\d+)\.")
    return 1 + max(int(m.group(1)) for name in shapes if (m := pattern.match(name)))


def check(shapes: Mapping[str, tuple[int, ...]], config: MoondreamConfig) -> None:
    """Every tensor of the architecture, each of its shape, and nothing else.

    Raises:
        CheckpointError: naming what is missing, extra or misshaped.
    """
    expected = {name.removeprefix("model."): shape for name, shape in tensor_shapes(config).items()}
    problems = {
        "missing": sorted(expected.keys() - shapes.keys()),
        "extra": sorted(shapes.keys() - expected.keys()),
        "misshaped": sorted(
            f"{name} is {shapes[name]}, not {shape}"
            for name, shape in expected.items()
            if name in shapes and shapes[name] != shape
        ),
    }
    told = [
        f"{len(names)} {kind} ({', '.join(names[:5])}{', …' if len(names) > 5 else ''})"
        for kind, names in problems.items()
        if names
    ]
    if told:
        raise CheckpointError(f"The tensors are not this architecture's: {'; '.join(told)}.")


def convert(
    source: Path,
    target: Path,
    *,
    name: str,
    revision: str,
    tokenizer: Path | None = None,
) -> str:
    """Write a model folder from an official checkpoint; the weights' SHA-256 comes back.

    Args:
        source: a folder, or a single safetensors file, under today's or older names, whole or in
            the vendor's 4-bit form (which is unpacked to bf16).
        target: made whole or not at all.
        tokenizer: tokenizer.json; by default the one beside the weights.

    Raises:
        CheckpointError: not a complete checkpoint of this architecture, or no tokenizer.
    """
    folder = source if source.is_dir() else source.parent
    vocabulary = tokenizer or folder / "tokenizer.json"
    if not vocabulary.is_file():
        raise CheckpointError(
            f"{vocabulary.name} is missing beside the weights: give the one of the same revision."
        )
    with OfficialCheckpoint(source) as checkpoint:
        shapes = checkpoint.shapes
        try:
            config = config_for(
                shapes, _given(folder), Tokenizer.from_file(str(vocabulary)),
                name=name, revision=revision,
            )  # fmt: skip
        except ValueError as error:  # sizes that no network of this kind has
            raise CheckpointError(str(error)) from error
        check(shapes, config)
        partial = target.with_name(f".{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            digest = _write(checkpoint, sorted(shapes), partial)
            config.architectures = [MoondreamForVision.__name__]
            config.save_pretrained(partial)
            shutil.copyfile(vocabulary, partial / "tokenizer.json")
            manifest_write(partial)
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return digest


def _given(folder: Path) -> dict[str, Any]:
    """Sections of a config.json in upstream's or our own form; the hub's own has none."""
    file = folder / "config.json"
    values: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    nested = values.get("config")
    return nested if isinstance(nested, dict) and nested else values


def _write(checkpoint: OfficialCheckpoint, names: list[str], folder: Path) -> str:
    """Write the weights part by part, with the index that transformers reads."""
    parts = list(_parts(checkpoint, names))
    digest = hashlib.sha256()
    where: dict[str, str] = {}
    total = 0
    for number, part in enumerate(parts, start=1):
        file = (
            "model.safetensors"
            if len(parts) == 1
            else f"model-{number:05}-of-{len(parts):05}.safetensors"
        )
        tensors = {f"model.{name}": checkpoint.tensor(name).contiguous() for name in part}
        total += sum(t.nbytes for t in tensors.values())
        where |= dict.fromkeys(tensors, file)
        save_file(tensors, folder / file, metadata={"format": "pt"})
        del tensors  # before the next part is read
        with (folder / file).open("rb") as written:
            while block := written.read(1 << 22):
                digest.update(block)
    if len(parts) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": where}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    return digest.hexdigest()


def _parts(checkpoint: OfficialCheckpoint, names: list[str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for name in names:
        nbytes = 2 * math.prod(checkpoint.shapes[name])
        if part and size + nbytes > SHARD_BYTES:
            yield part
            part, size = [], 0
        part.append(name)
        size += nbytes
    yield part
