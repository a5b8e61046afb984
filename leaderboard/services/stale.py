"""Tables that no longer hold: noted with what changes them, made anew by a worker.

Locks are taken in one order everywhere: a team or a submission, challenges' tables, benchmarks' tables.
"""

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from inference import stream
from inference.messages import send_on_commit
from leaderboard.models import Benchmark, Challenge, Entry, Standing, Submission, TableState
from leaderboard.signals import entries_changed, standings_changed

logger = logging.getLogger(__name__)
GATHER_S = 1
"""A table is made anew this long after the first change, so that a burst of them is one piece of work."""
TRIES = 5
"""Times in a row that a table is computed anew because it changed meanwhile; then others come first."""

Row = TypeVar("Row", Entry, Standing)


class StillChangingError(Exception):
    """What a table stands for has changed every time it was computed."""


def board_stream(benchmark: Benchmark) -> str:
    """Name of the stream that tells a table's readers of news."""
    return f"board-{benchmark.slug}"


def challenge_stream(challenge: Challenge) -> str:
    """Name of the stream that tells readers of changed standings."""
    return f"challenge-{challenge.slug}"


@transaction.atomic
def tables_stale(
    *, benchmarks: Iterable[int] = (), challenges: Iterable[int] = (), gone: Q | None = None,
    known: bool = False,
) -> None:  # fmt: skip
    """Note that tables have to be made anew, in the transaction of what has changed.

    Args:
        benchmarks: ids of those whose table it is.
        challenges: ids of those whose standings they are.
        gone: of submissions: rows of these leave those tables at once, before ranks are made anew.
        known: leave out tables that were never made, of what may be about to be deleted.
    """
    states = _locked("challenge", challenges, known=known)
    for state in [*states, *_locked("benchmark", benchmarks, known=known)]:
        _stale(state, gone)


def submission_stale(submission: Submission, *, gone: bool = False) -> None:
    """Note that whatever shows a submission has to be made anew: a table, or its challenge's
    standings, and once that has its final ranking both. Expects a transaction.

    Args:
        gone: whether its row leaves at once.
    """
    rows = Q(pk=submission.pk) if gone else None
    phase = submission.phase
    if phase is None:
        tables_stale(benchmarks=[submission.split.benchmark_id], gone=rows)
        return
    challenge_stale(phase.challenge_id, gone=rows)


def challenge_stale(challenge_id: int, *, gone: Q | None = None) -> None:
    """Note that a challenge's standings have to be made anew, and once its final ranking is published
    the benchmark's table, for the entries are on it. Expects a transaction.

    Args:
        gone: see `tables_stale`.
    """
    tables_stale(challenges=[challenge_id], gone=gone)
    # Asked under the lock of the standings, which whoever publishes the ranking takes as well.
    published = Challenge.objects.filter(pk=challenge_id, published_at__isnull=False)
    benchmarks = list(published.values_list("benchmark", flat=True))
    if benchmarks:
        tables_stale(benchmarks=benchmarks, gone=gone)


def state_of(**of: Any) -> TableState:
    """The state of a benchmark's or a challenge's table, made if it is the first time."""
    return TableState.objects.get_or_create(**of)[0]


def _locked(kind: str, ids: Iterable[int], *, known: bool) -> list[TableState]:
    wanted = sorted(set(ids))
    field = f"{kind}_id"
    states = TableState.objects.filter(**{f"{field}__in": wanted}).order_by(field)
    found = list(states.select_for_update(of=("self",)).select_related(kind))
    if len(found) < len(wanted) and not known:
        TableState.objects.bulk_create(
            [TableState(**{field: pk}) for pk in wanted], ignore_conflicts=True
        )
        found = list(states.select_for_update(of=("self",)).select_related(kind))
    return found


def _stale(state: TableState, gone: Q | None) -> None:
    is_news = state.stale_since is None
    state.generation += 1
    state.stale_since = state.stale_since or timezone.now()
    state.failures = 0
    state.save(update_fields=["generation", "stale_since", "failures"])
    removed = 0
    if gone is not None:
        removed = _remove(state, Submission.objects.filter(gone))
    if is_news:
        table_queue(state)
    if is_news or removed:
        transaction.on_commit(partial(table_changed, state))


def _remove(state: TableState, gone: QuerySet[Submission]) -> int:
    """Take rows away, and return of how many. In a final ranking what its team took back leaves a gap."""
    if state.benchmark_id:
        return Entry.objects.filter(benchmark=state.benchmark_id, submission__in=gone).delete()[0]
    rows = Standing.objects.filter(challenge=state.challenge_id, submission__in=gone)
    shown = Q(submission__is_public=True, submission__status=Submission.Status.SCORED)
    gaps = rows.filter(is_final=True).exclude(shown)
    marked = gaps.filter(is_withdrawn=False).update(is_withdrawn=True)
    return marked + rows.exclude(pk__in=gaps.values("pk")).delete()[0]


def table_changed(state: TableState) -> None:
    """Tell readers and other rooms that a table shows something else."""
    if state.challenge:
        stream.publish_if_reachable(challenge_stream(state.challenge), "standings", {})
        standings_changed.send(Challenge, challenge=state.challenge)
    elif state.benchmark:
        stream.publish_if_reachable(board_stream(state.benchmark), "table", {})
        entries_changed.send(Benchmark, benchmark=state.benchmark)


def table_queue(state: TableState) -> None:
    """Ask a worker to make a table anew. When the broker is away, `tables_rescue` tries again."""
    from leaderboard.tasks import rebuild_table

    def lost(error: Exception) -> None:
        logger.warning("Table %s could not be queued; it will be tried again", state.pk)

    send_on_commit(rebuild_table, state.pk, lost=lost, countdown=GATHER_S, priority=2)


def make(
    state: TableState,
    compute: Callable[[], list[Row]],
    write: Callable[[TableState, list[Row]], None],
) -> list[Row]:
    """Compute a table without any lock, and write it under a short one if nothing has changed
    meanwhile; otherwise compute it again.

    Args:
        compute: reads, and changes nothing.
        write: replaces the rows; called with the locked state.

    Raises:
        TableState.DoesNotExist: the benchmark or challenge was deleted.
        StillChangingError: it changed `TRIES` times in a row.
    """
    for _ in range(TRIES):
        generation = TableState.objects.values_list("generation", flat=True).get(pk=state.pk)
        rows = compute()
        with transaction.atomic():
            locked = TableState.objects.select_for_update().get(pk=state.pk)
            if locked.generation != generation or not _are_shown(rows):
                continue
            write(locked, rows)
            locked.stale_since, locked.made_at, locked.failures = None, timezone.now(), 0
            locked.save(update_fields=["stale_since", "made_at", "failures", "leader"])
            return rows
    raise StillChangingError


def _are_shown(rows: Iterable[Entry | Standing]) -> bool:
    """Whether all that rows stand for may be seen, whoever changed that without a note."""
    return not taken_back(
        row.submission_id
        for row in rows
        if row.submission_id and not getattr(row, "is_withdrawn", False)
    )


def taken_back(submissions: Iterable[Any]) -> set[Any]:
    """Those, by id, that were withdrawn, made private or deleted."""
    ids = set(submissions)
    there = Submission.objects.filter(pk__in=ids, status=Submission.Status.SCORED, is_public=True)
    return ids - set(there.values_list("pk", flat=True))
