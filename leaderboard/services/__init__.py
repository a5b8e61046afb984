"""Writes: benchmarks, submissions and their scores, the rows of tables, runs of our own."""

from leaderboard.services.benchmarks import (
    NewItem,
    benchmark_make,
    split_fill,
    split_import,
    total_limit,
)
from leaderboard.services.blocks import (
    blocks_rescue,
    split_open,
    split_saved,
    submission_open,
)
from leaderboard.services.challenges import (
    DECISIONS,
    challenge_announced,
    challenge_changed,
    challenge_freeze,
    challenge_is_used,
    challenge_join,
    challenge_leave,
    challenge_make,
    challenge_sample,
    challenge_submit,
    entry_choose,
    final_publish,
    participation_decide,
    phase_for,
    team_in,
    team_in_seen,
)
from leaderboard.services.deleting import team_delete, team_holds, team_kept_by
from leaderboard.services.entries import (
    entries_check,
    entries_make,
    entries_seal,
    reported_changed,
    variant_changed,
)
from leaderboard.services.prompts import prompt_decide, prompt_propose, prompts_load
from leaderboard.services.quota import quota_left, quotas_left
from leaderboard.services.rebuilding import table_rebuild, tables_make, tables_rescue
from leaderboard.services.reported import reported_load
from leaderboard.services.runs import (
    job_ended,
    run_advance,
    run_start,
    runs_advance,
    runs_start,
)
from leaderboard.services.scoring import rescore, submission_score, submissions_rescue
from leaderboard.services.sealing import (
    Resealed,
    publish_refusal,
    references_reseal,
    split_publish,
)
from leaderboard.services.stale import board_stream, challenge_stream, tables_stale
from leaderboard.services.standings import standings_make
from leaderboard.services.submitting import (
    Card,
    card_read,
    predictions_check,
    refuse_problems,
    submission_make,
    submission_own,
    submission_publish,
    submission_take,
    submission_withdraw,
)
from leaderboard.services.teams import (
    invite_end,
    invite_link,
    invites_end,
    member_remove,
    members_check,
    our_team,
    team_invite,
    team_invited,
    team_join,
    team_name_check,
    team_of,
    team_own,
    team_rename,
    team_seen,
    team_size_check,
    teams_joined,
)
from leaderboard.services.tuned import finetune_changed
from leaderboard.services.world import BENCHMARKS as WORLD
from leaderboard.services.world import world_load, world_rotate

__all__ = [
    "DECISIONS", "WORLD", "Card", "NewItem", "Resealed", "benchmark_make", "blocks_rescue", "board_stream", "card_read",
    "challenge_announced", "challenge_changed", "challenge_freeze", "challenge_is_used", "challenge_join",
    "challenge_leave", "challenge_make", "challenge_sample", "challenge_stream", "challenge_submit",
    "entries_check", "entries_make", "entries_seal", "entry_choose", "final_publish", "finetune_changed", "invite_end", "invite_link",
    "invites_end", "job_ended",
    "member_remove", "members_check", "our_team", "participation_decide", "phase_for", "predictions_check",
    "prompt_decide", "prompt_propose", "prompts_load", "publish_refusal", "quota_left", "quotas_left",
    "references_reseal", "refuse_problems",
    "reported_changed", "reported_load", "rescore", "run_advance", "run_start", "runs_advance", "runs_start",
    "split_fill", "split_import", "split_open", "split_publish", "split_saved", "standings_make", "submission_make",
    "submission_open", "submission_own", "submission_publish", "submission_score", "submission_take",
    "submission_withdraw", "submissions_rescue",
    "table_rebuild", "tables_make", "tables_rescue", "tables_stale", "team_delete", "team_holds", "team_in", "team_in_seen",
    "team_invite", "team_invited", "team_join", "team_kept_by", "team_name_check", "team_of", "team_own", "team_rename", "team_seen",
    "team_size_check", "teams_joined", "total_limit", "variant_changed", "world_load", "world_rotate",
]  # fmt: skip
