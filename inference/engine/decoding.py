"""Choosing tokens and showing text: what one answer and a row of a batch do alike."""

import torch
from tokenizers import Tokenizer

from inference.engine.answers import Run
from inference.engine.config import TokenizerConfig
from inference.engine.settings import Settings


class Decoding:
    """One text while it is made: the tokens so far, and how much of it was shown."""

    def __init__(self, run: Run, tokens: TokenizerConfig, tokenizer: Tokenizer) -> None:
        self.run, self.tokens, self.tokenizer = run, tokens, tokenizer
        self.ids: list[int] = []
        self.shown = 0
        self.ended = False

    def take(self, logits: torch.Tensor, settings: Settings, generator: torch.Generator) -> int:
        """Choose the next token from (vocab,) logits and count it; the end is not kept."""
        if self.ids and self.tokens.answer_id is not None:
            # Upstream masks the answer token from the second generated token on.
            logits[self.tokens.answer_id] = -torch.inf
        token, probability = choose(logits, settings, generator)
        self.run.token()
        self.run.chose(probability)
        if token == self.tokens.eos_id:
            self.ended = True
        else:
            self.ids.append(token)
        return token

    def piece(self, *, last: bool) -> str:
        """What can be shown by now and was not yet: whole words, and at the `last` all of it."""
        text = self.text
        cut = len(text) if last else flush_point(text)
        piece, self.shown = text[self.shown : cut], max(cut, self.shown)
        return piece

    @property
    def text(self) -> str:
        decoded: str = self.tokenizer.decode(self.ids)
        return decoded


def choose(
    logits: torch.Tensor, settings: Settings, generator: torch.Generator
) -> tuple[int, float]:
    """Pick a token from (vocab,) logits; its probability is the model's own, at temperature 1.

    Top-p keeps a token while the mass before it is at most `top_p`: the first always stays.
    """
    odds = logits.softmax(-1)
    if settings.temperature == 0:
        token = int(odds.argmax())
        return token, float(odds[token])
    heated = (logits / settings.temperature).softmax(-1)
    mass, order = heated.sort(descending=True)
    mass[(mass.cumsum(-1) - mass) > settings.top_p] = 0
    token = int(order[torch.multinomial(mass, 1, generator=generator)])
    return token, float(odds[token])


def flush_point(text: str) -> int:
    """How much of a growing text may be shown: up to a newline, a CJK character or a space."""
    if text and (text[-1] == "\n" or "\u4e00" <= text[-1] <= "\u9fff"):
        return len(text)
    return text.rfind(" ") + 1
