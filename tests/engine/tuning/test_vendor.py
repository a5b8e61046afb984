"""Moondream's own adapter files: read, answered with as upstream does, and written."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from inference.engine import Moondream
from inference.engine.layers import rotary, rotate
from inference.engine.tuning import AdapterError, Adapters, AdapterSettings
from inference.engine.tuning.vendor import vendor_load, vendor_read, vendor_save

RANK = 8
LAYERS = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")


@pytest.fixture
def model(tiny_folder: Path) -> Moondream:
    return Moondream.from_pretrained(tiny_folder, device="cpu", dtype=torch.float32)


def _variant(model: Moondream, rank: int = RANK) -> dict[str, torch.Tensor]:
    """A variant's file, of random values."""
    generator = torch.Generator().manual_seed(5)
    made = {}
    for number, block in enumerate(model.model.text.blocks):
        for layer in LAYERS:
            linear: Any = block.get_submodule(layer)
            shapes = {"A": (rank, linear.in_features), "B": (linear.out_features, rank)}
            for side, shape in shapes.items():
                key = f"text.blocks.{number}.{layer}.{side}"
                made[key] = torch.randn(shape, generator=generator) * 0.1
    return made


def _checkpoint(model: Moondream) -> dict[str, torch.Tensor]:
    """A checkpoint of the tuning service, of random values."""
    names = {"mlp.fc1": "up", "mlp.fc2": "down"}
    return {
        re.sub(
            r"text\.blocks\.(\d+)\.(mlp\.fc\d)\.(.)",
            lambda m: f"text_lora.dense.{m[1]}.{names[m[2]]}_{m[3].lower()}", key,
        ): value
        for key, value in _variant(model).items() if ".mlp." in key
    }  # fmt: skip


def _upstream(
    model: Moondream, embeds: torch.Tensor, lora: dict[str, torch.Tensor]
) -> torch.Tensor:
    """Upstream's decoder (moondream/torch/text.py) with a variant, over all positions at once."""

    def added(x: torch.Tensor, name: str) -> torch.Tensor:
        if f"{name}.A" not in lora:
            return torch.zeros(())
        return F.linear(F.linear(x, lora[f"{name}.A"]), lora[f"{name}.B"])

    x, config = embeds, model.sections.text
    cos, sin = rotary(torch.arange(x.shape[1]), config)
    for number, block in enumerate(model.model.text.blocks):
        name, block_ = f"text.blocks.{number}", block
        attn: Any = block_.attn
        y = block_.ln(x)  # type: ignore[operator]
        qkv = attn.qkv(y) + added(y, f"{name}.attn.qkv")
        widths = (config.n_heads * config.head_dim, *[config.kv_heads * config.head_dim] * 2)
        q, k, v = (
            part.unflatten(-1, (-1, config.head_dim)).transpose(1, 2)
            for part in qkv.split(widths, dim=-1)
        )
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        out = F.scaled_dot_product_attention(
            q, k, v, is_causal=True, enable_gqa=config.n_heads != config.kv_heads
        )
        out = attn.proj(out.transpose(1, 2).flatten(2)) + added(y, f"{name}.attn.proj")
        inner = block_.mlp.fc1(y) + added(y, f"{name}.mlp.fc1")  # type: ignore[union-attr]
        inner = F.gelu(inner, approximate="tanh")
        x = x + out + block_.mlp.fc2(inner) + added(inner, f"{name}.mlp.fc2")  # type: ignore[union-attr]
    return x


def _hidden(model: Moondream, embeds: torch.Tensor) -> torch.Tensor:
    mask = torch.ones(embeds.shape[1], embeds.shape[1], dtype=torch.bool).tril()
    return model.model.text(embeds, torch.arange(embeds.shape[1]), mask)


def _embeds(model: Moondream) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 7, model.sections.text.dim, generator=generator)


def test_a_variant_answers_as_upstream_does(model: Moondream, tmp_path: Path) -> None:
    adapters, embeds, lora = Adapters(model), _embeds(model), _variant(model)
    base = _hidden(model, embeds)
    torch.testing.assert_close(base, _upstream(model, embeds, {}), atol=1e-5, rtol=1e-5)
    torch.save(lora, tmp_path / "final.pt")
    expected = _upstream(model, embeds, lora)
    vendor_load(adapters, "theirs", tmp_path / "final.pt")
    torch.testing.assert_close(_hidden(model, embeds), expected, atol=1e-5, rtol=1e-5)
    assert (expected - base).abs().max() > 0.1
    adapters.activate(None)
    assert torch.equal(_hidden(model, embeds), base)


def test_a_checkpoint_answers_as_upstream_does(model: Moondream, tmp_path: Path) -> None:
    adapters, embeds = Adapters(model), _embeds(model)
    torch.save({"lora_state_dict": _checkpoint(model), "step": 3}, tmp_path / "checkpoint.pt")
    mlp = {key: value for key, value in _variant(model).items() if ".mlp." in key}
    expected = _upstream(model, embeds, mlp)
    vendor_load(adapters, "theirs", tmp_path / "checkpoint.pt")
    torch.testing.assert_close(_hidden(model, embeds), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prefix", ["", "text.", "_text.", "text_lora."])
def test_a_checkpoint_under_any_of_its_prefixes(
    model: Moondream, tmp_path: Path, prefix: str
) -> None:
    made = {key.replace("text_lora.", prefix): v for key, v in _checkpoint(model).items()}
    torch.save({"lora_state_dict": made}, tmp_path / "checkpoint.pt")
    _, settings = vendor_read(tmp_path / "checkpoint.pt")
    assert settings == AdapterSettings(RANK, RANK, ("mlp",))


def test_a_variant_of_older_names(model: Moondream, tmp_path: Path) -> None:
    renamed = {}
    for key, value in _variant(model).items():
        name = key.replace("text.blocks", "text_model.transformer.h")
        name = name.replace(".attn.qkv", ".mixer.Wqkv").replace(".attn.proj", ".mixer.out_proj")
        renamed[re.sub(r"\.([AB])$", r".parametrizations.weight.0.\1", name)] = value
    torch.save(renamed, tmp_path / "old.pt")
    torch.save(_variant(model), tmp_path / "new.pt")
    (old, _), (new, _) = vendor_read(tmp_path / "old.pt"), vendor_read(tmp_path / "new.pt")
    assert old.keys() == new.keys()
    assert all(torch.equal(old[key], new[key]) for key in new)


@pytest.mark.parametrize("layout", ["variant", "checkpoint"])
def test_there_and_back(model: Moondream, tmp_path: Path, layout: str) -> None:
    there = _variant(model) if layout == "variant" else _checkpoint(model)
    held: Any = there if layout == "variant" else {"lora_state_dict": there}
    torch.save(held, tmp_path / "theirs.pt")
    adapters = Adapters(model)
    vendor_load(adapters, "theirs", tmp_path / "theirs.pt")
    assert vendor_save(adapters, "theirs", tmp_path / "mine.pt", dtype=torch.float32) == layout
    written: Any = torch.load(tmp_path / "mine.pt", weights_only=True)
    back = written.get("lora_state_dict", written)
    assert back.keys() == there.keys()
    assert all(torch.equal(back[key], there[key]) for key in there)
    # And as PEFT keeps it.
    adapters.save("theirs", tmp_path / "peft")
    hidden = _hidden(model, _embeds(model))
    adapters.load("again", tmp_path / "peft")
    assert torch.equal(_hidden(model, _embeds(model)), hidden)


@pytest.mark.parametrize("part", ["mlp", "variant"])
def test_the_scale_is_written_into_the_weights(model: Moondream, tmp_path: Path, part: Any) -> None:
    adapters, embeds = Adapters(model), _embeds(model)
    adapters.add("mine", AdapterSettings(8, 12.0, parts=(part,)), seed=3)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in adapters.parameters("mine").values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    mine = _hidden(model, embeds)
    vendor_save(adapters, "mine", tmp_path / "mine.pt", dtype=torch.float32)
    vendor_load(adapters, "back", tmp_path / "mine.pt")
    torch.testing.assert_close(_hidden(model, embeds), mine, atol=1e-5, rtol=1e-5)
    held: Any = torch.load(tmp_path / "mine.pt", weights_only=True)
    assert {v.dtype for v in held.get("lora_state_dict", held).values()} == {torch.float32}


def test_it_is_written_in_the_type_of_their_models(model: Moondream, tmp_path: Path) -> None:
    adapters = Adapters(model)
    adapters.add("mine", AdapterSettings(8, parts=("variant",)))
    vendor_save(adapters, "mine", tmp_path / "mine.pt")
    held: Any = torch.load(tmp_path / "mine.pt", weights_only=True)
    assert {value.dtype for value in held.values()} == {torch.bfloat16}
    assert set(held) == set(_variant(model))


@pytest.mark.parametrize("parts", [("text",), ("regions",), ("mlp", "regions")])
def test_what_their_files_cannot_hold_is_not_written(
    model: Moondream, tmp_path: Path, parts: Any
) -> None:
    adapters = Adapters(model)
    adapters.add("mine", AdapterSettings(8, parts=parts))
    with pytest.raises(AdapterError, match="train one with the parts mlp or variant"):
        vendor_save(adapters, "mine", tmp_path / "mine.pt")
    assert not (tmp_path / "mine.pt").exists()


class _Runs:
    def __reduce__(self) -> Any:
        return (print, ("unpickled",))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda made: made.pop("text.blocks.0.mlp.fc1.A"), "other layers|tensors are not those"),
        (lambda made: made.update({"text.blocks.99.mlp.fc1.A": torch.zeros(8, 4)}), "other layers"),
        (lambda made: made.update({"text.blocks.0.mlp.fc1.A": torch.zeros(4, 9)}), "several ranks"),
        (lambda made: made.update({"text.blocks.0.ln.A": torch.zeros(8, 9)}), "no layer that"),
        (lambda made: made.update({"text.blocks.0.mlp.fc1.A": torch.zeros(8)}), "no matrix"),
        (lambda made: made["text.blocks.0.mlp.fc1.A"].fill_(torch.nan), "not a number"),
        (lambda made: made.update({"moe.0.up_a": torch.zeros(2, 8, 4)}), "Mixtures of experts"),
        (lambda made: made.update({"text.blocks.0.mlp.fc1.A": _Runs()}), "cannot be read"),
        (lambda made: made.clear(), "holds no adapter"),
        (
            lambda made: made.update({
                "text_model.transformer.h.0.mlp.fc1.A": torch.ones(8, 4)
            }),
            "there twice",
        ),
    ],
)  # fmt: skip
def test_what_is_no_adapter_of_theirs(
    model: Moondream, tmp_path: Path, change: Any, problem: str, capsys: Any
) -> None:
    made: dict[str, Any] = _variant(model)
    change(made)
    torch.save(made, tmp_path / "bad.pt")
    adapters = Adapters(model)
    with pytest.raises(AdapterError, match=problem):
        vendor_load(adapters, "bad", tmp_path / "bad.pt")
    assert "bad" not in adapters
    assert adapters.active is None
    assert "unpickled" not in capsys.readouterr().out


@pytest.mark.parametrize("data", [b"", b"no torch file", None])
def test_other_files(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "bad.pt").write_bytes(data)
    with pytest.raises(AdapterError, match="cannot be read"):
        vendor_read(tmp_path / "bad.pt")
