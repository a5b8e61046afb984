"""Public splits as data to tune on; nothing of a hidden one is ever among it."""

from pathlib import Path

import pytest

from inference.engine.rewards import PRESETS, Reference
from inference.errors import DomainError
from inference.tuning import services as tuning
from inference.tuning.sources import source_of
from inference.tuning.who import Who
from leaderboard import services
from leaderboard.models import Benchmark, Split
from leaderboard.tuning import splits
from tests.leaderboard.conftest import person

pytestmark = pytest.mark.django_db
NOBODY = Who()


def chosen(benchmark: str, split: str, **more):
    data = {"source": "benchmark", "benchmark": benchmark, "split": split, **more}
    return source_of(data).choose(data, NOBODY)


@pytest.mark.parametrize(
    ("benchmark", "skill", "taught"),
    [
        ("world-vqa", "query", "answer"), ("world-captions", "caption", "caption"),
        ("world-counting", "query", "answer"), ("world-existence", "query", "answer"),
        ("world-detection", "detect", "boxes"),
    ],
)  # fmt: skip
def test_every_item_of_a_public_split(starter, benchmark, skill, taught) -> None:
    split = Split.objects.get(benchmark__slug=benchmark, name="dev")
    services.split_open(split_id=split.pk)
    made = chosen(benchmark, "dev")
    assert made.skills == (skill,)
    read = source_of(made.data).examples(made.data, Path())
    examples = read.training + read.held_out
    assert len(examples) == split.item_count
    assert not {id(e) for e in read.training} & {id(e) for e in read.held_out}
    for example in examples[:5]:
        assert example.skill == skill
        assert set(example.target or {}) == {taught}
        assert Reference.read(example.reference) != Reference()
        assert example.open_image is not None
        assert min(example.open_image().size) > 100


def test_a_run_on_one(starter) -> None:
    services.split_open(split_id=Split.objects.get(benchmark__slug="world-counting", name="dev").pk)
    run = tuning.run_make(
        who=Who(person("bea")), reward=PRESETS["count-right"].reward.to_dict(),
        data={"source": "benchmark", "benchmark": "world-counting", "split": "dev"},
    )  # fmt: skip
    assert run.data["split"] == "dev"


@pytest.mark.parametrize(
    ("benchmark", "split"),
    [("world-vqa", "test"), ("world-vqa", "none"), ("none", "dev"), ("", ""), ("world-vqa", "dev\x00")],
)  # fmt: skip
def test_no_other_split_is_there(starter, benchmark, split) -> None:
    if split == "dev\x00":
        Split.objects.filter(benchmark__slug=benchmark, name="dev").update(name="seen")
    with pytest.raises(DomainError) as refused:
        chosen(benchmark, split)
    assert refused.value.code == "split_not_found"
    data = {"source": "benchmark", "benchmark": benchmark, "split": split}
    with pytest.raises(DomainError):  # nor where the check is passed by
        source_of(data).examples(data, Path())


def test_one_that_is_hidden_later_is_gone(starter) -> None:
    Benchmark.objects.filter(slug="world-vqa").update(is_shown=False)
    with pytest.raises(DomainError):
        chosen("world-vqa", "dev")
    assert "world-vqa" not in {split.benchmark.slug for split in splits()}


def test_images_that_are_elsewhere(split) -> None:
    services.split_open(split_id=Split.objects.get(benchmark__slug="colours", name="dev").pk)
    with pytest.raises(DomainError) as refused:
        chosen("colours", "dev")
    assert "no images" in refused.value.message
    assert "colours" not in {found.benchmark.slug for found in splits()}
    with pytest.raises(DomainError) as refused:
        chosen("colours", "dev", more=1)
    assert refused.value.extra["fields"][0]["field"] == "data.more"
