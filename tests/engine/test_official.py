"""Published checkpoints in all their forms become the same model."""

import json
import math
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from inference.engine import CheckpointError, Moondream, official
from inference.engine.official import convert, official_name

_TO_OLD: tuple[tuple[str, str], ...] = (
    ("vision.patch_emb.", "vision_encoder.encoder.model.visual.patch_embed.linear."),
    ("vision.pos_emb", "vision_encoder.encoder.model.visual.pos_embed"),
    ("vision.post_ln.", "vision_encoder.encoder.model.visual.norm."),
    ("vision.proj_mlp.", "vision_encoder.projection.mlp."),
    ("text.wte", "text_model.transformer.embd.wte.weight"),
    ("text.post_ln.", "text_model.lm_head.ln."),
    ("text.lm_head.", "text_model.lm_head.linear."),
    ("region.coord_encoder.", "region_model.coordinate_encoder."),
    ("region.coord_decoder.", "region_model.coordinate_decoder."),
    ("region.size_encoder.", "region_model.size_encoder."),
    ("region.size_decoder.", "region_model.size_decoder."),
)


def _old_name(name: str) -> str:
    """The published list of old names, written down independently of the reader."""
    name = name.removeprefix("model.")
    if name.startswith("vision.blocks."):
        name = name.replace(".ln1.", ".norm1.").replace(".ln2.", ".norm2.")
        return name.replace("vision.blocks.", "vision_encoder.encoder.model.visual.blocks.")
    if name.startswith("text.blocks."):
        name = name.replace(".attn.qkv.", ".mixer.Wqkv.").replace(".attn.proj.", ".mixer.out_proj.")
        return name.replace("text.blocks.", "text_model.transformer.h.")
    if name in ("region.coord_features", "region.size_features"):
        return (
            name.replace("region.coord", "region_model.coordinate").replace(
                "region.size", "region_model.size"
            )
            + ".weight"
        )
    for new, old in _TO_OLD:
        if name.startswith(new):
            return old + name.removeprefix(new)
    raise AssertionError(name)


Tensors = dict[str, torch.Tensor]


def _today(tensors: Tensors) -> Tensors:
    return tensors


def _bare(tensors: Tensors) -> Tensors:
    """As upstream's fine-tuning scripts save: no prefix, and the caches with the weights."""
    bare = {name.removeprefix("model."): value for name, value in tensors.items()}
    for kind in "kv":
        bare[f"text.blocks.0.kv_cache.{kind}_cache"] = torch.zeros(1, 4, 8, 16)
    return bare


def _old(tensors: Tensors) -> Tensors:
    return {
        _old_name(name): value.T.contiguous() if name.endswith("_features") else value
        for name, value in tensors.items()
    }


def _compiled(tensors: Tensors) -> Tensors:
    return {f"_orig_mod.{name.removeprefix('model.')}": value for name, value in tensors.items()}


@pytest.mark.parametrize("form", [_today, _bare, _old, _compiled])
def test_every_naming_gives_the_same_weights(
    tiny_folder: Path, tmp_path: Path, form: Callable[[Tensors], Tensors]
) -> None:
    source = _published(tiny_folder, tmp_path / "source", form)
    digest = convert(source, tmp_path / "model", name="moondream2", revision="2025-06-21")
    assert len(digest) == 64
    mine, theirs = (load_file(f / "model.safetensors") for f in (tmp_path / "model", tiny_folder))
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    image = Image.effect_noise((90, 60), 70).convert("RGB")
    answers = [
        Moondream.from_pretrained(folder, dtype="float32", device="cpu").query(image, "?")["answer"]
        for folder in (tmp_path / "model", tiny_folder)
    ]
    assert answers[0] == answers[1]


def _published(folder: Path, target: Path, form: Callable[[Tensors], Tensors]) -> Path:
    target.mkdir()
    save_file(form(load_file(folder / "model.safetensors")), target / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    sections = {name: config[name] for name in ("text", "vision", "region", "tokenizer")}
    (target / "config.json").write_text(json.dumps(sections))
    (target / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    return target


def test_parts_are_read_and_written(tiny_folder: Path, tmp_path: Path, monkeypatch) -> None:
    source = _published(tiny_folder, tmp_path / "source", _today)
    tensors = load_file(source / "model.safetensors")
    names = sorted(tensors)
    halves = (names[::2], names[1::2])
    weight_map: dict[str, str] = {}
    for number, half in enumerate(halves):
        file = f"part-{number}.safetensors"
        save_file({n: tensors[n] for n in half}, source / file)
        weight_map |= dict.fromkeys(half, file)
    (source / "model.safetensors").unlink()
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    monkeypatch.setattr(official, "SHARD_BYTES", 40_000)
    convert(source, tmp_path / "model", name="m", revision="1")
    assert len(list((tmp_path / "model").glob("model-*.safetensors"))) > 2
    model = Moondream.from_pretrained(tmp_path / "model", dtype="float32", device="cpu")
    state = model.model.state_dict()
    assert all(torch.equal(state[name], tensors[name]) for name in names)
    (source / "part-1.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"lacks part-1\.safetensors"):
        convert(source, tmp_path / "other", name="m", revision="1")


def test_one_part_is_held_at_a_time(tiny_folder: Path, tmp_path: Path, monkeypatch) -> None:
    source = _published(tiny_folder, tmp_path / "source", _today)
    monkeypatch.setattr(official, "SHARD_BYTES", 40_000)
    read = official.OfficialCheckpoint.tensor
    given: list[weakref.ref[torch.Tensor]] = []
    held: list[int] = []

    def counted(self: official.OfficialCheckpoint, name: str) -> torch.Tensor:
        value = read(self, name)
        given.append(weakref.ref(value))
        held.append(sum(t.nbytes for ref in given if (t := ref()) is not None))
        return value

    monkeypatch.setattr(official.OfficialCheckpoint, "tensor", counted)
    convert(source, tmp_path / "model", name="m", revision="1")
    largest = max(t.nbytes for t in load_file(source / "model.safetensors").values())
    # Parts are counted at two bytes a number; these weights have four.
    assert max(held) <= max(2 * official.SHARD_BYTES, largest)
    assert not any(ref() is not None for ref in given)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda t: t.pop("model.text.lm_head.bias"), r"1 missing \(text\.lm_head\.bias"),
        (lambda t: t.update({"model.text.spare": torch.zeros(1)}), r"1 extra \(text\.spare"),
        (
            lambda t: t.update({"model.region.coord_encoder.bias": torch.zeros(3)}),
            r"1 misshaped \(region\.coord_encoder\.bias is \(3,\)",
        ),
        (lambda t: t.pop("model.text.wte"), r"text\.wte' is missing"),
    ],
)
def test_other_tensors_fail_loudly_and_leave_nothing(tiny_folder, tmp_path, fault, message) -> None:
    def broken(tensors: Tensors) -> Tensors:
        fault(tensors)
        return tensors

    source = _published(tiny_folder, tmp_path / "source", broken)
    with pytest.raises(CheckpointError, match=message):
        convert(source, tmp_path / "model", name="m", revision="1")
    assert {p.name for p in tmp_path.iterdir()} == {"source"}


def test_what_is_no_checkpoint_is_said(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no safetensors"):
        convert(
            tiny_folder.parent,
            tmp_path / "m",
            name="m",
            revision="1",
            tokenizer=tiny_folder / "tokenizer.json",
        )
    lone = tmp_path / "lone"
    lone.mkdir()
    (lone / "x.safetensors").write_bytes(b"not this")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is missing"):
        convert(lone, tmp_path / "m", name="m", revision="1")
    with pytest.raises(CheckpointError, match="is not a safetensors file"):
        convert(
            lone / "x.safetensors",
            tmp_path / "m",
            name="m",
            revision="1",
            tokenizer=tiny_folder / "tokenizer.json",
        )


def _pack(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The vendor's 4-bit form as it is documented, and the weight that it means."""
    groups = weight.reshape(-1, 128)
    low, high = groups.amin(1, keepdim=True), groups.amax(1, keepdim=True)
    scale = ((high - low) / 15).to(torch.bfloat16)
    zero = (-low / scale.float()).round().to(torch.bfloat16)
    q = (groups / scale.float() + zero.float()).round().clamp(0, 15).to(torch.uint8)
    half = len(q) // 2
    means = ((q.to(torch.bfloat16) - zero) * scale).reshape(weight.shape)
    return (q[:half] << 4) | q[half:], scale, zero, means


def test_the_vendors_four_bits_are_unpacked(tiny_folder: Path, tmp_path: Path) -> None:
    meant: Tensors = {}

    def packed(tensors: Tensors) -> Tensors:
        out: Tensors = {}
        for name, value in tensors.items():
            heavy = name.startswith(("model.text.blocks.", "model.region."))
            if heavy and name.endswith(".weight") and value.ndim == 2:
                parts = _pack(value.float())
                for kind, part in zip(("packed", "scale", "zero_point"), parts, strict=False):
                    out[f"{name}.{kind}"] = part.contiguous()
                meant[name] = parts[3]
            else:
                out[name] = value
        return out

    source = _published(tiny_folder, tmp_path / "source", packed)
    convert(source, tmp_path / "model", name="m", revision="2025-04-14-4bit")
    mine = load_file(tmp_path / "model" / "model.safetensors")
    assert len(meant) > 8
    for name, value in meant.items():
        assert torch.equal(mine[name], value), name


def test_unpacking_rounds_each_step_to_bf16() -> None:
    random = torch.Generator().manual_seed(1)
    q = torch.randint(0, 16, (4, 128), generator=random, dtype=torch.uint8)
    scale, zero = torch.rand(4, 1, generator=random), 15 * torch.rand(4, 1, generator=random)
    less = (q.float() - zero).to(torch.bfloat16)
    expected = (less.float() * scale).to(torch.bfloat16).reshape(8, 64)
    mine = official._unpack((q[:2] << 4) | q[2:], scale, zero, (8, 64))
    assert torch.equal(mine, expected)


def _shapes_of_the_release(dim: int, enc: int, enc_ff: int) -> dict[str, tuple[int, ...]]:
    """What the tensors of section 2 of the published format say."""
    shapes: dict[str, tuple[int, ...]] = {
        "vision.patch_emb.weight": (enc, 588),
        "vision.pos_emb": (1, 729, enc),
        "vision.proj_mlp.fc1.weight": (8192, 2 * enc),
        "text.wte": (51200, dim),
        "region.coord_features": (1, 128),
        "region.size_features": (2, 256),
        "region.coord_decoder.fc1.weight": (8192, dim),
        "region.coord_decoder.fc2.weight": (1024, 8192),
        "region.size_decoder.fc2.weight": (2048, 8192),
    }
    for layer in range(27):
        shapes[f"vision.blocks.{layer}.mlp.fc1.weight"] = (enc_ff, enc)
    for layer in range(24):
        shapes[f"text.blocks.{layer}.mlp.fc1.weight"] = (4 * dim, dim)
        shapes[f"text.blocks.{layer}.attn.qkv.weight"] = (3 * dim, dim)
    return shapes


@pytest.mark.parametrize(
    ("dim", "enc", "enc_ff", "heads", "enc_heads"),
    [(2048, 1152, 4304, 32, 16), (1024, 720, 2690, 16, 10)],
)
def test_released_sizes_are_read_from_the_tensors(dim, enc, enc_ff, heads, enc_heads) -> None:
    from inference.engine.testing import byte_tokenizer

    config = official.config_for(
        _shapes_of_the_release(dim, enc, enc_ff), {}, byte_tokenizer(),
        name="moondream2", revision="2025-06-21",
    ).sections  # fmt: skip
    assert (config.text.n_heads, config.text.kv_heads) == (heads, heads)
    assert (config.vision.enc_n_heads, config.vision.crop_size) == (enc_heads, 378)
    assert config.text.prefix_attn == 730
    assert (config.region.coord_feat_dim, config.region.size_feat_dim) == (256, 512)
    assert config.tokenizer.templates["query"]["suffix"] == [3, 3]


def test_an_old_tokenizer_brings_the_old_prompts() -> None:
    from tokenizers import Tokenizer, models

    words = {f"w{i}": i for i in range(50256)} | {"<|endoftext|>": 50256}
    old = Tokenizer(models.WordLevel(words, unk_token="w0"))
    for revision, space in (("2025-01-09", False), ("2025-03-27", True)):
        tokens = official.config_for(
            _shapes_of_the_release(2048, 1152, 4304), {}, old, name="m", revision=revision
        ).sections.tokenizer
        assert (tokens.bos_id, tokens.answer_id) == (50256, None)
        assert tokens.templates["detect"] == {"prefix": [198, 198, 47504, 25], "suffix": [628]}
        assert tokens.question_space is tokens.object_space is space


def test_names_of_other_things_stay() -> None:
    assert official_name("something.else") == "something.else"
    assert official_name("model.text.blocks.3.kv_cache.k_cache") is None
    assert math.isfinite(official.SHARD_BYTES)
