"""How often the embedded model's detector takes an image for outside its world, rightly and wrongly.

    python -m bench.scope [--folder inference/weights/embedded] [--count 500] [--images NAME=FOLDER …]
    python -m bench.scope --fit NAME=FOLDER … [--images NAME=FOLDER …]

Drawn scenes are other ones than those it was fitted and calibrated on: those flagged are false alarms. Of each
folder of images, those that are not flagged are misses. `--fit` first fits it anew, to tell drawn scenes from the
images of these folders, and writes it into the model's.
"""

import argparse
import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from inference.engine import Moondream
from inference.engine.manifest import manifest_write
from inference.world.domains import DOMAINS
from inference.world.scope import features, fit, scenes

PRECISIONS: dict[str, Any] = {"full": None, "int8": "int8", "nf4": "nf4"}
_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
_LEAST_SIDE = 64


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("inference/weights/embedded"))
    parser.add_argument("--fit", nargs="+", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--most", type=int, default=900, help="Images of a folder, drawn by lot.")
    parser.add_argument("--count", type=int, default=500, help="Drawn scenes of each domain.")
    parser.add_argument("--images", nargs="*", default=[], metavar="NAME=FOLDER")
    parser.add_argument(
        "--precisions", nargs="+", default=list(PRECISIONS), choices=list(PRECISIONS)
    )
    options = parser.parse_args()
    if options.fit:
        model = Moondream.from_pretrained(options.folder)
        unlike = [features(model, opened(path, options.most)) for _, path in _named(options.fit)]
        fit(model, torch.cat(unlike)).save(options.folder)
        manifest_write(options.folder)
    named = _named(options.images)
    print(f"{'flagged':28}{'images':>8}" + "".join(f"{name:>10}" for name in options.precisions))
    rows: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for precision in options.precisions:
        model = Moondream.from_pretrained(options.folder, quantization=PRECISIONS[precision])
        scope = model.scope
        if scope is None:
            parser.error("This folder has no scope; --fit makes one.")
        sources = {f"drawn: {d}": scenes(d, options.count, seed="bench") for d in DOMAINS}
        sources |= {name: opened(path, options.most) for name, path in named}
        for name, images in sources.items():
            found = scope.logits(features(model, images)) > scope.limit
            rows.setdefault(name, []).append(f"{found.float().mean().item():>10.1%}")
            counts[name] = len(found)
    for name, cells in rows.items():
        print(f"{name:28}{counts[name]:>8}" + "".join(cells))


def _named(given: list[str]) -> list[tuple[str, Path]]:
    return [(name, Path(folder)) for name, _, folder in (each.partition("=") for each in given)]


def opened(folder: Path, most: int) -> Iterator[Image.Image]:
    """So many of the images under a folder, the same each time; icons, of less than 64 px, are left out."""
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _SUFFIXES]
    random.Random(0).shuffle(paths)
    return itertools.islice(_read(paths), most)


def _read(paths: list[Path]) -> Iterator[Image.Image]:
    for path in paths:
        try:
            with Image.open(path) as image:
                if min(image.size) >= _LEAST_SIDE:
                    yield image.convert("RGB")
        except OSError:
            continue


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
