"""A random model of the real architecture, small enough for tests."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn

from inference.engine.config import MoondreamConfig
from inference.engine.model import MoondreamForVision, tensor_shapes

if TYPE_CHECKING:
    from inference.engine.moondream import Moondream

_SPECIALS = [f"<|{i}|>" for i in range(32)]


def tiny_config(*, max_crops: int = 4, n_kv_heads: int | None = None) -> MoondreamConfig:
    """Every part of the architecture at its smallest; widths stay multiples of 64."""
    return MoondreamConfig(
        name="moondream-tiny-random",
        revision="test",
        lacks=["reasoning"],
        text={
            "dim": 64, "ff_dim": 128, "n_layers": 2, "vocab_size": 320, "n_heads": 4,
            "n_kv_heads": n_kv_heads, "max_context": 256, "prefix_attn": 37,
        },
        vision={
            "enc_dim": 64, "enc_patch_size": 8, "enc_n_layers": 2, "enc_ff_dim": 128,
            "enc_n_heads": 4, "proj_out_dim": 64, "crop_size": 48, "max_crops": max_crops,
            "overlap_margin": 1, "proj_inner_dim": 128,
        },
        region={
            "dim": 64, "coord_feat_dim": 64, "coord_out_dim": 1024, "size_feat_dim": 64,
            "size_out_dim": 2048, "inner_dim": 64,
        },
        tokenizer={
            "thinking_id": None,
            "templates": {
                "caption": {"short": [1, 10, 2, 11, 3], "normal": [1, 10, 2, 12, 3],
                            "long": [1, 10, 2, 13, 3]},
                "query": {"prefix": [1, 14, 2], "suffix": [3]},
                "detect": {"prefix": [1, 15, 2], "suffix": [3]},
                "point": {"prefix": [1, 16, 2], "suffix": [3]},
            },
        },
    )  # fmt: skip


def official_config(
    size: Literal["2B", "0.5B"], *, layers: int | None = None, vocab_size: int = 51200
) -> MoondreamConfig:
    """The vendor's sizes, with the release's prompts.

    Args:
        layers: of the vision tower and of the decoder each; None = the vendor's 27 and 24.
        vocab_size: below 32768 the prompts' words have no embedding: give them others.
    """
    text: dict[str, Any] = {"vocab_size": vocab_size}
    vision: dict[str, Any] = {}
    region: dict[str, Any] = {}
    if size == "0.5B":
        text |= {"dim": 1024, "ff_dim": 4096, "n_heads": 16, "n_kv_heads": 16}
        vision |= {"enc_dim": 720, "enc_ff_dim": 2690, "enc_n_heads": 10, "proj_out_dim": 1024}
        region |= {"dim": 1024}
    if layers is not None:
        text["n_layers"] = vision["enc_n_layers"] = layers
    small = vocab_size < 32768
    return MoondreamConfig(
        name=f"moondream-{size}-random", revision="test", text=text, vision=vision, region=region,
        tokenizer=tiny_config().tokenizer if small else None,
    )  # fmt: skip


def byte_tokenizer() -> Tokenizer:
    """One token per byte, after 32 special ones."""
    symbols = [*_SPECIALS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={s: i for i, s in enumerate(symbols)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(_SPECIALS)
    return tokenizer


def make_tiny_checkpoint(
    folder: str | Path, *, seed: int = 0, config: MoondreamConfig | None = None
) -> Path:
    """Write a model folder with random weights; its answers are noise, its mechanics are real."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model = MoondreamForVision(config or tiny_config())
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.15)
    save_file(model.state_dict(), target / "model.safetensors", metadata={"format": "pt"})
    model.config.to_json_file(target / "config.json", use_diff=False)
    byte_tokenizer().save(str(target / "tokenizer.json"))
    return target


def make_random_checkpoint(folder: str | Path, config: MoondreamConfig, *, seed: int = 0) -> Path:
    """Write a bf16 model folder of any size with random weights, a tensor at a time in memory twice."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    random = torch.Generator().manual_seed(seed)

    def tensor(name: str, shape: tuple[int, ...]) -> torch.Tensor:
        if len(shape) == 1 and name.endswith("weight"):  # norms
            return torch.ones(shape, dtype=torch.bfloat16)
        made = torch.empty(shape, dtype=torch.bfloat16)
        return made.normal_(std=0.02, generator=random)

    tensors = {name: tensor(name, shape) for name, shape in tensor_shapes(config).items()}
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    config.to_json_file(target / "config.json", use_diff=False)
    byte_tokenizer().save(str(target / "tokenizer.json"))
    return target


def linear_as_loaded(
    weight: torch.Tensor,
    quantization: str | None,
    bias: torch.Tensor | None = None,
    dtype: torch.dtype = torch.bfloat16,
) -> nn.Module:
    """A Linear with this (out, in) weight as `checkpoint.load` has it before `kernels.adopt`."""
    import bitsandbytes

    kinds: Any = bitsandbytes.nn
    rows, columns = weight.shape
    has_bias = bias is not None
    layer: Any
    if quantization == "int8":
        layer = kinds.Linear8bitLt(
            columns, rows, bias=has_bias, has_fp16_weights=False, threshold=6.0
        )
        layer.weight = kinds.Int8Params(weight, requires_grad=False, has_fp16_weights=False)
    elif quantization == "nf4":
        layer = kinds.Linear4bit(
            columns, rows, bias=has_bias, compute_dtype=dtype, quant_type="nf4"
        )
        layer.weight = kinds.Params4bit(weight, requires_grad=False, quant_type="nf4")
    else:
        layer = nn.Linear(columns, rows, bias=has_bias, dtype=dtype)
        layer.weight.data = weight.to(dtype)
    if bias is not None:
        layer.bias.data = bias.to(dtype)
    made: nn.Module = layer.to("cpu").eval().requires_grad_(requires_grad=False)
    return made


def plain_phi(model: "Moondream") -> Any:
    """The decoder as transformers has it (Phi), with our weights: an independent implementation."""
    from transformers import PhiConfig, PhiForCausalLM

    text = model.sections.text
    made: Any = PhiForCausalLM(
        PhiConfig(
            vocab_size=text.vocab_size, hidden_size=text.dim, intermediate_size=text.ff_dim,
            num_hidden_layers=text.n_layers, num_attention_heads=text.n_heads,
            num_key_value_heads=text.kv_heads, layer_norm_eps=1e-5,
            hidden_act="gelu_new", max_position_embeddings=text.max_context,
            tie_word_embeddings=False,
            rope_parameters={"rope_type": "default", "rope_theta": text.rope_theta, "partial_rotary_factor": 0.5},
        )
    )  # fmt: skip
    phi = made.to(model.dtype).eval()
    mine = model.model.text.state_dict()
    state = {
        "model.embed_tokens.weight": mine["wte"],
        "model.final_layernorm.weight": mine["post_ln.weight"],
        "model.final_layernorm.bias": mine["post_ln.bias"],
        "lm_head.weight": mine["lm_head.weight"],
        "lm_head.bias": mine["lm_head.bias"],
    }
    q_rows, kv_rows = text.dim, text.kv_heads * text.head_dim
    for layer in range(text.n_layers):
        ours, theirs = f"blocks.{layer}", f"model.layers.{layer}"
        for kind in ("weight", "bias"):
            split = mine[f"{ours}.attn.qkv.{kind}"].split((q_rows, kv_rows, kv_rows))
            for name, part in zip("qkv", split, strict=True):
                state[f"{theirs}.self_attn.{name}_proj.{kind}"] = part
            state[f"{theirs}.self_attn.dense.{kind}"] = mine[f"{ours}.attn.proj.{kind}"]
            state[f"{theirs}.input_layernorm.{kind}"] = mine[f"{ours}.ln.{kind}"]
            for name in ("fc1", "fc2"):
                state[f"{theirs}.mlp.{name}.{kind}"] = mine[f"{ours}.mlp.{name}.{kind}"]
    phi.load_state_dict(state)
    return phi
