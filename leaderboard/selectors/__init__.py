"""Reads: published figures, tables, submissions, items."""

from leaderboard.selectors.details import (
    Detail,
    entry_detail,
    log_lines,
    own_detail,
    submissions_of,
    teams_of,
    waiting_before,
)
from leaderboard.selectors.exports import export_csv, export_rows
from leaderboard.selectors.figures import Bar, Chart, mini_benchmark, reported
from leaderboard.selectors.items import Comparison, compare, image_url, items_page
from leaderboard.selectors.tables import (
    Asked,
    Board,
    Table,
    benchmark_get,
    board_count,
    boards,
    points,
    split_get,
    table,
)

__all__ = [
    "Asked", "Bar", "Board", "Chart", "Comparison", "Detail", "Table", "benchmark_get",
    "board_count", "boards", "compare", "entry_detail", "export_csv", "export_rows", "image_url",
    "items_page", "log_lines", "mini_benchmark", "own_detail", "points", "reported", "split_get",
    "submissions_of", "table", "teams_of", "waiting_before",
]  # fmt: skip
