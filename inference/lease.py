"""Leases in Redis: what tells work that is being done from work whose worker was lost."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import redis

from inference import stream

SECONDS = 6.0
"""A lease runs out this long after its holder was lost."""


def leased(held: contextlib.ExitStack, name: UUID | str, *, wait_s: float) -> Any:
    """The lease of a job, or of other long work, released when `held` closes; None when another has it."""
    lease = stream.client().lock(stream.key(name, "lease"), timeout=SECONDS, thread_local=False)
    if not lease.acquire(blocking=wait_s > 0, blocking_timeout=wait_s or None):
        return None

    def let_go() -> None:
        with contextlib.suppress(redis.exceptions.LockError):
            lease.release()

    held.callback(let_go)
    return lease


def is_held(name: UUID | str) -> bool:
    """Whether somebody has the lease of a job or of other long work."""
    return bool(stream.client().exists(stream.key(name, "lease")))


@contextlib.contextmanager
def renewed(leases: Sequence[Any]) -> Iterator[None]:
    """Renew leases from a thread while the body runs."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(SECONDS / 3):
            for lease in leases:
                with contextlib.suppress(redis.exceptions.RedisError):
                    lease.reacquire()

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
