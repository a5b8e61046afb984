"""Items and predictions of a task turned into figures of each item."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from leaderboard.metrics.captions import bleu_of, bleu_stats, cider_d, rouge_l, tokenise_all
from leaderboard.metrics.detection import AveragePrecision
from leaderboard.metrics.regions import matched, point_errors
from leaderboard.metrics.vqa import anls, pope_parse, read_count, vqa_accuracy
from leaderboard.scoring.types import Item, Series, mean_of


def captions(items: Sequence[Item], found: Sequence[str]) -> dict[str, Series]:
    candidates = tokenise_all(found)
    references = [tokenise_all(item.reference["captions"]) for item in items]
    table = bleu_stats(candidates, references).table()

    def bleu(order: int) -> Series:
        return Series(table, lambda sums: bleu_of(sums)[:, order - 1])

    return {
        "cider_d": mean_of(cider_d(candidates, references)),
        **{f"bleu{order}": bleu(order) for order in (4, 3, 2, 1)},
        "rouge_l": mean_of(rouge_l(candidates, references)),
    }


def _same(mine: str, answers: Sequence[str]) -> bool:
    return mine.strip().casefold() in {a.strip().casefold() for a in answers}


def answers(items: Sequence[Item], found: Sequence[str]) -> dict[str, Series]:
    answers = [item.reference["answers"] for item in items]
    pairs = list(zip(found, answers, strict=True))
    scores = {
        "exact_match": mean_of(np.array([float(_same(f, a)) for f, a in pairs])),
        "anls": mean_of(np.array([anls(f, a) for f, a in pairs])),
    }
    if all(len(a) > 1 for a in answers):  # the definition leaves one of several answers out
        scores["vqa_accuracy"] = mean_of(np.array([vqa_accuracy(f, a) for f, a in pairs]))
    return scores


def counts(items: Sequence[Item], found: Sequence[str]) -> dict[str, Series]:
    true = np.array([float(item.reference["count"]) for item in items])
    # What is no number counts as none found: to say nothing must not pay.
    said = np.array([float(read_count(f) or 0) for f in found])
    unread = np.array([read_count(f) is None for f in found])
    error = np.abs(said - true)
    return {
        "count_accuracy": mean_of(((error == 0) & ~unread).astype(float)),
        "off_by_one": mean_of(((error <= 1) & ~unread).astype(float)),
        "count_mae": mean_of(error),
    }


def yes_no(items: Sequence[Item], found: Sequence[str]) -> dict[str, Series]:
    said = np.array([pope_parse(f) for f in found])
    true = np.array([item.reference["answer"] == "yes" for item in items])
    one = np.ones(len(items))
    table = np.column_stack([said & true, said, true, one]).astype(float)

    def over(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        result: np.ndarray = np.divide(a, b, out=np.zeros_like(a, dtype=float), where=b > 0)
        return result

    return {
        "accuracy": mean_of((said == true).astype(float)),
        "f1": Series(table, lambda s: over(2 * s[:, 0], s[:, 1] + s[:, 2])),
        "precision": Series(table, lambda s: over(s[:, 0], s[:, 1])),
        "recall": Series(table, lambda s: over(s[:, 0], s[:, 2])),
        "yes_ratio": mean_of(said.astype(float)),
    }


def boxes(items: Sequence[Item], found: Sequence[list[dict[str, Any]]]) -> dict[str, Series]:
    truth = [item.reference["objects"] for item in items]
    f1 = np.array([_f1(f, [t for t in ts if not t.get("iscrowd")])
                   for f, ts in zip(found, truth, strict=True)])  # fmt: skip
    scores = {"f1_50": mean_of(f1)}
    if any(found) and all("score" in box for boxes in found for box in boxes):
        sizes = [tuple(item.reference["size"]) for item in items]
        precision = AveragePrecision(
            [[_pixels(b, size) for b in boxes] for boxes, size in zip(found, sizes, strict=True)],
            [[_pixels(b, size) for b in boxes] for boxes, size in zip(truth, sizes, strict=True)],
        )
        scores["map"] = Series(statistic=lambda w: precision(w).mean(1))
        scores["ap50"] = Series(statistic=lambda w: precision(w)[:, 0])
        scores["ap75"] = Series(statistic=lambda w: precision(w)[:, 5])
    return scores


def _pixels(box: Mapping[str, Any], size: tuple[int, ...]) -> dict[str, Any]:
    """A box as COCO has it: x, y, width, height in pixels."""
    (x0, y0, x1, y1), (width, height) = box["box"], size
    bbox = [x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height]
    return {**box, "label": box.get("label", "object"), "box": bbox}


def _f1(found: Sequence[Mapping[str, Any]], truth: Sequence[Mapping[str, Any]]) -> float:
    """F1 of one image, over its classes together; an image rightly left empty is 1."""
    if not found and not truth:
        return 1.0
    labels = {t.get("label", "object") for t in truth}
    hits = sum(
        matched(
            [f["box"] for f in found if f.get("label", "object") == label],
            [t["box"] for t in truth if t.get("label", "object") == label],
        )
        for label in labels
    )
    return 2 * hits / (len(found) + len(truth))


def points(items: Sequence[Item], found: Sequence[Any]) -> dict[str, Series]:
    inside, errors = np.zeros(len(items)), np.zeros(len(items))
    for row, (item, points) in enumerate(zip(items, found, strict=True)):
        boxes = [tuple(o["box"]) for o in item.reference["objects"]]
        centres = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in boxes]
        inside[row] = _points_f1(points, boxes)
        errors[row] = float(np.mean(point_errors([points], [centres]))) if boxes else 0.0
    return {"point_f1": mean_of(inside), "point_error": mean_of(errors)}


def _points_f1(points: Sequence[Any], boxes: Sequence[Any]) -> float:
    """F1 of points in boxes: the most pairs in which a point lies in its own box."""
    if not points and not boxes:
        return 1.0
    owner: dict[int, int] = {}

    def place(point: int, seen: set[int]) -> bool:
        x, y = points[point]
        for index, (x0, y0, x1, y1) in enumerate(boxes):
            if x0 <= x <= x1 and y0 <= y <= y1 and index not in seen:
                seen.add(index)
                if index not in owner or place(owner[index], seen):
                    owner[index] = point
                    return True
        return False

    hits = sum(place(point, set()) for point in range(len(points)))
    return 2 * hits / (len(points) + len(boxes))
