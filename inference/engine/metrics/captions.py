"""N-grams of captions: BLEU's counts and CIDEr-D, after pycocoevalcap's formulas."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from inference.engine.metrics.numeric import np
from inference.engine.metrics.ptb import tokenise

Tokens = Sequence[str]
ORDERS = 4
_SIGMA = 6.0


def ngrams(tokens: Tokens) -> Counter[tuple[str, ...]]:
    """How often each n-gram of 1 to 4 tokens occurs."""
    found: Counter[tuple[str, ...]] = Counter()
    for order in range(1, ORDERS + 1):
        for start in range(len(tokens) - order + 1):
            found[tuple(tokens[start : start + order])] += 1
    return found


def bleu_counts(
    candidate: Tokens, truths: Sequence[Tokens]
) -> tuple[list[int], list[int], int, int]:
    """What BLEU is made of: by order, clipped n-gram hits and n-grams of the candidate; the
    candidate's length, and that of the closest reference (the shorter of two)."""
    most: Counter[tuple[str, ...]] = Counter()
    for truth in truths:
        most |= ngrams(truth)
    correct = [0] * ORDERS
    for gram, count in ngrams(candidate).items():
        correct[len(gram) - 1] += min(count, most[gram])
    length = len(candidate)
    guessed = [max(0, length - order) for order in range(ORDERS)]
    closest = min((abs(len(t) - length), len(t)) for t in truths)[1]
    return correct, guessed, length, closest


class DocumentFrequency:
    """In how many images each n-gram occurs: of the whole set, and the same for every resample.

    CIDEr over a part is another number than the part of CIDEr, so intervals keep this fixed.
    """

    def __init__(self, references: Iterable[Sequence[Tokens]]) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.images = 0
        for truths in references:
            self.images += 1
            self.counts.update({gram for truth in truths for gram in ngrams(truth)})

    def weigh(self, tokens: Tokens) -> tuple[list[dict[tuple[str, ...], float]], list[float], int]:
        """Weights by order, their norms, and the number of bigrams (the length CIDEr-D compares)."""
        log_images = math.log(self.images) if self.images else 0.0
        weights: list[dict[tuple[str, ...], float]] = [{} for _ in range(ORDERS)]
        for gram, count in ngrams(tokens).items():
            rarity = log_images - math.log(max(1.0, self.counts[gram]))
            weights[len(gram) - 1][gram] = count * rarity
        norms = [math.sqrt(sum(w * w for w in order.values())) for order in weights]
        return weights, norms, max(0, len(tokens) - 1)


def cider_d(
    candidates: Sequence[Tokens],
    references: Sequence[Sequence[Tokens]],
    frequency: DocumentFrequency | None = None,
) -> np.ndarray:
    """CIDEr-D of each image, 0..10; the corpus figure is the mean.

    Args:
        frequency: of the full set; by default of these references.
    """
    frequency = frequency or DocumentFrequency(references)
    scores = np.zeros(len(candidates))
    for row, (candidate, truths) in enumerate(zip(candidates, references, strict=True)):
        mine, my_norms, my_length = frequency.weigh(candidate)
        total = 0.0
        for truth in truths:
            theirs, their_norms, their_length = frequency.weigh(truth)
            fall = math.exp(-((my_length - their_length) ** 2) / (2 * _SIGMA**2))
            for order in range(ORDERS):
                value = sum(
                    min(weight, theirs[order].get(gram, 0.0)) * theirs[order].get(gram, 0.0)
                    for gram, weight in mine[order].items()
                )
                norm = my_norms[order] * their_norms[order]
                total += (value / norm if norm else value) * fall
        scores[row] = 10 * total / ORDERS / len(truths)
    return scores


def words(tokens: Tokens) -> list[str]:
    """Tokens as BLEU and CIDEr see them: parted at every blank, such as that within "2\\xa01/2"."""
    return " ".join(tokens).split()


def tokenise_all(captions: Iterable[str]) -> list[list[str]]:
    """Each caption's tokens."""
    return [tokenise(caption) for caption in captions]
