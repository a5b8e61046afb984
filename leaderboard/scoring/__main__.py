"""The scorer at home: `python -m leaderboard.scoring caption references.jsonl predictions.jsonl`."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from leaderboard.scoring.files import read_items, read_predictions
from leaderboard.scoring.preflight import Context
from leaderboard.scoring.scores import data_hash, score
from leaderboard.scoring.series import labels_of
from leaderboard.scoring.tasks import TASKS


def main(argv: Sequence[str] | None = None) -> int:
    """The scorer at home; prints one JSON object and returns 0, or 1 for a file it cannot read."""
    parser = argparse.ArgumentParser(prog="python -m leaderboard.scoring", description=__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("references", type=Path)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--check", action="store_true", help="Only read the predictions.")
    options = parser.parse_args(argv)
    task, items = TASKS[options.task], read_items(options.references)
    with options.predictions.open("rb") as file:
        checked = read_predictions(
            task, {i.key for i in items}, file, context=Context(labels=labels_of(items)),
            keep=not options.check,
        )  # fmt: skip
    if checked.problems:
        print(checked.problems.sentence())  # noqa: T201
        print(json.dumps(checked.problems.lines, indent=1))  # noqa: T201
        return 1
    for warned in checked.warnings:
        print(f"Look: {warned.message}", file=sys.stderr)  # noqa: T201
    if options.check:
        counts = Counter(item.category for item in items)
        print(json.dumps({"items": len(items), "categories": counts}))  # noqa: T201
        return 0
    scores = score(task, items, checked.predictions, data_hash=data_hash(items))
    shown = {
        slug: {
            "value": s.interval.value, "low": s.interval.low, "high": s.interval.high,
            "by_category": s.by_category, "signature": s.signature,
        }
        for slug, s in scores.items()
    }  # fmt: skip
    print(json.dumps(shown, indent=1))  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
