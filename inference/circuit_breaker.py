"""When to ask a server again that did not answer: nobody else waits for it meanwhile."""

import threading
import time


class CircuitBreaker:
    """Closed while the server answers. Open for some seconds after it did not; then one caller tries,
    and the others go on without it until that one is answered."""

    def __init__(self, again_s: float = 5.0) -> None:
        """
        Args:
            again_s: seconds between attempts to reach the server while it is away.
        """
        self.again_s = again_s
        self._lock = threading.Lock()
        self._again_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the server was away when it was last asked."""
        return self._again_at is not None

    def may_ask(self) -> bool:
        """Whether this caller should ask; whoever may has to call `failed` or `answered` then."""
        if not self.is_open:
            return True
        with self._lock:
            now = time.monotonic()
            if self._again_at is not None and now < self._again_at:
                return False
            self._again_at = now + self.again_s
            return True

    def failed(self) -> bool:
        """Note that the server did not answer; whether that is news."""
        with self._lock:
            is_news = self._again_at is None
            self._again_at = time.monotonic() + self.again_s
            return is_news

    def answered(self) -> bool:
        """Note that it answered; whether that is news."""
        if self._again_at is None:
            return False
        with self._lock:
            self._again_at = None
            return True
