"""Scenes, drawings and what is said of them."""

import random
from collections import Counter

import numpy as np
import pytest

from inference.world import (
    DOMAINS,
    KINDS,
    LENGTHS,
    caption,
    question,
    questions,
    render,
    sample_scene,
    targets,
)
from inference.world.evaluation import held_out
from inference.world.samples import SAMPLE_DIR, SAMPLES, InvalidSample, sample_bytes
from inference.world.scenes import Scene, WorldObject
from inference.world.shelf import glyph, row_name, sample_shelf
from inference.world.vocabulary import BACKGROUNDS, COLOURS, PRODUCTS, article, join_phrases, plural

PAIR = Scene(
    "white",
    (
        WorldObject("circle", "red", "small", (0.2, 0.2), (0.09, 0.09)),
        WorldObject("cross", "blue", "large", (0.5, 0.8), (0.15, 0.15)),
        WorldObject("sign", "white", "large", (0.8, 0.2), (0.15, 0.1), "42"),
    ),
)


def scenes(count: int) -> list[Scene]:
    return [sample_scene(random.Random(f"test:{i}")) for i in range(count)]


def test_captions_are_exact() -> None:
    assert caption(PAIR, "short") == 'A red circle, a blue cross and a sign that reads "42".'
    assert caption(PAIR, "normal") == (
        'A small red circle, a large blue cross and a sign that reads "42" on a white background.'
    )
    assert caption(PAIR, "long") == (
        "There are 3 objects on a white background. From left to right: a small red circle at the "
        'top left, a large blue cross at the bottom and a sign that reads "42" at the top right.'
    )
    with pytest.raises(ValueError, match="short, normal, long"):
        caption(PAIR, "epic")


def test_same_seed_same_scene_and_pixels() -> None:
    first, second = (sample_scene(random.Random(5)) for _ in range(2))
    assert first == second
    assert np.array_equal(np.asarray(render(first)), np.asarray(render(second)))


def test_objects_stay_apart_inside_and_in_order() -> None:
    for scene in scenes(200):
        assert 1 <= len(scene.objects) <= 6
        centres = [o.centre[0] for o in scene.objects]
        assert centres == sorted(centres)
        for i, a in enumerate(scene.objects):
            assert all(0 <= v <= 1 for v in a.box)
            for b in scene.objects[i + 1 :]:
                apart_x = a.box[2] < b.box[0] or b.box[2] < a.box[0]
                apart_y = a.box[3] < b.box[1] or b.box[3] < a.box[1]
                assert apart_x or apart_y


def test_boxes_bound_what_is_drawn() -> None:
    for scene in scenes(40):
        one = Scene(scene.background, scene.shapes[:1], scene.aspect, scene.seed)
        if not one.objects:
            continue
        item = one.objects[0]
        pixels = np.asarray(render(one, (400, 400)).convert("RGB")).astype(int)
        target = np.array(COLOURS[item.colour])
        near = np.abs(pixels - target).sum(-1) < np.abs(
            pixels - np.array(BACKGROUNDS[scene.background])
        ).sum(-1)
        ys, xs = np.nonzero(near)
        drawn = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) / 400
        assert np.abs(drawn - np.array(item.box)).max() < 0.02, item


def test_every_kind_of_question_is_asked_and_right() -> None:
    rng = random.Random(1)
    asked = {qa.kind for scene in scenes(60) for qa in questions(scene, rng)}
    assert asked == set(DOMAINS["shapes"].askers) < set(KINDS)
    for scene in scenes(60):
        count = question(scene, "count", rng)
        assert count is not None
        noun = count.question.removeprefix("How many ").split(" are")[0].split(" can")[0]
        if noun != "colored shapes":
            assert int(count.answer) == len(scene.matching(noun))


def test_relations_hold() -> None:
    rng = random.Random(2)
    for scene in scenes(80):
        qa = question(scene, "relation", rng)
        if qa is None:
            continue
        for words, axis, sign in (
            (" to the left of ", 0, -1), (" to the right of ", 0, 1),
            (" above ", 1, -1), (" below ", 1, 1),
        ):  # fmt: skip
            if words in qa.question:
                a, b = qa.question.removeprefix("Is the ").removesuffix("?").split(words)
                (one,) = scene.matching(a)
                (two,) = scene.matching(b.removeprefix("the "))
                holds = (one.centre[axis] - two.centre[axis]) * sign > 0
                assert qa.answer == ("yes" if holds else "no")


def test_targets_are_what_the_phrase_names() -> None:
    rng = random.Random(3)
    for scene in scenes(200):
        phrase, found = targets(scene, rng)
        assert found == scene.matching(phrase)


@pytest.mark.parametrize("name", ["shelf", "plate", "phantom"])
def test_every_domain_asks_all_its_kinds_and_draws_what_it_says(name: str) -> None:
    domain, rng = DOMAINS[name], random.Random(5)
    drawn = [domain.sample(random.Random(f"{name}:{n}")) for n in range(60)]
    asked = {qa.kind for scene in drawn for qa in questions(scene, rng)}
    assert asked == set(domain.askers)
    for scene in drawn[:12]:
        assert {o.shape for o in scene.objects} <= set(domain.nouns)
        assert np.array_equal(np.asarray(render(scene)), np.asarray(render(scene)))
        assert all(caption(scene, length).endswith(".") for length in LENGTHS)
        phrase, found = targets(scene, rng)
        names = {phrase, phrase.removesuffix("s")}
        assert all(
            o.shape in names or plural(o.shape) == phrase or "defect" in phrase for o in found
        )


def test_a_shelf_is_counted_row_by_row() -> None:
    rng = random.Random(6)
    for n in range(80):
        scene = sample_shelf(random.Random(n))
        counts = Counter(o.shape for o in scene.objects)
        assert max(counts.values()) <= 6
        for item in scene.objects:
            # Inside the image, above its own board.
            assert all(0 <= v <= 1 for v in item.box)
        qa = question(scene, "count", rng)
        noun = qa.question.removeprefix("How many ").split(" are")[0].split(" can")[0]
        assert int(qa.answer) == sum(c for shape, c in counts.items() if plural(shape) == noun)
        row = question(scene, "row", rng)
        if row and "gap" in row.question:
            assert {row_name(scene, o) for o in scene.objects if o.shape == "gap"} == {row.answer}
        stock = question(scene, "stock", rng)
        assert stock.answer == ("yes" if counts["gap"] else "no")


def test_a_plate_passes_only_without_a_defect() -> None:
    rng = random.Random(7)
    for n in range(80):
        scene = DOMAINS["plate"].sample(random.Random(n))
        flawless = all(o.shape == "screw" for o in scene.objects)
        qa = question(scene, "inspection", rng)
        passes = (qa.answer == "yes") == qa.question.startswith("Does the part pass")
        assert passes == flawless
        assert ("without defects" in caption(scene, "short")) == flawless


def test_a_phantom_says_that_it_is_no_scan() -> None:
    scene = DOMAINS["phantom"].sample(random.Random(8))
    assert caption(scene, "long").endswith("It is not a real scan.")
    asked = {question(scene, "scene", random.Random(n)).answer for n in range(12)}
    assert asked == {"no", "a synthetic phantom"}


def test_every_product_has_a_picture_of_its_own() -> None:
    pictures = {name: np.asarray(glyph(name).resize((16, 16))).tobytes() for name in PRODUCTS}
    assert len(set(pictures.values())) == len(PRODUCTS) == 64
    assert len({plural(name) for name in PRODUCTS}) == 64


def test_phrases() -> None:
    assert [plural(n) for n in ("cross", "star", "cherry")] == ["crosses", "stars", "cherries"]
    assert article("orange star") == "an orange star"
    assert join_phrases(["a", "b", "c"]) == "a, b and c"
    assert PAIR.matching("red shapes") == [PAIR.objects[0]]
    assert PAIR.matching("objects") == list(PAIR.objects[:2])
    assert PAIR.matching("crosses") == [PAIR.objects[1]]
    assert PAIR.matching("dog") == []


def test_held_out_scenes_repeat() -> None:
    first, second = (list(held_out(3)) for _ in range(2))
    assert [i.scene for i in first] == [i.scene for i in second]
    assert all(i.objects for i in first)


def test_samples_are_drawn_and_their_prompts_mean_something() -> None:
    for sample in SAMPLES:
        assert sample_bytes(sample.slug).startswith(b"RIFF")
        scene = sample.scene()
        for skill in ("detect", "point"):
            assert scene.matching(sample.prompts[skill]), sample.slug
    with pytest.raises(InvalidSample, match="no sample"):
        sample_bytes("nope")
    assert {f.stem for f in SAMPLE_DIR.glob("*.webp")} == {s.slug for s in SAMPLES}
