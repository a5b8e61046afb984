"""Who pays for work, as far as this room has to know: a job, a training or a call is reserved for before it
is queued, and ended once, however it ends.

What may be used is decided above (`pricing`), which says here how it meters when it is ready. Without it
nothing is metered.
"""

from typing import Any, Protocol
from uuid import UUID

from inference.models import Job

Payer = Any
"""Whoever asks, as the room above knows them; only handed through."""


class Meter(Protocol):
    """How use is metered."""

    def job_reserve(self, job: Job, payer: Payer, *, is_site: bool) -> bool:
        """Reserve for a job that is not saved yet; whether it is metered at all.

        Raises:
            DomainError: it may not be asked; what was used, what is left, and when there is more.
        """
        ...

    def job_ended(self, job: Job) -> None:
        """Settle or release what a job has reserved; safe to repeat. Never raises."""
        ...

    def training_reserve(
        self, subject: UUID, *, user_id: int | None, owner_key: str, payer: Payer, seconds: int,
        least: int, source: str, variant: str, adapter: str,
    ) -> int:  # fmt: skip
        """Reserve seconds of training; how many may be used, at most `seconds`.

        Raises:
            DomainError: fewer than `least` are left.
        """
        ...

    def ended(self, subject: UUID, used: int = 0) -> None:
        """Settle what a subject used of its reservation and release the rest; safe to repeat. Never
        raises."""
        ...

    def storage_limit_mb(self, user_id: int | None) -> int | None:
        """What an account may keep; None for what the server is set to."""
        ...


class Unmetered:
    """Nothing is counted."""

    def job_reserve(self, job: Job, payer: Payer, *, is_site: bool) -> bool:
        return False

    def job_ended(self, job: Job) -> None:
        pass

    def training_reserve(self, subject: UUID, *, seconds: int, **_: Any) -> int:
        return seconds

    def ended(self, subject: UUID, used: int = 0) -> None:
        pass

    def storage_limit_mb(self, user_id: int | None) -> int | None:
        return None


_meters: list[Meter] = [Unmetered()]


def register(meter: Meter) -> None:
    """Meter by this from now on."""
    _meters[:] = [meter]


def meter() -> Meter:
    """How use is metered here."""
    return _meters[0]
