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
from inference.engine.crops import make_crops, normalise
from inference.engine.decoding import Decoding
from inference.engine.layers import KVCache
from inference.engine.moondream import Moondream, SettingsLike
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
        tokens = [
            model.model.join_crops(features, cut.tiling)
            for features, cut in zip(parts, crops, strict=True)
        ]
        stacked = torch.stack(tokens)
        prefix = model.model.prefix(stacked)
        scores = model.outside_scores(stacked)
        each = run.elapsed_ms() / len(waiting)
        for row, n in enumerate(waiting):
            size = images[n].size
            done[n] = EncodedImage(
                prefix.row(row), size, model.key, each, outside_score=scores[row]
            )
    return [model.encode_image(item) for item in done if item is not None]


def answer_many(
    model: Moondream, asks: Sequence[Ask], settings: SettingsLike = None
) -> list[Answer]:
    """Captions and answers of a batch, in its order, each as `caption` and `query` give them.

    Raises:
        ValueError: a row with an empty question, or a prompt too long for the model.
    """
    steps = stream_many(model, asks, settings)
    answers = {row: item for made in steps for row, item in made if isinstance(item, Answer)}
    return [answers[row] for row in range(len(asks))]


@torch.inference_mode()
def stream_many(
    model: Moondream, asks: Sequence[Ask], settings: SettingsLike = None
) -> Iterator[list[tuple[int, str | Answer]]]:
    """As `answer_many`, while it is made: for each step what came of it, (row, piece of text) in whole
    words, and (row, answer) when a row has ended.

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
    cache = KVCache.joined([e.prefix for e in encoded], longest + room)
    pads = torch.tensor([longest - len(p) for p in prompts], device=model.device)
    ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts], device=model.device)
    # Position of each slot in its own row; the padding's is of no matter, it is never seen.
    positions = start + torch.arange(longest, device=model.device) - pads[:, None]
    rows = [
        Decoding(
            Run(
                prompt_tokens=len(prompt) + start,
                encode_cached=image is ask.image,
                encode_ms=0.0 if image is ask.image else image.encode_ms,
            ),
            model.sections.tokenizer,
            model.tokenizer,
        )
        for ask, image, prompt in zip(asks, encoded, prompts, strict=True)
    ]
    hidden = model.model.text(
        model.model.text.embed(ids), positions, prompt_mask(pads, start, longest, longest), cache
    )[:, -1]
    for row in rows:
        row.run.prefill_ms = row.run.elapsed_ms()
    generator = torch.Generator(model.device).manual_seed(chosen.seed)
    for step in range(1, room + 1):
        logits = model.model.text.logits(hidden).float()
        # An ended row feeds its end again, unread.
        tokens = [model.sections.tokenizer.eos_id] * len(rows)
        made: list[tuple[int, str | Answer]] = []
        for number in [n for n, row in enumerate(rows) if not row.ended]:
            row = rows[number]
            tokens[number] = row.take(logits[number], chosen, generator)
            last = row.ended or step == room
            piece = row.piece(last=last)
            if piece:
                made.append((number, piece))
            if last:
                made.append((number, _answer(asks[number], row)))
        if made:
            yield made
        if step == room or all(row.ended for row in rows):
            return
        embeds = model.model.text.embed(torch.tensor(tokens, device=model.device)[:, None])
        here = start + longest + step - 1 - pads[:, None]
        hidden = model.model.text(embeds, here, prompt_mask(pads, start, 1, longest + step), cache)[
            :, -1
        ]


def _answer(ask: Ask, row: Decoding) -> Answer:
    """What `Moondream.caption` or `.query` would have given."""
    if not row.ended:
        row.run.finish_reason = "length"
    answer = Answer()
    answer.text = row.text
    answer["caption" if ask.length else "answer"] = answer.text
    row.run.settle(answer)
    return answer


def _prompt(model: Moondream, ask: Ask) -> list[int]:
    templates = model.sections.tokenizer.templates
    if ask.length:
        prompt: list[int] = list(templates["caption"][ask.length])
        return prompt
    if not ask.question.strip():
        raise ValueError("The question is empty.")
    return model.query_prompt(ask.question.strip())


def prompt_mask(pads: torch.Tensor, start: int, rows: int, columns: int) -> torch.Tensor:
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
