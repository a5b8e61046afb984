"""Metrics of text."""

from collections.abc import Sequence

from sacrebleu.metrics.bleu import BLEU


def exact_match(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Share of predictions equal to their reference, ignoring case and outer blanks; 0..1.

    Raises:
        ValueError: no pairs, or lists of different lengths.
    """
    _check(predictions, references)
    hits = [
        p.strip().casefold() == r.strip().casefold()
        for p, r in zip(predictions, references, strict=True)
    ]
    return sum(hits) / len(hits)


def bleu4(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Corpus BLEU-4, 0..100, one reference each (sacreBLEU, 13a tokenisation, lower case).

    Raises:
        ValueError: no pairs, or lists of different lengths.
    """
    _check(predictions, references)
    return float(BLEU(lowercase=True).corpus_score(list(predictions), [list(references)]).score)


def _check(predictions: Sequence[str], references: Sequence[str]) -> None:
    if not predictions or len(predictions) != len(references):
        raise ValueError("As many predictions as references are needed, and at least one.")
