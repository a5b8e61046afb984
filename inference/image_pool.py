"""A few processes that decode images, started when they are needed."""

import atexit
import contextlib
import functools
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from django.conf import settings

from inference import errors
from inference.image_decoder import receive, send

_ROOT = Path(__file__).parents[1]
_KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")
_LIFE = 500
"""Images that one process decodes before another takes its place."""
_WAIT_S = 10
"""How long a request waits for a free process."""


class Lost(Exception):
    """The process ended, or had to be ended: the image took too much time or memory."""


class _Process:
    def __init__(self) -> None:
        self._child = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "inference.image_decoder", str(settings.INFERENCE_DECODER_MEMORY_MB)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT,
            # Neither keys nor passwords are of use to a decoder.
            env={"MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1", **{n: os.environ[n] for n in _KEPT if n in os.environ}},
            start_new_session=True,
        )  # fmt: skip
        self.left = _LIFE
        self.pid = self._child.pid

    def ask(self, about: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        self.left -= 1
        # Time on the clock, far above the processor time that the child grants itself.
        ending = threading.Timer(8 * about["cpu_s"] + 20, self._child.kill)
        ending.start()
        try:
            assert self._child.stdin is not None
            assert self._child.stdout is not None
            send(self._child.stdin, about, data)
            reply = receive(self._child.stdout)
        except OSError as error:
            raise Lost from error
        finally:
            ending.cancel()
        if reply is None:
            raise Lost
        return reply

    @property
    def is_alive(self) -> bool:
        return self._child.poll() is None

    def end(self) -> None:
        self._child.kill()
        for pipe in (self._child.stdin, self._child.stdout):
            with contextlib.suppress(OSError):  # what was not sent is not missed
                if pipe:
                    pipe.close()
        self._child.wait()


class Pool:
    """At most `size` processes; whoever comes when all are busy waits in turn."""

    def __init__(self, size: int, waiting: int) -> None:
        self.size = size
        self._turns = threading.Semaphore(size)
        self._waiting = threading.BoundedSemaphore(size + waiting)
        self._idle: queue.LifoQueue[_Process] = queue.LifoQueue()

    def ask(self, about: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        """One image's reply.

        Raises:
            Busy: too many images wait already, or it waited for too long.
            Lost: the process was ended while it worked on this one.
        """
        if not self._waiting.acquire(blocking=False):
            raise errors.IMAGES_BUSY()
        try:
            if not self._turns.acquire(timeout=_WAIT_S):
                raise errors.IMAGES_BUSY()
            try:
                return self._ask(about, data)
            finally:
                self._turns.release()
        finally:
            self._waiting.release()

    def _ask(self, about: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        process = self._free()
        try:
            reply = process.ask(about, data)
        except BaseException:
            process.end()
            raise
        if process.left > 0:
            self._idle.put(process)
        else:
            process.end()
        return reply

    def _free(self) -> _Process:
        while True:
            try:
                process = self._idle.get_nowait()
            except queue.Empty:
                return _Process()
            if process.is_alive:
                return process
            process.end()  # the system may have ended it while it waited

    def pids(self) -> list[int]:
        """Ids of the processes that wait for work."""
        return [process.pid for process in list(self._idle.queue)]

    def end(self) -> None:
        """End the processes that wait for work."""
        while True:
            try:
                self._idle.get_nowait().end()
            except queue.Empty:
                return


def pool() -> Pool:
    """This process's own."""
    return _pool(os.getpid())


@functools.cache
def _pool(pid: int) -> Pool:
    del pid  # a forked worker must not talk into its parent's pipes
    made = Pool(settings.INFERENCE_DECODERS, settings.INFERENCE_DECODERS_WAITING)
    atexit.register(made.end)
    return made
