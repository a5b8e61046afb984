"""Caption metrics as COCO's evaluation defines them, with what intervals need of each image.

The formulas are pycocoevalcap's (BLEU, ROUGE-L, CIDEr-D); captions are tokenised by
`leaderboard.metrics.ptb`. Every metric is given as statistics by image, from which the corpus figure
of any weighting follows. What rewards need too is in `inference.engine.metrics`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference.engine.metrics.captions import (
    ORDERS,
    DocumentFrequency,
    Tokens,
    bleu_counts,
    cider_d,
    tokenise_all,
    words,
)
from inference.engine.metrics.numeric import np

__all__ = [
    "ORDERS", "BleuStats", "DocumentFrequency", "Tokens", "bleu_of", "bleu_stats", "cider_d",
    "rouge_l", "tokenise_all", "words",
]  # fmt: skip
_TINY, _SMALL = 1e-15, 1e-9
_BETA = 1.2


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
        correct[row], guessed[row], length, closest = bleu_counts(candidate, truths)
        lengths[row] = length, closest
    return BleuStats(correct, guessed, lengths)


def rouge_l(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> np.ndarray:
    """ROUGE-L of each image, 0..1: F with β = 1.2 of the best precision and the best recall.

    A caption without tokens is one empty token there, so that two such captions agree.
    """
    scores = np.zeros(len(candidates))
    for row, (said, truths) in enumerate(zip(candidates, references, strict=True)):
        candidate, right = said or _EMPTY, [truth or _EMPTY for truth in truths]
        shared = [_longest_common(candidate, truth) for truth in right]
        precision = max(s / len(candidate) for s in shared)
        recall = max(s / len(t) for s, t in zip(shared, right, strict=True))
        if precision and recall:
            scores[row] = (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)
    return scores


_EMPTY = ("",)


def _longest_common(a: Tokens, b: Tokens) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for x in a:
        before = row
        row = [0]
        for at, y in enumerate(b, 1):
            row.append(before[at - 1] + 1 if x == y else max(before[at], row[-1]))
    return row[-1]
