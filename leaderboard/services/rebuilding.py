"""What a worker does about tables that no longer hold."""

import contextlib
import logging
from datetime import timedelta

from django.db.models import F
from django.utils import timezone

from inference import lease
from leaderboard.models import TableState
from leaderboard.services.entries import entries_make
from leaderboard.services.stale import StillChangingError, table_queue
from leaderboard.services.standings import standings_make

logger = logging.getLogger(__name__)
PATIENCE = timedelta(seconds=15)
"""A table that has waited longer, and that nobody works on, has lost its message or its worker."""
LONGEST_WAIT = timedelta(hours=1)
"""Between tries at a table that cannot be made."""


def table_rebuild(*, state_id: int) -> None:
    """Make a table anew if it needs it. Many messages are one piece of work: one worker does it, and
    goes on while something changes; the others find nothing to do.

    A table that cannot be made is tried again later, and holds up no other.
    """
    with contextlib.ExitStack() as held:
        taken = lease.leased(held, f"table-{state_id}", wait_s=lease.SECONDS + 1)
        if taken is None:
            return
        with lease.renewed([taken]):
            _rebuild(state_id)


def _rebuild(state_id: int) -> None:
    state = _state(state_id)
    if state is None or state.stale_since is None:
        return
    try:
        _make(state)
    except TableState.DoesNotExist:
        return
    except StillChangingError:
        table_queue(state)
    except Exception:  # whatever it is: other tables must not wait for it
        logger.exception("Table %s could not be made anew", state)
        TableState.objects.filter(pk=state_id).update(
            failures=F("failures") + 1, tried_at=timezone.now()
        )


def _state(state_id: int) -> TableState | None:
    found = TableState.objects.select_related("benchmark", "challenge")
    return found.filter(pk=state_id).first()


def _make(state: TableState) -> None:
    if state.challenge:
        standings_make(challenge=state.challenge)
    elif state.benchmark:
        entries_make(benchmark=state.benchmark)


def tables_rescue() -> int:
    """Queue again tables whose message was lost, or whose worker died.

    Returns:
        How many.
    """
    now, count = timezone.now(), 0
    for state in TableState.objects.filter(stale_since__lt=now - PATIENCE).order_by("stale_since"):
        pause = min(PATIENCE * 2 ** min(state.failures, 12), LONGEST_WAIT)
        waits = state.failures and state.tried_at and state.tried_at > now - pause
        if waits or lease.is_held(f"table-{state.pk}"):
            continue
        table_queue(state)
        count += 1
    return count


def tables_make() -> int:
    """Make every stale table now, in this process: for the starter's content, and for tests.

    Returns:
        How many.
    """
    stale = TableState.objects.filter(stale_since__isnull=False)
    states = list(stale.select_related("benchmark", "challenge"))
    for state in states:
        _make(state)
    return len(states)
