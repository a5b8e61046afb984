"""The architecture against facts and equations that do not come from this code."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inference.engine import Moondream
from inference.engine.config import MoondreamConfig, TextConfig, VisionConfig
from inference.engine.crops import image_tiling, make_crops, normalise, reconstruct, stitch
from inference.engine.layers import Attention, Region, fourier, rotary, rotate
from inference.engine.model import MoondreamForVision
from inference.engine.testing import make_tiny_checkpoint, plain_phi, tiny_config


@pytest.mark.parametrize(
    ("size", "tiling"),
    [
        ((224, 224), (1, 1)), ((378, 378), (1, 1)), ((640, 480), (2, 4)), ((800, 600), (2, 4)),
        ((1024, 768), (3, 4)), ((1280, 720), (2, 4)), ((1920, 1080), (2, 4)),
        ((4032, 3024), (2, 4)), ((1000, 300), (1, 1)), ((3000, 400), (1, 8)), ((512, 2048), (6, 1)),
    ],
)  # fmt: skip
def test_tiling_table_of_the_release(size: tuple[int, int], tiling: tuple[int, int]) -> None:
    assert image_tiling(size, VisionConfig()) == tiling


def test_default_config_has_the_release_s_tensors() -> None:
    with torch.device("meta"):
        model = MoondreamForVision(MoondreamConfig())
    state = model.state_dict()
    assert len(state) == 592
    assert sum(t.numel() for t in state.values()) == 1_927_237_104
    assert state["model.vision.patch_emb.weight"].shape == (1152, 588)
    assert state["model.vision.pos_emb"].shape == (1, 729, 1152)
    assert state["model.text.wte"].shape == (51200, 2048)
    assert state["model.text.blocks.23.attn.qkv.weight"].shape == (6144, 2048)
    assert state["model.region.size_features"].shape == (2, 256)
    assert state["model.region.coord_decoder.fc2.weight"].shape == (1024, 8192)


def test_half_billion_config_has_its_parameters() -> None:
    config = MoondreamConfig(
        text={"dim": 1024, "ff_dim": 4096, "n_heads": 16, "n_kv_heads": 16},
        vision={
            "enc_dim": 720, "enc_ff_dim": 2690, "enc_n_heads": 10, "proj_out_dim": 1024,
        },
        region={"dim": 1024},
    )  # fmt: skip
    with torch.device("meta"):
        model = MoondreamForVision(config)
    assert sum(p.numel() for p in model.parameters()) == 631_889_382


def test_bad_config_names_every_problem() -> None:
    with pytest.raises(ValueError, match="prefix_attn must be 730") as caught:
        MoondreamConfig(text={"prefix_attn": 7}, region={"dim": 8})
    assert "must be equal" in str(caught.value)


def test_stitching_keeps_outer_margins_and_drops_inner_seams() -> None:
    # Every feature is its own place on the big grid: tiles overlap by twice the margin.
    grid, margin, rows, cols = 6, 1, 2, 3
    step = grid - 2 * margin
    tiles = torch.stack(
        [
            torch.stack(
                torch.meshgrid(
                    torch.arange(grid) + i * step, torch.arange(grid) + j * step, indexing="ij"
                ),
                dim=-1,
            )
            for i in range(rows)
            for j in range(cols)
        ]
    )
    joined = stitch(tiles, (rows, cols), margin)
    assert joined.shape == (rows * step + 2 * margin, cols * step + 2 * margin, 2)
    expected = torch.stack(
        torch.meshgrid(torch.arange(joined.shape[0]), torch.arange(joined.shape[1]), indexing="ij"),
        dim=-1,
    )
    assert torch.equal(joined, expected)


def test_release_s_stitched_size() -> None:
    features = torch.zeros(8, 27, 27, 3)
    assert stitch(features, (2, 4), 4).shape == (46, 84, 3)


def test_crops_cut_the_resized_image() -> None:
    config = tiny_config().sections.vision
    image = Image.effect_noise((200, 120), 60).convert("RGB")
    crops = make_crops(image, config)
    rows, cols = crops.tiling
    assert rows * cols > 1
    assert crops.pixels.shape == (1 + rows * cols, 48, 48, 3)
    window = (6 - 2) * 8
    whole = image.resize((cols * window + 16, rows * window + 16), Image.Resampling.LANCZOS)
    left = (cols - 1) * window
    last = np.asarray(whole)[(rows - 1) * window :, left:]
    assert np.array_equal(crops.pixels[-1], last[:48, :48])


def test_one_tile_gives_the_global_features_twice() -> None:
    config = tiny_config().sections.vision
    features = torch.randn(1, config.tokens, 64)
    assert torch.allclose(reconstruct(features, (1, 1), config), features[0], atol=1e-6)


def test_pixels_are_normalised_in_the_model_s_own_precision() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    out = normalise(pixels, torch.bfloat16, torch.device("cpu"))
    step = torch.tensor(pixels[0, 1, 2, 1]).to(torch.bfloat16)
    for operation in (lambda v: v / 255, lambda v: v - 0.5, lambda v: v / 0.5):
        step = operation(step).to(torch.bfloat16)
    assert out[0, 1, 1, 2] == step
    assert out.shape == (1, 3, 4, 4)


def test_rotary_turns_pairs_by_position_times_frequency() -> None:
    config = TextConfig()
    x = torch.randn(1, 1, 3, 64, dtype=torch.float64)
    positions = torch.tensor([0, 5, 731])
    cos, sin = rotary(positions, config)
    turned = rotate(x.float(), cos, sin)
    for t, position in enumerate(positions.tolist()):
        for pair in (0, 3, 15):
            angle = position * 10000 ** (-2 * pair / 32)
            a, b = x[0, 0, t, pair].item(), x[0, 0, t, pair + 16].item()
            assert turned[0, 0, t, pair].item() == pytest.approx(
                a * math.cos(angle) - b * math.sin(angle), abs=2e-4
            )
            assert turned[0, 0, t, pair + 16].item() == pytest.approx(
                a * math.sin(angle) + b * math.cos(angle), abs=2e-4
            )
    assert torch.equal(turned[..., 32:], x.float()[..., 32:])


def test_region_bins_decode_as_published() -> None:
    region = Region(MoondreamConfig().sections.region)
    assert region.coord_value(torch.tensor([0, 512, 1023])).tolist() == pytest.approx(
        [0, 0.5, 1023 / 1024]
    )
    sizes = region.size_value(torch.tensor([0.0, 1023.0, 511.5]))
    assert sizes.tolist() == pytest.approx([2**-10, 1.0, 2**-5])
    bins = torch.arange(0, 1024, 37)
    assert torch.equal(region.size_bin(region.size_value(bins)), bins)
    assert torch.equal(region.coord_bin(region.coord_value(bins)), bins)


def test_fourier_features_are_cosines_then_sines() -> None:
    features = torch.tensor([[1.0, 2.0]])
    out = fourier(torch.tensor([0.125]), features)
    angle = math.tau * 0.125
    expected = [math.cos(angle), math.cos(2 * angle), math.sin(angle), math.sin(2 * angle)]
    assert out.tolist() == pytest.approx(expected, abs=1e-6)


def _reference_text(model: MoondreamForVision, embeds: torch.Tensor, prefix: int) -> torch.Tensor:
    """The decoder of section 4, written out in float64 with an explicit mask and heads."""
    config = model.config.sections.text
    x = embeds.double()
    length = x.shape[0]
    allowed = torch.tril(torch.ones(length, length, dtype=torch.bool))
    allowed[:prefix, :prefix] = True

    def norm(v: torch.Tensor, layer: torch.nn.Module) -> torch.Tensor:
        mean = v.mean(-1, keepdim=True)
        var = ((v - mean) ** 2).mean(-1, keepdim=True)
        return (v - mean) / (var + 1e-5).sqrt() * layer.weight.double() + layer.bias.double()

    def linear(v: torch.Tensor, layer: torch.nn.Module) -> torch.Tensor:
        return v @ layer.weight.double().T + layer.bias.double()

    def gelu(v: torch.Tensor) -> torch.Tensor:
        return 0.5 * v * (1 + torch.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)))

    def turn(v: torch.Tensor) -> torch.Tensor:
        half = config.rot_dim // 2
        out = v.clone()
        for position in range(length):
            for pair in range(half):
                angle = position * 10000 ** (-2 * pair / config.rot_dim)
                a, b = v[position, pair], v[position, pair + half]
                out[position, pair] = a * math.cos(angle) - b * math.sin(angle)
                out[position, pair + half] = a * math.sin(angle) + b * math.cos(angle)
        return out

    for block in model.text.blocks:
        y = norm(x, block.ln)
        qkv = linear(y, block.attn.qkv)
        heads = []
        for h in range(config.n_heads):
            group = h * config.kv_heads // config.n_heads
            d = config.head_dim
            q = turn(qkv[:, h * d : (h + 1) * d])
            at = config.n_heads * d + group * d
            k = turn(qkv[:, at : at + d])
            at += config.kv_heads * d
            v = qkv[:, at : at + d]
            scores = (q @ k.T) / math.sqrt(d)
            scores[~allowed] = -math.inf
            heads.append(scores.softmax(-1) @ v)
        attended = linear(torch.cat(heads, dim=-1), block.attn.proj)
        x = x + attended + linear(gelu(linear(y, block.mlp.fc1)), block.mlp.fc2)
    return x


@pytest.mark.parametrize("kv_heads", [None, 2])
def test_prefix_and_cached_decoding_equal_the_written_out_equations(kv_heads: int | None) -> None:
    torch.manual_seed(3)
    config = tiny_config(n_kv_heads=kv_heads)
    model = MoondreamForVision(config).float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.15)
        image = torch.randn(1, config.sections.vision.tokens, 64)
        ids = torch.tensor([[1, 14, 2, 40, 41, 42]])
        cache = model.prefix(image).fork(16)
        hidden = [model.prefill(model.text.embed(ids[:, :4]), cache)]
        hidden += [model.prefill(model.text.embed(ids[:, t : t + 1]), cache) for t in (4, 5)]
        bos = model.text.embed(torch.zeros(1, dtype=torch.long))
        embeds = torch.cat((bos, image[0], model.text.embed(ids[0])))
        expected = _reference_text(model, embeds, config.sections.text.prefix_attn)
    for offset, got in zip((-3, -2, -1), hidden, strict=True):
        assert torch.allclose(got[0].double(), expected[offset], atol=2e-4)


def test_a_forked_cache_leaves_the_encoded_image_alone() -> None:
    model = MoondreamForVision(tiny_config()).eval()
    with torch.no_grad():
        prefix = model.prefix(torch.randn(1, 36, 64))
        before = prefix.keys.clone()
        fork = prefix.fork(4)
        model.prefill(torch.randn(1, 3, 64), fork)
    assert prefix.length == 37
    assert fork.length == 40
    assert torch.equal(prefix.keys, before)


@pytest.mark.parametrize("kv_heads", [None, 2])
def test_the_decoder_equals_transformers_phi(tmp_path: Path, kv_heads: int | None) -> None:
    """Moondream's decoder is Phi's; transformers' own, with the same weights, is the reference."""
    folder = make_tiny_checkpoint(tmp_path, config=tiny_config(n_kv_heads=kv_heads))
    model = Moondream.from_pretrained(folder, dtype="float32", device="cpu")
    embeds = torch.randn(2, 19, model.sections.text.dim, generator=torch.Generator().manual_seed(1))
    causal = torch.ones(19, 19, dtype=torch.bool).tril()
    with torch.no_grad():
        text = model.model.text
        mine = text.logits(text(embeds, torch.arange(19), causal))
        theirs = plain_phi(model)(inputs_embeds=embeds).logits
    assert torch.allclose(mine, theirs, atol=1e-4)


@pytest.mark.parametrize("kv_heads", [8, 2, 1])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_of_one_token_in_bf16_is_the_softmax(kv_heads: int, *, masked: bool) -> None:
    random = torch.Generator().manual_seed(kv_heads)
    attention = Attention(64, 8, kv_heads)
    q = torch.randn(3, 8, 1, 8, generator=random).bfloat16()
    k, v = torch.randn(2, 3, kv_heads, 40, 8, generator=random).bfloat16()
    mask = torch.rand(3, 1, 1, 40, generator=random) < 0.7 if masked else None
    attention.proj = torch.nn.Identity()  # type: ignore[assignment]
    seen = attention.attend(q, k, v, mask).double()
    for row in range(3):
        for head in range(8):
            of = head * kv_heads // 8
            scores = k[row, of].double() @ q[row, head, 0].double() / 8**0.5
            if mask is not None:
                scores[~mask[row, 0, 0]] = -torch.inf
            expected = scores.softmax(0) @ v[row, of].double()
            assert torch.allclose(seen[row, 0, head * 8 : head * 8 + 8], expected, atol=0.01)
