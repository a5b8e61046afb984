"""Rewards for answers: a weighted sum of terms that anybody can read.

    from inference.engine.rewards import Reward

    reward = Reward.from_json(text)
    score = reward.score("A red circle.", "A red circle on white.")
    score.total, score.values

Imports no Django and no torch. A document is of the format "moondream-reward/1"; `Reward.from_json`
refuses what it does not know and says where. `to_python` writes a module that scores alike.
"""

from inference.engine.rewards.cases import Case, Reference, UnreadableReference
from inference.engine.rewards.parameters import Parameter
from inference.engine.rewards.presets import PRESETS, Preset
from inference.engine.rewards.reward import (  # fmt: skip
    FORMAT,
    MAX_WEIGHT,
    MOST_TERMS,
    Reward,
    RewardError,
    Score,
    Term,
)
from inference.engine.rewards.script import from_python, read, to_python
from inference.engine.rewards.terms import TERMS, TermType

__all__ = [
    "FORMAT", "MAX_WEIGHT", "MOST_TERMS", "PRESETS", "TERMS", "Case", "Parameter", "Preset",
    "Reference", "Reward", "RewardError", "Score", "Term", "TermType", "UnreadableReference",
    "from_python", "read", "to_python",
]  # fmt: skip
