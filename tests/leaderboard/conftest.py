"""A small benchmark, a challenge on it, a team, and ways to submit."""

import io
import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone
from PIL import Image

from inference.errors import Forbidden
from inference.models import Job, Variant
from leaderboard import services
from leaderboard.models import Benchmark, Challenge, Participation, Phase, Split, Submission
from leaderboard.services import Card, NewItem

NOW = timezone.now
COLOURS = ("red", "green", "blue", "yellow")


@pytest.fixture
def split(db: None) -> Split:
    """Forty hidden items of twenty images; the answer of item n is a colour."""
    benchmark = services.benchmark_make(
        slug="colours", title="Colours", summary="Name the colour.", task="vqa",
        primary_metric="exact_match", licence="CC0-1.0", source="test",
    )  # fmt: skip
    items = [
        NewItem(f"q{n}", {"answers": [f"secret{n}-{COLOURS[n % 4]}"]}, "What colour?",
                "even" if n % 2 == 0 else "odd", f"https://images.test/{n // 2}.webp")
        for n in range(40)
    ]  # fmt: skip
    services.split_fill(benchmark=benchmark, name="dev", items=items[:6], is_public=True)
    return services.split_fill(
        benchmark=benchmark, name="test", items=items, is_public=False, ranks=True,
        daily_limit=3, total_limit=5,
    )  # fmt: skip


@pytest.fixture
def user(db: None) -> Any:
    return get_user_model().objects.create_user("ada", "ada@example.org", "correct horse")


def predictions(right: int, total: int = 40) -> io.BytesIO:
    """A file whose first `right` answers are right."""
    rows = [
        {"id": f"q{n}", "answer": f"secret{n}-{COLOURS[n % 4]}" if n < right else "grey"}
        for n in range(total)
    ]
    return io.BytesIO("".join(json.dumps(r) + "\n" for r in rows).encode())


@pytest.fixture
def send(split: Split, user: Any) -> Any:
    """Submit and score at once."""

    def submit(
        right: int = 20,
        *,
        by: Any = None,
        score: bool = True,
        name: str = "Model",
        to: Split | None = None,
        **more: Any,
    ) -> Submission:
        target = to or split
        made = services.submission_make(
            split=target,
            user=by or user,
            card=Card(name),
            file=predictions(right, target.item_count),
            **more,
        )
        if score:
            services.submission_score(submission_id=made.pk)
            made.refresh_from_db()
        return made

    return submit


@pytest.fixture
def challenge(split: Split) -> Challenge:
    """Open since a day, in its first phase (public); the second, hidden, begins in five days."""
    start = NOW() - timedelta(days=1)
    dev = split.benchmark.splits.get(name="dev")
    return services.challenge_make(
        slug="hues", title="Hues", summary="Name them.", benchmark=split.benchmark, opens_at=start,
        closes_at=start + timedelta(days=10), team_size=2,
        phases=[
            {"name": "development", "split": dev, "starts_at": start,
             "ends_at": start + timedelta(days=5)},
            {"name": "final", "split": split, "starts_at": start + timedelta(days=5),
             "ends_at": start + timedelta(days=10), "daily_limit": 2, "total_limit": 4},
        ],
    )  # fmt: skip


def person(name: str) -> Any:
    return get_user_model().objects.create_user(name, f"{name}@example.org", "pw")


def join(challenge: Challenge, user: Any, when: datetime | None = None) -> Participation:
    return services.challenge_join(
        challenge=challenge, user=user, rules_accepted=True, received_at=when or NOW()
    )


def submit(
    challenge: Challenge, user: Any, right: int = 3, *, when: datetime | None = None,
    score: bool = True, name: str = "Model", **more: Any,
) -> Submission:  # fmt: skip
    """Submit to whatever phase it is then, and score at once."""
    when = when or NOW()
    phase = next((p for p in challenge.phases.all() if p.holds(when)), None)
    total = phase.split.item_count if phase else 6
    made = services.challenge_submit(
        challenge=challenge, user=user, card=Card(name), file=predictions(right, total),
        received_at=when, **more,
    )  # fmt: skip
    if score:
        services.submission_score(submission_id=made.pk)
        made.refresh_from_db()
    return made


def in_last_phase(challenge: Challenge) -> datetime:
    """A moment in it, as if it were now: everything is moved into the past."""
    shift = timedelta(days=6)
    for phase in challenge.phases.all():
        Phase.objects.filter(pk=phase.pk).update(
            starts_at=phase.starts_at - shift, ends_at=phase.ends_at - shift
        )
    challenge.opens_at -= shift
    challenge.closes_at -= shift
    challenge.save()
    return NOW()


def over(challenge: Challenge) -> None:
    """The end has passed."""
    Challenge.objects.filter(pk=challenge.pk).update(closes_at=NOW() - timedelta(seconds=1))
    challenge.refresh_from_db()


def at_once(post: Callable[[], Any]) -> list[str]:
    """What two requests at the same moment come to, sorted: "taken", or the code of a refusal."""
    outcomes: list[str] = []
    gate = threading.Barrier(2)

    def one() -> None:
        try:
            gate.wait()
            post()
            outcomes.append("taken")
        except Forbidden as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(outcomes)


@pytest.fixture
def variant(monkeypatch: Any, db: None) -> Variant:
    """A variant whose jobs are queued nowhere: the tests end them."""
    monkeypatch.setattr("inference.tasks.run_job.apply_async", lambda *a, **k: None)
    return Variant.objects.create(
        slug="toy", name="Toy", model_name="toy", revision="1", folder="here", parameters=5
    )


@pytest.fixture
def board(db: None) -> Split:
    Benchmark.objects.update(is_shown=False)  # the starter's
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(picture, "PNG")
    benchmark = services.benchmark_make(
        slug="toy", title="Toy", summary="Count.", task="counting", licence="CC0-1.0", source="test"
    )
    items = [
        NewItem(
            f"i{n}",
            {"count": 3},
            "How many?",
            image=f"p{n}",
            data=picture.getvalue,
            extension="png",
        )
        for n in range(9)
    ]
    return services.split_fill(
        benchmark=benchmark, name="test", items=items, is_public=False, ranks=True
    )


def answer(job: Job, text: str = "3", timings: dict[str, Any] | None = None) -> None:
    job.status, job.result = Job.Status.SUCCEEDED, {"answer": text}
    job.timings = timings or {"total_ms": 50.0, "queue_ms": 10.0}
    job.save()


def waiting() -> list[Job]:
    return list(Job.objects.unfinished().order_by("created_at"))
