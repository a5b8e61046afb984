"""Supervised training of the whole network: several prompts behind one image, in one pass.

An image's tokens are computed once and shared by all its segments (a segment is one prompt with
its answer). Segments do not see each other: each attends to the image prefix and, causally, to
itself, at the positions it has at inference. Coordinates and sizes are taught through the
architecture's own heads with soft labels over the bins (a Gaussian) plus a regression term on the
bins' expectation; without the latter, localisation starts late.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch.nn import functional as F

from inference.engine.config import MoondreamConfig
from inference.engine.model import MoondreamForVision

IGNORE = -100


@dataclass(slots=True)
class Segment:
    """One prompt and answer as token ids with what each position is to predict.

    Position t is trained on `labels[t]` (the next token, IGNORE for none), `coord_targets[t]` and
    `size_targets[t]` (values in 0..1); `coord_inputs[t]`/`size_inputs[t]` replace the embedding of
    a coordinate or size slot.
    """

    kind: str
    ids: list[int]
    labels: list[int] = field(default_factory=list)
    coord_inputs: dict[int, float] = field(default_factory=dict)
    size_inputs: dict[int, tuple[float, float]] = field(default_factory=dict)
    coord_targets: dict[int, float] = field(default_factory=dict)
    size_targets: dict[int, tuple[float, float]] = field(default_factory=dict)
    weight: float = 1.0


def text_segment(
    kind: str,
    prompt: Sequence[int],
    answer: Sequence[int],
    eos_id: int,
    *,
    weight: float = 1.0,
    coords: dict[int, float] | None = None,
) -> Segment:
    """A prompt answered by text; `coords` are coordinate slots inside the prompt."""
    ids = [*prompt, *answer]
    labels = [IGNORE] * (len(prompt) - 1) + [*answer, eos_id]
    return Segment(kind, ids, labels, coord_inputs=coords or {}, weight=weight)


def region_segment(
    kind: str,
    prompt: Sequence[int],
    objects: Iterable[tuple[tuple[float, float], tuple[float, float] | None]],
    config: MoondreamConfig,
    *,
    weight: float = 1.0,
) -> Segment:
    """A prompt answered by points, or by boxes when sizes (width, height) are given.

    The loop is inference's: from the last hidden state decide "another" or end, decode x from the
    same state, feed x, decode y, feed y, and for boxes decode the size and feed it.
    """
    tokens = config.sections.tokenizer
    seg = Segment(kind, list(prompt), [IGNORE] * len(prompt), weight=weight)
    for (x, y), size in objects:
        last = len(seg.ids) - 1
        seg.labels[last] = tokens.coord_id
        seg.coord_targets[last] = x
        seg.coord_inputs[last + 1] = x
        seg.coord_targets[last + 1] = y
        seg.coord_inputs[last + 2] = y
        seg.ids += [tokens.coord_id] * 2
        seg.labels += [IGNORE] * 2
        if size is not None:
            seg.size_targets[last + 2] = size
            seg.size_inputs[last + 3] = size
            seg.ids.append(tokens.size_id)
            seg.labels.append(IGNORE)
    seg.labels[-1] = tokens.eos_id
    return seg


@dataclass(slots=True)
class Batch:
    """Packed segments of B images, T text positions each (padding: segment -1)."""

    pixels: torch.Tensor
    """(B, 3, crop, crop), -1..1."""
    ids: torch.Tensor
    """(B, T)."""
    positions: torch.Tensor
    """(B, T), counted from the end of the image prefix."""
    segments: torch.Tensor
    """(B, T) index of the segment, -1 for padding."""
    labels: torch.Tensor
    weights: torch.Tensor
    coord_inputs: torch.Tensor
    """(B, T), NaN where there is none; likewise the three below."""
    size_inputs: torch.Tensor
    coord_targets: torch.Tensor
    size_targets: torch.Tensor
    kinds: list[list[str]]

    @property
    def mask(self) -> torch.Tensor:
        """(B, 1, T, T): same segment, causal."""
        same = self.segments[:, :, None] == self.segments[:, None, :]
        return same.tril()[:, None]


def pack(pixels: torch.Tensor, images: Sequence[Sequence[Segment]]) -> Batch:
    """Lay the segments of each image end to end."""
    length = max(sum(len(s.ids) for s in segments) for segments in images)
    length = -(-length // 16) * 16
    count, nan = len(images), float("nan")
    batch = Batch(
        pixels,
        torch.zeros(count, length, dtype=torch.long),
        torch.zeros(count, length, dtype=torch.long),
        torch.full((count, length), -1),
        torch.full((count, length), IGNORE),
        torch.zeros(count, length),
        torch.full((count, length), nan),
        torch.full((count, length, 2), nan),
        torch.full((count, length), nan),
        torch.full((count, length, 2), nan),
        [[s.kind for s in segments] for segments in images],
    )
    for row, segments in enumerate(images):
        at = 0
        for number, seg in enumerate(segments):
            span = slice(at, at + len(seg.ids))
            batch.ids[row, span] = torch.tensor(seg.ids)
            batch.positions[row, span] = torch.arange(len(seg.ids))
            batch.segments[row, span] = number
            batch.labels[row, span] = torch.tensor(seg.labels)
            batch.weights[row, span] = seg.weight
            for t, value in seg.coord_inputs.items():
                batch.coord_inputs[row, at + t] = value
            for t, value in seg.coord_targets.items():
                batch.coord_targets[row, at + t] = value
            for t, pair in seg.size_inputs.items():
                batch.size_inputs[row, at + t] = torch.tensor(pair)
            for t, pair in seg.size_targets.items():
                batch.size_targets[row, at + t] = torch.tensor(pair)
            at += len(seg.ids)
    return batch


def soft_bins(bins: torch.Tensor, count: int, sigma: float) -> torch.Tensor:
    """(N,) target bins → (N, count) Gaussian labels of width `sigma` bins, each summing to 1."""
    grid = torch.arange(count, device=bins.device, dtype=torch.float32)
    return torch.softmax(-0.5 * ((grid - bins.float()[:, None]) / sigma) ** 2, dim=-1)


def bin_loss(logits: torch.Tensor, bins: torch.Tensor, sigma: float) -> torch.Tensor:
    """Soft cross-entropy (less its floor) plus the expectation's distance, in units of the range."""
    if not len(bins):  # nothing of the kind in this batch; a mean of nothing would be NaN
        return logits.float().sum()
    count = logits.shape[-1]
    labels = soft_bins(bins, count, sigma)
    logits = logits.float()
    divergence = F.kl_div(F.log_softmax(logits, -1), labels, reduction="batchmean")
    grid = torch.arange(count, device=bins.device, dtype=torch.float32) / count
    expected = logits.softmax(-1) @ grid
    return divergence + 4.0 * F.smooth_l1_loss(expected, bins.float() / count, beta=0.05)


@dataclass(slots=True)
class Losses:
    """What one batch taught, and how well each kind of segment was answered (teacher-forced)."""

    total: torch.Tensor
    text: float
    coord: float
    size: float
    features: torch.Tensor
    """Vision features (B, tokens, enc_dim), for auxiliary losses."""
    image: torch.Tensor
    """Image tokens (B, tokens, dim), likewise."""
    right: dict[str, tuple[int, int]]
    """kind → (segments whose every label was the argmax, segments)."""
    coord_error: float
    """Mean |argmax - target| of coordinates, fraction of the image's side."""


def run(
    model: MoondreamForVision, batch: Batch, *, sigma: float = 40.0, jitter: float = 0.0
) -> Losses:
    """Forward one packed batch and compute its losses.

    `jitter` is the standard deviation of noise on the coordinates fed back, so that the decoder
    does not lean on inputs more exact than its own outputs.
    """
    config = model.config.sections
    features = model.vision(batch.pixels)
    image = model.vision.project(features, features)
    embeds = model.text.embed(batch.ids)
    embeds = _with_regions(model, batch, embeds, jitter)
    bos = model.text.embed(torch.full((len(image), 1), config.tokenizer.bos_id))
    prefix = config.text.prefix_attn
    sequence = torch.cat((bos.to(image.dtype), image, embeds.to(image.dtype)), dim=1)
    count, length = batch.ids.shape
    positions = torch.cat((torch.arange(prefix).expand(count, -1), batch.positions + prefix), dim=1)
    mask = torch.zeros(count, 1, prefix + length, prefix + length, dtype=torch.bool)
    mask[..., :prefix] = True
    mask[:, :, prefix:, prefix:] = batch.mask
    hidden = model.text(sequence, positions, mask)[:, prefix:]

    labelled = batch.labels != IGNORE
    logits = model.text.logits(hidden[labelled]).float()
    labels, weights = batch.labels[labelled], batch.weights[labelled]
    per_token = F.cross_entropy(logits, labels, reduction="none")
    text = (per_token * weights).sum() / weights.sum()

    heads = model.region
    at = ~batch.coord_targets.isnan()
    coord_logits = heads.coord_logits(hidden[at])
    coord_bins = heads.coord_bin(batch.coord_targets[at])
    coord = bin_loss(coord_logits, coord_bins, sigma)
    off = (coord_logits.argmax(-1) - coord_bins).abs().float()
    error = off.mean().item() / config.region.coord_out_dim if len(off) else 0.0

    at = ~batch.size_targets[..., 0].isnan()
    size_logits = heads.size_logits(hidden[at]).flatten(0, 1)
    size = bin_loss(size_logits, heads.size_bin(batch.size_targets[at]).flatten(), sigma / 2)
    return Losses(
        text + coord + 0.5 * size,
        text.item(),
        coord.item(),
        size.item(),
        features,
        image,
        _right(batch, labelled, logits.argmax(-1) == labels),
        error,
    )


def _with_regions(
    model: MoondreamForVision, batch: Batch, embeds: torch.Tensor, jitter: float
) -> torch.Tensor:
    """Put encoded coordinates and sizes into their slots."""
    embeds = embeds.clone()
    at = ~batch.coord_inputs.isnan()
    values = batch.coord_inputs[at].unsqueeze(-1)
    embeds[at] = model.region.encode_coord(values + jitter * torch.randn_like(values)).to(
        embeds.dtype
    )
    at = ~batch.size_inputs[..., 0].isnan()
    sizes = batch.size_inputs[at]
    embeds[at] = model.region.encode_size(sizes * (1 + 4 * jitter * torch.randn_like(sizes))).to(
        embeds.dtype
    )
    return embeds


def _right(
    batch: Batch, labelled: torch.Tensor, correct: torch.Tensor
) -> dict[str, tuple[int, int]]:
    wrong = torch.zeros_like(labelled)
    wrong[labelled] = ~correct
    tally: dict[str, tuple[int, int]] = {}
    for row, kinds in enumerate(batch.kinds):
        bad = set(batch.segments[row][wrong[row]].tolist())
        for number, kind in enumerate(kinds):
            hits, seen = tally.get(kind, (0, 0))
            tally[kind] = (hits + (number not in bad), seen + 1)
    return tally
