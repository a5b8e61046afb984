"""Sizes and token ids of a Moondream-architecture model.

Field names are upstream's (`moondream/torch/config.py` of github.com/vikhyat/moondream, 2025-06-19),
so an upstream JSON can be read as it is. Defaults are Moondream2, 2B, release 2025-06-21.
"""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from transformers import PreTrainedConfig


@dataclass(frozen=True, slots=True)
class TextConfig:
    """The decoder: Phi-1.5-style blocks, parallel attention and MLP on one LayerNorm."""

    dim: int = 2048
    ff_dim: int = 8192
    n_layers: int = 24
    vocab_size: int = 51200
    max_context: int = 2048
    n_heads: int = 32
    n_kv_heads: int | None = None
    """None means `n_heads`. (Upstream defaults to 32, which breaks its own 0.5B config.)"""
    prefix_attn: int = 730
    rope_theta: float = 10000.0

    @property
    def kv_heads(self) -> int:
        return self.n_kv_heads or self.n_heads

    @property
    def head_dim(self) -> int:
        return self.dim // self.n_heads

    @property
    def rot_dim(self) -> int:
        """Rotary dimensions of each head: the first half."""
        return self.head_dim // 2


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """The SigLIP-style encoder and the projector."""

    enc_dim: int = 1152
    enc_patch_size: int = 14
    enc_n_layers: int = 27
    enc_ff_dim: int = 4304
    enc_n_heads: int = 16
    proj_out_dim: int = 2048
    crop_size: int = 378
    in_channels: int = 3
    max_crops: int = 12
    overlap_margin: int = 4
    proj_inner_dim: int = 8192

    @property
    def grid(self) -> int:
        """Patches along one side of a crop."""
        return self.crop_size // self.enc_patch_size

    @property
    def tokens(self) -> int:
        """Image tokens the decoder sees."""
        return self.grid**2


@dataclass(frozen=True, slots=True)
class RegionConfig:
    """Heads that turn hidden states into coordinates and sizes, and back."""

    dim: int = 2048
    coord_feat_dim: int = 256
    coord_out_dim: int = 1024
    size_feat_dim: int = 512
    size_out_dim: int = 2048
    inner_dim: int = 8192

    @property
    def size_bins(self) -> int:
        return self.size_out_dim // 2

    def size_exponent(self, bins: Any) -> Any:
        """Of two, that gives a bin's width or height: sizes are 1/1024 … 1 on a log scale. Takes numbers
        and tensors."""
        return bins / (self.size_bins - 1) * 10 - 10


def _moondream2_templates() -> dict[str, Any]:
    return {
        "caption": {
            "short": [1, 32708, 2, 12492, 3],
            "normal": [1, 32708, 2, 6382, 3],
            "long": [1, 32708, 2, 4059, 3],
        },
        # The answer token stands twice: the released weights were trained with it.
        "query": {"prefix": [1, 15381, 2], "suffix": [3, 3]},
        "detect": {"prefix": [1, 7235, 476, 2], "suffix": [3]},
        "point": {"prefix": [1, 2581, 2], "suffix": [3]},
    }


@dataclass(frozen=True, slots=True)
class TokenizerConfig:
    """Special ids and the prompt of each skill."""

    bos_id: int = 0
    eos_id: int = 0
    answer_id: int | None = 3
    """None in tokenizers before 2025-06-21, which have no such token."""
    thinking_id: int | None = 4
    coord_id: int = 5
    size_id: int = 6
    start_ground_points_id: int = 7
    end_ground_id: int = 9
    question_space: bool = False
    """Questions are encoded with a leading space (tokenizers before 2025-06-21)."""
    object_space: bool = True
    templates: dict[str, Any] = field(default_factory=_moondream2_templates)


@dataclass(frozen=True, slots=True)
class Sections:
    """All of a config, typed."""

    text: TextConfig
    vision: VisionConfig
    region: RegionConfig
    tokenizer: TokenizerConfig


_Section = TypeVar("_Section", TextConfig, VisionConfig, RegionConfig, TokenizerConfig)


def _read(section: type[_Section], values: dict[str, Any] | None) -> _Section:
    known = {f.name for f in fields(section)}
    return section(**{k: v for k, v in (values or {}).items() if k in known})


class MoondreamConfig(PreTrainedConfig):  # type: ignore[misc]  # transformers' base is untyped here
    """`config.json` of a model folder: sections `text`, `vision`, `region`, `tokenizer`.

    They are kept as plain dicts (that is what the file holds); `.sections` gives them typed, with
    defaults filled in. `lacks` names abilities the weights were not trained for ("text_only",
    "reasoning"): asking for one is refused instead of answered with noise.
    """

    model_type = "moondream_hub"

    def __init__(
        self,
        text: dict[str, Any] | None = None,
        vision: dict[str, Any] | None = None,
        region: dict[str, Any] | None = None,
        tokenizer: dict[str, Any] | None = None,
        name: str = "moondream",
        revision: str = "",
        lacks: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.text = asdict(_read(TextConfig, text))
        self.vision = asdict(_read(VisionConfig, vision))
        self.region = asdict(_read(RegionConfig, region))
        self.tokenizer = asdict(_read(TokenizerConfig, tokenizer))
        self.name = name
        self.revision = revision
        self.lacks = list(lacks or ())
        super().__init__(**kwargs)
        self._check()

    @property
    def sections(self) -> Sections:
        """The four sections, typed."""
        return Sections(
            _read(TextConfig, self.text),
            _read(VisionConfig, self.vision),
            _read(RegionConfig, self.region),
            _read(TokenizerConfig, self.tokenizer),
        )

    def _check(self) -> None:
        text, vision, region = self.sections.text, self.sections.vision, self.sections.region
        problems = []
        if text.prefix_attn != vision.tokens + 1:
            problems.append(f"text.prefix_attn must be {vision.tokens + 1} (BOS + image tokens)")
        if not text.dim == vision.proj_out_dim == region.dim:
            problems.append("text.dim, vision.proj_out_dim and region.dim must be equal")
        if vision.crop_size % vision.enc_patch_size:
            problems.append("vision.crop_size must be a multiple of vision.enc_patch_size")
        if vision.overlap_margin * 2 >= vision.grid:
            problems.append("vision.overlap_margin leaves no window")
        if text.dim % text.n_heads or vision.enc_dim % vision.enc_n_heads:
            problems.append("widths must be multiples of their head counts")
        if not math.log2(region.coord_out_dim).is_integer():
            problems.append("region.coord_out_dim must be a power of two")
        if problems:
            raise ValueError("Bad model config: " + "; ".join(problems) + ".")
