"""Leases in Redis: what tells work that is being done from work whose worker was lost."""

import contextlib
import functools
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import redis

from inference import stream

SECONDS = 6.0
"""A lease runs out this long after its holder was lost."""


def leased(held: contextlib.ExitStack, name: UUID | str, *, wait_s: float) -> Any:
    """The lease of a job, or of other long work, released when `held` closes; None when another has it."""
    lease = _lease(name)
    if not lease.acquire(blocking=wait_s > 0, blocking_timeout=wait_s or None):
        return None

    def let_go() -> None:
        with contextlib.suppress(redis.exceptions.LockError):
            lease.release()

    held.callback(let_go)
    return lease


def leased_at_once(held: contextlib.ExitStack, names: Sequence[UUID | str]) -> dict[str, Any]:
    """The leases of those that nobody has, by name, asked for in one round trip and released in one."""
    if not names:
        return {}
    leases = {str(name): _lease(name) for name in names}
    with stream.client().pipeline(transaction=False) as pipe:
        for lease in leases.values():
            lease.local.token = uuid4().hex.encode()
            pipe.set(lease.name, lease.local.token, nx=True, px=int(SECONDS * 1000))
        taken = pipe.execute()
    got = {name: lease for (name, lease), has in zip(leases.items(), taken, strict=True) if has}

    def release() -> None:
        with (
            contextlib.suppress(redis.exceptions.RedisError),
            stream.client().pipeline(transaction=False) as pipe,
        ):
            for lease in got.values():
                lease.lua_release(keys=[lease.name], args=[lease.local.token], client=pipe)
            pipe.execute()

    if got:
        held.callback(release)
    return got


def _lease(name: UUID | str) -> Any:
    return stream.client().lock(stream.key(name, "lease"), timeout=SECONDS, thread_local=False)


def is_held(name: UUID | str) -> bool:
    """Whether somebody has the lease of a job or of other long work."""
    return bool(stream.client().exists(stream.key(name, "lease")))


class _Renewer:
    """One thread that renews all leases of a process: one for each job would cost more than some jobs."""

    def __init__(self) -> None:
        self._held: dict[int, Any] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._run, daemon=True, name="leases").start()

    def add(self, leases: Iterable[Any]) -> None:
        with self._changed:
            self._held |= {id(lease): lease for lease in leases}
            self._changed.notify()

    def remove(self, leases: Iterable[Any]) -> None:
        with self._changed:
            for lease in leases:
                del self._held[id(lease)]

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._held)
            # Between two renewals; who comes meanwhile has time until the next.
            time.sleep(SECONDS / 3)
            with self._changed:
                held = list(self._held.values())
            for lease in held:  # one that was given up meanwhile is not taken again
                with contextlib.suppress(redis.exceptions.RedisError):
                    lease.reacquire()


@functools.cache
def _renewer(pid: int) -> _Renewer:
    del pid  # threads do not survive a fork
    return _Renewer()


@contextlib.contextmanager
def renewed(leases: Sequence[Any]) -> Iterator[None]:
    """Renew leases from a thread while the body runs."""
    renewer = _renewer(os.getpid())
    renewer.add(leases)
    try:
        yield
    finally:
        renewer.remove(leases)
