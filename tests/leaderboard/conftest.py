"""A small benchmark, a team, and a way to submit."""

import io
import json
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from leaderboard import services
from leaderboard.models import Split, Submission
from leaderboard.services import Card, NewItem

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
