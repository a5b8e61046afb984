"""Rehearsal: what is kept of other skills while one is tuned."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from inference.engine import Moondream
from inference.engine.tuning import (
    AdapterSettings,
    Loop,
    LoopSettings,
    RehearsalGroup,
    RLGroup,
    SamplingSettings,
    SFTGroup,
    Tuner,
    TunerSettings,
)
from inference.engine.tuning.examples import Example
from inference.engine.tuning.rehearsal import Rehearsal, divergence, without_conflicts
from inference.world.presets import skill_examples, world_examples
from tests.engine.tuning.conftest import example
from tests.engine.tuning.test_loop import LETTERS


def _tuner(folder: Path, *parts: Any, weight: float = 1.0) -> Tuner:
    model = Moondream.from_pretrained(folder, dtype="float32", device="cpu")
    adapter = AdapterSettings(rank=8, parts=parts or ("text", "regions"))
    return Tuner(model, TunerSettings(adapter, rehearsal_weight=weight), seed=3)


def _shaken(tuner: Tuner) -> Tuner:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, value in tuner.adapters.parameters(tuner.name).items():
            if "lora_B" in key:
                value.copy_(torch.randn(value.shape, generator=generator) * 0.05)
    return tuner


def _groups(tuner: Tuner, examples: list[Example]) -> list[RehearsalGroup]:
    return Rehearsal(tuner, examples).groups(0, len(examples))


def test_an_adapter_that_changes_nothing_loses_nothing(
    tiny_folder: Path, mixed: list[Example]
) -> None:
    tuner = _tuner(tiny_folder)
    report = tuner.train_step(_groups(tuner, mixed), 0.01)
    assert report.rehearsal_kl == pytest.approx(0.0, abs=1e-6)
    assert report.loss == report.rehearsal_kl
    assert report.grad_norm == pytest.approx(0.0, abs=1e-4)


def test_the_loss_is_the_divergence_of_each_choice(tiny_folder: Path) -> None:
    tuner = _shaken(_tuner(tiny_folder))
    model, asked = tuner.model, example("query")
    (group,) = _groups(tuner, [asked])
    ids, _ = model.prompt(asked.skill, asked.params)
    answer = group.rollout.answer_tokens

    def logits(adapter: str | None) -> torch.Tensor:
        with tuner.adapters.using(adapter), torch.no_grad():
            prefix = model.model.prefix(tuner.image_tokens(asked)[None])  # type: ignore[index]
            embeds = model.model.text.embed(torch.tensor([[*ids, *answer]]))
            at = prefix.length + torch.arange(embeds.shape[1])
            cache = prefix.fork(embeds.shape[1])
            mask = torch.ones(len(at), int(at[-1]) + 1, dtype=torch.bool).tril(prefix.length)
            hidden = model.model.text(embeds, at, mask, cache)
            return model.model.text.logits(hidden)[0, len(ids) - 1 :].float()

    made = {name: logits(name) for name in (None, tuner.name)}
    if model.sections.tokenizer.answer_id is not None:
        for values in made.values():
            values[1:, model.sections.tokenizer.answer_id] = -1e9
    choices = len(answer) + (group.rollout.finish_reason == "stop")
    before, after = (values[:choices].log_softmax(-1) for values in made.values())
    expected = F.kl_div(after, before, log_target=True, reduction="batchmean")
    assert expected > 1e-3
    assert tuner.train_step([group], 1e-6).rehearsal_kl == pytest.approx(float(expected), rel=1e-3)


def test_what_is_ruled_out_takes_no_part() -> None:
    base = torch.tensor([[0.5, 0.5, 0.0]]).log()
    now = torch.tensor([[0.25, 0.75, 0.0]]).log().requires_grad_()
    found = divergence([base], [now])
    expected = 0.5 * torch.tensor(2.0).log() + 0.5 * torch.tensor(2 / 3).log()
    assert found.item() == pytest.approx(expected.item())
    found.backward()
    assert now.grad is not None
    assert now.grad.isfinite().all()


def test_where_nothing_is_learnt_nothing_moves(tiny_folder: Path, mixed: list[Example]) -> None:
    tuner = _shaken(_tuner(tiny_folder))
    before = [p.clone() for p in tuner.adapters.parameters(tuner.name).values()]
    groups = tuner.rollouts([mixed[0]], 3, SamplingSettings(1.0, 6))
    flat = RLGroup(mixed[0], groups[0], [0.5] * 3)
    assert not tuner.train_step([flat, *_groups(tuner, mixed)], 0.01).applied
    assert all(map(torch.equal, before, tuner.adapters.parameters(tuner.name).values()))


def test_other_skills_stay_nearer_to_the_base(tiny_folder: Path) -> None:
    others = [example("detect"), example("point", 1), example("caption", 2)]
    away = {}
    for weight in (0.0, 4.0):
        tuner = _tuner(tiny_folder, weight=weight)
        kept = _groups(tuner, others)
        taught = SFTGroup(example("query", 3), {"answer": "seven"})
        for _ in range(12):
            report = tuner.train_step([taught, *kept], 5e-3)
        away[weight] = report.rehearsal_kl
    assert 0 < away[4.0] < away[0.0] / 3


def test_what_asks_alike_is_not_rehearsed() -> None:
    tuned = [example("query", 1), example("detect")]
    others = [example("query", 1), example("query", 2), example("detect"), example("point")]
    assert without_conflicts(others, tuned) == [others[1], others[3]]


def test_it_follows_from_seed_and_step(tiny_folder: Path, mixed: list[Example]) -> None:
    one = Rehearsal(_tuner(tiny_folder), mixed, seed=2)
    first = [one.groups(step, 2) for step in range(4)]
    other = Rehearsal(_shaken(_tuner(tiny_folder)), mixed, seed=2)
    # Whatever the adapter is by now, the answers are the base's.
    assert [other.groups(step, 2) for step in (3, 1)] == [first[3], first[1]]
    assert len({group.example.image_key for step in first for group in step}) > 2


@pytest.mark.parametrize("method", ["rl", "sft"])
def test_a_loop_rehearses(tiny_folder: Path, mixed: list[Example], method: Any) -> None:
    examples = [
        example("query", n, reference="three", target={"answer": "three"}) for n in range(3)
    ]
    settings = LoopSettings(
        method, steps=2, groups=2, group_size=3, rehearsal=0.5, lr=3e-3,
        sampling=SamplingSettings(1.5, 6),
    )  # fmt: skip
    loop = Loop(
        _tuner(tiny_folder), examples, settings, reward=LETTERS, rehearsed=[*mixed, *examples]
    )
    assert loop.rehearsal is not None
    # The questions that are tuned are not among them.
    assert {e.skill for e in loop.rehearsal.examples} == {"caption", "point", "detect"}
    records = list(loop.run())
    assert all(r.metrics()["rehearsal/kl"] >= 0 for r in records)
    assert records[-1].report.rehearsal_kl


def test_nothing_to_rehearse_is_refused(tiny_folder: Path) -> None:
    asked = [example("query", 0, target={"answer": "three"})]
    with pytest.raises(ValueError, match="no other questions"):
        Loop(_tuner(tiny_folder), asked, LoopSettings("sft", rehearsal=1.0), rehearsed=asked)
    with pytest.raises(ValueError, match="rehearsal must be 0 to 4"):
        LoopSettings(rehearsal=5)


def test_region_heads_alone_and_texts_go_together(tiny_folder: Path, mixed: list[Example]) -> None:
    tuner = _shaken(_tuner(tiny_folder, "regions"))
    report = tuner.train_step(_groups(tuner, mixed), 1e-3)
    assert report.applied
    assert report.grad_norm
    texts = [each for each in mixed if each.skill in ("query", "caption")]
    assert not tuner.train_step(_groups(tuner, texts), 1e-3).applied


def test_all_skills_and_scenes_are_rehearsed_but_the_tuned() -> None:
    made = skill_examples(64, seed=1, without=("counts", "shelf"))
    assert len(made) == 64
    assert {e.skill for e in made} == {"query", "caption", "point", "detect"}
    domains = {e.image_key.split(":")[3] for e in made}
    assert domains == {"shapes", "shelf", "plate", "phantom"}
    counts = {e.image_key.split(":")[3] for e in made if "How many" in e.prompt}
    assert counts == {"shapes", "plate", "phantom"}
    assert made == skill_examples(64, seed=1, without=("counts", "shelf"))
    held = world_examples("counts", 5, seed=1, held_out=True)
    assert not {e.image_key for e in held} & {e.image_key for e in made}
