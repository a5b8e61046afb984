"""Events are written where they happen, in the same transaction: what is rolled back was never said, and
what is committed is told, however often the broker or a worker is lost."""

from typing import Any

from inference.messages import send_on_commit
from notifications.kinds import Kind
from notifications.models import Event


def event_make(
    kind: Kind, *, title: str, path: str, subject: str = "", text: str = "", once: str | None = None,
    **more: Any,
) -> Event | None:  # fmt: skip
    """Write one down, and ask a worker to spread it once it is committed.

    Args:
        once: a name under which it is told only once, however often it is made; then nothing comes back.
        more: other fields of `Event`.
    """
    from notifications.tasks import spread

    event = Event(
        kind=kind.name, title=_line(title, 200), text=_line(text, 500), path=path[:300], subject=subject,
        once=once, **more,
    )  # fmt: skip
    if once is None:
        event.save()
    else:
        Event.objects.bulk_create([event], ignore_conflicts=True)
        if not Event.objects.filter(uid=event.uid).exists():
            return None
        event = Event.objects.get(uid=event.uid)
    # Where the broker is away, `sweep` finds it.
    send_on_commit(spread, lost=lambda _: None, ignore_result=True)
    return event


def _line(text: str, length: int) -> str:
    plain = " ".join(text.replace("\0", "").split())
    return plain if len(plain) <= length else f"{plain[: length - 1].rstrip()}…"
