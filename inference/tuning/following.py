"""A run's events, for whoever follows it."""

from collections.abc import AsyncGenerator

from inference import answering, stream
from inference.stream import Event
from inference.tuning import selectors
from inference.tuning.models import TuningRun


def events(run: TuningRun, after: str = stream.START) -> AsyncGenerator[Event | None, None]:
    """A run's events to its end, with None now and then as a sign of life.

    Args:
        after: the id of the last event that was seen.
    """

    def ended() -> Event | None:
        return selectors.run_ended(run.pk)

    return answering.to_the_end(stream.follow(run.pk, after), ended)
