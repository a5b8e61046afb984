"""One answer beside one reference, by the benchmarks' own metrics."""

from dataclasses import dataclass

from inference.engine.metrics.captions import tokenise_all
from leaderboard.metrics.captions import bleu_stats, rouge_l
from leaderboard.metrics.text import exact_match
from leaderboard.metrics.vqa import anls


@dataclass(frozen=True, slots=True)
class TextScore:
    """A metric's value, 0 to 1."""

    name: str
    value: float


def text_scores(skill: str, answer: str, reference: str) -> list[TextScore]:
    """What an answer in words is worth beside a reference; nothing without one, or for places.

    Captions: BLEU-1, BLEU-4 and ROUGE-L on the tokens of COCO's evaluation. Answers: equal but for case and
    outer blanks, and ANLS.
    """
    if not reference.strip():
        return []
    if skill == "caption":
        candidate, truth = tokenise_all([answer, reference])
        bleu = bleu_stats([candidate], [[truth]]).corpus()
        rouge = float(rouge_l([candidate], [[truth]])[0])
        return [
            TextScore("BLEU-1", float(bleu[0])), TextScore("BLEU-4", float(bleu[3])),
            TextScore("ROUGE-L", rouge),
        ]  # fmt: skip
    if skill == "query":
        return [
            TextScore("Exact match", exact_match([answer], [reference])),
            TextScore("ANLS", anls(answer, [reference])),
        ]
    return []
