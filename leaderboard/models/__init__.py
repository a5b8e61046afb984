"""Benchmarks, what is submitted to them, and what came of it."""

from leaderboard.models.benchmarks import Benchmark, BenchmarkItem, Split
from leaderboard.models.blocks import PredictionBlock, ReferenceBlock
from leaderboard.models.challenges import (
    Challenge,
    Participation,
    Phase,
    Standing,
    dates_state,
    entries_shown,
    sealed_by,
    sealing,
    told,
    unranked_phases,
)
from leaderboard.models.prompts import BenchmarkPrompt
from leaderboard.models.reported import ReportedFigure
from leaderboard.models.runs import Run, RunAnswer
from leaderboard.models.submissions import (
    Entry,
    LogLine,
    Membership,
    QuotaLine,
    Role,
    Score,
    Submission,
    Team,
)
from leaderboard.models.tables import PairTest, TableState

__all__ = [
    "Benchmark", "BenchmarkItem", "BenchmarkPrompt", "Challenge", "Entry", "LogLine", "Membership",
    "PairTest", "Participation", "Phase", "PredictionBlock", "QuotaLine", "ReferenceBlock", "ReportedFigure", "Role", "Run", "RunAnswer", "Score", "Split",
    "Standing", "Submission", "TableState", "Team", "dates_state", "entries_shown", "sealed_by", "sealing", "told", "unranked_phases",
]  # fmt: skip
