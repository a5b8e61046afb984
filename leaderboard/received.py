"""When a request reached the server: what deadlines are judged by, however long its body took."""

from datetime import UTC, datetime, timedelta

from django.http import HttpRequest
from django.utils import timezone

LONGEST = timedelta(minutes=10)
"""Of an upload: nobody keeps a request open from before a deadline for longer than that."""


def received_at(request: HttpRequest) -> datetime:
    """The moment its first line was read (`moondream_site.asgi` notes it), or now."""
    now = timezone.now()
    noted = getattr(request, "scope", {}).get("received_at")
    if noted is None:
        return now
    return max(datetime.fromtimestamp(noted, UTC), now - LONGEST)
