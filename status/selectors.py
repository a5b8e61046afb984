"""Reads: the state of the system as last checked."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.timesince import timesince

from inference.measurement import Measurement
from status import readiness
from status.checks import CACHE_AWAY
from status.models import CheckResult

State = CheckResult.State
FRESH = timedelta(minutes=5)
_AWAY_NOW = "Not reachable now."


@dataclass(frozen=True, slots=True)
class Component:
    """One line of the status page."""

    component: str
    label: str
    state: str
    state_label: str
    note: str
    latency: Measurement | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole, in one sentence."""

    state: str
    sentence: str
    checked_at: datetime | None
    components: list[Component]

    @property
    def age(self) -> str:
        """How long ago, in words."""
        if self.checked_at is None:
            return ""
        recent = timezone.now() - self.checked_at < timedelta(minutes=1)
        return "less than a minute" if recent else timesince(self.checked_at)

    @property
    def holds_for(self) -> float:
        """Seconds until the latest check is too old to rely on; endless where it is, or there is none."""
        if self.checked_at is None:
            return math.inf
        left = (self.checked_at + FRESH - timezone.now()).total_seconds()
        return left if left > 0 else math.inf


def summary() -> Summary:
    """The latest check of every component; one query. The broker and the cache are asked now: without
    the broker no check is run at all, and the latest would go on saying that all is well."""
    latest = CheckResult.objects.order_by("-checked_at").values_list("checked_at", flat=True)[:1]
    results = list(CheckResult.objects.filter(checked_at__in=latest).order_by("id"))
    found = readiness.look_at_servers()
    if not results and not found.broker:
        away = Component("broker", "Job broker", State.DOWN, State.DOWN.label, _AWAY_NOW, None)
        return Summary(State.DOWN, "Not working: Job broker.", None, [away])
    if not results:
        return Summary(State.UNKNOWN, "Not checked yet.", None, [])
    checked_at = results[0].checked_at
    _say_now(results, found)
    components = [
        Component(
            r.component,
            r.label,
            r.state,
            r.get_state_display(),
            r.note,
            Measurement(r.latency_ms, "ms", "this site's own check", measured_at=r.checked_at)
            if r.latency_ms is not None
            else None,
        )
        for r in results
    ]
    if timezone.now() - checked_at > FRESH:
        old = "The last check is too old to rely on."
        if not found.broker:
            sentence = f"Not working: Job broker. {old}"
            return Summary(State.DOWN, sentence, checked_at, components)
        return Summary(State.UNKNOWN, old, checked_at, components)
    down = [c.label for c in components if c.state == State.DOWN]
    slow = [c.label for c in components if c.state == State.DEGRADED]
    if down:
        return Summary(State.DOWN, f"Not working: {', '.join(down)}.", checked_at, components)
    if slow:
        return Summary(State.DEGRADED, f"Degraded: {', '.join(slow)}.", checked_at, components)
    return Summary(State.UP, "All systems operational.", checked_at, components)


def _say_now(results: list[CheckResult], found: readiness.Readiness) -> None:
    for result in results:
        if result.component != "broker":
            continue
        if not found.broker:
            result.state, result.note, result.latency_ms = State.DOWN, _AWAY_NOW, None
        elif not found.cache and result.state == State.UP:
            result.state, result.note = State.DEGRADED, CACHE_AWAY
