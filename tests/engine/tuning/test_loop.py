"""Whole trainings: what a step draws, what is told of it, and that an interrupted one goes on as it would have."""

from pathlib import Path
from typing import Any

import pytest
import torch

from inference.engine import Moondream
from inference.engine.rewards import FORMAT, Reward
from inference.engine.tuning import (
    AdapterSettings,
    Collapsed,
    Loop,
    LoopSettings,
    Objective,
    SamplingSettings,
    Tuner,
    TunerSettings,
    measure,
)
from inference.engine.tuning import tuner as tuner_module
from inference.engine.tuning.examples import Example
from inference.engine.tuning.loop import Asked, advantaged, scored, term_means
from tests.engine.tuning.conftest import example

QUICK: dict[str, Any] = {
    "steps": 4, "groups": 2, "group_size": 3, "sampling": SamplingSettings(1.5, 6), "lr": 3e-3,
}  # fmt: skip


def reward(*terms: tuple[str, float, dict[str, Any]]) -> Reward:
    rows = [
        {"type": kind, "weight": weight, "parameters": values} for kind, weight, values in terms
    ]
    return Reward.from_dict({"format": FORMAT, "name": "Test", "terms": rows})


LETTERS = reward(
    ("regex", 1.0, {"pattern": "[A-Za-m]"}), ("regex", 0.5, {"pattern": "[0-9n-z]"}), ("repetition", -0.5, {}),
)  # fmt: skip
"""Random letters differ in it: there is something to prefer."""


@pytest.fixture
def examples() -> list[Example]:
    return [
        example("query", n, reference="three", target={"answer": "three"}) for n in range(5)
    ]  # fmt: skip


def _tuner(folder: Path, **more: Any) -> Tuner:
    model = Moondream.from_pretrained(folder, dtype="float32", device="cpu", trainable=True)
    return Tuner(model, TunerSettings(AdapterSettings(rank=8), **more), seed=3)


def _loop(folder: Path, examples: list[Example], **more: Any) -> Loop:
    settings = LoopSettings(**(QUICK | more))
    return Loop(_tuner(folder), examples, settings, reward=LETTERS, seed=7)


def _weights(loop: Loop) -> list[torch.Tensor]:
    return [p.clone() for p in loop.tuner.adapters.parameters(loop.tuner.name).values()]


def test_interrupted_goes_on_as_it_would_have(
    tiny_folder: Path, tmp_path: Path, examples: list[Example]
) -> None:
    whole = _loop(tiny_folder, examples, warmup_steps=1)
    records = []
    for record in whole.run():
        records.append(record)
        if record.step == 2:
            whole.tuner.save(tmp_path)
    later = _loop(tiny_folder, examples, warmup_steps=1)
    later.tuner.restore(tmp_path)
    again = list(later.run())
    assert [r.step for r in again] == [3, 4]
    assert [r.report for r in again] == [r.report for r in records[2:]]
    assert all(map(torch.equal, _weights(whole), _weights(later)))


def test_warm_up_teaches(tiny_folder: Path, examples: list[Example]) -> None:
    records = list(_loop(tiny_folder, examples, warmup_steps=2).run())
    assert [r.report.sft_loss is not None for r in records] == [True, True, False, False]
    assert [bool(r.asked[0].answers) for r in records] == [False, False, True, True]


def test_right_answers_need_targets(tiny_folder: Path, examples: list[Example]) -> None:
    bare = [*examples, example("query", 9)]
    for more in ({"method": "sft"}, {"warmup_steps": 1}):
        with pytest.raises(ValueError, match="1 of 6 examples have no target"):
            _loop(tiny_folder, bare, **more)


def test_each_is_asked_once_before_one_is_asked_again(
    tiny_folder: Path, examples: list[Example]
) -> None:
    loop = _loop(tiny_folder, examples, groups=2)
    drawn = [e.image_key for step in range(5) for e in loop.drawn(step)]
    for epoch in (drawn[:5], drawn[5:]):
        assert sorted(epoch) == sorted(e.image_key for e in examples)
    few = _loop(tiny_folder, examples[:1], groups=3)
    assert len(few.drawn(0)) == 3


def test_flat_questions_are_replaced(tiny_folder: Path, examples: list[Example]) -> None:
    never = reward(("keywords", 1.0, {"words": "zebra"}))  # all answers are 0
    loop = Loop(_tuner(tiny_folder), examples, LoopSettings(**QUICK), reward=never)
    record = loop.step()
    assert record.report.applied is False
    assert record.report.frac_reward_zero_std == 1
    assert len(record.asked) == 2
    assert record.step == 1  # it counts, or a run would never end


def test_too_far_ends_it(tiny_folder: Path, examples: list[Example]) -> None:
    loop = _loop(tiny_folder, examples, kl_limit=1e-9, steps=10)
    with pytest.raises(Collapsed, match="divergence"):
        list(loop.run())
    assert 1 <= loop.tuner.steps < 10


def test_rate_rises_and_falls() -> None:
    settings = LoopSettings(steps=100, lr=1.0e-2, lr_warmup=3)
    rates = [settings.rate(step) for step in range(100)]
    assert rates[0] < rates[1] < rates[2] < rates[3]
    assert rates[4] > rates[50] > rates[99] > 0.9e-3


def test_metrics_are_of_trls_names(tiny_folder: Path, examples: list[Example]) -> None:
    metrics = _loop(tiny_folder, examples).step().metrics()
    assert {
        "loss", "reward", "reward_std", "frac_reward_zero_std", "kl", "entropy", "grad_norm",
        "clip_ratio/low_mean", "clip_ratio/high_mean", "completions/mean_length",
        "sampling/sampling_logp_difference/mean", "rewards/regex_1/mean", "rewards/regex_2/weighted",
    } <= metrics.keys()  # fmt: skip
    weighted = sum(value for name, value in metrics.items() if name.endswith("/weighted"))
    assert weighted == pytest.approx(metrics["reward"])


def test_terms_of_a_kind_are_told_apart() -> None:
    twice = reward(("keywords", 1.0, {"words": "a"}), ("length", 1.0, {}), ("keywords", 1.0, {"words": "b"}))  # fmt: skip
    assert twice.term_names == ["keywords_1", "length", "keywords_2"]


def test_what_cannot_be_told_is_no_vote(tuned_rollouts: list[Any]) -> None:
    exact = reward(("exact", 1.0, {}))
    asked = example("query")  # without a reference
    answers = scored(exact, asked, tuned_rollouts)
    (asked_of,) = advantaged([Asked(asked, answers)], TunerSettings())
    assert [a.advantage for a in asked_of.answers] == [None] * len(answers)
    assert term_means(exact, [a.score for a in answers]) == ({}, {})


@pytest.mark.parametrize("scaling", ["group", "batch", "none"])
@pytest.mark.parametrize("combination", ["sum_then_normalize", "normalize_then_sum"])
def test_advantages_are_those_that_were_trained_with(
    tiny_folder: Path, examples: list[Example], monkeypatch: Any, scaling: str, combination: str
) -> None:
    """Whatever a record says of an answer went into the loss of that step."""
    trained: list[Any] = []
    real = tuner_module._Answer

    def noted(*given: Any) -> Any:
        trained.append(given[3])
        return real(*given)

    monkeypatch.setattr(tuner_module, "_Answer", noted)
    objective = Objective(scaling=scaling, combination=combination)  # type: ignore[arg-type]
    weights = tuple(term.weight for term in LETTERS.terms)
    tuner = _tuner(tiny_folder, objective=objective, reward_weights=weights)
    loop = Loop(tuner, examples, LoopSettings(**QUICK), reward=LETTERS)
    record = loop.step()
    recorded = [a.advantage for each in record.asked for a in each.answers]
    assert trained
    assert [value for value in recorded if value is not None] == trained


@pytest.fixture
def tuned_rollouts(tiny_folder: Path) -> list[Any]:
    (group,) = _tuner(tiny_folder).rollouts([example("query")], 3, SamplingSettings(1.0, 4))
    return group


def test_measuring_tells_base_from_adapter(tiny_folder: Path, examples: list[Example]) -> None:
    tuner = _tuner(tiny_folder)
    before = measure(tuner, examples, LETTERS, adapter=False, max_tokens=6)
    assert measure(tuner, examples, LETTERS, max_tokens=6) == before  # B is 0
    with torch.no_grad():
        for key, value in tuner.adapters.parameters(tuner.name).items():
            if "lora_B" in key:
                value.fill_(0.5)
    greedy = SamplingSettings(0, 6)
    sampled = [tuner.rollouts(examples, 1, greedy, adapter=which) for which in (True, False)]
    assert sampled[0] != sampled[1]
    assert measure(tuner, examples, LETTERS, adapter=False, max_tokens=6) == before


@pytest.mark.parametrize(
    "more",
    [{"steps": 0}, {"lr": 0}, {"lr": float("nan")}, {"group_size": 1}, {"groups": 0}, {"kl_limit": 0},
     {"sampling": SamplingSettings(0)}, {"refills": 9}, {"warmup_steps": -1}],
)  # fmt: skip
def test_strange_settings(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        LoopSettings(**(QUICK | more))


def test_nothing_to_train_on(tiny_folder: Path) -> None:
    with pytest.raises(ValueError, match="no examples"):
        _loop(tiny_folder, [])
