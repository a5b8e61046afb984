"""The network's parts. Every Linear is called as a module, so that quantised layers and adapters
can take its place (upstream's vision attention passes `.weight` to the functional op, on which
bitsandbytes fails)."""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional as F

from inference.engine.config import RegionConfig, TextConfig, VisionConfig

LAYER_NORM_EPS = 1e-5


def gelu(x: torch.Tensor) -> torch.Tensor:
    """GELU, tanh approximation: everywhere in this architecture, region decoders included."""
    return F.gelu(x, approximate="tanh")


class MLP(nn.Module):
    """Linear → GELU(tanh) → Linear."""

    def __init__(self, dim: int, inner: int, out: int | None = None) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, inner)
        self.fc2 = nn.Linear(inner, out or dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(gelu(self.fc1(x)))


class Attention(nn.Module):
    """Projections of one attention; rows of `qkv` are plain thirds Q|K|V, heads contiguous."""

    def __init__(self, dim: int, n_heads: int, n_kv_heads: int | None = None) -> None:
        super().__init__()
        self.n_heads, self.n_kv_heads = n_heads, n_kv_heads or n_heads
        self.head_dim = dim // n_heads
        self.qkv = nn.Linear(dim, (n_heads + 2 * self.n_kv_heads) * self.head_dim)
        self.proj = nn.Linear(dim, dim)

    def split(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(B, T, dim) → q (B, heads, T, head_dim), k and v (B, kv_heads, T, head_dim)."""
        q_width, kv_width = self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim
        q, k, v = self.qkv(x).split((q_width, kv_width, kv_width), dim=-1)
        return (
            q.unflatten(-1, (self.n_heads, self.head_dim)).transpose(1, 2),
            k.unflatten(-1, (self.n_kv_heads, self.head_dim)).transpose(1, 2),
            v.unflatten(-1, (self.n_kv_heads, self.head_dim)).transpose(1, 2),
        )

    def split_rotated(
        self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """As `split`, with q and k turned by their positions, in one go."""
        heads = (self.n_heads, self.n_kv_heads)
        rows = self.qkv(x).unflatten(-1, (sum(heads) + self.n_kv_heads, self.head_dim))
        rows = rows.transpose(1, 2)
        q, k = rotate(rows[:, : sum(heads)], cos, sin).split(heads, dim=1)
        return q, k, rows[:, sum(heads) :]

    def attend(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Scaled dot-product attention, then `proj`: → (B, T, dim)."""
        if mask is not None and q.requires_grad and q.device.type == "cpu":
            out = _masked_attention(q, k, v, mask)
        elif q.shape[2] == 1 and q.dtype == torch.bfloat16 and q.device.type == "cpu":
            out = _attention_of_one(q, k, v, mask)
        else:
            out = F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, enable_gqa=self.n_kv_heads != self.n_heads
            )
        return self.proj(out.transpose(1, 2).flatten(2))


def _masked_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """`scaled_dot_product_attention` written out, for training on a CPU: torch's own backward pass
    under a mask takes about twice as long there.

    Args:
        mask: bool, broadcast to (B, H, T, S); True may be seen.
    """
    if k.shape[1] != q.shape[1]:
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    bias = torch.zeros((), dtype=q.dtype).where(mask, -1e9)
    return ((q * q.shape[-1] ** -0.5) @ k.mT + bias).softmax(-1) @ v


def _attention_of_one(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """`scaled_dot_product_attention` of one query each, (B, H, 1, d), written out in fp32: in bf16
    torch's own takes five times as long on a CPU (2.1 against 0.4 ms for 32 heads and 760 keys).

    Args:
        k, v: (B, kv heads, S, d); the queries of a group of heads are rows of one product.
        mask: bool, broadcast to (B, 1, 1, S); True may be seen.
    """
    rows = q.float().unflatten(1, (k.shape[1], -1)).squeeze(3) * q.shape[-1] ** -0.5
    scores = rows @ k.float().mT
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    out = scores.softmax(-1) @ v.float()
    return out.to(q.dtype).flatten(1, 2).unsqueeze(2)


class VisionBlock(nn.Module):
    """Pre-norm ViT block with full attention."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(config.enc_dim, eps=LAYER_NORM_EPS)
        self.attn = Attention(config.enc_dim, config.enc_n_heads)
        self.ln2 = nn.LayerNorm(config.enc_dim, eps=LAYER_NORM_EPS)
        self.mlp = MLP(config.enc_dim, config.enc_ff_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn.attend(*self.attn.split(self.ln1(x)), None)
        return x + self.mlp(self.ln2(x))


class Vision(nn.Module):
    """Patches → encoder → (with the projector) image tokens."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        patch = config.in_channels * config.enc_patch_size**2
        self.patch_emb = nn.Linear(patch, config.enc_dim)
        self.pos_emb = nn.Parameter(torch.zeros(1, config.tokens, config.enc_dim))
        self.blocks = nn.ModuleList(VisionBlock(config) for _ in range(config.enc_n_layers))
        self.post_ln = nn.LayerNorm(config.enc_dim, eps=LAYER_NORM_EPS)
        self.proj_mlp = MLP(config.enc_dim * 2, config.proj_inner_dim, config.proj_out_dim)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, 3, crop, crop) in -1..1 → (N, tokens, enc_dim)."""
        p = self.config.enc_patch_size
        n, c, h, w = pixels.shape
        # Channel-first patches (C, p, p), row-major over the grid.
        patches = pixels.view(n, c, h // p, p, w // p, p).permute(0, 2, 4, 1, 3, 5)
        x = self.patch_emb(patches.reshape(n, -1, c * p * p)) + self.pos_emb
        for block in self.blocks:
            x = block(x)
        return self.post_ln(x)

    def project(self, whole: torch.Tensor, local: torch.Tensor) -> torch.Tensor:
        """Global and local features, each (…, tokens, enc_dim) → image tokens (…, tokens, dim)."""
        return self.proj_mlp(torch.cat((whole, local), dim=-1))


class Skip(nn.Module):
    """(…, dim) → zeros: a place beside attention and MLP that is empty but for adapters.

    Upstream's variants say that they adapt `attn.proj`, and apply that to the block's normalised input.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.in_features = self.out_features = dim

    @property
    def qweight(self) -> torch.Tensor:
        """No weight, under the name that PEFT looks for."""
        return torch.empty(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x)


class TextBlock(nn.Module):
    """y = ln(x); x + attention(y) + mlp(y), and + skip(y) where an adapter fills it."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.ln = nn.LayerNorm(config.dim, eps=LAYER_NORM_EPS)
        self.attn = Attention(config.dim, config.n_heads, config.kv_heads)
        self.mlp = MLP(config.dim, config.ff_dim)
        self.skip: nn.Module = Skip(config.dim)


class Cache(Protocol):
    """What the decoder asks of a cache; the exported graphs bring one of their own."""

    length: int

    def extend(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append one layer's new (B, heads, T, d) entries; all of the layer's so far come back."""
        ...


class KVCache:
    """Keys and values of every layer, allocated once for `capacity` positions."""

    def __init__(
        self,
        config: TextConfig,
        capacity: int,
        *,
        batch: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        shape = (config.n_layers, batch, config.kv_heads, capacity, config.head_dim)
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)
        self.length = 0

    @classmethod
    def of(cls, keys: torch.Tensor, values: torch.Tensor) -> "KVCache":
        """A full cache of these entries, each (layers, B, heads, T, d)."""
        made = object.__new__(cls)
        made.keys, made.values, made.length = keys, values, keys.shape[3]
        return made

    @property
    def capacity(self) -> int:
        return self.keys.shape[3]

    @property
    def nbytes(self) -> int:
        return self.keys.nbytes + self.values.nbytes

    def extend(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append one layer's new (B, heads, T, d) entries; all of the layer's so far come back."""
        end = self.length + keys.shape[2]
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def fork(self, extra: int) -> "KVCache":
        """A copy with room for `extra` more positions: one encoded image, many questions."""
        return KVCache.joined([self], extra)

    @classmethod
    def joined(cls, caches: Sequence["KVCache"], extra: int) -> "KVCache":
        """A copy of caches of one length as the rows of one, with room for `extra` positions."""
        first = caches[0]
        layers, _, heads, _, dim = first.keys.shape
        rows = [cache.keys.shape[1] for cache in caches]
        shape = (layers, sum(rows), heads, first.length + extra, dim)
        other = object.__new__(cls)
        other.length = first.length
        other.keys, other.values = first.keys.new_empty(shape), first.values.new_empty(shape)
        for name in ("keys", "values"):
            for room, cache in zip(getattr(other, name).split(rows, dim=1), caches, strict=True):
                room[:, :, :, : first.length] = getattr(cache, name)[:, :, :, : first.length]
        return other

    def repeated(self, count: int, extra: int) -> "KVCache":
        """A copy with every row `count` times, one after the other, and room for `extra` positions."""
        other = object.__new__(KVCache)
        other.length = self.length
        for name in ("keys", "values"):
            held = getattr(self, name)[:, :, :, : self.length].repeat_interleave(count, 1)
            room = held.new_empty((*held.shape[:3], self.length + extra, held.shape[4]))
            room[:, :, :, : self.length] = held
            setattr(other, name, room)
        return other

    def row(self, number: int) -> "KVCache":
        """A copy of one row."""
        rows = slice(number, number + 1)
        other = KVCache.of(self.keys[:, rows].clone(), self.values[:, rows].clone())
        other.length = self.length
        return other


class SlotCache:
    """All slots of a `KVCache` as they are, of which those up to `position` are filled: one shape
    for every length, so that a compiled step is compiled once.

    Args:
        position: (1,), the slot of the token that is being read.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, position: torch.Tensor) -> None:
        self.keys, self.values, self.position = keys, values, position
        self.length = 0  # the KVCache counts

    def extend(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one layer's new entry into its slot; all slots come back."""
        self.keys[layer].index_copy_(2, self.position, keys)
        self.values[layer].index_copy_(2, self.position, values)
        return self.keys[layer], self.values[layer]


class Text(nn.Module):
    """The decoder and its head."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Parameter(torch.empty(config.vocab_size, config.dim))
        self.blocks = nn.ModuleList(TextBlock(config) for _ in range(config.n_layers))
        self.post_ln = nn.LayerNorm(config.dim, eps=LAYER_NORM_EPS)
        self.lm_head = nn.Linear(config.dim, config.vocab_size)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """(…, T) token ids → (…, T, dim)."""
        return F.embedding(ids, self.wte)

    def forward(
        self,
        embeds: torch.Tensor,
        positions: torch.Tensor,
        mask: torch.Tensor | None,
        cache: Cache | None = None,
    ) -> torch.Tensor:
        """Run the blocks.

        Args:
            embeds: (B, T, dim).
            positions: (T,) or (B, T), the tokens' places in their own sequence.
            mask: True where attention is allowed, broadcastable to (B, 1, T, S); None = all.
            cache: entries before these tokens; extended by them.

        Returns:
            (B, T, dim), before `post_ln`: region decoders read it so, `logits` normalises it.
        """
        cos, sin = rotary(positions, self.config)
        x = embeds
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, TextBlock)
            y = block.ln(x)
            q, k, v = block.attn.split_rotated(y, cos, sin)
            if cache is not None:
                k, v = cache.extend(layer, k, v)
            x = x + block.attn.attend(q, k, v, mask) + block.mlp(y)
            if not isinstance(block.skip, Skip):
                x = x + block.skip(y)
        if cache is not None:
            cache.length += embeds.shape[1]
        return x

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(…, dim) from `forward` → (…, vocab_size)."""
        return self.lm_head(self.post_ln(hidden))


def rotary(positions: torch.Tensor, config: TextConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin, fp32, shaped (…, 1, T, rot_dim / 2) to meet (B, heads, T, …).

    Made from the positions each time: a table kept as a buffer would be rounded by any blanket
    cast of the model (a known defect upstream).
    """
    half = config.rot_dim // 2
    exponents = torch.arange(half, dtype=torch.float32, device=positions.device) / half
    angles = positions.float().unsqueeze(-1) * config.rope_theta**-exponents
    angles = angles.unsqueeze(-3)
    return angles.cos(), angles.sin()


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate the first `rot_dim` dims of each head (pairs i, i + rot_dim/2), in fp32."""
    half = cos.shape[-1]
    a, b, rest = x[..., :half].float(), x[..., half : 2 * half].float(), x[..., 2 * half :]
    turned = torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)
    return torch.cat((turned.to(x.dtype), rest), dim=-1)


def fourier(values: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """(…, n) values in 0..1 and (n, F) frequencies → (…, 2F): cosines, then sines."""
    angles = (2 * math.pi * values) @ features
    return torch.cat((angles.cos(), angles.sin()), dim=-1)


class Region(nn.Module):
    """Coordinates and sizes in and out of the decoder (upstream `region.py`)."""

    def __init__(self, config: RegionConfig) -> None:
        super().__init__()
        self.config = config
        self.coord_features = nn.Parameter(torch.empty(1, config.coord_feat_dim // 2))
        self.size_features = nn.Parameter(torch.empty(2, config.size_feat_dim // 2))
        self.coord_encoder = nn.Linear(config.coord_feat_dim, config.dim)
        self.size_encoder = nn.Linear(config.size_feat_dim, config.dim)
        self.coord_decoder = MLP(config.dim, config.inner_dim, config.coord_out_dim)
        self.size_decoder = MLP(config.dim, config.inner_dim, config.size_out_dim)

    def encode_coord(self, value: torch.Tensor) -> torch.Tensor:
        """(…, 1) coordinate in 0..1 → (…, dim)."""
        return self.coord_encoder(fourier(value.to(self.coord_features.dtype), self.coord_features))

    def encode_size(self, value: torch.Tensor) -> torch.Tensor:
        """(…, 2) width and height in 0..1 → (…, dim)."""
        return self.size_encoder(fourier(value.to(self.size_features.dtype), self.size_features))

    def coord_logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(…, dim), not normalised → (…, coord_out_dim)."""
        return self.coord_decoder(hidden)

    def size_logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(…, dim), not normalised → (…, 2, size_bins): widths, then heights."""
        return self.size_decoder(hidden).unflatten(-1, (2, self.config.size_bins))

    def coord_value(self, bins: torch.Tensor) -> torch.Tensor:
        """Bin → coordinate: bin / coord_out_dim, upstream's inference."""
        return bins / self.config.coord_out_dim

    def coord_bin(self, values: torch.Tensor) -> torch.Tensor:
        """Coordinate → nearest bin of its decoding."""
        top = self.config.coord_out_dim - 1
        return (values * self.config.coord_out_dim).round().clamp(0, top).long()

    def size_value(self, bins: torch.Tensor) -> torch.Tensor:
        """Bin → size, 1/1024 … 1 on a log scale."""
        return torch.exp2(self.config.size_exponent(bins))

    def size_bin(self, values: torch.Tensor) -> torch.Tensor:
        """Size → nearest bin."""
        log = torch.log2(values.clamp(min=1 / 1024, max=1.0))
        return ((log + 10) / 10 * (self.config.size_bins - 1)).round().long()
