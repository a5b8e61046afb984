"""Presets of the world: references that are true, and scenes that nothing else draws."""

import json

import pytest

from inference.engine.rewards import Reference
from inference.engine.rewards import presets as rewards
from inference.world import DOMAINS
from inference.world.evaluation import held_out
from inference.world.presets import PRESETS, UnknownPresetError, world_examples

PAIRS = [(slug, domain) for slug, preset in PRESETS.items() for domain in preset.domains]


@pytest.mark.parametrize(("slug", "domain"), PAIRS)
def test_every_preset_of_every_domain(slug, domain):
    examples = world_examples(slug, 12, seed=3, domain=domain)
    assert len(examples) == 12
    assert len({e.image_key for e in examples}) == 12
    assert max(opened(examples[0]).size) == 448
    assert [(e.params, e.reference) for e in examples] == [
        (e.params, e.reference) for e in world_examples(slug, 12, seed=3, domain=domain)
    ]
    for example in examples:
        assert Reference.read(example.reference) != Reference()


def test_every_domain_can_be_tuned_on():
    assert {domain for _, domain in PAIRS} == set(DOMAINS)


def opened(example):
    assert example.open_image is not None
    return example.open_image()


def drawn(**arguments):
    return {opened(e).tobytes() for e in world_examples("captions-normal", 10, **arguments)}


def test_no_other_scenes_are_drawn():
    """Tuning, held-out, another seed, and the leaderboards' public scenes: all different."""
    boards = {item.image.tobytes() for seed in (0, 1, 101) for item in held_out(10, seed=seed)}
    sets = [drawn(seed=1), drawn(seed=1, held_out=True), drawn(seed=2), drawn(seed=101), boards]
    assert len(set().union(*sets)) == sum(map(len, sets))


def test_the_right_answer_gets_the_whole_reward():
    for slug, reward in (("counts", "count-right"), ("boxes", "boxes-overlap")):
        score = rewards.PRESETS[reward].reward.score
        for e in world_examples(slug, 20, seed=0):
            taught = e.target or {}
            answer = {"objects": taught["boxes"]} if "boxes" in taught else taught
            value = score(answer, e.reference).total
            assert value == pytest.approx(1.0, abs=0.15), (answer, e.reference)


def test_answers_as_json():
    for e in world_examples("json-answers", 20, seed=0):
        assert list(json.loads((e.target or {})["answer"])) == ["answer"]


@pytest.mark.parametrize(
    ("slug", "domain"), [("dances", "shapes"), ("relations", "phantom"), ("counts", "sea")]
)
def test_what_there_is_not(slug, domain):
    with pytest.raises(UnknownPresetError, match="use one of"):
        world_examples(slug, 1, seed=0, domain=domain)
