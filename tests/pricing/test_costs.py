"""What an image costs: the arithmetic, its twin in the page, and where its figures come from."""

import dataclasses
import itertools
import json
import shutil
import subprocess
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from inference import services as inference
from inference.models import Job, Variant, VariantMeasurement
from leaderboard import selectors as boards
from leaderboard.models import Benchmark
from pricing import costs, selectors, services
from pricing.costs import Rates
from pricing.models import MachinePrice, MeasuredTime

ROOT = Path(__file__).parents[2]
GRID = [
    (images, Rates(seconds, hourly, gain, overhead), margin)
    for images, seconds, hourly, gain, overhead, margin in itertools.product(
        (1, 99, 1_000, 12_345, 5_000_000, 1_000_000_000), (0.004, 0.0812, 0.5, 3.3, 41.0),
        (0.0, 0.08925, 1.006, 12.29), (1.0, 2.5, 7.3), (0.0, 0.000001), (0.0, 20.0, 30.0, 33.33),
    )
]  # fmt: skip
_NODE = """
import * as costs from "%s";
const rows = JSON.parse(require("fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(rows.map(([images, rates, margin]) => {
  const total = costs.monthPrice(images, rates, margin);
  const each = costs.imagePrice(rates, margin);
  return [costs.cents(total), costs.money(total), costs.imageCents(each), total];
})));
"""


def test_an_image_s_cost_is_its_worker_s_seconds_at_the_machine_s_price() -> None:
    rates = Rates(seconds=0.5, hourly=3.6, batch_gain=2, overhead=0.0001)
    assert costs.image_cost(rates) == pytest.approx(0.5 * 3.6 / 3600 / 2 + 0.0001)
    assert costs.image_price(rates, 30) == pytest.approx(1.3 * costs.image_cost(rates))
    assert costs.month_price(1000, rates, 0) == pytest.approx(1000 * costs.image_cost(rates))
    assert costs.image_cost(Rates(1, 3600, 0.2, 0)) == 1, "together is never dearer than one by one"
    assert costs.cents(0.125) == 13
    assert costs.money(1234.565) in ("$1,234.56", "$1,234.57")
    assert [costs.money(v) for v in (0, 0.1, 0.0123, 0.00000477)] == [
        "$0.00",
        "$0.10",
        "$0.012",
        "$0.0000048",
    ]
    assert [costs.image_cents(v) for v in (0, 0.0000035, 0.01, 0.25)] == [
        "0¢",
        "0.00035¢",
        "1.0¢",
        "25¢",
    ]


def test_the_page_computes_the_same_to_the_cent(tmp_path: Path) -> None:
    if not shutil.which("node"):
        pytest.skip("NO NODE")
    module = tmp_path / "costs.mjs"
    module.write_text((ROOT / "static/js/pricing/costs.js").read_text())
    script = tmp_path / "compare.mjs"
    script.write_text(
        _NODE.replace('require("fs")', "fs").replace(
            "import *", 'import fs from "node:fs";\nimport *', 1
        )
        % module.as_uri()
    )
    rows = [
        [n, {"seconds": r.seconds, "hourly": r.hourly, "batchGain": r.batch_gain, "overhead": r.overhead}, m]
        for n, r, m in GRID
    ]  # fmt: skip
    done = subprocess.run(["node", str(script)], input=json.dumps(rows), capture_output=True, text=True, check=True)  # fmt: skip
    for (images, rates, margin), (cents, money, each, total) in zip(
        GRID, json.loads(done.stdout), strict=True
    ):
        mine = costs.month_price(images, rates, margin)
        assert (cents, total) == (costs.cents(mine), mine), (images, rates, margin)
        assert money == costs.money(mine), (images, rates, margin)
        assert each == costs.image_cents(costs.image_price(rates, margin)), (rates, margin)


def measured(variant: Variant, hardware: str = "A test machine") -> None:
    VariantMeasurement.objects.create(
        variant=variant, revision="t", hardware=hardware, device="cpu", threads=1, dtype="bfloat16",
        weight_bytes=1, peak_bytes=1, load_ms=1, encode_ms=10, first_token_ms=10, tokens_per_s=240,
        scores={},
    )  # fmt: skip


def price(**more: Any) -> MachinePrice:
    fields = {
        "name": "m",
        "dollars_an_hour": Decimal("0.36"),
        "source": "s",
        "checked_on": date(2026, 12, 1),
    }
    return MachinePrice.objects.create(**(fields | more))


@pytest.mark.django_db
def test_figures_come_from_answers_where_there_are_enough_and_else_from_the_measurement() -> None:
    MachinePrice.objects.all().delete()
    variant = inference.variants_sync()[0]
    measured(variant)
    assert selectors.costs_now() == [], "without a price there is no cost"
    price()
    caption = next(c for c in selectors.costs_now() if c.skill == "caption")
    assert caption.rates.seconds == pytest.approx(0.12)
    assert (caption.answers, caption.p95_s) == (0, None)
    assert "measured on A test machine" in caption.source
    times = [100 * n for n in range(1, 41)]
    Job.objects.bulk_create(
        Job(skill="caption", variant=variant, caller="t", status="succeeded",
            timings={"total_ms": t + 50, "queue_ms": 30, "load_ms": 20}, tokens={"completion": 7})
        for t in times
    )  # fmt: skip
    Job.objects.bulk_create(
        Job(skill="query", variant=variant, caller="t", status="succeeded", timings={"total_ms": 9, "queue_ms": 1})
        for _ in range(5)
    )  # fmt: skip
    old = Job.objects.create(skill="caption", variant=variant, caller="t", status="succeeded", timings={"total_ms": 9e9, "queue_ms": 0})  # fmt: skip
    Job.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=31))
    # What several shared is no figure for one.
    Job.objects.bulk_create(
        Job(skill="caption", variant=variant, caller="t", status="succeeded",
            timings={"total_ms": 1, "queue_ms": 0, "batch_size": 8}, tokens={"completion": 1})
        for _ in range(100)
    )  # fmt: skip
    assert services.times_measure() == 1
    caption = next(c for c in selectors.costs_now() if c.skill == "caption")
    assert caption.rates.seconds == pytest.approx(2.05)
    assert caption.p95_s == pytest.approx(3.805)
    assert (caption.answers, caption.output_tokens) == (40, 7)
    assert "median of 40 answers" in caption.source
    Job.objects.all().delete()
    services.times_measure()
    assert not MeasuredTime.objects.exists()


@pytest.mark.django_db
def test_the_first_machine_that_fits_gives_the_price() -> None:
    MachinePrice.objects.all().delete()
    variant = inference.variants_sync()[0]
    measured(variant, "Intel Xeon 8488C")
    price(name="gpu", device="cuda", position=0)
    price(name="other", matches="EPYC", position=1)
    price(name="this", matches="xeon", position=2)
    price(name="any", position=3)
    assert {c.machine.name for c in selectors.costs_now()} == {"this"}


@pytest.mark.django_db
def test_every_benchmark_says_what_it_costs(starter: Any) -> None:
    measured(Variant.objects.first())
    rows = boards.benchmark_costs()
    assert {row.benchmark.slug for row in rows} >= {"world-vqa", "world-captions"}
    row = next(r for r in rows if r.benchmark.slug == "world-captions")
    assert row.first is not None
    assert row.first.skill == "caption"
    assert row.sentence == (
        f"Running {row.benchmark.title} ({row.images:,} images) would cost "
        f"{costs.money(row.images * row.first.dollars)}: {costs.image_cents(row.first.dollars)} an image."
    )
    page = Client().get("/leaderboards/world-captions/").content.decode()
    assert row.sentence in page
    prices = Client().get("/pricing/").content.decode()
    assert prices.count("data-benchmark ") == len(rows)
    assert "Starter" in prices
    assert "free" in prices


@pytest.mark.django_db
def test_a_board_says_what_each_plan_asks(starter: Any) -> None:
    measured(Variant.objects.first())
    (row,) = boards.benchmark_costs(Benchmark.objects.get(slug="world-captions"))
    cost = row.first
    assert cost is not None
    by_plan = {plan.slug: (plan, text) for plan, text in row.by_plan(cost)}
    assert by_plan["starter"][1] == "included"
    plan, text = by_plan["professional"]
    assert text == costs.money(
        costs.month_price(row.images, cost.rates, float(plan.margin_percent))
    )
    few = dataclasses.replace(by_plan["starter"][0], images=3)
    assert selectors.plan_total(few, 4, cost.rates) == "more than its 3 images"
    page = Client().get("/leaderboards/world-captions/").content.decode()
    for plan, text in by_plan.values():
        assert f'<th scope="col">{plan.name}</th>' in page
        assert f">{text}</td>" in page
