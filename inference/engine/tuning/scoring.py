"""Log-probabilities of given choices, many answers behind one image in one pass, with gradients.

An image's tokens go through the decoder once, in front of all its answers; answers do not see each
other, and each stands at the positions it has when it is sampled.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from inference.engine.moondream import Moondream
from inference.engine.tuning.distributions import Distributions, entropies
from inference.engine.tuning.rollouts import Kind, Trace


@dataclass(frozen=True, slots=True)
class Row:
    """Answers about one image."""

    image_tokens: torch.Tensor | None
    """(tokens, dim), without gradients; None for questions without an image."""
    traces: Sequence[Trace]
    numbers: Sequence[int]
    """Of the traces, in the whole batch."""

    @property
    def length(self) -> int:
        """Positions that it takes in the decoder."""
        image = 0 if self.image_tokens is None else len(self.image_tokens)
        return 1 + image + sum(len(trace.ids) for trace in self.traces)


@dataclass(slots=True)
class Packed:
    """Rows laid out for one pass; B rows of T text positions, N choices."""

    image_tokens: torch.Tensor | None
    """(B, tokens, dim)."""
    ids: torch.Tensor
    """(B, T)."""
    positions: torch.Tensor
    """(B, T), counted from the end of the image's prefix."""
    traces: torch.Tensor
    """(B, T) which answer of the row; -1 where there is none."""
    coords: torch.Tensor
    """(B, T), NaN where no coordinate is fed."""
    sizes: torch.Tensor
    """(B, T, 2), likewise."""
    rows: torch.Tensor
    """(N,) row of each choice; the four below are of the choices too."""
    at: torch.Tensor
    kinds: torch.Tensor
    targets: torch.Tensor
    is_first: torch.Tensor
    numbers: torch.Tensor
    """(N,) number of the choice's trace in the whole batch."""

    @property
    def mask(self) -> torch.Tensor:
        """(B, 1, T, T): the same answer, causal; padding sees itself."""
        same = self.traces[:, :, None] == self.traces[:, None, :]
        return same.tril()[:, None]


def pack(rows: Sequence[Row], device: torch.device) -> Packed:
    """Lay the answers of each row end to end. All rows have an image, or none has."""
    length = max(sum(len(t.ids) for t in row.traces) for row in rows)
    count, nan = len(rows), float("nan")
    ids = torch.zeros(count, length, dtype=torch.long)
    positions, owners = torch.zeros_like(ids), torch.full_like(ids, -1)
    coords = torch.full((count, length), nan)
    sizes = torch.full((count, length, 2), nan)
    choices: list[tuple[int, int, int, int, bool, int]] = []
    for number, row in enumerate(rows):
        start = 0
        for owner, (trace, name) in enumerate(zip(row.traces, row.numbers, strict=True)):
            span = slice(start, start + len(trace.ids))
            ids[number, span] = torch.tensor(trace.ids)
            positions[number, span] = torch.arange(len(trace.ids))
            owners[number, span] = owner
            for at, value in trace.coords.items():
                coords[number, start + at] = value
            for at, pair in trace.sizes.items():
                sizes[number, start + at] = torch.tensor(pair)
            choices += [
                (number, start + c.at, c.kind, c.target, c.is_first, name) for c in trace.choices
            ]
            start += len(trace.ids)
    columns = torch.tensor(choices, dtype=torch.long).T
    images = [row.image_tokens for row in rows if row.image_tokens is not None]
    moved = [part.to(device) for part in (ids, positions, owners, coords, sizes, *columns)]
    moved[9] = moved[9].bool()
    return Packed(torch.stack(images) if images else None, *moved)


def hidden_states(model: Moondream, packed: Packed) -> torch.Tensor:
    """(N, dim): the state that each choice is made from; before the last norm."""
    network, sections = model.model, model.sections
    count, length = packed.ids.shape
    embeds = network.text.embed(packed.ids)
    at = ~packed.coords.isnan()
    if at.any():
        made = network.region.encode_coord(packed.coords[at][:, None].to(model.dtype))
        embeds = embeds.index_put((at,), made.to(embeds.dtype))
    at = ~packed.sizes[..., 0].isnan()
    if at.any():
        made = network.region.encode_size(packed.sizes[at].to(model.dtype))
        embeds = embeds.index_put((at,), made.to(embeds.dtype))
    bos = torch.full((count, 1), sections.tokenizer.bos_id, device=model.device)
    parts = [network.text.embed(bos), embeds]
    if packed.image_tokens is not None:
        parts.insert(1, packed.image_tokens.to(embeds.dtype))
    sequence = torch.cat(parts, dim=1)
    prefix = sequence.shape[1] - length
    before = torch.arange(prefix, device=model.device).expand(count, -1)
    mask = torch.zeros(
        count, 1, prefix + length, prefix + length, dtype=torch.bool, device=model.device
    )
    mask[..., :prefix] = True
    mask[:, :, prefix:, prefix:] = packed.mask
    positions = torch.cat((before, packed.positions + prefix), dim=1)
    hidden = network.text(sequence, positions, mask)[:, prefix:]
    return hidden[packed.rows, packed.at]


@dataclass(frozen=True, slots=True)
class Scores:
    """Of N choices."""

    log_probabilities: torch.Tensor
    """(N,), fp32, with gradients."""
    entropies: torch.Tensor
    """(N,), nats, without."""


def score(
    model: Moondream, packed: Packed, temperatures: torch.Tensor, hidden: torch.Tensor | None = None
) -> Scores:
    """How likely each choice is, and how open it was.

    Args:
        temperatures: (N,), those that the choices were sampled at.
        hidden: of the choices, where it is there already.
    """
    hidden = hidden_states(model, packed) if hidden is None else hidden
    chosen = torch.zeros(len(hidden), device=hidden.device)
    entropy = torch.zeros_like(chosen)
    for kind, temperature, where in _groups(packed, temperatures):
        distributions = Distributions(model, temperature)
        logs = distributions(kind, hidden[where], is_first=packed.is_first[where])
        targets = packed.targets[where][:, None]
        chosen = chosen.index_put((where,), logs.gather(1, targets)[:, 0])
        entropy[where] = entropies(logs.detach())
    return Scores(chosen, entropy)


def _groups(
    packed: Packed, temperatures: torch.Tensor
) -> Iterator[tuple[Kind, float, torch.Tensor]]:
    """Kind, temperature and numbers of the choices that are of one distribution."""
    for temperature in temperatures.unique().tolist():
        for kind in Kind:
            where = ((packed.kinds == kind) & (temperatures == temperature)).nonzero()[:, 0]
            if len(where):
                yield kind, temperature, where


def batches(rows: Sequence[Row], most: int) -> Iterator[list[Row]]:
    """Rows in parts of at most `most` positions when padded, each with images or without; a row
    that is longer stands alone."""
    for with_image in (True, False):
        some = [row for row in rows if (row.image_tokens is not None) == with_image]
        part: list[Row] = []
        for row in sorted(some, key=lambda row: row.length):
            if part and row.length * (len(part) + 1) > most:
                yield part
                part = []
            part.append(row)
        if part:
            yield part
