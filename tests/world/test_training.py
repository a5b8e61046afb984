"""The training code: packing, losses, resuming; tiny and quick."""

import dataclasses
import random
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from inference.engine import Moondream
from inference.engine.model import MoondreamForVision
from inference.engine.training import (
    IGNORE,
    pack,
    region_segment,
    run,
    soft_bins,
    text_segment,
)
from inference.world.curriculum import LETTERS, THINGS, WORLD, Curriculum, patch_labels
from inference.world.domains import DOMAINS
from inference.world.plate import SCRATCH
from inference.world.scenes import Scene, sample_scene
from inference.world.tokenizer import build_tokenizer, casual, templates
from inference.world.train import (
    PHASES,
    VOCABULARY,
    PatchHead,
    Plan,
    Trainer,
    WordIds,
    alignment_loss,
    embedded_config,
)


@pytest.fixture(scope="module")
def curriculum() -> Curriculum:
    tokenizer = build_tokenizer(VOCABULARY, scenes=400)
    return Curriculum(embedded_config(), tokenizer, seed=1, batch=3, segments=5)


def test_tokenizer_reads_anything_and_knows_the_world() -> None:
    tokenizer = build_tokenizer(VOCABULARY)
    assert tokenizer.get_vocab_size() <= VOCABULARY
    assert tokenizer.encode("What color is the star?").tokens[-2:] == ["Ġstar", "?"]
    for text in ("naïve 漢字 \u0000 🙂", 'A sign that reads "42".'):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert templates()["caption"]["short"][-1] == 3


def test_segments_lay_out_the_decoding_loop() -> None:
    config = embedded_config()
    seg = region_segment("detect", [1, 12, 2, 99, 3], [((0.25, 0.5), (0.1, 0.2))], config)
    assert seg.ids == [1, 12, 2, 99, 3, 5, 5, 6]
    assert seg.labels == [IGNORE] * 4 + [5, IGNORE, IGNORE, 0]
    assert seg.coord_targets == {4: 0.25, 5: 0.5}
    assert seg.coord_inputs == {5: 0.25, 6: 0.5}
    assert seg.size_targets == {6: (0.1, 0.2)}
    assert seg.size_inputs == {7: (0.1, 0.2)}
    text = text_segment("q", [1, 2, 3], [7, 8], 0)
    assert text.ids == [1, 2, 3, 7, 8]
    assert text.labels == [IGNORE, IGNORE, 7, 8, 0]


def test_segments_do_not_see_each_other() -> None:
    segments = [text_segment("a", [1, 2], [3], 0), text_segment("b", [4], [5], 0)]
    batch = pack(torch.zeros(1, 3, 8, 8), [segments])
    mask = batch.mask[0, 0]
    assert mask[2, :3].all()
    assert not mask[3, :3].any()
    assert mask[4, 3:5].all()
    assert not mask[3, 4]
    assert batch.positions[0, :5].tolist() == [0, 1, 2, 0, 1]


def test_packed_training_equals_inference(curriculum: Curriculum) -> None:
    """A packed segment's loss is the loss of the same prompt asked alone through the cache."""
    torch.manual_seed(0)
    model = MoondreamForVision(embedded_config()).float().eval()
    batch, _ = curriculum(4, WORLD)
    rng = random.Random("solo")
    scene = sample_scene(rng)
    other = curriculum.query("color", "What color is the star?", "red", None)
    target = curriculum.query("color", "What is here?", "a red star", (0.3, 0.4))
    pixels = batch.pixels[:1]
    with torch.no_grad():
        packed = run(model, pack(pixels, [[other, target, other]]))
        hidden_loss = run(model, pack(pixels, [[target]])).text
        features = model.vision(pixels)
        cache = model.prefix(model.vision.project(features, features)).fork(64)
        embeds = model.text.embed(torch.tensor([target.ids]))
        for at, value in target.coord_inputs.items():
            embeds[0, at] = model.region.encode_coord(torch.tensor([value]))
        start = cache.length
        positions = torch.arange(start, start + len(target.ids))
        mask = torch.arange(start + len(target.ids))[None] <= positions[:, None]
        hidden = model.text(embeds, positions, mask, cache)
        logits = model.text.logits(hidden)[0]
    labels = torch.tensor(target.labels)
    solo = F.cross_entropy(logits[labels != IGNORE], labels[labels != IGNORE])
    assert hidden_loss == pytest.approx(float(solo), abs=1e-4)
    assert packed.right.keys() == {"color"}
    assert scene.objects


def test_soft_labels_sum_to_one_and_peak_at_the_bin() -> None:
    labels = soft_bins(torch.tensor([10, 1000]), 1024, 8.0)
    assert torch.allclose(labels.sum(-1), torch.ones(2))
    assert labels.argmax(-1).tolist() == [10, 1000]


def test_batches_repeat_and_differ_by_step(curriculum: Curriculum) -> None:
    first, _ = curriculum(7, WORLD)
    again, _ = curriculum(7, WORLD)
    other, _ = curriculum(8, WORLD)
    assert torch.equal(first.ids, again.ids)
    assert torch.equal(first.pixels, again.pixels)
    assert first.ids.shape != other.ids.shape or not torch.equal(first.ids, other.ids)


def test_patch_labels_follow_the_boxes() -> None:
    scene = sample_scene(random.Random(11), objects=(1, 1), sign=0)
    labels = patch_labels([scene], 10)
    item = scene.objects[0]
    inside = (labels.shape[0] >= 0).reshape(10, 10).nonzero().float()
    centre = (inside.mean(0) + 0.5) / 10
    assert centre[1].item() == pytest.approx(item.centre[0], abs=0.06)
    assert centre[0].item() == pytest.approx(item.centre[1], abs=0.06)


def test_products_and_defects_are_labelled_where_they_lie() -> None:
    shelf = DOMAINS["shelf"].sample(random.Random(4))
    labels = patch_labels([shelf], 40)
    for item in shelf.objects:
        x, y = (int(c * 40) for c in item.centre)
        assert THINGS[labels.thing[0, y * 40 + x]] == item.shape
    plate = next(
        s
        for s in (DOMAINS["plate"].sample(random.Random(n)) for n in range(40))
        if any(o.shape == SCRATCH for o in s.objects)
    )
    scratch = next(o for o in plate.objects if o.shape == SCRATCH)
    labels = patch_labels([plate], 40)
    marked = labels.thing[0].reshape(40, 40) == THINGS.index(SCRATCH)
    x0, y0, x1, y1 = (v * 40 for v in scratch.box)
    # The line across the box is marked, its two empty corners are not.
    corners = [(y0 + 1, x0 + 1), (y1 - 2, x1 - 2)]
    if scratch.text == "\\":
        corners = [(y0 + 1, x1 - 2), (y1 - 2, x0 + 1)]
    assert marked.any()
    assert not any(marked[int(y), int(x)] for y, x in corners)


def test_every_letter_of_a_sign_is_labelled_in_order() -> None:
    rng = random.Random(3)
    scenes = [sample_scene(rng, objects=(0, 1), sign=1.0) for _ in range(40)]
    # On a fine grid no letter falls between two patches.
    labels = patch_labels(scenes, 60)
    for row, scene in enumerate(scenes):
        assert scene.sign is not None
        grid = labels.letter[row].reshape(60, 60)
        middle = grid[int(scene.sign.centre[1] * 60)].tolist()
        read = [LETTERS[i] for i in middle if i >= 0]
        assert "".join(dict.fromkeys(read)) == "".join(dict.fromkeys(scene.sign.text))


def test_a_batch_with_nothing_to_find_is_no_nan(curriculum: Curriculum) -> None:
    model = MoondreamForVision(embedded_config()).float()
    question = curriculum.query("existence", "Is there a sign?", "no", None)
    losses = run(model, pack(torch.zeros(1, 3, 80, 80), [[question]]))
    assert torch.isfinite(losses.total)
    losses.total.backward()
    labels = patch_labels([Scene("black", ())], 10)
    head = PatchHead(embedded_config().sections.vision.enc_dim)
    assert torch.isfinite(head.loss(losses.features.detach(), labels))
    words = WordIds.of(curriculum.tokenizer)
    assert alignment_loss(model, losses.image.detach(), labels, words).item() == 0


def test_phases_widen_and_their_rates_rise_and_fall() -> None:
    first, second, *_ = PHASES
    assert first.encoder_only
    assert not second.encoder_only
    assert [second.stage(p).objects[1] for p in (0.0, 0.05, 0.5)] == [2, 3, 6]
    paces = [second.pace(step) for step in range(second.steps)]
    assert paces[0] < max(paces) > 5 * paces[-1]
    plan = Plan()
    assert plan.at(first.steps) == (second, 0)
    assert plan.shortened(40).steps == pytest.approx(40, abs=len(PHASES))


def test_casual_questions_keep_their_meaning() -> None:
    seen = {casual("What color is the star?", random.Random(i)) for i in range(60)}
    assert "What color is the star?" in seen
    assert {s.lower().replace("colour", "color").rstrip("?") for s in seen} == {
        "what color is the star"
    }


def test_a_run_resumes_where_it_stopped_and_exports_a_model(tmp_path: Path) -> None:
    # It stops in the middle of a phase: the optimisers' state has to come back too.
    warm, world = (dataclasses.replace(p, steps=n) for p, n in zip(PHASES, (1, 2), strict=False))
    plan = Plan(phases=(warm, world), batch=2, segments=4, bf16=False)
    reports: list[dict[str, object]] = []
    whole = Trainer(tmp_path / "whole", plan)
    whole.train(reports.append, every=1)
    assert [r["step"] for r in reports] == [1, 2, 3]

    first = Trainer(tmp_path / "parts", plan)
    batches = first._batches

    def two_only():  # type: ignore[no-untyped-def]
        for number, batch in enumerate(batches()):
            if number == 2:
                return
            yield batch

    first._batches = two_only  # type: ignore[method-assign]
    first.train(lambda _: None, every=1)
    second = Trainer(tmp_path / "parts", plan)
    assert second.step == 2
    second.train(lambda _: None, every=1)
    for mine, theirs in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-3)

    with pytest.raises(ValueError, match="another plan"):
        Trainer(tmp_path / "parts", dataclasses.replace(plan, seed=5))
    second.export(tmp_path / "model", "test")
    model = Moondream.from_pretrained(tmp_path / "model", dtype="float32", device="cpu")
    assert model.info["revision"] == "test"
    assert (tmp_path / "model" / "model.safetensors").stat().st_size <= 13_000_000
