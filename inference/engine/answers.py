"""What a skill is asked with and what it gives back."""

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from inference.engine.layers import KVCache

Piece = TypeVar("Piece")


class UnsupportedSkill(ValueError):
    """The loaded model has no such ability (say, reasoning, or answering without an image)."""


@dataclass(slots=True)
class EncodedImage:
    """An image as the decoder knows it: keys and values of BOS and the image tokens.

    Belongs to the model that made it (`owner`); may be asked any number of questions.
    """

    prefix: KVCache
    size: tuple[int, int]
    """(width, height) of the image in pixels."""
    owner: str
    encode_ms: float
    cached: bool = False
    outside_score: float | None = None
    """Above 0 the image is outside what the model knows (`inference.engine.scope`); None: the model does not
    tell."""

    @property
    def is_outside(self) -> bool | None:
        """Whether the image is unlike all that the model was trained on; None: the model does not tell."""
        return None if self.outside_score is None else self.outside_score > 0

    @property
    def nbytes(self) -> int:
        return self.prefix.nbytes

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write a safetensors file that `load` reads.

        Raises:
            OSError: it cannot be written.
        """
        length, (width, height) = self.prefix.length, self.size
        tensors = {
            "keys": self.prefix.keys[:, :, :, :length],
            "values": self.prefix.values[:, :, :, :length],
        }
        told = {"owner": self.owner, "width": str(width), "height": str(height)}
        if self.outside_score is not None:
            told["outside_score"] = repr(self.outside_score)
        held = {name: value.contiguous().cpu() for name, value in tensors.items()}
        try:
            save_file(held, file, metadata=told)
        except SafetensorError as error:
            raise OSError(str(error)) from error

    @classmethod
    def load(cls, file: str | os.PathLike[str], device: torch.device | str = "cpu") -> Self:
        """Read what `save` wrote.

        Raises:
            OSError: there is no such file, or it cannot be read.
            ValueError: it is no such file, or is damaged.
        """
        try:
            with safe_open(file, framework="pt") as opened:
                told = opened.metadata() or {}
                # Copies: the file may go while the image is asked about.
                keys, values = (opened.get_tensor(n).clone().to(device) for n in ("keys", "values"))
            if keys.shape != values.shape or keys.ndim != 5:
                raise ValueError("Keys and values of an encoded image have five dimensions.")
            size = int(told["width"]), int(told["height"])
            score = float(told["outside_score"]) if "outside_score" in told else None
            return cls(KVCache.of(keys, values), size, told["owner"], 0.0, outside_score=score)
        except (SafetensorError, KeyError) as error:
            raise ValueError("This file holds no encoded image.") from error


ImageLike = Image.Image | EncodedImage


class Answer(dict[str, Any]):
    """A skill's result, shaped like the official clients': `answer["caption"]`.

    With `stream=True` the value is an iterator, and the attributes are filled when it ends.
    """

    text: str
    """The whole text, for captions and answers."""
    timings: dict[str, Any]
    """encode_ms, prefill_ms, first_token_ms (from the call), decode_ms, total_ms, encode_cached."""
    confidence: float | None
    """Geometric mean of the probabilities the model gave to what it chose: each token for text;
    for objects, the mass within 5% of the image around each chosen coordinate or size bin. It
    tells how sure the model is of its own wording, not how likely the answer is to be right."""
    tokens: dict[str, int]
    """prompt (image tokens included) and completion."""
    finish_reason: str
    """"stop", or "length" when a limit cut it."""


@dataclass(slots=True)
class Run:
    """Clock and tally of one answer."""

    started: float = field(default_factory=time.perf_counter)
    encode_ms: float = 0.0
    encode_cached: bool = False
    prefill_ms: float = 0.0
    first_token_ms: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    log_probability: float = 0.0
    choices: int = 0
    finish_reason: str = "stop"

    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self.started) * 1e3

    def chose(self, probability: float) -> None:
        """Count one choice of the model and the probability it had."""
        self.log_probability += math.log(max(probability, 1e-12))
        self.choices += 1

    def token(self) -> None:
        """Count one generated token."""
        if not self.completion_tokens:
            self.first_token_ms = self.elapsed_ms()
        self.completion_tokens += 1

    @property
    def confidence(self) -> float | None:
        return math.exp(self.log_probability / self.choices) if self.choices else None

    def settle(self, answer: Answer) -> None:
        """Write the run's figures onto its answer."""
        total = self.elapsed_ms()
        answer.timings = {
            "encode_ms": self.encode_ms,
            "prefill_ms": self.prefill_ms,
            "first_token_ms": self.first_token_ms,
            "decode_ms": max(0.0, total - self.first_token_ms),
            "total_ms": total,
            "encode_cached": self.encode_cached,
        }
        answer.confidence = self.confidence
        answer.tokens = {"prompt": self.prompt_tokens, "completion": self.completion_tokens}
        answer.finish_reason = self.finish_reason


def respond(
    key: str,
    run: Run,
    pieces: Iterator[Piece],
    collect: Callable[[list[Piece]], Any],
    *,
    stream: bool,
) -> Answer:
    """Wrap a generator of pieces as an Answer, drained now or by the caller."""
    answer = Answer()
    answer.text = ""

    def drain() -> Iterator[Piece]:
        got: list[Piece] = []
        for piece in pieces:
            got.append(piece)
            yield piece
        whole = collect(got)
        if isinstance(whole, str):
            answer.text = whole
        elif not stream:
            answer[key] = whole
        run.settle(answer)

    if stream:
        answer[key] = drain()
        return answer
    got = list(drain())
    answer[key] = collect(got)
    return answer
