"""Reads: published figures, tables, submissions, items."""

from leaderboard.selectors.blocks import references_at, references_check, with_references
from leaderboard.selectors.challenges import (
    Own,
    Standings,
    challenge_get,
    challenges,
    leaders,
    own,
    standings,
)
from leaderboard.selectors.details import (
    Detail,
    comparable,
    entry_detail,
    log_lines,
    own_detail,
    public_page,
    queue_of,
    submissions_of,
    teams_of,
)
from leaderboard.selectors.examples import Example, examples, public_benchmarks
from leaderboard.selectors.exports import export_all, export_csv, export_rows
from leaderboard.selectors.figures import (
    Bar,
    Chart,
    by_model,
    by_release,
    mini_benchmark,
    reported,
    reported_names,
    side_by_side,
)
from leaderboard.selectors.items import Comparison, compare, image_url, items_page
from leaderboard.selectors.prompts import (
    ANSWERS,
    PLACE,
    Compared,
    Prompt,
    PromptGroup,
    PromptsAsked,
    image_bytes,
    prompt_benchmarks,
    prompt_get,
    prompt_menu,
    prompts_page,
    prompts_proposed_by,
    reference_beside,
    reference_of,
)
from leaderboard.selectors.tables import (
    Asked,
    Board,
    Table,
    benchmark_get,
    board_count,
    boards,
    points,
    split_get,
    splits_now,
    table,
)

__all__ = [
    "ANSWERS", "PLACE", "Asked", "Bar", "Board", "Chart", "Compared", "Comparison", "Detail",
    "Example", "Own", "Prompt", "PromptGroup", "PromptsAsked", "Standings", "Table",
    "benchmark_get", "board_count", "boards", "by_model", "by_release", "challenge_get", "challenges", "comparable",
    "compare", "entry_detail", "examples", "export_all", "export_csv", "export_rows",
    "image_bytes", "image_url", "items_page", "leaders", "log_lines", "mini_benchmark", "own",
    "own_detail", "points", "prompt_benchmarks", "prompt_get", "prompt_menu", "prompts_page",
    "prompts_proposed_by", "public_benchmarks", "public_page", "queue_of", "reference_beside",
    "reference_of", "references_at", "references_check", "reported", "reported_names", "side_by_side", "split_get",
    "splits_now", "standings", "submissions_of", "table", "teams_of", "with_references",
]  # fmt: skip
