"""Stopping work that is under way: at once where it would take long, at its next step where it does not."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from uuid import UUID

import redis

from inference import stream

_LOOK_S = 0.2
_GRACE_S = 1.0
"""How long a step that is under way may take to its end before it is broken off."""


class Interrupted(BaseException):
    """Raised in the middle of work: nothing it has in memory can be trusted."""


class Watch:
    """Looks whether somebody asked to stop, from a thread, while work is done in the main one."""

    def __init__(self, name: UUID | str) -> None:
        self.name = name
        self.is_asked = False
        self._is_armed = False
        self._ended = threading.Event()

    @contextlib.contextmanager
    def watching(self) -> Iterator["Watch"]:
        """Look while the body runs."""
        is_main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGUSR2, self._break_off) if is_main else None
        thread = threading.Thread(target=self._look, args=(is_main,), daemon=True, name="watch")
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()
            if is_main:
                signal.signal(signal.SIGUSR2, before)

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """Within the body, work may be broken off. Nothing else is done there: no row is written.

        Raises:
            Interrupted: it was.
        """
        self._is_armed = True
        try:
            yield
        finally:
            self._is_armed = False

    def _look(self, can_break_off: bool) -> None:  # noqa: FBT001
        while not self._ended.wait(_LOOK_S):
            with contextlib.suppress(redis.exceptions.RedisError):
                if stream.cancel_requested(self.name):
                    self.is_asked = True
                    break
        while can_break_off and not self._ended.wait(_GRACE_S):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR2)

    def _break_off(self, number: int, frame: FrameType | None) -> None:
        if self._is_armed:
            self._is_armed = False
            raise Interrupted
