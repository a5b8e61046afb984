"""Caption metrics as COCO's evaluation defines them, with what a bootstrap needs of each image.

The formulas are pycocoevalcap's (BLEU, ROUGE-L, CIDEr-D); captions are tokenised by
`leaderboard.metrics.ptb`. Every metric is given as statistics by image, from which the corpus figure
of any resample follows.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from leaderboard.metrics.ptb import tokenise

Tokens = Sequence[str]
ORDERS = 4
_TINY, _SMALL = 1e-15, 1e-9
_SIGMA = 6.0
_BETA = 1.2


def _ngrams(tokens: Tokens) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for order in range(1, ORDERS + 1):
        for start in range(len(tokens) - order + 1):
            found[tuple(tokens[start : start + order])] += 1
    return found


@dataclass(frozen=True, slots=True)
class BleuStats:
    """Sufficient statistics of BLEU-1…4 by image."""

    correct: np.ndarray
    """(N, 4) clipped n-gram hits."""
    guessed: np.ndarray
    """(N, 4) n-grams of the candidate."""
    lengths: np.ndarray
    """(N, 2) of the candidate, and of the closest reference (the shorter of two)."""

    def table(self) -> np.ndarray:
        """(N, 10) the three side by side; sums of its rows are what `bleu_of` reads."""
        return np.hstack([self.correct, self.guessed, self.lengths])

    def corpus(self) -> np.ndarray:
        """BLEU-1…4 in 0..1 over all images: (4,)."""
        return bleu_of(self.table().sum(0, keepdims=True))[0]


def bleu_of(sums: np.ndarray) -> np.ndarray:
    """BLEU-1…4 of summed statistics: (R, 10) → (R, 4)."""
    correct, guessed = sums[:, :ORDERS], sums[:, ORDERS : 2 * ORDERS]
    candidate, reference = sums[:, -2], sums[:, -1]
    precisions = (correct + _TINY) / (guessed + _SMALL)
    scores = np.cumprod(precisions, axis=1) ** (1 / np.arange(1, ORDERS + 1))
    ratio = (candidate + _TINY) / (reference + _SMALL)
    penalty = np.where(ratio < 1, np.exp(1 - 1 / np.minimum(ratio, 1)), 1.0)
    result: np.ndarray = scores * penalty[:, None]
    return result


def bleu_stats(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> BleuStats:
    """BLEU's statistics of tokenised captions."""
    correct = np.zeros((len(candidates), ORDERS))
    guessed = np.zeros((len(candidates), ORDERS))
    lengths = np.zeros((len(candidates), 2))
    for row, (candidate, truths) in enumerate(zip(candidates, references, strict=True)):
        most: Counter[tuple[str, ...]] = Counter()
        for truth in truths:
            most |= _ngrams(truth)
        for gram, count in _ngrams(candidate).items():
            correct[row, len(gram) - 1] += min(count, most[gram])
        length = len(candidate)
        guessed[row] = [max(0, length - order) for order in range(ORDERS)]
        closest = min((abs(len(t) - length), len(t)) for t in truths)[1]
        lengths[row] = length, closest
    return BleuStats(correct, guessed, lengths)


def rouge_l(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> np.ndarray:
    """ROUGE-L of each image, 0..1: F with β = 1.2 of the best precision and the best recall."""
    scores = np.zeros(len(candidates))
    for row, (candidate, truths) in enumerate(zip(candidates, references, strict=True)):
        shared = [_longest_common(candidate, truth) for truth in truths]
        precision = max(s / len(candidate) if candidate else 0.0 for s in shared)
        recall = max(s / len(t) if t else 0.0 for s, t in zip(shared, truths, strict=True))
        if precision and recall:
            scores[row] = (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)
    return scores


def _longest_common(a: Tokens, b: Tokens) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for x in a:
        before = row
        row = [0]
        for at, y in enumerate(b, 1):
            row.append(before[at - 1] + 1 if x == y else max(before[at], row[-1]))
    return row[-1]


class DocumentFrequency:
    """In how many images each n-gram occurs: of the whole set, and the same for every resample.

    CIDEr over a part is another number than the part of CIDEr, so intervals keep this fixed.
    """

    def __init__(self, references: Iterable[Sequence[Tokens]]) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.images = 0
        for truths in references:
            self.images += 1
            self.counts.update({gram for truth in truths for gram in _ngrams(truth)})

    def weigh(self, tokens: Tokens) -> tuple[list[dict[tuple[str, ...], float]], list[float], int]:
        """Weights by order, their norms, and the number of bigrams (the length CIDEr-D compares)."""
        log_images = math.log(self.images) if self.images else 0.0
        weights: list[dict[tuple[str, ...], float]] = [{} for _ in range(ORDERS)]
        for gram, count in _ngrams(tokens).items():
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


def tokenise_all(captions: Iterable[str]) -> list[list[str]]:
    """Each caption's tokens."""
    return [tokenise(caption) for caption in captions]
