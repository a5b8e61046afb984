"""Items and predictions of a task turned into figures of each item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from inference.engine.metrics.numeric import np
from inference.engine.metrics.regions import points_f1
from leaderboard.metrics.captions import bleu_of, bleu_stats, cider_d, rouge_l, tokenise_all, words
from leaderboard.metrics.detection import AveragePrecision
from leaderboard.metrics.regions import matched, point_errors
from leaderboard.metrics.vqa import anls, pope_parse, read_count, vqa_accuracy
from leaderboard.scoring.types import Figures, Item, Sums, Whole, mean_of

Found = dict[tuple[str, ...], Figures]


def captions(items: Sequence[Item], found: Sequence[str]) -> Found:
    candidates = tokenise_all(found)
    references = [tokenise_all(item.reference["captions"]) for item in items]
    said = [words(candidate) for candidate in candidates]
    true = [[words(truth) for truth in truths] for truths in references]
    bleu = Sums(bleu_stats(said, true).table(), bleu_of)
    return {
        ("cider_d",): mean_of(cider_d(said, true)),
        ("bleu1", "bleu2", "bleu3", "bleu4"): bleu,
        ("rouge_l",): mean_of(rouge_l(candidates, references)),
    }


def _same(mine: str, answers: Sequence[str]) -> bool:
    return mine.strip().casefold() in {a.strip().casefold() for a in answers}


def answers(items: Sequence[Item], found: Sequence[str]) -> Found:
    answers = [item.reference["answers"] for item in items]
    pairs = list(zip(found, answers, strict=True))
    scores: Found = {
        ("exact_match",): mean_of(np.array([float(_same(f, a)) for f, a in pairs])),
        ("anls",): mean_of(np.array([anls(f, a) for f, a in pairs])),
    }
    if all(len(a) > 1 for a in answers):  # the definition leaves one of several answers out
        scores["vqa_accuracy",] = mean_of(np.array([vqa_accuracy(f, a) for f, a in pairs]))
    return scores


def counts(items: Sequence[Item], found: Sequence[str]) -> Found:
    true = np.array([float(item.reference["count"]) for item in items])
    read = [read_count(f) for f in found]
    unread = np.array([count is None for count in read])
    # What is no number counts as none found: to say nothing must not pay.
    error = np.abs(np.array([float(count or 0) for count in read]) - true)
    return {
        ("count_accuracy",): mean_of(((error == 0) & ~unread).astype(float)),
        ("off_by_one",): mean_of(((error <= 1) & ~unread).astype(float)),
        ("count_mae",): mean_of(error),
    }


def yes_no(items: Sequence[Item], found: Sequence[str]) -> Found:
    said = np.array([pope_parse(f) for f in found])
    true = np.array([item.reference["answer"] == "yes" for item in items])
    table = np.column_stack([said & true, said, true]).astype(float)

    def shares(sums: np.ndarray) -> np.ndarray:
        """F1, precision and recall of yes; what is undefined is 0."""
        hits, yes, truth = sums.T
        below = np.stack([(yes + truth) / 2, yes, truth], axis=1)
        result: np.ndarray = np.divide(
            hits[:, None], below, out=np.zeros_like(below), where=below > 0
        )
        return result

    def counted(sums: np.ndarray) -> np.ndarray:
        """Items that are yes for either, for the model, in truth."""
        hits, yes, truth = sums.T
        return np.column_stack([yes + truth - hits, yes, truth])

    return {
        ("accuracy",): mean_of((said == true).astype(float)),
        ("f1", "precision", "recall"): Sums(table, shares, counted=counted),
        ("yes_ratio",): mean_of(said.astype(float)),
    }


def labels_of(items: Iterable[Item]) -> set[str]:
    """The classes that a split's references name; none where its boxes have no labels."""
    objects = (o for item in items for o in item.reference.get("objects", ()))
    return {str(o["label"]) for o in objects if o.get("label") is not None}


def boxes(items: Sequence[Item], found: Sequence[list[dict[str, Any]]]) -> Found:
    """Where no reference has a label there is one class, and predictions' labels do not count."""
    if not labels_of(items):
        found = [[{**box, "label": _NO_CLASS} for box in boxes] for boxes in found]
    truth = [item.reference["objects"] for item in items]
    f1 = np.array([_f1(f, [t for t in ts if not t.get("iscrowd")])
                   for f, ts in zip(found, truth, strict=True)])  # fmt: skip
    scores: Found = {("f1_50",): mean_of(f1)}
    if all("score" in box for boxes in found for box in boxes):
        sizes = [tuple(item.reference["size"]) for item in items]
        precision = AveragePrecision(
            [[_pixels(b, size) for b in boxes] for boxes, size in zip(found, sizes, strict=True)],
            [[_pixels(b, size) for b in boxes] for boxes, size in zip(truth, sizes, strict=True)],
        )

        def chosen(weights: np.ndarray) -> np.ndarray:
            """The mean over thresholds, at .50 and at .75."""
            at = precision(weights)
            return np.column_stack([at.mean(1), at[:, 0], at[:, 5]])

        scores["map", "ap50", "ap75"] = Whole(chosen, precision.wanted)
    return scores


_NO_CLASS = "object"


def _pixels(box: Mapping[str, Any], size: tuple[int, ...]) -> dict[str, Any]:
    """A box as COCO has it: x, y, width, height in pixels. Rounded to a millionth, so that a box which
    was whole pixels is so again and an overlap of exactly one half stays one."""
    (x0, y0, x1, y1), (width, height) = box["box"], size
    bbox = [x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height]
    return {**box, "label": _label(box), "box": [round(v, 6) for v in bbox]}


def _label(box: Mapping[str, Any]) -> str:
    label = box.get("label")
    return _NO_CLASS if label is None else str(label)


def _f1(found: Sequence[Mapping[str, Any]], truth: Sequence[Mapping[str, Any]]) -> float:
    """F1 of one image, over its classes together; an image rightly left empty is 1."""
    if not found and not truth:
        return 1.0
    labels = {_label(t) for t in truth}
    hits = sum(
        matched(
            [f["box"] for f in found if _label(f) == label],
            [t["box"] for t in truth if _label(t) == label],
        )
        for label in labels
    )
    return 2 * hits / (len(found) + len(truth))


def points(items: Sequence[Item], found: Sequence[Any]) -> Found:
    inside, errors = np.zeros(len(items)), np.zeros(len(items))
    for row, (item, points) in enumerate(zip(items, found, strict=True)):
        boxes = [tuple(o["box"]) for o in item.reference["objects"]]
        centres = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in boxes]
        inside[row] = points_f1(points, boxes)
        errors[row] = float(np.mean(point_errors([points], [centres]))) if boxes else 0.0
    return {("point_f1",): mean_of(inside), ("point_error",): mean_of(errors)}
