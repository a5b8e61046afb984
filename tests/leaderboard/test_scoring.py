"""Scores as the reference implementations give them, and files that want to do harm."""

import gzip
import io
import json
import math
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.metrics.detection import AveragePrecision
from leaderboard.scoring import TASKS, Item, data_hash, read_items, read_predictions, score


def lines(rows: list[Any]) -> io.BytesIO:
    return io.BytesIO(b"".join(json.dumps(r).encode() + b"\n" for r in rows))


def _coco(seed: int) -> tuple[list, list]:
    """Random boxes of three classes, some crowds, scores with ties: predictions and references."""
    rng = random.Random(seed)
    found: list[list[dict]] = []
    truth: list[list[dict]] = []
    for _ in range(30):
        here, said = [], []
        for _ in range(rng.randint(0, 6)):
            box = [
                rng.uniform(0, 300),
                rng.uniform(0, 300),
                rng.uniform(5, 120),
                rng.uniform(5, 120),
            ]
            label = rng.choice("abc")
            here.append({"label": label, "box": box, "iscrowd": int(rng.random() < 0.15)})
            if rng.random() < 0.8:
                near = [v + rng.uniform(-9, 9) for v in box[:2]] + [
                    v * rng.uniform(0.8, 1.2) for v in box[2:]
                ]
                said.append({"label": label, "box": near, "score": round(rng.random(), 1)})
        said += [
            {"label": rng.choice("abcd"), "box": [1, 1, 50, 50], "score": rng.random()}
            for _ in range(rng.randint(0, 3))
        ]
        truth.append(here)
        found.append(said)
    return found, truth


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_equals_cocoeval(seed: int) -> None:
    """COCOeval's own accumulation on the same boxes."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    found, truth = _coco(seed)
    numbers = {"a": 1, "b": 2, "c": 3}
    reference = COCO()
    reference.dataset = {
        "images": [{"id": n} for n in range(30)],
        "categories": [{"id": n} for n in numbers.values()],
        "annotations": [
            {"id": 1000 * i + j + 1, "image_id": i, "category_id": numbers[b["label"]], "bbox": b["box"],
             "area": b["box"][2] * b["box"][3], "iscrowd": b["iscrowd"]}
            for i, boxes in enumerate(truth) for j, b in enumerate(boxes)
        ],
    }  # fmt: skip
    reference.createIndex()
    results = [
        {"image_id": i, "category_id": numbers[b["label"]], "bbox": b["box"], "score": b["score"]}
        for i, boxes in enumerate(found) for b in boxes if b["label"] in numbers
    ]  # fmt: skip
    judge = COCOeval(reference, reference.loadRes(results), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    ours = AveragePrecision(found, truth)(np.ones((1, 30)))[0]
    assert ours.mean() == pytest.approx(judge.stats[0], abs=1e-9)
    assert ours[0] == pytest.approx(judge.stats[1], abs=1e-9)
    assert ours[5] == pytest.approx(judge.stats[2], abs=1e-9)


def test_a_weight_of_two_is_the_image_twice() -> None:
    found, truth = _coco(9)
    # Without ties in scores across images, doubling an image and weighing it by two are the same.
    for number, boxes in enumerate(found):
        for box in boxes:
            box["score"] += number * 1e-4 + random.Random(number).random() * 1e-5
    weights = np.ones((1, 30))
    weights[0, :5] = 2
    weighted = AveragePrecision(found, truth)(weights)
    doubled = AveragePrecision(found + found[:5], truth + truth[:5])(np.ones((1, 35)))
    assert weighted == pytest.approx(doubled, abs=0.02)


def test_a_class_without_references_does_not_count() -> None:
    found = [
        [
            {"label": "a", "box": [0, 0, 10, 10], "score": 0.9},
            {"label": "z", "box": [0, 0, 5, 5], "score": 1},
        ]
    ]
    truth = [[{"label": "a", "box": [0, 0, 10, 10]}]]
    assert AveragePrecision(found, truth)(np.ones((1, 1)))[0] == pytest.approx(1.0)
    assert np.isnan(AveragePrecision([[]], [[]])(np.ones((1, 1)))).all()
    assert AveragePrecision([[]], truth)(np.ones((1, 1)))[0] == pytest.approx(0.0)


def _items(count: int = 6) -> list[Item]:
    return [
        Item(
            f"q{n}",
            {"answers": ["red" if n % 2 else "two"] * 10},
            "colour" if n % 2 else "count",
            f"i{n // 2}",
        )
        for n in range(count)
    ]


def test_scores_carry_an_interval_categories_and_a_signature() -> None:
    items = _items(40)
    said = {i.key: "red" for i in items}
    found = score(TASKS["vqa"], items, said, data_hash=data_hash(items))
    accuracy = found["vqa_accuracy"]
    assert accuracy.interval.value == pytest.approx(0.5)
    # Each image holds one right and one wrong answer: whole images are drawn, nothing varies.
    assert (accuracy.interval.low, accuracy.interval.high) == (0.5, 0.5)
    assert accuracy.by_category == {"colour": 1.0, "count": 0.0}
    assert accuracy.per_item is not None
    assert accuracy.per_item.shape == (40,)
    assert accuracy.signature.startswith("vqa_accuracy|v:1|n:40|tok:vqa-official|data:")
    again = score(TASKS["vqa"], items, said, data_hash=data_hash(items))
    assert {k: v.interval for k, v in again.items()} == {k: v.interval for k, v in found.items()}
    assert data_hash(items) == data_hash(items[::-1])
    assert data_hash(items) != data_hash(items[:-1])


def test_one_answer_has_no_vqa_accuracy() -> None:
    """Its definition leaves one of several answers out."""
    found = score(TASKS["vqa"], [Item("a", {"answers": ["Red"]})], {"a": " red"})
    assert "vqa_accuracy" not in found
    assert found["exact_match"].interval.value == 1


def test_counting_rewards_no_silence() -> None:
    items = [Item("a", {"count": 3}), Item("b", {"count": 0}), Item("c", {"count": 2})]
    found = score(TASKS["counting"], items, {"a": "three", "b": "some", "c": "3"})
    assert found["count_accuracy"].interval.value == pytest.approx(1 / 3)
    assert found["off_by_one"].interval.value == pytest.approx(2 / 3)
    assert found["count_mae"].interval.value == pytest.approx(1 / 3)


def test_yes_to_all_is_half_right() -> None:
    items = [Item(str(n), {"answer": "yes" if n < 5 else "no"}) for n in range(10)]
    found = score(TASKS["hallucination"], items, {i.key: "yes" for i in items})
    values = {slug: s.interval.value for slug, s in found.items()}
    assert values["accuracy"] == 0.5
    assert values["f1"] == pytest.approx(2 / 3)
    assert values["yes_ratio"] == 1.0
    odd = score(TASKS["hallucination"], items[:2], {"0": "NO", "1": "yes."})
    assert odd["yes_ratio"].interval.value == 1.0  # POPE reads only "No", "no" and "not"


def test_boxes_without_scores_have_f1_alone() -> None:
    box = {"box": (0.1, 0.1, 0.5, 0.5)}
    item = Item("a", {"objects": [{**box}], "size": [100, 100]})
    found = score(TASKS["detection"], [item], {"a": [box]})
    assert set(found) == {"f1_50"}
    assert found["f1_50"].interval.value == 1
    full = score(TASKS["detection"], [item], {"a": [{**box, "score": 1.0}]})
    assert full["map"].interval.value == pytest.approx(1)


def test_points_are_matched_to_boxes_of_their_own() -> None:
    boxes = [{"box": (0, 0, 0.5, 0.5)}, {"box": (0.2, 0.2, 0.9, 0.9)}]
    item = Item("a", {"objects": boxes})
    # The first point lies in both boxes, the second only in the first: both can be placed.
    found = score(TASKS["pointing"], [item], {"a": [(0.3, 0.3), (0.1, 0.1)]})
    assert found["point_f1"].interval.value == 1
    assert score(TASKS["pointing"], [item], {"a": []})["point_error"].interval.value == 0.5


def test_a_good_file_is_read_plain_zipped_and_as_an_array() -> None:
    rows = [{"id": f"q{n}", "answer": "red"} for n in range(6)]
    keys = {i.key for i in _items()}
    plain = lines(rows)
    for file in (
        plain,
        io.BytesIO(gzip.compress(plain.getvalue())),
        io.BytesIO(json.dumps(rows).encode()),
    ):
        checked = read_predictions(TASKS["vqa"], keys, file)
        assert not checked.problems, checked.problems
        assert checked.predictions == {f"q{n}": "red" for n in range(6)}


def test_problems_are_named_with_line_and_id() -> None:
    rows: list[Any] = [
        {"id": "q0", "answer": "red"}, {"id": "q0", "answer": "blue"}, {"id": "q1"}, {"id": "q2", "answer": [1]},
        {"answer": "x"}, {"id": "q9", "answer": "x"}, "text", {"id": "q3", "answer": "a\x00b"},
    ]  # fmt: skip
    found = read_predictions(TASKS["vqa"], {f"q{n}" for n in range(6)}, lines(rows)).problems
    told = {(p["line"], p["id"]): p["problem"] for p in found.lines}
    assert told == {
        (2, "q0"): "the same id came before",
        (3, "q1"): "`answer` must be a string, not missing",
        (4, "q2"): "`answer` must be a string, not an array",
        (5, None): "`id` must be a string, not missing",
        (7, None): "must be an object, not a string",
        (8, "q3"): "`answer` holds a NUL character",
    }
    assert (found.extra, found.extra_ids) == (1, ["q9"])
    assert (found.missing, found.missing_ids) == (2, ["q4", "q5"])
    assert found.sentence() == "The file has 6 bad lines, 2 missing ids, 1 unknown id."


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"[" * 100_000, "no JSON"),
        (b'{"id": "q0", "answer": ' + b"[" * 30_000 + b"\n", "no JSON"),
        (b'{"id": "q0", "answer": NaN}\n', "no JSON"),
        (b'{"id": "q\xff0"}\n', "no JSON"),
        (b'{"id": "q0", "answer": "\\ud800"}\n', "no JSON"),
        (b'{"id": "' + b"q" * 70_000 + b'"}\n', "longer than"),
        (b"\x1f\x8bnot gzip", "cannot be unpacked"),
        ('{"id": "q\u043e"}\n'.encode(), "missing"),
    ],
)
def test_files_that_want_to_do_harm_get_a_clear_error(data: bytes, said: str) -> None:
    found = read_predictions(TASKS["vqa"], {"q0"}, io.BytesIO(data)).problems
    assert found
    assert said in found.sentence() + " ".join(p["problem"] for p in found.lines)
    json.dumps(found.lines).encode("ascii")


def test_ten_million_lines_are_not_read() -> None:
    bomb = io.BytesIO(gzip.compress(b"{}\n" * 10_000_000, 1))
    started = time.monotonic()
    found = read_predictions(TASKS["vqa"], {f"q{n}" for n in range(6)}, bomb).problems
    assert "Far too many lines" in found.sentence()
    assert time.monotonic() - started < 2


def test_coordinates_must_be_parts_of_the_image() -> None:
    def told(**box: Any) -> str:
        rows = [
            {"id": "a", "objects": [{"x_min": 0.1, "y_min": 0.1, "x_max": 0.2, "y_max": 0.2} | box]}
        ]
        found = read_predictions(TASKS["detection"], {"a"}, lines(rows)).problems
        return found.lines[0]["problem"] if found.lines else ""

    assert told() == ""
    assert "not pixels" in told(x_max=640)
    assert "ends before it begins" in told(x_max=0.05)
    assert "must be a number" in told(score="high")
    assert "must be a number" in told(x_min=True)
    many = [{"id": "a", "points": [{"x": 0.1, "y": 0.1}] * 301}]
    assert (
        "at most 300"
        in read_predictions(TASKS["pointing"], {"a"}, lines(many)).problems.lines[0]["problem"]
    )


@given(st.binary(max_size=400))
def test_no_file_raises(data: bytes) -> None:
    for task in TASKS.values():
        assert read_predictions(task, {"a"}, io.BytesIO(data)).problems


def test_the_scorer_runs_at_home(tmp_path: Path) -> None:
    """The same figures from the command line, without Django."""
    items = _items(40)
    references, said = tmp_path / "dev.jsonl", tmp_path / "mine.jsonl"
    references.write_text("".join(
        json.dumps({"id": i.key, "reference": i.reference, "category": i.category, "image": i.image}) + "\n"
        for i in items
    ))  # fmt: skip
    said.write_text("".join(json.dumps({"id": i.key, "answer": "two"}) + "\n" for i in items))
    assert read_items(references) == items
    code = ("import sys, runpy; sys.argv = ['scoring', 'vqa', *sys.argv[1:]]\n"
            "try: runpy.run_module('leaderboard.scoring', run_name='__main__')\n"
            "finally: assert not any(m == 'django' or m.startswith('django.') for m in sys.modules)")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, references, said], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    ours = score(TASKS["vqa"], items, {i.key: "two" for i in items}, data_hash=data_hash(items))
    for slug, one in ours.items():
        assert printed[slug]["value"] == pytest.approx(one.interval.value)
        assert printed[slug]["signature"] == one.signature
    said.write_text('{"id": "q0"}\n')
    done = subprocess.run(
        [sys.executable, "-m", "leaderboard.scoring", "vqa", references, said],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "39 missing ids" in done.stdout


def test_a_figure_is_finite_or_absent() -> None:
    for task in TASKS.values():
        for metric in task.metrics:
            assert metric.digits >= 1
            assert math.isfinite(metric.scale)
