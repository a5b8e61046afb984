"""Scores of a model on held-out world scenes."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.world import DOMAINS, caption
from inference.world.domains import kind_name
from inference.world.evaluation import Item, held_out
from leaderboard.metrics.regions import f1_at_iou, point_errors
from leaderboard.metrics.text import bleu4, exact_match

if TYPE_CHECKING:
    from inference.engine import Moondream
    from inference.models import Variant


def held_out_world(scenes: int, domains: Iterable[str] = tuple(DOMAINS)) -> list[Item]:
    """That many held-out scenes of each domain."""
    return [item for domain in domains for item in held_out(scenes, domain=domain)]


def variant_scores(scenes: int) -> Callable[["Variant", Path | None], dict[str, Any]]:
    """A scorer of variants, and of adapters in folders, on that many held-out scenes of each domain."""

    def score(variant: "Variant", adapter: Path | None) -> dict[str, Any]:
        from inference.engine import Moondream

        model = Moondream.from_pretrained(
            variant.folder,
            quantization=variant.quantization or None,  # type: ignore[arg-type]  # the field's choices
        )
        if adapter is not None:
            from inference.engine.tuning import Adapters

            Adapters(model).load("scored", adapter, on_this_base=True)
        return evaluate(model, held_out_world(scenes))

    return score


def evaluate(model: "Moondream", items: list[Item]) -> dict[str, Any]:
    """Every score of one model; figures are 0..1 but BLEU-4, which is 0..100."""
    by_kind: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    by_domain: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    captions: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    points, true_points, boxes, true_boxes, spent = [], [], [], [], []
    domains: list[str] = []
    for item in items:
        started = time.perf_counter()
        encoded = model.encode_image(item.image)
        for length in ("short", "normal", "long"):
            captions[length][0].append(model.caption(encoded, length)["caption"])  # type: ignore[arg-type]
            captions[length][1].append(caption(item.scene, length))
        for qa in item.questions:
            refs = [qa.point] if qa.point else None
            answer = model.query(encoded, qa.question, spatial_refs=refs)["answer"]
            for pairs in (by_kind[kind_name(item.scene, qa.kind)], by_domain[item.scene.domain]):
                pairs[0].append(answer)
                pairs[1].append(qa.answer)
        spent.append(time.perf_counter() - started)
        if not item.objects:
            continue  # nothing to find: its questions say whether the model sees that
        domains.append(item.scene.domain)
        points.append([(p["x"], p["y"]) for p in model.point(encoded, item.phrase)["points"]])
        true_points.append([o.centre for o in item.objects])
        found = model.detect(encoded, item.phrase)["objects"]
        boxes.append([(b["x_min"], b["y_min"], b["x_max"], b["y_max"]) for b in found])
        true_boxes.append([o.box for o in item.objects])
    errors = point_errors(points, true_points)
    said = [a for answers, _ in by_kind.values() for a in answers]
    true = [r for _, references in by_kind.values() for r in references]
    return {
        "vqa": exact_match(said, true),
        "vqa_questions": len(said),
        "vqa_by_domain": {k: exact_match(*pair) for k, pair in by_domain.items()},
        "vqa_by_kind": {k: exact_match(*pair) for k, pair in sorted(by_kind.items())},
        "point_error_mean": statistics.fmean(errors),
        "point_error_median": statistics.median(errors),
        "detect_f1": f1_at_iou(boxes, true_boxes),
        "detect_f1_by_domain": {
            name: f1_at_iou(
                [b for b, d in zip(boxes, domains, strict=True) if d == name],
                [b for b, d in zip(true_boxes, domains, strict=True) if d == name],
            )
            for name in dict.fromkeys(domains)
        },
        "caption_bleu4": {k: bleu4(*pair) for k, pair in captions.items()},
        "caption_exact": {k: exact_match(*pair) for k, pair in captions.items()},
        "seconds_per_scene": statistics.fmean(spent),
        "weight_bytes": model.info["weight_bytes"],
        "dtype": model.info["dtype"],
    }
