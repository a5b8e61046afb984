"""Predictions in, scores out: what the worker runs, and what anybody can run at home.

Nothing here imports Django. `python -m leaderboard.scoring caption references.jsonl predictions.jsonl`
scores a public split as this site does; with `--check` it only reads the file.
"""

from leaderboard.scoring.files import (
    MAX_BYTES,
    Checked,
    Problems,
    read_items,
    read_predictions,
)
from leaderboard.scoring.preflight import Context, Warned
from leaderboard.scoring.scores import (
    INTERVALS,
    SEED,
    Score,
    data_hash,
    interval_method,
    score,
    units,
)
from leaderboard.scoring.series import labels_of
from leaderboard.scoring.tasks import TASKS
from leaderboard.scoring.types import BadPrediction, Item, Metric, Task

__all__ = [
    "INTERVALS", "MAX_BYTES", "SEED", "TASKS", "BadPrediction", "Checked", "Context", "Item",
    "Metric", "Problems", "Score", "Task", "Warned", "data_hash", "interval_method", "labels_of",
    "read_items", "read_predictions", "score", "units",
]  # fmt: skip
