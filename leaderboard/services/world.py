"""Benchmarks drawn by `inference.world`: small, exact, and the same for everybody but for the hidden
splits, whose scenes come of this installation's own key.

Whatever of a hidden scene could be drawn again is: what is in it, its pixels, and which of its
questions are asked, for a question's yes or no is drawn too. So all of it comes of 256 secret bits,
and ids come of others. Each board has scenes of its own: what one asks would answer another.
"""

import hashlib
import io
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from inference.world import DOMAINS, caption
from inference.world.evaluation import Item as Scene
from inference.world.evaluation import held_out
from inference.world.language import question
from leaderboard import errors, vault
from leaderboard.metrics.vqa import read_count
from leaderboard.models import Benchmark, LogLine, Phase, Run, Split
from leaderboard.services.benchmarks import NewItem, benchmark_make, split_fill, total_limit
from leaderboard.services.stale import tables_stale

DEV_SEED = 101
LICENCE = "Apache-2.0"
SOURCE = "Drawn by this project"
ABOUT = "Drawn scenes, easy on purpose."
OPEN = frozenset(("key", "image"))
"""Ids and names come of a number. The category is the domain, which some questions ask for."""
Maker = Callable[[Scene, str, random.Random], Iterator[NewItem]]


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
    """Make the benchmarks that are missing, with so many scenes of each domain; one that is there is
    left as it is."""
    there = set(Benchmark.objects.values_list("slug", flat=True))
    missing = [(position, row) for position, row in enumerate(BENCHMARKS) if row[0] not in there]
    if not missing:
        return []
    public = list(_public_scenes(dev))
    made = []
    for position, (slug, title, task, metric, summary, maker) in missing:
        benchmark = benchmark_make(
            slug=slug, title=title, summary=f"{summary} {ABOUT}", task=task, primary_metric=metric,
            licence=LICENCE, source=SOURCE, position=position,
        )  # fmt: skip
        split_fill(
            benchmark=benchmark, name="dev", is_public=True, daily_limit=50,
            items=_items(public, maker, slug), folder="benchmarks/world/dev",
        )  # fmt: skip
        _hidden_fill(benchmark, maker, count=test, drawing=1)
        made.append(benchmark)
    return made


def _hidden_fill(benchmark: Benchmark, maker: Maker, *, count: int, drawing: int) -> Split:
    """The hidden split of a benchmark, drawn for the first time or anew."""
    where = f"{benchmark.slug}/{drawing}"
    scenes = list(_hidden_scenes(where, count))
    items = list(_items(scenes, maker, vault.keyed("world questions", where)))
    return split_fill(
        benchmark=benchmark, name="test", is_public=False, ranks=True, daily_limit=5,
        total_limit=total_limit(len(items)), items=items,
        folder=f"benchmarks/{benchmark.slug}/test-{drawing}",
    )  # fmt: skip


def _public_scenes(count: int) -> Iterator[tuple[str, Scene, bytes]]:
    for domain in DOMAINS:
        for number, scene in enumerate(held_out(count, seed=DEV_SEED, domain=domain)):
            name = f"dev:{DEV_SEED}:{domain}:{number}"
            yield hashlib.sha256(name.encode()).hexdigest()[:12], scene, _file(scene)


def _hidden_scenes(where: str, count: int) -> Iterator[tuple[str, Scene, bytes]]:
    """By their ids, in the ids' order."""
    drawn = [
        (vault.keyed("world ids", f"{where}/{domain}/{number}")[:20], scene)
        for domain in DOMAINS
        for number, scene in enumerate(
            held_out(count, seed=vault.keyed("world scenes", f"{where}/{domain}"), domain=domain)
        )
    ]
    for key, scene in sorted(drawn, key=lambda row: row[0]):
        yield key, scene, _file(scene)


def _file(scene: Scene) -> bytes:
    buffer = io.BytesIO()
    scene.image.save(buffer, "WEBP", quality=90, method=2)
    return buffer.getvalue()


def _items(
    scenes: Iterable[tuple[str, Scene, bytes]], maker: Maker, seed: str
) -> Iterator[NewItem]:
    """`seed` decides with each key what is asked."""
    for key, scene, data in scenes:
        for item in maker(scene, key, random.Random(f"{seed}:{key}")):
            yield replace(item, image=key, data=partial(bytes, data), open=OPEN)


@transaction.atomic
def world_rotate(*, benchmark: Benchmark, scenes: int = 25) -> Split:
    """Draw a benchmark's hidden split anew: scenes, questions and ids. The split before it is kept
    under another name with its submissions and their scores, takes none any more, and ranks nobody;
    its references stay hidden.

    Returns:
        The new split.

    Raises:
        Conflict: it is none of the world's, or a challenge on it has submissions and no final ranking.
    """
    maker = next((row[-1] for row in BENCHMARKS if row[0] == benchmark.slug), None)
    if maker is None:
        raise errors.NOT_DRAWN(f"{benchmark.slug} is not drawn here.")
    Benchmark.objects.select_for_update().get(pk=benchmark.pk)
    before = benchmark.splits.get(ranks=True)
    waiting = Phase.objects.filter(split=before, challenge__published_at=None)
    if waiting.filter(submissions__isnull=False).exists():
        raise errors.CHALLENGE_STATE(
            f"A challenge on {benchmark.slug} has submissions and no final ranking yet."
        )
    drawing = benchmark.splits.filter(retired_at__isnull=False).count() + 1
    name = before.name
    before.name, before.ranks, before.retired_at = f"{name}-{drawing}", False, timezone.now()
    before.save()
    made = _hidden_fill(benchmark, maker, count=scenes, drawing=drawing + 1)
    made.daily_limit = before.daily_limit
    made.save()
    waiting.update(split=made)
    Run.objects.filter(split=before, status=Run.Status.RUNNING).update(
        status=Run.Status.FAILED, error="The split was drawn anew.", finished_at=timezone.now()
    )
    LogLine.objects.create(
        benchmark=benchmark, actor="organisers", action="rotated",
        text=f"{name} is drawn anew; what was scored before is of {before.name}",
    )  # fmt: skip
    tables_stale(benchmarks=[benchmark.pk], gone=Q(split=before))
    return made
