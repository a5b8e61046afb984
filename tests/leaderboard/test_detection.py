"""Detection from COCO's files to average precision, beside pycocotools' own evaluation."""

import io
import json
import random
from pathlib import Path
from typing import Any

import pytest

from inference.errors import InvalidInput
from leaderboard import importers
from leaderboard.metrics.regions import box_iou, matched
from leaderboard.scoring import TASKS, Checked, Context, Item, labels_of, read_predictions, score

TASK = TASKS["detection"]
BOX = {"x_min": 0.1, "y_min": 0.1, "x_max": 0.4, "y_max": 0.4}


def check(lines: list[Any], **known: Any) -> Checked:
    file = io.BytesIO("".join(json.dumps(line) + "\n" for line in lines).encode())
    return read_predictions(TASK, {str(line["id"]) for line in lines}, file, **known)


def one(**box: Any) -> Any:
    """What a single box is read as."""
    checked = check([{"id": "a", "objects": [BOX | box]}])
    assert not checked.problems, checked.problems
    return checked.predictions["a"][0]


def told(**box: Any) -> str:
    lines = check([{"id": "a", "objects": [BOX | box]}]).problems.lines
    return str(lines[0]["problem"]) if lines else ""


def codes(checked: Checked) -> list[str]:
    return [w.code for w in checked.warnings]


def _dataset(seed: int, *, whole: bool, bare: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A COCO file and results on it: crowds, ties of scores, empty images, a class without
    annotations, one without results, more than 100 results of a class in an image.

    Args:
        whole: boxes of whole pixels on a coarse grid, so that overlaps are exactly at a threshold.
        bare: annotations without `area` and, where false, `iscrowd`.
    """
    rng = random.Random(seed)
    sizes = [(rng.choice((640, 500, 333)), rng.choice((480, 375, 427))) for _ in range(25)]
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []

    def number(low: float, high: float) -> float:
        return rng.randrange(int(low), int(high), 10) if whole else round(rng.uniform(low, high), 2)

    for image, (width, height) in enumerate(sizes):
        for _ in range(rng.choice((0, 0, 1, 3, 8))):
            box = [
                number(0, width - 130),
                number(0, height - 130),
                number(10, 120),
                number(10, 120),
            ]
            crowd, category = rng.random() < 0.15, rng.choice((1, 2, 3, 5))
            row = {"id": len(annotations) + 1, "image_id": image, "category_id": category, "bbox": box,
                   "area": round(box[2] * box[3] * 0.7, 2), "iscrowd": int(crowd)}  # fmt: skip
            if bare:
                del row["area"]
                if not crowd:
                    del row["iscrowd"]
            annotations.append(row)
            for _ in range(rng.choice((0, 1, 2, 130 if image % 9 == 0 else 1))):
                near = [
                    box[0] + number(0, 11),
                    box[1] + number(0, 11),
                    box[2],
                    box[3] + number(0, 11),
                ]
                results.append({"image_id": image, "category_id": rng.choice((category, category, 1, 2)),
                                "bbox": near, "score": round(rng.random(), 1)})  # fmt: skip
        results += [
            {"image_id": image, "category_id": rng.choice((1, 2, 4)),
             "bbox": [number(0, 100), number(0, 100), 50, 50], "score": round(rng.random(), 2)}
            for _ in range(rng.choice((0, 0, 2)))
        ]  # fmt: skip
    images = [
        {"id": n, "file_name": f"{n}.jpg", "width": w, "height": h}
        for n, (w, h) in enumerate(sizes)
    ]
    categories = [{"id": n, "name": f"class {n}"} for n in range(1, 6)]
    return {"images": images, "annotations": annotations, "categories": categories}, results


def _coco(data: dict[str, Any], results: list[dict[str, Any]]) -> list[float]:
    """AP, AP50 and AP75 by pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    reference = COCO()
    # pycocotools itself wants both of every annotation.
    reference.dataset = data | {"annotations": [
        {"area": a["bbox"][2] * a["bbox"][3], "iscrowd": 0} | a for a in data["annotations"]
    ]}  # fmt: skip
    reference.createIndex()
    judge = COCOeval(reference, reference.loadRes(results), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return [float(v) for v in judge.stats[:3]]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("bare", [True, False])
def test_average_precision_is_cocos_from_file_to_figure(
    tmp_path: Path, seed: int, whole: bool, bare: bool
) -> None:
    data, results = _dataset(seed, whole=whole, bare=bare)
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(data))
    _, _, made = importers.read("coco-detection", file)
    items = [Item(i.key, i.reference) for i in made]
    lines: dict[int, list[dict[str, Any]]] = {i["id"]: [] for i in data["images"]}
    for row in results:
        (x, y, w, h), size = row["bbox"], data["images"][row["image_id"]]
        lines[row["image_id"]].append({
            "x_min": x / size["width"], "y_min": y / size["height"], "x_max": (x + w) / size["width"],
            "y_max": (y + h) / size["height"], "label": f"class {row['category_id']}", "confidence": row["score"],
        })  # fmt: skip
    checked = check([{"id": n, "objects": boxes} for n, boxes in lines.items()])
    assert not checked.problems, checked.problems
    found = score(TASK, items, checked.predictions)
    ours = [found[slug].interval.value for slug in ("map", "ap50", "ap75")]
    assert ours == pytest.approx(_coco(data, results), abs=1e-6)


def test_a_confidence_is_a_score() -> None:
    """`/v1/detect` returns one for each object and one for the answer."""
    assert one(confidence=0.7)["score"] == 0.7
    assert one(score=0.2, confidence=0.7)["score"] == 0.2
    assert "score" not in one()
    assert one(score=None, confidence=None) == one()
    answer = [{"id": "a", "objects": [BOX, BOX | {"confidence": 0.9}], "confidence": 0.4}]
    assert [b["score"] for b in check(answer).predictions["a"]] == [0.4, 0.9]
    assert "`confidence` must be a number" in told(confidence="high")


def test_a_hair_outside_is_cut_and_pixels_are_named() -> None:
    assert one(x_min=-0.0004, y_max=1.002)["box"] == (0, 0.1, 0.4, 1)
    assert one(x_max=1.05)["box"][2] == 1
    for value in (2, 640, -31, 1e300):
        assert "not pixels; divide x by the image's width" in told(x_max=value)
    for value in (1.06, -0.2, 1.9):
        assert "outside the image" in told(x_max=value)
    points = {"id": "a", "points": [{"x": 1.0001, "y": -0.01}]}
    file = io.BytesIO(json.dumps(points).encode())
    assert read_predictions(TASKS["pointing"], {"a"}, file).predictions["a"] == [(1.0, 0.0)]


def test_the_best_hundred_of_a_class_in_an_image_count() -> None:
    """As COCO reads them: 301 boxes are no fault, and what is beyond 100 is not seen."""
    wrong = [BOX | {"x_min": 0.3, "score": 0.5 + n / 1000, "label": "cat"} for n in range(100)]
    right = BOX | {"label": "cat", "score": 0.1}
    other = BOX | {"label": "dog", "score": 0.01}
    rest = [BOX | {"label": "cat", "score": 0.05}] * 200
    checked = check([{"id": "a", "objects": [right, other, *rest, *wrong]}])
    assert not checked.problems
    truth = [{"box": (0.1, 0.1, 0.4, 0.4), "label": label} for label in ("cat", "dog")]
    found = score(TASK, [Item("a", {"objects": truth, "size": [640, 480]})], checked.predictions)
    assert found["map"].interval.value == pytest.approx(0.5)
    many = check([{"id": "a", "objects": [BOX] * 3001}]).problems
    assert "at most 3000 are read" in many.lines[0]["problem"]


def test_saying_nothing_scores_nothing() -> None:
    items = [Item(str(n), {"objects": [{"box": (0.1, 0.1, 0.4, 0.4), "label": "cat"}], "size": [640, 480]})
             for n in range(6)]  # fmt: skip
    found = score(TASK, items, {i.key: [] for i in items})
    assert {s: f.interval.value for s, f in found.items()} == {
        "f1_50": 0,
        "map": 0,
        "ap50": 0,
        "ap75": 0,
    }
    assert found["map"].interval.low == 0  # six images are few to be certain by: its end is above
    box = {"box": (0.1, 0.1, 0.4, 0.4), "score": 1.0}
    for label in ({}, {"label": "dog"}):
        wrong = score(TASK, items, {i.key: [box | label] for i in items})
        assert wrong["map"].interval.value == 0
    half = score(
        TASK, items, {i.key: [box | {"label": "cat"}] if i.key < "3" else [] for i in items}
    )
    assert half["ap50"].interval.value > 0


def test_labels_do_not_count_where_there_are_no_classes() -> None:
    items = [Item("a", {"objects": [{"box": (0.1, 0.1, 0.4, 0.4)}], "size": [640, 480]})]
    said = {"a": [{"box": (0.1, 0.1, 0.4, 0.4), "score": 1.0, "label": "person"}]}
    found = score(TASK, items, said)
    assert found["f1_50"].interval.value == 1
    assert found["map"].interval.value == pytest.approx(1)
    assert labels_of(items) == set()


CATS = Context(metric="map", labels=["cat", "dog"])


@pytest.mark.parametrize(
    ("objects", "known", "code", "said"),
    [
        ([], CATS, ["no_boxes"], "will score 0"),
        ([BOX | {"score": 1}], CATS, ["no_labels"], "will score 0"),
        ([BOX | {"score": 1, "label": "Cat"}], CATS, ["unknown_labels"], "“Cat”: it will score 0"),
        ([BOX | {"label": "cat"}], CATS, ["no_scores"], "will have no rank"),
        ([BOX], Context(metric="f1_50", labels=[]), ["no_scores"], "needs one for every box."),
        ([BOX | {"x_max": 0.1, "score": 1, "label": "cat"}], CATS, ["no_area"], "will score 0"),
        ([BOX | {"score": 1, "label": "cat"}, BOX | {"score": 1}], CATS, ["no_labels"], "1 of 2"),
        ([BOX | {"score": 1, "label": "cat"}, BOX | {"score": 1, "label": "emu"}], CATS, ["unknown_labels"], "1 of 2"),
        ([BOX | {"confidence": 1, "label": "dog"}], CATS, [], ""),
        ([BOX | {"score": 1, "label": "person"}], Context(labels=[]), [], ""),
        ([BOX | {"score": 1}], Context(labels=None), [], ""),
    ],
)  # fmt: skip
def test_a_file_that_must_score_nothing_is_warned_of(
    objects: list[Any], known: Context, code: list[str], said: str
) -> None:
    checked = check(
        [{"id": "a", "objects": objects}, {"id": "b", "objects": objects}], context=known
    )
    assert not checked.problems
    assert codes(checked) == code
    assert said.replace("1 of 2", "2 of 4") in "".join(w.message for w in checked.warnings)


def test_coco_files_may_leave_out_what_has_a_default(tmp_path: Path) -> None:
    def read(**data: Any) -> Any:
        file = tmp_path / "a.json"
        file.write_text(
            json.dumps(
                {"images": [{"id": "7", "file_name": "7.jpg", "width": 10, "height": 20}]} | data
            )
        )
        return importers.read("coco-detection", file)[2][0].reference["objects"]  # fmt: skip

    row = {"id": "x", "image_id": 7, "category_id": "3", "bbox": ["1", 2, 3, 4]}
    named = [{"id": 3, "name": "cat"}]
    box = {"box": [0.1, 0.1, 0.4, 0.3], "area": 12.0, "iscrowd": 0}
    assert read(annotations=[row], categories=named) == [box | {"label": "cat"}]
    assert read(annotations=[row]) == [box | {"label": "3"}]
    assert read(annotations=[row | {"area": None, "iscrowd": None}], categories=[{"id": 3}])[0]["label"] == "3"  # fmt: skip
    assert read(annotations=[{k: v for k, v in row.items() if k != "category_id"}]) == [box]
    assert read(annotations=[row | {"iscrowd": True, "area": 5}])[0] | {"label": ""} == box | {
        "area": 5, "iscrowd": 1, "label": ""
    }  # fmt: skip
    with pytest.raises(InvalidInput, match="coco-detection format"):
        read(annotations=[row], categories=[{"id": 4, "name": "dog"}])


def test_matching_many_boxes_is_matching_each() -> None:
    rng = random.Random(3)

    def some(count: int) -> list[Any]:
        corners = [(rng.randrange(8), rng.randrange(8)) for _ in range(count)]
        return [(x, y, x + rng.randrange(4), y + rng.randrange(4)) for x, y in corners]

    for _ in range(50):
        found, truth = some(rng.randrange(8)), some(rng.randrange(8))
        pairs = sorted(((box_iou(f, t), i, j) for i, f in enumerate(found) for j, t in enumerate(truth)), reverse=True)  # fmt: skip
        used: set[tuple[str, int]] = set()
        for overlap, i, j in pairs:
            if overlap >= 0.5 and not {("f", i), ("t", j)} & used:
                used |= {("f", i), ("t", j)}
        assert matched(found, truth) == len(used) // 2
