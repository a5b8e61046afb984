"""Scores of the embedded model on held-out world scenes, by category and by precision.

python -m bench.embedded [--count 300] [--folder inference/weights/embedded] [--json FILE]
"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from inference.engine import Moondream
from inference.world import caption
from inference.world.evaluation import Item, held_out
from leaderboard.metrics import bleu4, exact_match, f1_at_iou, point_errors

VARIANTS: dict[str, Any] = {"half": None, "int8": "int8", "nf4": "nf4"}


def evaluate(model: Moondream, items: list[Item]) -> dict[str, Any]:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--folder", type=Path, default=Path("inference/weights/embedded"))
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    items = list(held_out(options.count))
    rows = {}
    for name in options.variants:
        model = Moondream.from_pretrained(options.folder, quantization=VARIANTS[name])
        rows[name] = evaluate(model, items)
    report(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def report(rows: dict[str, dict[str, Any]]) -> None:
    """Print scores side by side; weights also relative to the first row's."""
    first = next(iter(rows.values()))
    print(f"{'':24}" + "".join(f"{name:>12}" for name in rows))
    flat = {name: dict(_flat(row)) for name, row in rows.items()}
    for key in next(iter(flat.values())):
        cells = "".join(
            f"{row[key]:>12.4g}" if not isinstance(row[key], str) else f"{row[key]:>12}"
            for row in flat.values()
        )
        print(f"{key:24}{cells}")
    sizes = "".join(
        f"{row['weight_bytes'] / first['weight_bytes']:>12.2f}" for row in rows.values()
    )
    print(f"{'weights, ratio':24}{sizes}")


def _flat(row: dict[str, Any]) -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in row.items():
        if isinstance(value, dict):
            flat += [(f"{key}.{name}", inner) for name, inner in value.items()]
        else:
            flat.append((key, value))
    return flat


if __name__ == "__main__":
    main()
