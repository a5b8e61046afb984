"""Scores of a model on held-out world scenes."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from inference.world import caption
from inference.world.evaluation import Item, held_out
from leaderboard.metrics import bleu4, exact_match, f1_at_iou, point_errors

if TYPE_CHECKING:
    from inference.engine import Moondream
    from inference.models import Variant


def variant_scores(scenes: int) -> Callable[["Variant"], dict[str, Any]]:
    """A scorer of variants on that many held-out scenes."""

    def score(variant: "Variant") -> dict[str, Any]:
        from inference.engine import Moondream

        model = Moondream.from_pretrained(
            variant.folder,
            quantization=variant.quantization or None,  # type: ignore[arg-type]  # the field's choices
        )
        return evaluate(model, list(held_out(scenes)))

    return score


def evaluate(model: "Moondream", items: list[Item]) -> dict[str, Any]:
    """Every score of one model; figures are 0..1 but BLEU-4, which is 0..100."""
    by_kind: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    captions: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    points, true_points, boxes, true_boxes, spent = [], [], [], [], []
    for item in items:
        started = time.perf_counter()
        encoded = model.encode_image(item.image)
        for length in ("short", "normal", "long"):
            captions[length][0].append(model.caption(encoded, length)["caption"])  # type: ignore[arg-type]
            captions[length][1].append(caption(item.scene, length))
        for qa in item.questions:
            refs = [qa.point] if qa.point else None
            answer = model.query(encoded, qa.question, spatial_refs=refs)["answer"]
            by_kind[qa.kind][0].append(answer)
            by_kind[qa.kind][1].append(qa.answer)
        points.append([(p["x"], p["y"]) for p in model.point(encoded, item.phrase)["points"]])
        true_points.append([o.centre for o in item.objects])
        found = model.detect(encoded, item.phrase)["objects"]
        boxes.append([(b["x_min"], b["y_min"], b["x_max"], b["y_max"]) for b in found])
        true_boxes.append([o.box for o in item.objects])
        spent.append(time.perf_counter() - started)
    errors = point_errors(points, true_points)
    said = [a for answers, _ in by_kind.values() for a in answers]
    true = [r for _, references in by_kind.values() for r in references]
    return {
        "vqa": exact_match(said, true),
        "vqa_questions": len(said),
        "vqa_by_kind": {k: exact_match(*pair) for k, pair in sorted(by_kind.items())},
        "point_error_mean": statistics.fmean(errors),
        "point_error_median": statistics.median(errors),
        "detect_f1": f1_at_iou(boxes, true_boxes),
        "caption_bleu4": {k: bleu4(*pair) for k, pair in captions.items()},
        "caption_exact": {k: exact_match(*pair) for k, pair in captions.items()},
        "seconds_per_scene": statistics.fmean(spent),
        "weight_bytes": model.info["weight_bytes"],
        "dtype": model.info["dtype"],
    }
