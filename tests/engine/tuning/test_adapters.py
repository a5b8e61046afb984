"""Adapters: kept as PEFT keeps them, switched without a trace, refused where they do not fit."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from inference.engine import Moondream, MoondreamConfig
from inference.engine.testing import make_tiny_checkpoint, tiny_config
from inference.engine.tuning import AdapterError, Adapters, AdapterSettings, BaseModel
from inference.engine.tuning.adapters import trained_on
from inference.engine.tuning.names import CARD, CONFIG, WEIGHTS
from tests.engine.tuning.conftest import picture

PRECISIONS = [None, "int8", "nf4"]


def _model(folder: Path, quantization: str | None = None, **options: object) -> Moondream:
    return Moondream.from_pretrained(folder, quantization=quantization, device="cpu", **options)  # type: ignore[arg-type]


def _shake(adapters: Adapters, name: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, value in adapters.parameters(name).items():
            if "lora_B" in key:
                value.copy_(torch.randn(value.shape, generator=generator) * 0.05)


def _logits(model: Moondream) -> torch.Tensor:
    image = model.encode_image(picture(3))
    embeds = model.model.text.embed(torch.tensor([model.query_prompt("How many?")]))
    with torch.inference_mode():
        hidden = model.model.prefill(embeds, image.prefix.fork(embeds.shape[1]))
        return model.model.text.logits(hidden).float()


@pytest.mark.parametrize("quantization", PRECISIONS)
def test_switching_leaves_no_trace(tiny_folder: Path, quantization: str | None) -> None:
    model = _model(tiny_folder, quantization)
    base = _logits(model)
    adapters = Adapters(model)
    adapters.add("one", AdapterSettings(rank=8), seed=1)
    assert torch.equal(_logits(model), base)  # B is 0
    adapters.add("two", AdapterSettings(rank=16, parts=("text", "regions")), seed=2)
    _shake(adapters, "one", 1)
    _shake(adapters, "two", 2)
    adapters.activate("one")
    one = _logits(model)
    adapters.activate("two")
    two = _logits(model)
    assert not torch.equal(one, base)
    assert not torch.equal(one, two)
    for name, expected in (("one", one), (None, base), ("two", two), ("one", one), (None, base)):
        adapters.activate(name)
        assert torch.equal(_logits(model), expected)
    assert not any("lora" in name for name, _ in model.model.named_modules())
    with adapters.using("two"):
        assert torch.equal(_logits(model), two)
        adapters.remove("two")
        assert torch.equal(_logits(model), base)
    assert "two" not in adapters


def test_encoded_images_belong_to_an_adapter(tiny_folder: Path) -> None:
    model = _model(tiny_folder)
    encoded = model.encode_image(picture(1))
    adapters = Adapters(model)
    adapters.add("one", AdapterSettings(rank=8))
    with pytest.raises(ValueError, match="was encoded by"):
        model.query(encoded, "How many?")
    adapters.activate(None)
    assert model.query(encoded, "How many?")["answer"] is not None


@pytest.mark.parametrize("quantization", PRECISIONS)
def test_saved_and_loaded(tiny_folder: Path, tmp_path: Path, quantization: str | None) -> None:
    model = _model(tiny_folder, quantization)
    adapters = Adapters(model)
    adapters.add("one", AdapterSettings(rank=8, parts=("text", "regions")))
    _shake(adapters, "one", 3)
    expected = _logits(model)
    adapters.save("one", tmp_path, reward=0.7)
    assert trained_on(tmp_path) == BaseModel(
        "moondream-tiny-random", "test", quantization or "full"
    )
    assert json.loads((tmp_path / CARD).read_text())["reward"] == 0.7
    other = Adapters(_model(tiny_folder, quantization))
    other.load("read", tmp_path)
    assert torch.equal(_logits(other.model), expected)


@pytest.mark.parametrize("quantization", [None, "int8", "nf4"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_are_in_32_bits_whatever_the_base_has(
    tiny_folder: Path, quantization: str | None, dtype: str
) -> None:
    adapters = Adapters(_model(tiny_folder, quantization, dtype=dtype))
    adapters.add("one", AdapterSettings(rank=8, parts=("text", "regions")))
    assert {p.dtype for p in adapters.parameters("one").values()} == {torch.float32}


def test_plain_peft_loads_it(tiny_folder: Path, tmp_path: Path) -> None:
    from peft import PeftConfig, PeftModel

    model = _model(tiny_folder, dtype="float32")
    adapters = Adapters(model)
    adapters.add("one", AdapterSettings(rank=8, parts=("text", "regions")))
    _shake(adapters, "one", 3)
    expected = _logits(model)
    adapters.save("one", tmp_path)
    assert PeftConfig.from_pretrained(tmp_path).r == 8

    plain = _model(tiny_folder, dtype="float32")
    base = _logits(plain)
    loaded = PeftModel.from_pretrained(plain.model, tmp_path)
    assert torch.allclose(_logits(plain), expected, atol=1e-6)
    assert not torch.allclose(_logits(plain), base, atol=1e-3)
    # And what PEFT writes is read here.
    loaded.save_pretrained(str(tmp_path / "again"))
    other = Adapters(_model(tiny_folder, dtype="float32"))
    other.load("read", tmp_path / "again")
    assert torch.allclose(_logits(other.model), expected, atol=1e-6)


class TestRefused:
    @pytest.fixture
    def saved(self, tiny_folder: Path, tmp_path: Path) -> Path:
        adapters = Adapters(_model(tiny_folder))
        adapters.add("one", AdapterSettings(rank=8))
        adapters.save("one", tmp_path)
        return tmp_path

    def _change(self, folder: Path, **fields: object) -> None:
        config = json.loads((folder / CONFIG).read_text()) | fields
        (folder / CONFIG).write_text(json.dumps(config))

    @pytest.mark.parametrize(
        "fields",
        [{"peft_type": "IA3"}, {"use_dora": True}, {"use_rslora": True}, {"bias": "all"}, {"r": 0},
         {"r": 16}, {"lora_alpha": None}, {"r": 10**9}],
    )  # fmt: skip
    def test_other_kinds(self, tiny_folder: Path, saved: Path, fields: dict[str, object]) -> None:
        self._change(saved, **fields)
        adapters = Adapters(_model(tiny_folder))
        with pytest.raises(AdapterError):
            adapters.load("read", saved)
        assert "read" not in adapters
        assert adapters.active is None

    def test_another_base(self, saved: Path, tmp_path: Path) -> None:
        tiny = tiny_config()
        config = MoondreamConfig(
            name="other", revision="test", lacks=tiny.lacks, text={**tiny.text, "n_layers": 3},
            vision=tiny.vision, region=tiny.region, tokenizer=tiny.tokenizer,
        )  # fmt: skip
        other = make_tiny_checkpoint(tmp_path / "other", config=config)
        with pytest.raises(AdapterError, match="other layers"):
            Adapters(_model(other)).load("read", saved)

    def test_strange_tensors(self, tiny_folder: Path, saved: Path) -> None:
        weights = load_file(saved / WEIGHTS)
        save_file({"x": torch.zeros(2), **weights}, saved / WEIGHTS)
        with pytest.raises(AdapterError, match="no LoRA"):
            Adapters(_model(tiny_folder)).load("read", saved)

    def test_not_finite(self, tiny_folder: Path, saved: Path) -> None:
        weights = load_file(saved / WEIGHTS)
        first = next(iter(weights))
        weights[first][0, 0] = float("nan")
        save_file(weights, saved / WEIGHTS)
        with pytest.raises(AdapterError, match="not a number"):
            Adapters(_model(tiny_folder)).load("read", saved)

    def test_no_folder(self, tiny_folder: Path, tmp_path: Path) -> None:
        with pytest.raises(AdapterError, match="no adapter"):
            Adapters(_model(tiny_folder)).load("read", tmp_path / "nothing")

    def test_damaged(self, tiny_folder: Path, saved: Path) -> None:
        (saved / WEIGHTS).write_bytes(b"\xff" * 100)
        with pytest.raises(AdapterError, match="cannot be read"):
            Adapters(_model(tiny_folder)).load("read", saved)


@pytest.mark.parametrize(
    ("rank", "parts"), [(0, ("text",)), (257, ("text",)), (8, ()), (8, ("x",))]
)
def test_strange_settings(rank: int, parts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="adapter"):
        AdapterSettings(rank=rank, parts=parts)  # type: ignore[arg-type]


def test_answers_of_the_base_are_as_fast(tiny_folder: Path) -> None:
    # No wrapper is left in the way while no adapter is active.
    model = _model(tiny_folder)
    kinds = [type(m) for m in model.model.modules()]
    adapters = Adapters(model)
    adapters.add("one", AdapterSettings(rank=8))
    adapters.activate(None)
    assert [type(m) for m in model.model.modules()] == kinds
    assert model.caption(Image.new("RGB", (48, 48)))["caption"] is not None
