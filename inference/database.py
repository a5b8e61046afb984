"""Database connections where requests are long: none is held while a caller waits or reads."""

import functools
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections

P = ParamSpec("P")
R = TypeVar("R")


def release() -> None:
    """Give this thread's connections back to the pool, but for one in a transaction."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def in_thread(function: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    """The async form of what reads or writes the database.

    It runs in the request's thread, whose connection goes back to the pool before this returns.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        finally:
            release()

    return sync_to_async(run)


def released_after(lines: Iterable[R]) -> Iterator[R]:
    """The same lines; when they have been read, the connection they needed goes back to the pool,
    however long the client then takes to receive them."""
    try:
        yield from lines
    finally:
        release()
