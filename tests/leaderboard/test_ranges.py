"""Intervals and rank ranges of figures that are no mean of items, from their scores to the pages."""

import io
import json
import random
from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics import BLEU

from leaderboard import selectors, services
from leaderboard.metrics.statistics import paired_p
from leaderboard.models import Entry, Score
from leaderboard.scoring import INTERVALS, TASKS, Item, interval_method, score
from leaderboard.services import Card, NewItem
from tests.leaderboard.conftest import person

WORDS = [
    "a",
    "the",
    "red",
    "blue",
    "dog",
    "cat",
    "man",
    "runs",
    "sits",
    "on",
    "in",
    "grass",
    "street",
    "near",
    "big",
    "small",
]


def _captions(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(8, 12))) for _ in range(count)]


def _spoilt(captions: list[str], share: float, seed: int) -> list[str]:
    """Each word another with that probability."""
    rng = random.Random(seed)
    return [" ".join(rng.choice(WORDS) if rng.random() < share else w for w in c.split()) for c in captions]  # fmt: skip


def test_bleus_interval_is_as_wide_as_sacrebleus() -> None:
    truth = _captions(200, 1)
    said = _spoilt(truth, 0.3, 2)
    items = [Item(str(n), {"captions": [c]}) for n, c in enumerate(truth)]
    found = score(TASKS["caption"], items, {str(n): c for n, c in enumerate(said)})["bleu4"]
    theirs = BLEU(tokenize="none", smooth_method="none", force=True).corpus_score(
        said, [truth], n_bootstrap=2000
    )
    assert 100 * found.interval.value == pytest.approx(theirs.score, abs=1e-4)
    half = 100 * (found.interval.high - found.interval.low) / 2
    assert half == pytest.approx(theirs._ci, rel=0.12)


def test_contributions_pair_figures_of_a_corpus() -> None:
    truth = _captions(120, 3)
    items = [Item(str(n), {"captions": [c]}) for n, c in enumerate(truth)]

    def scored(share: float, seed: int) -> Any:
        said = _spoilt(truth, share, seed)
        return score(TASKS["caption"], items, {str(n): c for n, c in enumerate(said)})["bleu4"]

    good, alike, bad = scored(0.3, 4), scored(0.3, 5), scored(0.5, 6)
    for one in (good, alike, bad):
        assert one.per_item is None
        assert one.contributions.mean() == pytest.approx(one.interval.value)
    assert paired_p(good.contributions, bad.contributions) < 1e-6
    assert paired_p(good.contributions, alike.contributions) > 0.01
    assert paired_p(good.contributions, good.contributions) == 1.0


def test_f1_and_map_have_intervals_and_contributions() -> None:
    rng = random.Random(7)
    items = [Item(str(n), {"answer": rng.choice(("yes", "no"))}, image=f"i{n // 6}") for n in range(300)]  # fmt: skip
    said = {i.key: i.reference["answer"] if rng.random() < 0.8 else "yes" for i in items}
    found = score(TASKS["hallucination"], items, said)
    assert found["f1"].contributions.shape == (50,)
    assert 0.02 < found["f1"].interval.high - found["f1"].interval.low < 0.2
    box = {"x_min": 0.1, "y_min": 0.1, "x_max": 0.5, "y_max": 0.5}
    boxes = [
        Item(f"b{n}", {"objects": [{"box": [0.1, 0.1, 0.5, 0.5], "label": "cat"}], "size": [100, 100]})
        for n in range(250)
    ]  # fmt: skip
    read = TASKS["detection"].read
    right = {b.key: read({"objects": [{**box, "label": "cat", "score": 0.9}]}) for b in boxes}
    perfect = score(TASKS["detection"], boxes, right)["map"]
    assert perfect.interval.value == pytest.approx(1)
    assert 0.97 < perfect.interval.low < 0.99  # 200 groups of images
    assert perfect.contributions.shape == (200,)


@pytest.fixture
def captioned(db: None, user: Any) -> Any:
    """A benchmark that BLEU-4 ranks, and a way to submit to it."""
    truth = _captions(60, 8)
    benchmark = services.benchmark_make(
        slug="bleu", title="Bleu", summary="Say it.", task="caption", primary_metric="bleu4",
        licence="CC0-1.0", source="test",
    )  # fmt: skip
    split = services.split_fill(
        benchmark=benchmark, name="test", is_public=False, ranks=True,
        items=[NewItem(f"c{n}", {"captions": [c]}, "", "", f"https://images.test/{n}.webp") for n, c in enumerate(truth)],
    )  # fmt: skip

    def send(name: str, share: float, seed: int) -> Any:
        said = _spoilt(truth, share, seed)
        rows = [json.dumps({"id": f"c{n}", "caption": c}) for n, c in enumerate(said)]
        made = services.submission_make(
            split=split, user=person(name), card=Card(name),
            file=io.BytesIO("\n".join(rows).encode()),
        )  # fmt: skip
        services.submission_score(submission_id=made.pk)
        return made

    return send


def test_a_table_that_bleu_ranks_has_ranges_and_comparisons(captioned, client) -> None:
    good, near = captioned("Good", 0.2, 9), captioned("Near", 0.21, 10)
    bad = captioned("Bad", 0.7, 11)
    services.entries_make(benchmark=good.split.benchmark)
    rows = {e.model_name: (e.rank_first, e.rank_last) for e in Entry.objects.all()}
    assert rows["Bad"] == (3, 3)
    assert {rows["Good"], rows["Near"]} == {(1, 2)}
    assert "within the noise" in selectors.compare(good.pk, near.pk).verdict
    clear = selectors.compare(good.pk, bad.pk)
    assert "significant" in clear.verdict
    assert clear.difference.low > 0
    assert clear.wins is None
    page = client.get(f"/leaderboards/compare/?a={good.pk}&b={bad.pk}").content.decode()
    assert "A better" not in page
    assert "1–2" in client.get("/leaderboards/bleu/").content.decode()


def test_intervals_of_an_older_method_are_marked_until_they_are_made_anew(send, split) -> None:
    made = send(30)
    assert {interval_method(s.signature) for s in made.scores.all()} == {INTERVALS}
    for one in made.scores.all():  # as they were kept before
        old = one.signature.replace(f"ci:{INTERVALS}", "ci:bootstrap-1000")
        Score.objects.filter(pk=one.pk).update(signature=old, low=one.value, high=one.value)
    before = {s.metric: s.value for s in made.scores.all()}
    assert services.entries_check() == [split.benchmark]
    services.entries_make(benchmark=split.benchmark)
    assert Entry.objects.get().expired == "its intervals are of an older method"
    found = services.rescore(benchmark=split.benchmark, publish=True)
    services.entries_make(benchmark=split.benchmark)
    assert found.changes == []  # figures are as they were
    now = made.scores.filter(is_current=True)
    assert {s.metric: s.value for s in now} == before
    assert all(s.low < s.value < s.high for s in now if 0 < s.value < 1)
    assert made.scores.filter(is_current=False).count() == len(before)
    assert Entry.objects.get().expired == ""


def test_the_better_of_two_is_so_where_less_is_better(user) -> None:
    """Wins were counted by who has more, of errors too."""
    benchmark = services.benchmark_make(
        slug="errors", title="Errors", summary="Count.", task="counting", primary_metric="count_mae",
        licence="CC0-1.0", source="test",
    )  # fmt: skip
    split = services.split_fill(
        benchmark=benchmark, name="test", is_public=False, ranks=True,
        items=[NewItem(f"n{n}", {"count": 3}, "How many?", "", f"https://images.test/{n}.webp") for n in range(20)],
    )  # fmt: skip
    made = []
    for name, said in (("Right", "3"), ("Wrong", "9")):
        rows = [json.dumps({"id": f"n{n}", "answer": said}) for n in range(20)]
        made.append(services.submission_make(
            split=split, user=person(name), card=Card(name), file=io.BytesIO("\n".join(rows).encode()),
        ))  # fmt: skip
        services.submission_score(submission_id=made[-1].pk)
    found = selectors.compare(made[0].pk, made[1].pk)
    assert (found.wins, found.losses, found.ties) == (20, 0, 0)
    services.entries_make(benchmark=benchmark)
    best = Entry.objects.get(rank=1)
    assert (best.model_name, best.rank_first, best.rank_last) == ("Right", 1, 1)
    assert best.figures["count_mae"]["low"] == 0
    assert 0 < best.figures["count_mae"]["high"] < 0.3


def test_split_units_are_what_contributions_are_of(captioned) -> None:
    made = captioned("One", 0.2, 12)
    one = made.scores.get(metric="bleu4")
    assert one.items() is None
    assert one.by_unit(made.split.units()).mean() == pytest.approx(
        one.value, abs=0.03
    )  # told in steps
    mean = made.scores.get(metric="rouge_l")
    assert mean.by_unit(made.split.units()) == pytest.approx(mean.items()[np.argsort(made.split.units())], abs=1e-6)  # fmt: skip
