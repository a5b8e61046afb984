"""The checks themselves: each really does the thing that visitors depend on."""

import http.client
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.utils import timezone

from inference import selectors as inference
from inference import stream
from inference.storage import SHARED, probe
from inference.tuning import QUEUE
from status import readiness
from status.models import CheckResult

State = CheckResult.State
_TIMEOUT_S = 3
_STALE = timedelta(seconds=45)
CACHE_AWAY = "The cache is away; pages are made anew for every reader."


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check saw."""

    component: str
    label: str
    state: str
    latency_ms: float | None = None
    note: str = ""


def run_all() -> list[Outcome]:
    """Every check, in the page's order; none raises, none takes longer than a few seconds."""
    outcomes = [
        _guarded("web", "Website", _web),
        _guarded("api", "API", _api),
        _guarded("database", "Database", _database),
        _guarded("broker", "Job broker", _broker),
        _guarded("storage", "File storage", _storage),
        _guarded("queue-cpu", "Workers, CPU queue", _workers),
        _guarded("queue-train", "Workers, tuning", _trainers),
    ]
    try:
        outcomes += _variants()
    except Exception as error:  # noqa: BLE001  # a check reports, it does not fail
        outcomes.append(Outcome("variants", "Model variants", State.DOWN, note=_brief(error)))
    return outcomes


def _guarded(component: str, label: str, check: Callable[[], tuple[str, str]]) -> Outcome:
    started = time.perf_counter()
    try:
        state, note = check()
    except Exception as error:  # noqa: BLE001  # whatever broke is the finding
        return Outcome(component, label, State.DOWN, note=_brief(error))
    return Outcome(component, label, state, (time.perf_counter() - started) * 1e3, note)


def _brief(error: Exception) -> str:
    """What kind of fault, without addresses or credentials: the page is public."""
    return f"Not reachable ({type(error).__name__})."


def _fetch(path: str) -> int:
    parts = urlsplit(settings.WAGTAILADMIN_BASE_URL)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    link = kind(parts.hostname or "localhost", parts.port, timeout=_TIMEOUT_S)
    try:
        link.request("GET", path, headers={"User-Agent": "status-check"})
        return link.getresponse().status
    finally:
        link.close()


def _answers(path: str) -> tuple[str, str]:
    code = _fetch(path)
    return (State.UP, "") if code == 200 else (State.DOWN, f"Answered with {code}.")


def _web() -> tuple[str, str]:
    return _answers("/healthz")


def _api() -> tuple[str, str]:
    return _answers("/v1/variants")


def _database() -> tuple[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return State.UP, ""


def _broker() -> tuple[str, str]:
    stream.client().ping()
    if not readiness.look_at_servers().cache:
        return State.DEGRADED, CACHE_AWAY
    return State.UP, ""


def _storage() -> tuple[str, str]:
    if not all(probe(alias) for alias in SHARED):
        return State.DOWN, "What was written did not come back."
    return State.UP, ""


def _alive() -> list[inference.Worker]:
    return [w for w in inference.workers_seen() if timezone.now() - w.seen_at < _STALE]


def _workers() -> tuple[str, str]:
    alive = [w for w in _alive() if not w.queues or w.queues - {QUEUE, "notify"}]
    waiting = inference.queue_depth("cpu")
    if not alive:
        return State.DOWN, "No worker has been heard of; questions wait."
    note = f"{len(alive)} worker{'s' if len(alive) > 1 else ''}, {waiting} waiting."
    full = waiting >= settings.INFERENCE_MAX_QUEUE_DEPTH
    return (State.DEGRADED if full else State.UP), note


def _trainers() -> tuple[str, str]:
    alive = [w for w in _alive() if QUEUE in w.queues]
    waiting = inference.queue_depth(QUEUE)
    if not alive:
        return State.DEGRADED, "No worker that trains has been heard of; tuning runs wait."
    return State.UP, f"{len(alive)} worker{'s' if len(alive) > 1 else ''}, {waiting} waiting."


def _variants() -> Iterator[Outcome]:
    """One component for each variant: installed files, and its latest answer."""
    for variant in inference.variants_available():
        component = f"variant-{variant.slug}"
        if variant.backend == "engine" and not any(Path(variant.folder).glob("model.safetensors*")):
            yield Outcome(component, variant.name, State.DOWN, note="Its weights are missing.")
            continue
        last = inference.last_success(variant)
        latency = last.timings.get("total_ms") if last else None
        note = (
            f"Last answer {last.created_at:%Y-%m-%d %H:%M} UTC."
            if last
            else "Installed; not asked yet."
        )
        yield Outcome(component, variant.name, State.UP, latency, note)
