"""Small files in the true formats."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from inference.errors import InvalidInput
from leaderboard import importers, vault
from leaderboard.models import Benchmark, BenchmarkItem
from leaderboard.scoring import TASKS, Item, score

COCO = {
    "info": {}, "licenses": [],
    "images": [{"id": 391895, "file_name": "COCO_val2014_000000391895.jpg", "width": 640, "height": 360},
               {"id": 522418, "file_name": "COCO_val2014_000000522418.jpg", "width": 640, "height": 480}],
}  # fmt: skip
CAPTIONS = {**COCO, "annotations": [
    {"image_id": 391895, "id": 770337, "caption": "A man with a red helmet on a small moped on a dirt road. "},
    {"image_id": 391895, "id": 771687, "caption": "Man riding a motor bike on a dirt road on the countryside."},
    {"image_id": 522418, "id": 1, "caption": "A woman cutting a large white sheet cake."},
]}  # fmt: skip
INSTANCES = {**COCO, "categories": [{"id": 4, "name": "motorcycle", "supercategory": "vehicle"}, {"id": 1, "name": "person"}],
    "annotations": [
        {"id": 1, "image_id": 391895, "category_id": 4, "bbox": [64, 36, 320, 180], "area": 12190.4, "iscrowd": 0},
        {"id": 2, "image_id": 391895, "category_id": 1, "bbox": [0, 0, 640, 360], "area": 5, "iscrowd": 1},
    ]}  # fmt: skip
QUESTIONS = {
    "data_subtype": "val2014",
    "questions": [
        {"image_id": 262148, "question": "Where is he looking?", "question_id": 262148000}
    ],
}
ANNOTATIONS = {"annotations": [{"question_type": "none of the above", "multiple_choice_answer": "down", "image_id": 262148,
    "answer_type": "other", "question_id": 262148000,
    "answers": [{"answer": a, "answer_confidence": "yes", "answer_id": n} for n, a in enumerate(["down"] * 6 + ["at table"] * 4, 1)]}]}  # fmt: skip
POPE = (
    '{"question_id": 1, "image": "COCO_val2014_000000310196.jpg", "text": "Is there a snowboard in the image?", "label": "yes"}\n'
    * 1
)
COUNT = [{"image": "a.jpg", "question": "How many headsets are there?", "number": "10"}]
TEXT = {
    "data": [
        {
            "question_id": 34602,
            "image_id": "003a8ae2ef43b901",
            "question": "what is the brand?",
            "answers": ["nokia"] * 10,
        }
    ]
}
DOC = {
    "data": [
        {
            "questionId": 337,
            "image": "documents/xnbl0037_1.png",
            "question": "What is the date?",
            "answers": ["1/8/93", "1/8/1993"],
        }
    ]
}


def write(folder: Path, name: str, data: Any) -> Path:
    file = folder / name
    file.write_text(data if isinstance(data, str) else json.dumps(data))
    return file


@pytest.mark.parametrize(
    ("form", "data", "key", "reference", "prompt"),
    [
        (
            "coco-captions",
            CAPTIONS,
            "522418",
            {"captions": ["A woman cutting a large white sheet cake."]},
            "normal",
        ),
        ("pope", POPE, "1", {"answer": "yes"}, "Is there a snowboard in the image?"),
        ("countbench", COUNT, "0", {"count": 10}, "How many headsets are there?"),
        ("textvqa", TEXT, "34602", {"answers": ["nokia"] * 10}, "what is the brand?"),
        ("docvqa", DOC, "337", {"answers": ["1/8/93", "1/8/1993"]}, "What is the date?"),
    ],
)
def test_each_format(
    tmp_path: Path, form: str, data: Any, key: str, reference: Any, prompt: str
) -> None:
    task, metric, items = importers.read(form, write(tmp_path, "a.json", data))
    assert items[-1].key == key
    assert items[-1].reference == reference
    assert items[-1].prompt == prompt
    rules = TASKS[task]
    if metric:
        assert rules.metric(metric).slug == metric
    # What was imported can be scored.
    read = [Item(i.key, i.reference) for i in items]
    assert score(rules, read, {i.key: "yes" for i in items})


def test_coco_boxes_become_parts_of_the_image(tmp_path: Path) -> None:
    _, metric, items = importers.read("coco-detection", write(tmp_path, "a.json", INSTANCES))
    assert metric == "map"
    first = items[0].reference["objects"][0]
    assert first == {
        "box": [0.1, 0.1, 0.6, 0.6],
        "label": "motorcycle",
        "area": 12190.4,
        "iscrowd": 0,
    }
    assert items[1].reference == {"objects": [], "size": [640, 480]}
    found = {i.key: [{"box": o["box"], "label": o["label"], "score": 1.0} for o in i.reference["objects"] if not o["iscrowd"]]
             for i in items}  # fmt: skip
    read = [Item(i.key, i.reference) for i in items]
    assert score(TASKS["detection"], read, found)["map"].interval.value == pytest.approx(1)


def test_vqa_joins_its_two_files(tmp_path: Path) -> None:
    annotations, questions = (
        write(tmp_path, "a.json", ANNOTATIONS),
        write(tmp_path, "q.json", QUESTIONS),
    )
    _, _, items = importers.read("vqav2", annotations, questions=questions)
    assert items[0].prompt == "Where is he looking?"
    assert items[0].image == "COCO_val2014_000000262148.jpg"
    assert items[0].category == "other"
    found = score(TASKS["vqa"], [Item(i.key, i.reference) for i in items], {items[0].key: "Down"})
    assert found["vqa_accuracy"].interval.value == 1
    with pytest.raises(InvalidInput, match="--questions"):
        importers.read("vqav2", annotations)


def test_what_is_no_such_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not in the coco-captions format"):
        importers.read("coco-captions", write(tmp_path, "a.json", {"images": []}))
    with pytest.raises(InvalidInput, match="cannot be read as JSON"):
        importers.read("textvqa", write(tmp_path, "b.json", "{"))


def test_the_command_imports_with_images(db: None, tmp_path: Path) -> None:
    file = write(tmp_path, "pope.json", POPE)
    with pytest.raises(CommandError, match="is missing"):
        call_command("benchmarks", "import", "pope", "my-pope", annotations=file, images=tmp_path)
    (tmp_path / "COCO_val2014_000000310196.jpg").write_bytes(b"bytes")
    call_command(
        "benchmarks", "import", "pope", "my-pope", annotations=file, images=tmp_path, title="POPE"
    )
    benchmark = Benchmark.objects.get(slug="my-pope")
    split = benchmark.splits.get()
    assert (split.is_public, split.ranks, split.item_count) == (False, True, 1)
    assert BenchmarkItem.objects.get(split=split).image.endswith("COCO_val2014_000000310196.jpg")
    assert vault.unseal(split)[0].reference == {"answer": "yes"}
    before = split.data_hash
    call_command("benchmarks", "import", "pope", "my-pope", annotations=file, images=tmp_path)
    split.refresh_from_db()
    assert split.data_hash == before
