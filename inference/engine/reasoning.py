"""Thinking before an answer: a text whose parts may point at the image."""

from typing import Any

import torch
from tokenizers import Tokenizer

from inference.engine.answers import Run
from inference.engine.config import TokenizerConfig
from inference.engine.decoding import choose
from inference.engine.settings import Settings


class Reasoning:
    """One train of thought while it is made.

    It ends with the answer's token. A coordinate's token stands for a value that the coordinate head
    decodes; the tokens that begin and end grounding open a new part of the text. The end of text and
    sizes are never chosen but as the very first token (as upstream masks them).
    """

    def __init__(self, run: Run, tokens: TokenizerConfig, tokenizer: Tokenizer) -> None:
        self.run, self.tokens, self.tokenizer = run, tokens, tokenizer
        self.parts: list[tuple[list[int], list[float]]] = [([], [])]
        self.count = 0

    def take(self, logits: torch.Tensor, settings: Settings, generator: torch.Generator) -> int:
        """Choose the next token from (vocab,) logits; the answer's token is not kept."""
        if self.count:
            logits[[self.tokens.eos_id, self.tokens.size_id]] = -torch.inf
        token, probability = choose(logits, settings, generator)
        self.run.token()
        self.run.chose(probability)
        if token != self.tokens.answer_id:
            if token in (self.tokens.start_ground_points_id, self.tokens.end_ground_id):
                self.parts.append(([], []))
            self.parts[-1][0].append(token)
            self.count += 1
        return token

    def place(self, coordinate: float) -> None:
        """The value of the coordinate that was chosen last, 0..1."""
        self.parts[-1][1].append(coordinate)

    def told(self) -> dict[str, Any]:
        """`{"text": str, "grounding": [{"start_idx", "end_idx", "points": [[x, y], ...]}]}`, as the
        official clients have it; the indices count characters of the text."""
        text, grounding = "", []
        for ids, coordinates in self.parts:
            start, text = len(text), text + self.tokenizer.decode(ids)
            if len(coordinates) > 1:
                pairs = zip(coordinates[::2], coordinates[1::2], strict=False)
                grounding.append({"start_idx": start, "end_idx": len(text), "points": [list(p) for p in pairs]})  # fmt: skip
        return {"text": text, "grounding": grounding}
