"""Leaderboards at scale: a page of 100,000 entries, 5,000 captions, 214,354 answers.

python -m bench.leaderboard scoring          needs nothing else
python -m bench.leaderboard table            needs DATABASE_URL; its rows are rolled back
"""

import argparse
import random
import time

import numpy as np

from leaderboard.scoring import TASKS, Item, score

WORDS = [
    "a",
    "the",
    "man",
    "woman",
    "dog",
    "red",
    "blue",
    "on",
    "with",
    "street",
    "two",
    "holding",
    "large",
    "small",
    "table",
    "of",
    "in",
    "riding",
]


def _caption(rng: random.Random) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(8, 14))) + "."


def scoring() -> None:
    """COCO's validation captions and VQAv2's validation set in size, with made-up text."""
    rng = random.Random(1)
    items = [Item(str(n), {"captions": [_caption(rng) for _ in range(5)]}) for n in range(5000)]
    said = {i.key: _caption(rng) for i in items}
    started = time.perf_counter()
    score(TASKS["caption"], items, said)
    spent = time.perf_counter() - started
    print(f"5,000 captions with five references: {spent:.1f} s ({spent / 20:.2f} of the limit)")
    answers = [*WORDS, "yes", "no", "2", "it's 3.5", "New York", "t-shirt"]
    items = [
        Item(str(n), {"answers": [rng.choice(answers) for _ in range(10)]}, rng.choice(("yes/no", "number", "other")), f"i{n % 40504}")
        for n in range(214354)
    ]  # fmt: skip
    said = {i.key: rng.choice(answers) for i in items}
    started = time.perf_counter()
    score(TASKS["vqa"], items, said)
    spent = time.perf_counter() - started
    print(f"214,354 answers about 40,504 images: {spent:.1f} s ({spent / 60:.2f} of the limit)")


def table() -> None:
    """Server time and queries of a table's page, sorted and filtered."""
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "moondream_site.settings.development")
    django.setup()
    from django.conf import settings
    from django.db import connection, transaction
    from django.test import Client
    from django.test.utils import CaptureQueriesContext
    from django.utils import timezone

    from leaderboard.models import Benchmark, Entry

    settings.ALLOWED_HOSTS = ["*"]
    with transaction.atomic():
        benchmarks = Benchmark.objects.bulk_create(
            Benchmark(slug=f"scale-{n}", title=f"Scale {n}", summary="-", task="vqa", licence="-", source="-")
            for n in range(50)
        )  # fmt: skip
        now = timezone.now()
        for benchmark in benchmarks:
            Entry.objects.bulk_create(
                Entry(
                    benchmark=benchmark, provenance="verified", model_name=f"Model {n}", team_name=f"team {n % 97}",
                    parameters=n * 10**6, precision=("BF16", "8-bit")[n % 2], score=n / 2000, rank=2000 - n,
                    figures={m: {"value": n / 2000, "low": n / 2100, "high": n / 1900} for m in ("vqa_accuracy", "exact_match", "anls")},
                    scored_at=now,
                )
                for n in range(2000)
            )  # fmt: skip
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE leaderboard_entry")
        client = Client()
        for query in (
            "",
            "?sort=anls",
            "?sort=up-parameters&precision=8-bit",
            "?q=model+19&page=2",
        ):
            path = f"/leaderboards/scale-7/{query}"
            client.get(path)
            times = []
            for _ in range(20):
                started = time.perf_counter()
                client.get(path)
                times.append(1e3 * (time.perf_counter() - started))
            with CaptureQueriesContext(
                connection,
            ) as queries:
                client.get(path)
            spent = float(np.median(times))
            print(
                f"{query or 'as it opens':38} {spent:6.1f} ms ({spent / 150:.2f} of the limit), {len(queries)} queries"
            )
        transaction.set_rollback(True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["scoring", "table"])
    {"scoring": scoring, "table": table}[parser.parse_args().what]()
