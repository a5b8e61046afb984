"""Leaderboards at scale: a page of 100,000 entries, 5,000 captions, 214,354 answers.

python -m bench.leaderboard scoring          needs nothing else
python -m bench.leaderboard table            needs DATABASE_URL; its rows are rolled back
python -m bench.leaderboard rebuild          the same: 40 entries on 1,500 items
python -m bench.leaderboard items            the same: pages of 214,354 items, one entry and two
"""

import argparse
import random
import time
from collections.abc import Callable
from functools import partial

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


def _django() -> None:
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "moondream_site.settings.development")
    django.setup()
    from django.conf import settings

    settings.ALLOWED_HOSTS = ["*"]


def table() -> None:
    """Server time and queries of a table's page, sorted and filtered."""
    _django()
    from django.db import connection, transaction
    from django.test import Client
    from django.test.utils import CaptureQueriesContext
    from django.utils import timezone

    from leaderboard.models import Benchmark, Entry

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


ENTRIES, ITEMS = 40, 1500


def rebuild() -> None:
    """A table made from nothing, with one entry more, and what a request costs that changes it."""
    _django()
    from django.contrib.auth import get_user_model
    from django.db import transaction
    from django.test import Client

    from leaderboard import services
    from leaderboard.models import (
        Benchmark,
        BenchmarkItem,
        PairTest,
        Score,
        Split,
        Submission,
        Team,
    )

    rng = np.random.default_rng(5)
    with transaction.atomic():
        benchmark = Benchmark.objects.create(
            slug="scale", title="Scale", summary="-", task="vqa", primary_metric="exact_match",
            licence="-", source="-",
        )  # fmt: skip
        split = Split.objects.create(
            benchmark=benchmark, name="test", is_public=False, ranks=True, item_count=ITEMS
        )
        BenchmarkItem.objects.bulk_create(
            BenchmarkItem(
                split=split, key=str(n), position=n, image=f"https://images.test/{n // 2}"
            )
            for n in range(ITEMS)
        )

        def entry(number: int) -> Submission:
            team = Team.objects.create(name=f"team {number} of {Team.objects.count()}")
            made = Submission.objects.create(
                split=split, team=team, model_name=f"Model {number}", status="scored", file="-"
            )
            items = (rng.random(ITEMS) < 0.9 - 0.01 * number).astype(np.float32)
            mean = float(items.mean())
            Score.objects.create(
                submission=made, metric="exact_match", version=1, value=mean, low=mean - 0.02,
                high=mean + 0.02, signature="bench", per_item=items.tobytes(),
            )  # fmt: skip
            return made

        made = [entry(number) for number in range(ENTRIES)]

        def timed(what: str, act: Callable[[], object]) -> None:
            before, started = PairTest.objects.count(), time.perf_counter()
            act()
            spent = time.perf_counter() - started
            print(f"{what:46} {spent:7.3f} s, {PairTest.objects.count() - before:3} pairs tested")

        make = partial(services.entries_make, benchmark=benchmark)
        timed(f"{ENTRIES} entries × {ITEMS} items from nothing", make)
        made.append(entry(ENTRIES // 2))
        timed("with one entry more", make)
        timed("when nothing has changed", make)
        client, user = (
            Client(),
            get_user_model().objects.create_user("scale", "scale@example.org", "-"),
        )
        client.force_login(user)
        client.get("/leaderboards/scale/")  # so that the first request is not charged with imports
        for what, action in (
            ("make private", "hide"),
            ("make public", "publish"),
            ("withdraw", "withdraw"),
        ):
            made[0].team.members.add(user)
            path = f"/leaderboards/submissions/{made[0].pk}/{action}/"
            timed(f"the request that asks to {what}", partial(client.post, path))
        timed("the table after that", make)
        transaction.set_rollback(True)


def items() -> None:
    """Pages of a public split as large as VQAv2's validation set: time, queries, memory."""
    _django()
    import gzip
    import tracemalloc

    import orjson
    from django.core.files.base import ContentFile
    from django.core.files.storage import storages
    from django.db import connection, transaction
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from leaderboard import services
    from leaderboard.models import Score, Submission, Team

    rng, count = np.random.default_rng(5), 214354
    with transaction.atomic():
        benchmark = services.benchmark_make(
            slug="scale", title="Scale", summary="-", task="vqa", primary_metric="exact_match",
            licence="-", source="-",
        )  # fmt: skip
        started = time.perf_counter()
        split = services.split_fill(
            benchmark=benchmark, name="dev", is_public=True,
            items=(
                services.NewItem(
                    str(n), {"answers": [WORDS[(n + k) % 18] for k in range(10)]}, "What is it?",
                    image=f"https://images.test/{n % 40504}",
                )
                for n in range(count)
            ),
        )  # fmt: skip
        print(
            f"a split of {count:,} items made and laid out: {time.perf_counter() - started:.1f} s"
        )
        made = []
        for number in range(2):
            one = Submission.objects.create(
                split=split, team=Team.objects.create(name=f"scale {number}"), status="scored",
                model_name=f"Model {number}", file=f"predictions/scale-{number}.gz",
            )  # fmt: skip
            lines = (
                orjson.dumps({"id": str(n), "answer": WORDS[n % 18]}) + b"\n" for n in range(count)
            )
            packed = gzip.compress(b"".join(lines), 1)
            one.file = storages["private"].save(one.file, ContentFile(packed))
            one.save()
            scores = (rng.random(count) < 0.7).astype(np.float32)
            mean = float(scores.mean())
            Score.objects.create(
                submission=one, metric="exact_match", version=1, value=mean, low=mean, high=mean,
                signature="bench", per_item=scores.tobytes(),
            )  # fmt: skip
            started = time.perf_counter()
            services.submission_open(submission_id=str(one.pk))
            print(f"its predictions laid out by a worker: {time.perf_counter() - started:.1f} s")
            made.append(one)
        client, (a, b) = Client(), made
        last = -(-count // 20)
        for what, path in (
            ("one entry, first page", f"/leaderboards/entries/{a.pk}/items/"),
            ("one entry, last page", f"/leaderboards/entries/{a.pk}/items/?page={last}"),
            ("two entries side by side", f"/leaderboards/compare/?a={a.pk}&b={b.pk}&page=5000"),
        ):
            assert client.get(path).status_code == 200
            times = []
            for _ in range(5):
                started = time.perf_counter()
                client.get(path)
                times.append(1e3 * (time.perf_counter() - started))
            tracemalloc.start()
            with CaptureQueriesContext(connection) as queries:
                client.get(path)
            peak = tracemalloc.get_traced_memory()[1] / 2**20
            tracemalloc.stop()
            print(
                f"{what:26} {np.median(times):7.1f} ms, {len(queries):2} queries, {peak:5.1f} MB at most"
            )
        for one in made:
            storages["private"].delete(one.file)
        transaction.set_rollback(True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    ways = {"scoring": scoring, "table": table, "rebuild": rebuild, "items": items}
    parser.add_argument("what", choices=ways)
    ways[parser.parse_args().what]()
