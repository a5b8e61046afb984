"""The network as a transformers model."""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from inference.engine.config import MoondreamConfig
from inference.engine.crops import Crops, Tiling, normalise, reconstruct
from inference.engine.layers import KVCache, Region, SlotCache, Text, Vision

HIGH_PRECISION = (
    "model.vision.patch_emb",
    "model.vision.proj_mlp",
    "model.text.lm_head",
    "model.region",
)
"""Modules that quantisation leaves alone: heads whose errors show directly in an answer, the
projector all image tokens pass through, and the patch embedding, whose input width need not be a
multiple of the 4-bit kernels' 64."""


class MoondreamNetwork(nn.Module):
    """The three parts under the official tensor names (`vision.…`, `text.…`, `region.…`)."""

    def __init__(self, config: MoondreamConfig) -> None:
        super().__init__()
        self.vision = Vision(config.sections.vision)
        self.text = Text(config.sections.text)
        self.region = Region(config.sections.region)


class MoondreamForVision(PreTrainedModel):  # type: ignore[misc]  # untyped upstream
    """Moondream2's architecture at any size. Parameters are named as in the official files:
    `model.vision.…`, `model.text.…`, `model.region.…`.
    """

    config_class = MoondreamConfig
    base_model_prefix = "model"
    main_input_name = "pixels"
    _no_split_modules = ["VisionBlock", "TextBlock"]
    _supports_sdpa = True

    def __init__(self, config: MoondreamConfig) -> None:
        super().__init__(config)
        self.model = MoondreamNetwork(config)
        self.post_init()

    @property
    def vision(self) -> Vision:
        return self.model.vision

    @property
    def text(self) -> Text:
        return self.model.text

    @property
    def region(self) -> Region:
        return self.model.region

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, Vision):
            nn.init.normal_(module.pos_emb, std=0.02)
        elif isinstance(module, Text):
            nn.init.normal_(module.wte, std=0.02)
        elif isinstance(module, Region):
            nn.init.normal_(module.coord_features, std=1.0)
            nn.init.normal_(module.size_features, std=1.0)

    def get_input_embeddings(self) -> None:  # type: ignore[override]
        """The embedding table is a bare parameter (`text.wte`), not a module."""
        return

    def image_tokens(self, crops: Crops) -> torch.Tensor:
        """Crops of one image → (tokens, dim) image embeddings."""
        weight = self.vision.pos_emb
        return self.join_crops(
            self.vision(normalise(crops.pixels, weight.dtype, weight.device)), crops.tiling
        )

    def join_crops(self, features: torch.Tensor, tiling: Tiling) -> torch.Tensor:
        """(1 + tiles, tokens, enc_dim) features of one image's crops → (tokens, dim)."""
        whole = features[0]
        # With one tile the local features are the global ones, and pooling onto the same grid
        # changes nothing: the second pass is saved.
        local = (
            whole
            if tiling == (1, 1)
            else reconstruct(features[1:], tiling, self.config.sections.vision)
        )
        return self.vision.project(whole, local)

    def prefix(self, image_tokens: torch.Tensor) -> KVCache:
        """(B, tokens, dim) image embeddings → cache of BOS and the image, attending both ways."""
        config = self.config.sections.text
        batch, device = image_tokens.shape[0], image_tokens.device
        bos = torch.full((batch, 1), self.config.sections.tokenizer.bos_id, device=device)
        embeds = torch.cat((self.text.embed(bos).to(image_tokens.dtype), image_tokens), dim=1)
        cache = KVCache(
            config, embeds.shape[1], batch=batch, dtype=embeds.dtype, device=embeds.device
        )
        self.text(embeds, torch.arange(embeds.shape[1], device=device), None, cache)
        return cache

    def prefill(self, embeds: torch.Tensor, cache: KVCache) -> torch.Tensor:
        """Append a prompt, (B, T, dim), causally after all that is cached → hidden of its last
        token, (B, dim)."""
        start, length = cache.length, embeds.shape[1]
        positions = torch.arange(start, start + length, device=embeds.device)
        mask = None
        if length > 1:
            keys = torch.arange(start + length, device=embeds.device)
            mask = keys[None, :] <= positions[:, None]
        return self.text(embeds, positions, mask, cache)[:, -1]

    def step(
        self,
        embeds: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        position: torch.Tensor,
    ) -> torch.Tensor:
        """As `prefill` for one token, (B, 1, dim), over all slots of a cache: its shapes are the
        same at every length. Slots after `position`, (1,), must hold finite numbers."""
        seen = torch.arange(keys.shape[3], device=keys.device)[None, :] <= position
        return self.text(embeds, position, seen, SlotCache(keys, values, position))[:, -1]

    def forward(
        self,
        embeds: torch.Tensor,
        positions: torch.Tensor,
        mask: torch.Tensor | None = None,
        **_: Any,
    ) -> torch.Tensor:
        """One pass without a cache, as training uses it; see `Text.forward`."""
        return self.text(embeds, positions, mask)


def tensor_shapes(config: Any) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of the full-precision network; nothing is allocated."""
    with torch.device("meta"):
        state = MoondreamForVision(config).state_dict()
    return {name: tuple(value.shape) for name, value in state.items()}
