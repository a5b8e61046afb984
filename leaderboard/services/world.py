"""Benchmarks drawn by `inference.world`: small, exact, and the same for everybody but for the hidden
split, whose scenes come of this installation's own key."""

import hashlib
import hmac
import io
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from inference.world import DOMAINS, caption
from inference.world.evaluation import Item as Scene
from inference.world.evaluation import held_out
from inference.world.language import question
from leaderboard import vault
from leaderboard.metrics.vqa import read_count
from leaderboard.models import Benchmark
from leaderboard.services.benchmarks import NewItem, benchmark_make, split_fill

DEV_SEED = 101
LICENCE = "Apache-2.0"
SOURCE = "Drawn by this project"
ABOUT = "Drawn scenes, easy on purpose."
Maker = Callable[[Scene, str, random.Random], Iterator[NewItem]]


def _hidden_seed() -> int:
    digest = hmac.new(vault.secret().encode(), b"world-test", hashlib.sha256).hexdigest()
    return int(digest[:12], 16)


def _captions(scene: Scene, name: str, rng: random.Random) -> Iterator[NewItem]:
    yield NewItem(
        name, {"captions": [caption(scene.scene, "normal")]}, "normal", scene.scene.domain
    )


def _questions(scene: Scene, name: str, rng: random.Random) -> Iterator[NewItem]:
    asked = [
        qa for qa in scene.questions if qa.point is None and qa.kind not in ("count", "existence")
    ]
    for number, qa in enumerate(rng.sample(asked, min(2, len(asked)))):
        yield NewItem(f"{name}-{number}", {"answers": [qa.answer]}, qa.question, scene.scene.domain)


def _counts(scene: Scene, name: str, rng: random.Random) -> Iterator[NewItem]:
    qa = question(scene.scene, "count", rng)
    count = read_count(qa.answer) if qa else None
    if qa is not None and count is not None:
        yield NewItem(name, {"count": count}, qa.question, scene.scene.domain)


def _existence(scene: Scene, name: str, rng: random.Random) -> Iterator[NewItem]:
    qa = question(scene.scene, "existence", rng)
    if qa is not None and qa.answer.lower() in ("yes", "no"):
        yield NewItem(name, {"answer": qa.answer.lower()}, qa.question, scene.scene.domain)


def _boxes(scene: Scene, name: str, rng: random.Random) -> Iterator[NewItem]:
    reference = {
        "objects": [{"box": [round(v, 5) for v in o.box]} for o in scene.objects],
        "size": list(scene.image.size),
    }
    if scene.objects:
        yield NewItem(name, reference, scene.phrase, scene.scene.domain)


BENCHMARKS: tuple[tuple[str, str, str, str, str, Maker], ...] = (
    ("world-vqa", "World VQA", "vqa", "exact_match", "Questions about colours, shapes, places, relations, shelves and defects.", _questions),
    ("world-captions", "World captions", "caption", "", "One sentence or two about each scene.", _captions),
    ("world-detection", "World detection", "detection", "", "Boxes of what a phrase names.", _boxes),
    ("world-counting", "World counting", "counting", "", "How many there are.", _counts),
    ("world-existence", "World existence", "hallucination", "", "Whether something is there: does the model see what is not?", _existence),
)  # fmt: skip


def world_load(*, dev: int = 10, test: int = 25) -> list[Benchmark]:
    """Make the benchmarks that are missing, with that many scenes of each domain; what is there is
    left as it is."""
    there = set(Benchmark.objects.values_list("slug", flat=True))
    missing = [(position, row) for position, row in enumerate(BENCHMARKS) if row[0] not in there]
    if not missing:
        return []
    splits = {
        "dev": list(_scenes("dev", dev, DEV_SEED)),
        "test": list(_scenes("test", test, _hidden_seed())),
    }
    made = []
    for position, (slug, title, task, metric, summary, maker) in missing:
        benchmark = benchmark_make(
            slug=slug, title=title, summary=f"{summary} {ABOUT}", task=task, primary_metric=metric,
            licence=LICENCE, source=SOURCE, position=position,
        )  # fmt: skip
        for name, scenes in splits.items():
            hidden = name == "test"
            split_fill(
                benchmark=benchmark, name=name, is_public=not hidden, ranks=hidden,
                daily_limit=5 if hidden else 50, total_limit=100 if hidden else None,
                items=_items(scenes, maker, slug), folder=f"benchmarks/world/{name}",
            )  # fmt: skip
        made.append(benchmark)
    return made


def _scenes(name: str, count: int, seed: int) -> Iterator[tuple[str, Scene, bytes]]:
    for domain in DOMAINS:
        for number, scene in enumerate(held_out(count, seed=seed, domain=domain)):
            buffer = io.BytesIO()
            scene.image.save(buffer, "WEBP", quality=90, method=2)
            key = hashlib.sha256(f"{name}:{seed}:{domain}:{number}".encode()).hexdigest()[:12]
            yield key, scene, buffer.getvalue()


def _items(scenes: list[tuple[str, Scene, bytes]], maker: Maker, slug: str) -> Iterator[NewItem]:
    for key, scene, data in scenes:
        for item in maker(scene, key, random.Random(f"{slug}:{key}")):
            yield replace(item, image=key, data=partial(bytes, data))
