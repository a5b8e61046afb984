"""The embedded model's tokenizer: byte-level BPE learnt from the world's own sentences.

Byte-level, so any text can be encoded and nothing is ever unknown; words of the world are one
token each, digits stay single.
"""

import random
from collections.abc import Iterator
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from inference.world.domains import DOMAINS
from inference.world.language import LENGTHS, caption, questions, targets
from inference.world.vocabulary import BACKGROUNDS, COLOURS, WORDS, plural

SPECIALS = (
    "<|end|>", "<|skill|>", "<|/skill|>", "<|answer|>", "<|think|>", "<|coord|>", "<|size|>",
    "<|ground|>", "<|reserved|>", "<|/ground|>",
    "<|caption|>", "<|query|>", "<|detect|>", "<|point|>", "<|short|>", "<|normal|>", "<|long|>",
)  # fmt: skip
_ID = {token: i for i, token in enumerate(SPECIALS)}


def templates() -> dict[str, Any]:
    """Prompt ids by skill, laid out as Moondream2's of 2025-06-21."""

    def skill(*names: str) -> list[int]:
        return [1, *(_ID[f"<|{name}|>"] for name in names), 2]

    return {
        "caption": {length: [*skill("caption", length), 3] for length in LENGTHS},
        "query": {"prefix": skill("query"), "suffix": [3]},
        "detect": {"prefix": skill("detect"), "suffix": [3]},
        "point": {"prefix": skill("point"), "suffix": [3]},
    }


def casual(text: str, rng: random.Random) -> str:
    """How people really type a question: sometimes lower case, without the question mark, with
    British spelling."""
    if rng.random() < 0.25:
        text = text.replace("color", "colour").replace("gray", "grey")
    if rng.random() < 0.3:
        text = text[0].lower() + text[1:]
    if rng.random() < 0.3:
        text = text.rstrip("?.")
    return text


def _corpus(scenes: int) -> Iterator[str]:
    rng = random.Random(7)
    nouns = [word for d in DOMAINS.values() for noun in d.nouns for word in noun.split()]
    words = [*COLOURS, *nouns, *map(plural, nouns), *WORDS, *BACKGROUNDS, "shapes"]
    for _ in range(300):
        yield " ".join(rng.sample(words, len(words)))
    for number in range(scenes):
        # Half of the scenes are shapes and signs, the rest the other domains in turn.
        names = ("shapes", "shelf", "shapes", "plate", "shapes", "phantom")
        scene = DOMAINS[names[number % len(names)]].sample(rng)
        for length in LENGTHS:
            yield caption(scene, length)
        for qa in questions(scene, rng):
            yield casual(qa.question, rng)
            yield " " + qa.answer
            yield qa.answer
        yield " " + targets(scene, rng)[0]


def build_tokenizer(vocab_size: int, scenes: int = 3000) -> Tokenizer:
    """Learn the merges; the same tokenizer every time."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(scenes), trainer)
    return tokenizer
