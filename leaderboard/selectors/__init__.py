"""Reads: published figures, tables, entries."""

from leaderboard.selectors.figures import Bar, Chart, mini_benchmark, reported
from leaderboard.selectors.tables import (
    Asked,
    Board,
    Comparison,
    Detail,
    Table,
    benchmark_get,
    board_count,
    boards,
    compare,
    entry_detail,
    export_csv,
    export_rows,
    image_url,
    items_page,
    log_lines,
    own_detail,
    points,
    split_get,
    submissions_of,
    table,
    waiting_before,
)

__all__ = [
    "Asked", "Bar", "Board", "Chart", "Comparison", "Detail", "Table", "benchmark_get",
    "board_count", "boards", "compare", "entry_detail", "export_csv", "export_rows", "image_url",
    "items_page", "log_lines", "mini_benchmark", "own_detail", "points", "reported", "split_get",
    "submissions_of", "table", "waiting_before",
]  # fmt: skip
