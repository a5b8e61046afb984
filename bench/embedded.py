"""Scores of the embedded model on held-out scenes, by domain, by category and by precision.

python -m bench.embedded [--count 300] [--domains shapes shelf plate phantom]
                         [--folder inference/weights/embedded] [--json FILE]
"""

import argparse
import json
from pathlib import Path
from typing import Any

from inference.engine import Moondream
from inference.world import DOMAINS
from leaderboard.world_scores import evaluate, held_out_world

VARIANTS: dict[str, Any] = {"half": None, "int8": "int8", "nf4": "nf4"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--folder", type=Path, default=Path("inference/weights/embedded"))
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS))
    parser.add_argument("--domains", nargs="+", default=["shapes"], choices=list(DOMAINS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    items = held_out_world(options.count, options.domains)
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
