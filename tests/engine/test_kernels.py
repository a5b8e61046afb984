"""Every precision at the vendor's widths, and at widths no kernel likes."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from inference.engine import Moondream
from inference.engine.checkpoint import load, save_quantised, weight_bytes
from inference.engine.kernels import Int8Linear, Nf4Linear, PackedLinear, adopt, measured_cpu
from inference.engine.quantising import quantize_4bit
from inference.engine.testing import linear_as_loaded, make_random_checkpoint, official_config

QUANTIZATIONS: list[Any] = [None, "int8", "nf4"]
ODD = [(33, 67), (64, 66), (37, 33), (3, 5), (1, 1), (96, 100), (130, 63)]
# (out, in): Linears of a block of 2B and of 0.5B; the odd ones hold less than a group. Those of the text
# are multiples of 1024, of which two will do here: all are in the models of one layer below.
OF_VISION = [
    (3456, 1152), (1152, 1152), (4304, 1152), (1152, 4304),
    (2160, 720), (720, 720), (2690, 720), (720, 2690),
]  # fmt: skip
OF_TEXT = [(2048, 2048), (1024, 4096)]
LARGE = 2**20
"""Values of a weight from which on it is tried once, and not without a bias as well."""
# The levels of NormalFloat, from appendix E of QLoRA, to four places.
LEVELS = torch.tensor(
    [-1.0, -0.6962, -0.5251, -0.3949, -0.2844, -0.1848, -0.0911, 0.0,
     0.0796, 0.1609, 0.2461, 0.3379, 0.4407, 0.5626, 0.7230, 1.0]
)  # fmt: skip
ROUNDING = {None: 0.006, "int8": 0.015, "nf4": 0.008}
"""Of a product of the stored weights, relative: bf16's steps; 8 bits of the input; scales in bf16."""
QUANTISING = {None: 0.006, "int8": 0.02, "nf4": 0.12}
"""Of a product of the weights before they were stored, relative."""


@functools.lru_cache(2)
def _weights(rows: int, columns: int) -> torch.Tensor:
    """(rows, columns), columns of very different sizes, as trained ones are."""
    random = torch.Generator().manual_seed(rows * 10000 + columns)
    values = torch.randn(rows, columns, generator=random)
    return (values * torch.logspace(-0.5, 0, columns)).bfloat16()


def _stored(layer: Any) -> torch.Tensor:
    """(out, in) weights as they are kept, read by the formats' own definitions."""
    kind = type(layer).__name__
    if kind == "Linear8bitLt":
        return layer.weight.data.float() * layer.weight.SCB[:, None].float() / 127
    if kind == "Linear":
        return layer.weight.float()
    state = layer.weight.quant_state
    packed = layer.weight.data.view(-1)
    # The high half of a byte is the first of two values; 64 values share a scale.
    levels = LEVELS[torch.stack((packed >> 4, packed & 15), dim=1).flatten().long()]
    nested = state.state2
    scales = (
        nested.code[state.absmax.long()] * nested.absmax.repeat_interleave(256)[: len(state.absmax)]
    )
    scales = (scales + state.offset).repeat_interleave(64)
    count = layer.out_features * layer.in_features
    return (levels[:count] * scales[:count]).view(layer.out_features, layer.in_features).float()


class _Holder(nn.Module):
    """Where `adopt` looks: a model with one Linear in a block."""

    def __init__(self, layer: nn.Module, part: str) -> None:
        super().__init__()
        block = nn.Module()
        block.fc1 = layer
        self.model = nn.Module()
        setattr(self.model, part, nn.Module())
        getattr(self.model, part).blocks = nn.ModuleList([block])
        self.part = part

    @property
    def layer(self) -> nn.Module:
        found: nn.Module = getattr(self.model, self.part).blocks[0].fc1
        return found


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
@pytest.mark.parametrize(
    ("width", "part"),
    [
        *((width, "text") for width in (*OF_TEXT, *ODD)),
        *((width, "vision") for width in (*OF_VISION, *ODD)),
    ],
)
def test_a_linear_of_any_width_multiplies(
    width: tuple[int, int], quantization: Any, part: str
) -> None:
    _check(width, quantization, part, torch.bfloat16)


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
@pytest.mark.parametrize("width", [(4304, 1152), (1152, 4304), (2690, 720), (720, 2690), *ODD])
def test_quantised_weights_multiply_on_a_cpu_without_bf16(
    width: tuple[int, int], quantization: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _check(width, quantization, "text", torch.float32)
    monkeypatch.setattr("inference.engine.kernels.measured_cpu", lambda: False)
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: False)
    _check(width, quantization, "text", torch.float32)


def _check(width: tuple[int, int], quantization: Any, part: str, dtype: torch.dtype) -> None:
    """Products with and without a bias, of one row and of many, against the weights' definition."""
    weight = _weights(*width)
    for bias in (True, False) if weight.numel() < LARGE else (True,):
        layer = linear_as_loaded(
            weight, quantization, torch.linspace(-1, 1, width[0]) if bias else None, dtype
        )
        stored = _stored(layer)
        added = layer.bias.float().clone() if bias else torch.zeros(width[0])
        holder = _Holder(layer, part)
        adopt(holder, dtype)
        for shape in ((1, 1), (2, 70)) if bias else ((1,), (3,), (1, 17)):
            random = torch.Generator().manual_seed(sum(shape))
            x = torch.randn(*shape, width[1], generator=random).to(dtype)
            with torch.inference_mode():
                got = holder.layer(x).float()
            expected = x.float() @ stored.T + added
            assert got.shape == expected.shape
            if width[1] <= 100:  # a few products may cancel: the sizes of all parts count
                size = (x.float().abs() @ stored.abs().T + added.abs()).norm()
                assert (got - expected).norm() <= ROUNDING[quantization] * size
                continue
            assert (got - expected).norm() <= ROUNDING[quantization] * expected.norm()
            whole = x.float() @ weight.float().T + added
            assert (got - whole).norm() <= QUANTISING[quantization] * whole.norm()


@pytest.mark.parametrize("rows", [1, 5, 300])
def test_outliers_leave_8_bits_of_the_other_values(rows: int) -> None:
    """A few channels a hundred times larger, as LLM.int8 found them: in all rows, in some, in none."""
    weight = _weights(256, 2048)
    layer = linear_as_loaded(weight, "int8", torch.ones(256))
    stored = _stored(layer)
    stored[:, [7, 900]] = 0
    holder = _Holder(layer, "text")
    adopt(holder, torch.bfloat16)
    x = torch.randn(rows, 2048, generator=torch.Generator().manual_seed(rows))
    for wide in ([], [0], list(range(rows))):
        calm = x.clone()
        calm[:, [7, 900]] = 0
        loud = calm.clone()
        loud[wide, 7], loud[wide, 900] = 100.0, -64.0
        with torch.inference_mode():
            got = holder.layer(loud.bfloat16()).float()
            alone = torch.zeros(rows, 2048)
            alone[wide, 7], alone[wide, 900] = 100.0, -64.0
            by_outliers = holder.layer(alone.bfloat16()).float() - 1
        expected = calm.bfloat16().float() @ stored.T + 1
        error = (got - by_outliers - expected).norm()
        # bf16 rounds the sum of both.
        assert error <= 0.02 * expected.norm() + 0.004 * got.norm()


@pytest.fixture(scope="module", params=["2B", "0.5B"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One layer of each tower at the vendor's widths."""
    config = official_config(request.param, layers=1, vocab_size=512)
    return make_random_checkpoint(tmp_path_factory.mktemp("official"), config)


DRIFT = {None: 0.02, "int8": 0.05, "nf4": 0.25}
"""Of the image's keys against torch's own Linears in fp32, relative."""
BYTES = {None: 2.0, "int8": 1.01, "nf4": 0.54}
"""Of a weight of the blocks' Linears: two, one, and a half with the scales."""


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_the_vendors_sizes_answer_in_every_precision(folder: Path, quantization: Any) -> None:
    image = _image(300, 200)
    model = Moondream.from_pretrained(folder, quantization=quantization, device="cpu")
    for tower in (model.model.vision, model.model.text):
        for layer in tower.blocks.modules():
            if hasattr(layer, "in_features"):
                count = layer.in_features * layer.out_features
                assert weight_bytes(layer) <= BYTES[quantization] * count + 12 * layer.out_features
    encoded = model.encode_image(image)
    said = model.query(encoded, "What is this?", settings={"max_tokens": 3, "temperature": 0})
    assert said.tokens["completion"] >= 1
    assert len(model.detect(encoded, "star", settings={"max_objects": 1})["objects"]) <= 1
    reference = _keys(folder, image)
    keys = encoded.prefix.keys.float()
    assert (keys - reference).norm() <= DRIFT[quantization] * reference.norm()


def _image(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


_kept: dict[Path, torch.Tensor] = {}


def _keys(folder: Path, image: Image.Image) -> torch.Tensor:
    """The image's keys by torch's own Linears in fp32."""
    if folder not in _kept:
        model = Moondream.from_pretrained(folder, device="cpu", dtype="float32")
        _kept[folder] = model.encode_image(image).prefix.keys
    return _kept[folder]


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_what_was_saved_quantised_is_read_at_the_vendors_widths(
    quantization: Any, tmp_path: Path
) -> None:
    image = _image(64, 64)
    config = official_config("0.5B", layers=1, vocab_size=512)
    folder = make_random_checkpoint(tmp_path / "whole", config)
    saved = save_quantised(folder, tmp_path / "saved", quantization)
    again = Moondream.from_pretrained(saved, device="cpu")
    fresh = Moondream.from_pretrained(folder, quantization=quantization, device="cpu")
    settings = {"max_tokens": 3, "temperature": 0}
    assert again.query(image, "?", settings=settings) == fresh.query(image, "?", settings=settings)


@pytest.mark.skipif(not measured_cpu(), reason="Another kind of CPU than was measured.")
@pytest.mark.parametrize(
    ("quantization", "fast", "loaded"),
    [(None, PackedLinear, "Linear"), ("int8", Int8Linear, "Linear8bitLt"), ("nf4", Nf4Linear, "Linear4bit")],
)  # fmt: skip
def test_the_fastest_are_taken_here_and_can_be_left(
    tiny_folder: Path, quantization: Any, fast: type, loaded: str
) -> None:
    model = Moondream.from_pretrained(tiny_folder, quantization=quantization, device="cpu")
    assert isinstance(model.model.vision.blocks[0].mlp.fc1, fast)
    assert type(model.model.text.lm_head).__name__ == "PackedLinear"
    kept, _ = load(
        tiny_folder, quantization=quantization, device=torch.device("cpu"), dtype=torch.bfloat16,
        kernels="loaded",
    )  # fmt: skip
    assert type(kept.vision.blocks[0].mlp.fc1).__name__ == loaded


@pytest.mark.parametrize("shape", [(3, 5), (1, 1), (720, 2690), (64, 64), (4304, 1152), (33, 67)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_weights_are_rounded_to_the_nearest_of_16_levels(
    shape: tuple[int, int], dtype: torch.dtype
) -> None:
    weight = _weights(*shape).to(dtype)
    packed, largest = quantize_4bit(weight, 64, "nf4", torch.uint8)
    flat = weight.float().flatten()
    blocks = torch.nn.functional.pad(flat, (0, -len(flat) % 64)).view(-1, 64)
    assert torch.equal(largest, blocks.abs().amax(1))
    assert packed.shape == ((len(flat) + 1) // 2, 1)
    numbers = torch.stack((packed[:, 0] >> 4, packed[:, 0] & 15), dim=1).flatten()[: len(flat)]
    scaled = (blocks / largest[:, None]).flatten()[: len(flat)]
    distance = (scaled - LEVELS[numbers.long()]).abs()
    nearest = (scaled[:, None] - LEVELS).abs().amin(1)
    assert torch.allclose(distance, nearest, atol=1e-4)  # levels to four places


@pytest.mark.parametrize("quant_type", ["nf4", "fp4"])
@pytest.mark.parametrize("count", [64 * 5000 + 7, 1 << 19, 33, 1])
def test_rounding_to_4_bits_is_bitsandbytes_own(quant_type: str, count: int) -> None:
    """The same bytes as by its kernel for any device, which goes by `torch.bucketize`."""
    from bitsandbytes.backends.default.ops import _get_4bit_quantize_bounds

    weight = torch.randn(count, generator=torch.Generator().manual_seed(count))
    weight[: count // 3] = 0
    packed, largest = quantize_4bit(weight, 64, quant_type, torch.uint8)
    bounds, order = _get_4bit_quantize_bounds(quant_type, weight.device)
    blocks = torch.nn.functional.pad(weight, (0, -count % 64)).view(-1, 64)
    scaled = blocks * (1 / blocks.abs().amax(1).clamp(min=1e-38))[:, None]
    numbers = torch.bucketize(scaled.flatten()[: count + count % 2].clamp(-1, 1), bounds)
    numbers = (numbers if quant_type == "nf4" else order[numbers]).to(torch.uint8)
    assert torch.equal(packed[:, 0], (numbers[::2] << 4) | numbers[1::2])
    assert torch.equal(largest, blocks.abs().amax(1))


def test_packed_weights_are_the_same_in_a_state_dict() -> None:
    layer = nn.Linear(67, 33, dtype=torch.bfloat16)
    packed = PackedLinear(layer)
    state = packed.state_dict()
    assert state.keys() == layer.state_dict().keys()
    assert all(torch.equal(state[name], value) for name, value in layer.state_dict().items())
