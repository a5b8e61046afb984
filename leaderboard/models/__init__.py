"""Benchmarks, what is submitted to them, and what came of it."""

from leaderboard.models.benchmarks import Benchmark, BenchmarkItem, Split
from leaderboard.models.prompts import BenchmarkPrompt
from leaderboard.models.reported import ReportedFigure
from leaderboard.models.runs import Run, RunAnswer
from leaderboard.models.submissions import (
    Entry,
    LogLine,
    QuotaLine,
    Score,
    Submission,
    Team,
)

__all__ = [
    "Benchmark", "BenchmarkItem", "BenchmarkPrompt", "Entry", "LogLine", "QuotaLine",
    "ReportedFigure", "Run", "RunAnswer", "Score", "Split", "Submission", "Team",
]  # fmt: skip
