"""Many images, or many questions, in one pass.

Rows of a batch share the image prefix's length, so only their prompts differ in length: prompts
are aligned at their ends, the room before a shorter one is masked out, and every row keeps the
positions it would have alone. A row's answer is the one it gets alone, up to rounding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from inference.engine.answers import Answer, EncodedImage, ImageLike, Run
from inference.engine.crops import make_crops, normalise, reconstruct
from inference.engine.layers import KVCache
from inference.engine.moondream import Moondream, SettingsLike, choose, flush_point
from inference.engine.settings import Settings


@dataclass(frozen=True, slots=True)
class Ask:
    """One row: a caption's length, or a question, about one image."""

    image: ImageLike
    question: str = ""
    length: str = ""


@torch.inference_mode()
def encode_images(model: Moondream, images: Sequence[ImageLike]) -> list[EncodedImage]:
    """Encode images together; those encoded before are returned as they are.

    Tiles of all images go through the vision tower as one batch.
    """
    run = Run()
    done: list[EncodedImage | None] = [i if isinstance(i, EncodedImage) else None for i in images]
    waiting = [n for n, item in enumerate(done) if item is None]
    if waiting:
        crops = [make_crops(images[n], model.sections.vision) for n in waiting]  # type: ignore[arg-type]
        pixels = normalise(np.concatenate([c.pixels for c in crops]), model.dtype, model.device)
        parts = model.model.vision(pixels).split([len(c.pixels) for c in crops])
        tokens = []
        for features, cut in zip(parts, crops, strict=True):
            local = (
                features[0]
                if cut.tiling == (1, 1)
                else reconstruct(features[1:], cut.tiling, model.sections.vision)
            )
            tokens.append(model.model.vision.project(features[0], local))
        prefix = model.model.prefix(torch.stack(tokens))
        each = run.elapsed_ms() / len(waiting)
        for row, n in enumerate(waiting):
            size = images[n].size
            done[n] = EncodedImage(_row(prefix, row), size, model.key, each)
    return [model.encode_image(item) for item in done if item is not None]


def _row(cache: KVCache, row: int) -> KVCache:
    other = object.__new__(KVCache)
    other.keys = cache.keys[:, row : row + 1].clone()
    other.values = cache.values[:, row : row + 1].clone()
    other.length = cache.length
    return other


def answer_many(
    model: Moondream, asks: Sequence[Ask], settings: SettingsLike = None
) -> list[Answer]:
    """Captions and answers of a batch, in its order, each as `caption` and `query` give them.

    Raises:
        ValueError: a row with an empty question, or a prompt too long for the model.
    """
    answers = {row: item for row, item in stream_many(model, asks, settings) if not _is_text(item)}
    return [answers[row] for row in range(len(asks))]  # type: ignore[misc]


def _is_text(item: "str | Answer") -> bool:
    return isinstance(item, str)


@torch.inference_mode()
def stream_many(
    model: Moondream, asks: Sequence[Ask], settings: SettingsLike = None
) -> Iterator[tuple[int, str | Answer]]:
    """As `answer_many`, while it is made: (row, piece of text) in whole words, and (row, answer)
    when a row has ended.

    Raises:
        ValueError: see `answer_many`.
    """
    chosen = Settings.read(settings)
    encoded = encode_images(model, [a.image for a in asks])
    prompts = [_prompt(model, ask) for ask in asks]
    longest = max(map(len, prompts))
    text = model.sections.text
    start = text.prefix_attn
    room = min(text.max_context - start - longest, chosen.max_tokens)
    if room < 1:
        raise ValueError(f"The longest prompt has {longest} tokens: too many for this model.")
    cache = _joined([e.prefix for e in encoded], longest + room)
    pads = torch.tensor([longest - len(p) for p in prompts], device=model.device)
    ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts], device=model.device)
    # Position of each slot in its own row; the padding's is of no matter, it is never seen.
    positions = start + torch.arange(longest, device=model.device) - pads[:, None]
    rows = [
        Row(model, ask, image, len(prompt) + start)
        for ask, image, prompt in zip(asks, encoded, prompts, strict=True)
    ]
    hidden = model.model.text(
        model.model.text.embed(ids), positions, _mask(pads, start, longest, longest), cache
    )[:, -1]
    for row in rows:
        row.run.prefill_ms = row.run.elapsed_ms()
    generator = torch.Generator(model.device).manual_seed(chosen.seed)
    for step in range(1, room + 1):
        logits = model.model.text.logits(hidden).float()
        tokens = []
        for number, row in enumerate(rows):
            was_open = not row.ended
            tokens.append(row.take(logits[number], chosen, generator))
            if was_open:
                last = row.ended or step == room
                piece = row.piece(last=last)
                if piece:
                    yield number, piece
                if last:
                    yield number, row.answer()
        if step == room or all(row.ended for row in rows):
            return
        embeds = model.model.text.embed(torch.tensor(tokens, device=model.device)[:, None])
        here = start + longest + step - 1 - pads[:, None]
        hidden = model.model.text(embeds, here, _mask(pads, start, 1, longest + step), cache)[:, -1]


class Row:
    """One answer of a batch while it is made."""

    def __init__(
        self, model: Moondream, ask: Ask, encoded: EncodedImage, prompt_tokens: int
    ) -> None:
        self.model, self.ask = model, ask
        cached = encoded is ask.image
        self.run = Run(
            prompt_tokens=prompt_tokens,
            encode_cached=cached,
            encode_ms=0.0 if cached else encoded.encode_ms,
        )
        self.ids: list[int] = []
        self.printed = 0
        self.ended = False

    def take(self, logits: torch.Tensor, settings: Settings, generator: torch.Generator) -> int:
        """Choose this row's next token; an ended row feeds its end again, unread."""
        tokens = self.model.sections.tokenizer
        if self.ended:
            return tokens.eos_id
        if self.ids and tokens.answer_id is not None:
            logits[tokens.answer_id] = -torch.inf
        token, probability = choose(logits, settings, generator)
        self.run.token()
        self.run.chose(probability)
        if token == tokens.eos_id:
            self.ended = True
        else:
            self.ids.append(token)
        return token

    def piece(self, *, last: bool) -> str:
        """Text that can be shown by now and was not yet."""
        text: str = self.model.tokenizer.decode(self.ids)
        cut = len(text) if last else flush_point(text)
        shown, self.printed = text[self.printed : cut], max(cut, self.printed)
        return shown

    def answer(self) -> Answer:
        """What `Moondream.caption` or `.query` would have given."""
        if not self.ended:
            self.run.finish_reason = "length"
        answer = Answer()
        answer.text = self.model.tokenizer.decode(self.ids)
        answer["caption" if self.ask.length else "answer"] = answer.text
        self.run.settle(answer)
        return answer


def _prompt(model: Moondream, ask: Ask) -> list[int]:
    templates = model.sections.tokenizer.templates
    if ask.length:
        prompt: list[int] = list(templates["caption"][ask.length])
        return prompt
    if not ask.question.strip():
        raise ValueError("The question is empty.")
    return model.query_prompt(ask.question.strip())


def _joined(prefixes: Sequence[KVCache], extra: int) -> KVCache:
    """One cache of all rows' image prefixes, with room for `extra` positions."""
    first = prefixes[0]
    layers, _, heads, _, dim = first.keys.shape
    joined = object.__new__(KVCache)
    shape = (layers, len(prefixes), heads, first.length + extra, dim)
    for name in ("keys", "values"):
        room = getattr(first, name).new_empty(shape)
        for row, prefix in enumerate(prefixes):
            room[:, row, :, : first.length] = getattr(prefix, name)[:, 0, :, : first.length]
        setattr(joined, name, room)
    joined.length = first.length
    return joined


def _mask(pads: torch.Tensor, start: int, rows: int, columns: int) -> torch.Tensor:
    """(B, 1, rows, start + columns): the image, and causally the row's own tokens; no padding.

    The last `rows` of `columns` text slots are asking.
    """
    column = torch.arange(columns, device=pads.device)
    row = torch.arange(columns - rows, columns, device=pads.device)
    causal = column[None, :] <= row[:, None]
    real = column[None, :] >= pads[:, None]
    # A padding slot sees itself, or its softmax would have nothing to weigh.
    own = column[None, None, :] == row[None, :, None]
    words = (causal[None] & real[:, None, :]) | own
    image = torch.ones(len(pads), rows, start, dtype=torch.bool, device=pads.device)
    return torch.cat((image, words), dim=-1)[:, None]
