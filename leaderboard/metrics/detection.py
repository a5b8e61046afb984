"""Average precision as COCO defines it, and F1 for models that give no scores.

Boxes are matched by pycocotools, the reference implementation; the accumulation is repeated here with
weights for images, so that leaving some out does not match anew. With weights of one it equals
`COCOeval.accumulate` (a test compares AP, AP50 and AP75).
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference.engine.metrics.numeric import np

_THRESHOLDS = 10
"""IoU .50:.05:.95."""
_RECALLS = 101
"""0:.01:1."""
_MOST = 100
"""Detections of a class in an image that count, the best first."""
_EPS = sys.float_info.epsilon


@dataclass(frozen=True, slots=True)
class _Class:
    """One class's detections over all images, best score first."""

    hit: np.ndarray
    """(T, D) matched to a counted reference."""
    miss: np.ndarray
    """(T, D) matched to none, and not to be left out."""
    image: np.ndarray
    """(D,) index of its image."""
    wanted: np.ndarray
    """(I,) counted references of each image."""


class AveragePrecision:
    """COCO's AP (area all, at most 100 detections a class and image) for any weighting of images."""

    def __init__(
        self,
        predictions: Sequence[Sequence[Mapping[str, Any]]],
        references: Sequence[Sequence[Mapping[str, Any]]],
    ) -> None:
        """
        Args:
            predictions: of each image, boxes `x y width height` in any one unit, with `label` and
                `score`.
            references: likewise, with optional `area` and `iscrowd` instead of a score.
        """
        self.classes = _match(predictions, references)
        self.wanted = np.sum([c.wanted for c in self.classes], axis=0, initial=0.0) + np.zeros(
            len(references)
        )
        """(I,) counted references of each image."""

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """(R, I) weights → (R, T) AP at each threshold, the mean over classes with references; NaN
        where there are none."""
        result = np.full((len(weights), _THRESHOLDS), np.nan)
        for row, weight in enumerate(weights):
            found = [ap for c in self.classes if (ap := _class_ap(c, weight)) is not None]
            if found:
                result[row] = np.mean(found, axis=0)
        return result


def _class_ap(one: _Class, weight: np.ndarray) -> np.ndarray | None:
    """(T,) of one class; None without references."""
    wanted = float(one.wanted @ weight)
    if not wanted:
        return None
    if not len(one.image):
        return np.zeros(_THRESHOLDS)
    each = weight[one.image]
    hits, misses = np.cumsum(one.hit * each, axis=1), np.cumsum(one.miss * each, axis=1)
    recall = hits / wanted
    precision = hits / (hits + misses + _EPS)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    precision = np.hstack([precision, np.zeros((_THRESHOLDS, 1))])
    recalls = np.linspace(0, 1, _RECALLS)
    at = [np.searchsorted(row, recalls, side="left") for row in recall]
    return np.array([p[i].mean() for p, i in zip(precision, at, strict=True)])


def _match(predictions: Sequence[Any], references: Sequence[Any]) -> list[_Class]:
    # Imported late: only workers and the scorer at home need it.
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    labels = sorted({str(r["label"]) for image in references for r in image})
    truth, found = _coco(references, labels, "iscrowd"), _coco(predictions, labels, "score")
    images = [{"id": n} for n in range(len(references))]
    categories = [{"id": n, "name": label} for n, label in enumerate(labels, 1)]
    with contextlib.redirect_stdout(io.StringIO()):  # it talks
        reference = COCO()
        reference.dataset = {"images": images, "categories": categories, "annotations": truth}
        reference.createIndex()
        if not found:
            return [_Class(*(np.zeros((10, 0)),) * 2, np.zeros(0, int), _wanted(truth, k, len(images)))
                    for k in range(1, len(labels) + 1)]  # fmt: skip
        judge = COCOeval(reference, reference.loadRes(found), "bbox")
        judge.params.areaRng = judge.params.areaRng[:1]
        judge.evaluate()
    count = len(images)
    by_class = [judge.evalImgs[k * count : (k + 1) * count] for k in range(len(labels))]
    return [_gather(row, count) for row in by_class]


def _coco(boxes: Sequence[Any], labels: list[str], kind: str) -> list[dict[str, Any]]:
    """COCO's annotations or results; detections of other classes cannot count and are left out."""
    numbers = {label: n for n, label in enumerate(labels, 1)}
    rows: list[dict[str, Any]] = []
    for image, items in enumerate(boxes):
        for item in items:
            label = numbers.get(str(item["label"]))
            if label is None:
                continue
            x, y, w, h = item["box"]
            area = item.get("area")
            row = {"id": len(rows) + 1, "image_id": image, "category_id": label, "bbox": [x, y, w, h],
                   "area": w * h if area is None else area}  # fmt: skip
            row[kind] = int(bool(item.get(kind))) if kind == "iscrowd" else float(item[kind])
            rows.append(row)
    return rows


def _wanted(truth: list[dict[str, Any]], label: int, count: int) -> np.ndarray:
    images = [r["image_id"] for r in truth if r["category_id"] == label and not r["iscrowd"]]
    return np.bincount(np.array(images, dtype=int), minlength=count).astype(float)


def _gather(per_image: Sequence[Any], count: int) -> _Class:
    """Joins the matches of one class as `COCOeval.accumulate` does: by score, in a stable order."""
    wanted = np.zeros(count)
    scores, images, hits, ignored = [], [], [], []
    for index, judged in enumerate(per_image):
        if judged is None:
            continue
        wanted[index] = np.count_nonzero(judged["gtIgnore"] == 0)
        scores.append(np.array(judged["dtScores"][:_MOST], dtype=float))
        images.append(np.full(len(scores[-1]), index))
        hits.append(judged["dtMatches"][:, :_MOST] > 0)
        ignored.append(judged["dtIgnore"][:, :_MOST].astype(bool))
    if not scores:
        return _Class(np.zeros((10, 0)), np.zeros((10, 0)), np.zeros(0, int), wanted)
    order = np.argsort(-np.concatenate(scores), kind="mergesort")
    hit, out = np.concatenate(hits, axis=1)[:, order], np.concatenate(ignored, axis=1)[:, order]
    return _Class(hit & ~out, ~hit & ~out, np.concatenate(images)[order], wanted)
