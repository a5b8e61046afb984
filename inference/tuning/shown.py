"""Questions with their sampled answers, as they are kept for pages."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference.engine.tuning.loop import Asked

MOST_QUESTIONS = 4
"""Questions of each step whose answers are kept, and as many answers as there are."""


def shown(asked: "Sequence[Asked]", most: int = MOST_QUESTIONS) -> list[dict[str, Any]]:
    """The first questions: what was asked, what is right, and each answer with what it was given."""
    return [
        {
            "skill": each.example.skill, "params": dict(each.example.params),
            "image": each.example.image_key, "reference": each.example.reference,
            "target": dict(each.example.target or {}) if not each.answers else None,
            "answers": [
                {
                    "output": answer.rollout.output, "finish_reason": answer.rollout.finish_reason,
                    "reward": answer.score.total, "terms": list(answer.score.values),
                    "advantage": answer.advantage,
                }
                for answer in each.answers
            ],
        }
        for each in asked[:most]
    ]  # fmt: skip
