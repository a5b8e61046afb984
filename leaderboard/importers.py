"""Benchmarks' published file formats, read into items.

COCO captions and instances (cocodataset.org/#format-data), VQAv2 (visualqa.org/vqa_v2_2_download),
POPE (one JSON object a line), CountBench (questions with counts), TextVQA and DocVQA (`data` arrays).

What a format's rows show in a hidden split is what `open` names, beside question and image; a new
format that names nothing shows nothing else. See `leaderboard.services.NewItem`.
"""

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from leaderboard import errors
from leaderboard.services import NewItem

Images = Callable[[str], dict[str, Any]]
_OPEN = frozenset(("key", "image"))
"""Ids and file names were given to images and questions before anybody annotated them."""
_IMAGE = frozenset(("image",))
"""Ids number the rows, and those may be in the order of their answers."""


def _images(folder: Path | None) -> Images:
    """How an image's file name becomes an item's image: a file to copy, or its name alone."""

    def of(name: str) -> dict[str, Any]:
        safe = Path(name).name
        if folder is None:
            return {"image": safe}
        file = folder / safe
        if not file.is_file():
            raise errors.BAD_ITEMS(f"{file} is missing.")
        return {"image": file.stem, "data": file.read_bytes, "extension": file.suffix.lstrip(".")}

    return of


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise errors.BAD_ITEMS(f"{path} cannot be read as JSON: {error}") from error


def _lines(path: Path) -> list[Any]:
    """JSON lines, or one array."""
    text = path.read_text()
    if text.lstrip().startswith("["):
        rows: list[Any] = json.loads(text)
        return rows
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def coco_captions(path: Path, images: Images) -> list[NewItem]:
    """One item an image, with all its captions."""
    data = _json(path)
    captions = defaultdict(list)
    for row in data["annotations"]:
        captions[row["image_id"]].append(row["caption"])
    return [
        NewItem(str(i["id"]), {"captions": captions[i["id"]]}, "normal", open=_OPEN, **images(i["file_name"]))
        for i in data["images"] if captions[i["id"]]
    ]  # fmt: skip


def coco_detection(path: Path, images: Images) -> list[NewItem]:
    """One item an image: boxes x, y, width, height in pixels become corners in 0..1; the area stays
    the annotation's own, which is the segment's, and is the box's where there is none. Without
    `iscrowd` an object is no crowd, as pycocotools reads it. Ids may be numbers or strings; a file
    without `categories` has one class, or classes named by their ids."""
    data = _json(path)
    names = {str(c["id"]): str(c.get("name", c["id"])) for c in data.get("categories") or ()}
    boxes = defaultdict(list)
    sizes = {str(i["id"]): (i["width"], i["height"]) for i in data["images"]}
    for row in data["annotations"]:
        image, (x, y, w, h) = str(row["image_id"]), map(float, row["bbox"])
        width, height = sizes[image]
        area = row.get("area")
        boxes[image].append({
            "box": [x / width, y / height, (x + w) / width, (y + h) / height], **_class(row, names),
            "area": w * h if area is None else area, "iscrowd": int(bool(row.get("iscrowd"))),
        })  # fmt: skip
    return [
        NewItem(str(i["id"]), {"objects": boxes[str(i["id"])], "size": list(sizes[str(i["id"])])},
                "object", open=_OPEN, **images(i["file_name"]))
        for i in data["images"]
    ]  # fmt: skip


def _class(row: dict[str, Any], names: dict[str, str]) -> dict[str, str]:
    """An annotation's `label`; none where the file has no classes."""
    number = row.get("category_id")
    if names:
        return {"label": names[str(number)]}
    return {} if number is None else {"label": str(number)}


def vqa_v2(path: Path, images: Images, questions: Path | None) -> list[NewItem]:
    """Questions and annotations are two files; images are named after their set and number."""
    if questions is None:
        raise errors.BAD_ITEMS("VQAv2 needs --questions as well.")
    asked, answered = _json(questions), _json(path)
    subset = asked.get("data_subtype", "val2014")
    texts = {q["question_id"]: q["question"] for q in asked["questions"]}
    return [
        NewItem(
            str(a["question_id"]), {"answers": [x["answer"] for x in a["answers"]]},
            texts[a["question_id"]], a.get("answer_type", ""), open=_OPEN,
            **images(f"COCO_{subset}_{a['image_id']:012}.jpg"),
        )
        for a in answered["annotations"]
    ]  # fmt: skip


def pope(path: Path, images: Images) -> list[NewItem]:
    """Its rows: question_id, image, text, label."""
    return [
        NewItem(str(row["question_id"]), {"answer": row["label"].strip().lower()}, row["text"], open=_IMAGE,
                **images(row["image"]))
        for row in _lines(path)
    ]  # fmt: skip


def countbench(path: Path, images: Images) -> list[NewItem]:
    """Rows with `question`, `number` and the image's name, as CountBenchQA gives them."""
    return [
        NewItem(str(row.get("id", at)), {"count": int(row["number"])}, row["question"], str(row["number"]),
                **images(row["image"]))
        for at, row in enumerate(_lines(path))
    ]  # fmt: skip


def textvqa(path: Path, images: Images) -> list[NewItem]:
    """`data`: question_id, question, answers, and image_id (TextVQA) or image (DocVQA)."""
    return [
        NewItem(
            str(row.get("question_id", row.get("questionId"))), {"answers": row["answers"]}, row["question"],
            open=_OPEN, **images(row["image"] if "image" in row else f"{row['image_id']}.jpg"),
        )
        for row in _json(path)["data"]
    ]  # fmt: skip


FORMATS: dict[str, tuple[str, str, Callable[..., list[NewItem]]]] = {
    "coco-captions": ("caption", "", coco_captions),
    "coco-detection": ("detection", "map", coco_detection),
    "vqav2": ("vqa", "vqa_accuracy", vqa_v2),
    "pope": ("hallucination", "", pope),
    "countbench": ("counting", "", countbench),
    "textvqa": ("vqa", "vqa_accuracy", textvqa),
    "docvqa": ("vqa", "anls", textvqa),
}


def read(
    form: str, annotations: Path, *, questions: Path | None = None, images: Path | None = None,
    limit: int | None = None,
) -> tuple[str, str, list[NewItem]]:  # fmt: skip
    """A published file as (task, ranking metric, items).

    Raises:
        InvalidInput: it is not in that format.
    """
    task, metric, reader = FORMATS[form]
    more = (questions,) if form == "vqav2" else ()
    try:
        items = reader(annotations, _images(images), *more)
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise errors.BAD_ITEMS(f"{annotations} is not in the {form} format: {error!r}") from error
    return task, metric, items[:limit] if limit else items
