"""Sampling, scoring and training on a tiny random model, at every precision."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.engine import Moondream
from inference.engine.tuning import (
    AdapterSettings,
    Objective,
    RLGroup,
    Rollout,
    SamplingSettings,
    SFTGroup,
    Tuner,
    TunerError,
    TunerSettings,
)
from inference.engine.tuning import tuner as module
from inference.engine.tuning.examples import Example
from inference.engine.tuning.rollouts import Trace
from inference.engine.tuning.scoring import Packed, Row, pack, score
from tests.engine.tuning.conftest import example

SHORT = SamplingSettings(temperature=1.3, max_tokens=6, max_objects=3)


def _tuner(folder: Path, **settings: object) -> Tuner:
    model = Moondream.from_pretrained(folder, dtype="float32", device="cpu")
    return Tuner(
        model, TunerSettings(AdapterSettings(rank=8, parts=("text", "regions")), **settings)
    )  # type: ignore[arg-type]


@pytest.fixture
def tuner(tiny_folder: Path) -> Tuner:
    return _tuner(tiny_folder)


def _shaken(tuner: Tuner, *, by: float = 0.02) -> Tuner:
    """An adapter that does something: B is no longer 0."""
    torch.manual_seed(1)
    with torch.no_grad():
        for key, value in tuner.adapters.parameters(tuner.name).items():
            if "lora_B" in key:
                value.normal_(std=by)
    return tuner


def _rl(tuner: Tuner, examples: list[Example], count: int = 4, seed: int = 0) -> list[RLGroup]:
    rng = random.Random(seed)
    groups = tuner.rollouts(examples, count, SHORT)
    return [RLGroup(e, g, [rng.random() for _ in g]) for e, g in zip(examples, groups, strict=True)]


def _scores(tuner: Tuner, group: RLGroup, at: list[int]) -> torch.Tensor:
    """Log-probabilities of some of a group's answers, in one pass."""
    rollouts = [group.rollouts[n] for n in at]
    ids, references = tuner.model.prompt(group.example.skill, group.example.params)
    traces = [Trace.of(ids, references, r, tuner.model.model.config) for r in rollouts]
    packed = pack(
        [Row(tuner.image_tokens(group.example), traces, range(len(at)))], tuner.model.device
    )
    temperatures = torch.full((len(packed.rows),), SHORT.temperature)
    return score(tuner.model, packed, temperatures).log_probabilities


class TestSampling:
    def test_scorer_agrees_with_sampler(self, tuner: Tuner, mixed: list[Example]) -> None:
        _shaken(tuner)
        for group in _rl(tuner, mixed):
            scored = _scores(tuner, group, list(range(len(group.rollouts))))
            sampled = torch.tensor([p for r in group.rollouts for p in r.log_probabilities])
            assert torch.allclose(scored, sampled, atol=2e-5)

    def test_choices_are_as_likely_as_is_said(self, tuner: Tuner) -> None:
        # A first token seen in a share of many samples, against its probability.
        (group,) = tuner.rollouts([example("query")], 256, SamplingSettings(0.3, 1))
        first = [rollout.answer_tokens[0] if rollout.answer_tokens else 0 for rollout in group]
        likeliest = max(set(first), key=first.count)
        said = next(
            r.log_probabilities[0] for r, t in zip(group, first, strict=True) if t == likeliest
        )
        share = first.count(likeliest) / len(first)
        assert abs(share - torch.tensor(said).exp()) < 4 * (share * (1 - share) / 256) ** 0.5 + 1e-3

    @pytest.mark.parametrize("skill", ["query", "caption", "point", "detect"])
    def test_likeliest_is_what_the_model_answers(self, tuner: Tuner, skill: str) -> None:
        asked = example(skill, 2)
        greedy = SamplingSettings(0, 12, 4)
        ((rollout,),) = tuner.rollouts([asked], 1, greedy)
        settings = {"max_tokens": 12, "max_objects": 4}
        assert asked.open_image is not None
        answer = getattr(tuner.model, skill)(asked.open_image(), **asked.params, settings=settings)
        key = {"query": "answer", "caption": "caption", "point": "points", "detect": "objects"}[
            skill
        ]
        if isinstance(answer[key], str):
            assert rollout.output[key] == answer[key]
            return
        assert len(rollout.output[key]) == len(answer[key])
        for mine, theirs in zip(rollout.output[key], answer[key], strict=True):
            for name, value in mine.items():
                assert value == pytest.approx(min(1.0, max(0.0, theirs[name])), abs=1e-6)

    def test_seed_decides(self, tuner: Tuner, mixed: list[Example]) -> None:
        one, two = (tuner.rollouts(mixed, 2, SHORT, seed=5) for _ in range(2))
        assert one == two
        assert tuner.rollouts(mixed, 2, SHORT, seed=6) != one
        assert tuner.rollouts(mixed, 2, SHORT) != tuner.rollouts(mixed, 2, SHORT)

    def test_question_without_an_image(self, tuner: Tuner) -> None:
        asked = Example("query", {"question": "Why?"})
        groups = _rl(tuner, [asked, example("query")])
        assert tuner.train_step(groups).applied

    def test_limit_is_told(self, tuner: Tuner) -> None:
        (group,) = tuner.rollouts([example("query")], 4, SamplingSettings(2.0, 2))
        assert {len(r.answer_tokens) <= 2 for r in group} == {True}
        cut = [r for r in group if r.finish_reason == "length"]
        assert cut
        assert all(len(r.log_probabilities) == 2 for r in cut)

    def test_round_trip_over_the_wire(self, tuner: Tuner, mixed: list[Example]) -> None:
        config = tuner.model.model.config
        for group in tuner.rollouts(mixed, 2, SHORT):
            for rollout in group:
                assert Rollout.from_dict(rollout.to_dict(), config) == rollout

    @pytest.mark.parametrize(
        "change",
        [
            {"answer_tokens": [10**9]}, {"answer_tokens": [-1]}, {"answer_tokens": [True]},
            {"log_probabilities": []}, {"log_probabilities": [float("nan")] * 7},
            {"coords": [1, 2]}, {"temperature": 0}, {"finish_reason": "tired"}, {"output": "x"},
            {"skill": "segment"}, {"answer_tokens": "abc"}, {"thinking_tokens": [1]},
            {"log_probabilities": [1.0] * 7}, {"temperature": float("inf")}, {"temperature": 10**400},
            {"step": -(10**400)},
        ],
    )  # fmt: skip
    def test_strange_rollouts_are_refused(self, tuner: Tuner, change: dict[str, object]) -> None:
        ((rollout,),) = tuner.rollouts([example("query")], 1, SHORT)
        with pytest.raises(ValueError, match=r"\w"):
            Rollout.from_dict(rollout.to_dict() | change, tuner.model.model.config)


class TestGradients:
    def test_packed_is_alone(self, tiny_folder: Path, mixed: list[Example]) -> None:
        # All answers of an image behind it in one pass, against each with the image to itself.
        found = []
        for is_alone in (False, True):
            tuner = _shaken(_tuner(tiny_folder))
            with pytest.MonkeyPatch.context() as patch:
                if is_alone:
                    patch.setattr(module._Step, "_packed", _each_alone)
                found.append(_gradient(tuner, [*_rl(tuner, mixed), *_sft()]))
        assert _distance(*found) < 1e-5

    @pytest.mark.parametrize("positions", [64, 200])
    @pytest.mark.parametrize("loss", ["dapo", "grpo", "dr_grpo", "cispo"])
    def test_in_parts_is_whole(
        self, tiny_folder: Path, mixed: list[Example], loss: str, positions: int
    ) -> None:
        found = []
        for most in (10**6, positions):
            objective = Objective(loss=loss, beta=0.1)  # type: ignore[arg-type]
            tuner = _shaken(_tuner(tiny_folder, positions=most, objective=objective))
            groups = [*_rl(tuner, mixed), *_sft()]
            found.append(_gradient(tuner, groups))
        assert _distance(*found) < 1e-5

    def test_unlike_lengths_do_not_meet(self, tuner: Tuner) -> None:
        _shaken(tuner)
        (group,) = _rl(tuner, [example("detect", 1)], count=6)
        together = _scores(tuner, group, list(range(6)))
        alone = torch.cat([_scores(tuner, group, [n]) for n in range(6)])
        assert torch.allclose(together, alone, atol=1e-5)


def _each_alone(step: Any, answers: Any, examples: Any) -> Iterator[Packed]:
    for number, answer in enumerate(answers):
        image = step.tuner.image_tokens(examples[answer.group])
        yield pack([Row(image, [answer.trace], [number])], step.model.device)


def _sft() -> list[SFTGroup]:
    box = {"x_min": 0.1, "y_min": 0.2, "x_max": 0.4, "y_max": 0.6}
    return [
        SFTGroup(example("query", 3), {"answer": "three"}),
        SFTGroup(example("caption", 2), {"caption": "A thing."}),
        SFTGroup(example("point", 1), {"points": [{"x": 0.2, "y": 0.7}]}),
        SFTGroup(example("detect", 0), {"boxes": [box, box]}),
    ]


def _gradient(tuner: Tuner, groups: list[RLGroup] | list[RLGroup | SFTGroup]) -> torch.Tensor:
    """What the adapter would be changed by, before the optimiser."""
    kept: list[torch.Tensor] = []

    def keep() -> float:
        kept.extend(
            p.grad.flatten().clone() for p in tuner._parameters.values() if p.grad is not None
        )
        return 0.0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module._Step, "_apply", lambda step: keep())
        tuner.train_step(groups)
    return torch.cat(kept)


def _distance(one: torch.Tensor, two: torch.Tensor) -> float:
    return float((one - two).norm() / one.norm())


class TestSteps:
    def test_rewarded_answers_become_likelier(self, tuner: Tuner) -> None:
        asked = [example("query", n) for n in range(3)]
        groups = [
            RLGroup(e, g, [float(n % 2) for n in range(len(g))])
            for e, g in zip(asked, tuner.rollouts(asked, 6, SHORT), strict=True)
        ]
        before = [
            _scores(tuner, g, [1, 3, 5]).mean() - _scores(tuner, g, [0, 2, 4]).mean()
            for g in groups
        ]
        report = tuner.train_step(groups, lr=3e-3)
        after = [
            _scores(tuner, g, [1, 3, 5]).mean() - _scores(tuner, g, [0, 2, 4]).mean()
            for g in groups
        ]
        assert report.step == 1
        assert report.applied
        assert abs(report.loss) < 1e-3  # as it should be at a first step; the gradient is not 0
        assert report.grad_norm
        assert sum(after) > sum(before)

    @pytest.mark.parametrize("skill", ["query", "caption", "point", "detect"])
    def test_right_answers_are_learnt(self, tuner: Tuner, skill: str) -> None:
        groups = [g for g in _sft() if g.example.skill == skill]
        losses = [tuner.train_step(groups, lr=1e-2).sft_loss for _ in range(12)]
        assert losses[0] is not None
        assert losses[-1] is not None
        assert losses[-1] < 0.7 * losses[0]

    def test_both_in_one_step(self, tuner: Tuner, mixed: list[Example]) -> None:
        report = tuner.train_step([*_rl(tuner, mixed), *_sft()], lr=1e-3)
        assert report.sft_loss is not None
        assert report.reward is not None
        assert report.kl == pytest.approx(0, abs=1e-6)

    def test_flat_groups_teach_nothing(self, tuner: Tuner) -> None:
        asked = example("query")
        (answers,) = tuner.rollouts([asked], 4, SHORT)
        before = {k: v.clone() for k, v in tuner.adapters.parameters(tuner.name).items()}
        report = tuner.train_step([RLGroup(asked, answers, [0.3, 0.3, 0.3 + 1e-9, 0.3])])
        assert report.applied is False
        assert report.frac_reward_zero_std == 1
        assert all(
            torch.equal(v, before[k]) for k, v in tuner.adapters.parameters(tuner.name).items()
        )

    def test_no_vote_is_not_nought(self, tuner: Tuner) -> None:
        asked = example("query")
        (answers,) = tuner.rollouts([asked], 4, SHORT)
        report = tuner.train_step([RLGroup(asked, answers, [1.0, 0.0, None, None])])
        assert report.reward == 0.5

    def test_stale_answers_are_weighed(self, tuner: Tuner, mixed: list[Example]) -> None:
        old = _rl(tuner, mixed)
        tuner.train_step(_rl(tuner, mixed, seed=1), lr=5e-3)
        report = tuner.train_step(old, lr=1e-3)
        assert report.stale_steps == 1
        assert report.kl is not None
        assert report.kl > 0

    def test_disagreement_stops(self, tuner: Tuner) -> None:
        asked = example("query")
        (answers,) = tuner.rollouts([asked], 4, SHORT)
        wrong = [
            Rollout(**{**{n: getattr(a, n) for n in Rollout.__slots__},
                       "log_probabilities": [p - 0.5 for p in a.log_probabilities]})
            for a in answers
        ]  # fmt: skip
        with pytest.raises(TunerError, match="disagree"):
            tuner.train_step([RLGroup(asked, wrong, [1.0, 0.0, 0.5, 0.2])])
        assert tuner.steps == 0
        assert not any(p.requires_grad for p in tuner.model.model.parameters())

    def test_unchanged_adapter_is_noticed(self, tuner: Tuner) -> None:
        with pytest.raises(TunerError, match="unchanged"):
            tuner.check_learning()

    @pytest.mark.parametrize("lr", [0, -1, float("nan"), 1.0])
    def test_strange_rates_are_refused(self, tuner: Tuner, lr: float) -> None:
        with pytest.raises(ValueError, match="lr"):
            tuner.train_step([*_sft()], lr=lr)

    @pytest.mark.parametrize("rewards", [[1.0], [1.0, float("nan")], [1.0, float("inf")]])
    def test_strange_rewards_are_refused(self, tuner: Tuner, rewards: list[float]) -> None:
        asked = example("query")
        (answers,) = tuner.rollouts([asked], 2, SHORT)
        with pytest.raises(ValueError, match="reward"):
            RLGroup(asked, answers, rewards)


class TestCheckpoints:
    def test_goes_on_as_it_would_have(
        self, tiny_folder: Path, tmp_path: Path, mixed: list[Example]
    ) -> None:
        whole = _tuner(tiny_folder)
        for step in range(4):
            whole.train_step(_rl(whole, mixed, seed=step), lr=2e-3)
            if step == 1:
                whole.save(tmp_path)
        later = _tuner(tiny_folder).restore(tmp_path)
        assert later.steps == 2
        for step in (2, 3):
            later.train_step(_rl(later, mixed, seed=step), lr=2e-3)
        ends = (t.adapters.parameters(t.name) for t in (whole, later))
        for one, two in zip(*(end.values() for end in ends), strict=True):
            assert torch.equal(one, two)

    @pytest.mark.parametrize("quantization", [None, "int8", "nf4"])
    def test_every_precision_trains(
        self, tiny_folder: Path, mixed: list[Example], quantization: str | None
    ) -> None:
        model = Moondream.from_pretrained(
            tiny_folder, quantization=quantization, device="cpu", trainable=True  # type: ignore[arg-type]
        )  # fmt: skip
        tuner = Tuner(model, TunerSettings(AdapterSettings(rank=8)))
        for _ in range(3):
            report = tuner.train_step([*_rl(tuner, mixed), *_sft()], lr=2e-3)
            assert report.applied
            assert report.grad_norm
        tuner.check_learning()

    def test_4_bits_train_nearly_the_same(self, tiny_folder: Path) -> None:
        ends = []
        for quantization in (None, "nf4"):
            model = Moondream.from_pretrained(
                tiny_folder, quantization=quantization, dtype="float32", device="cpu", trainable=True  # type: ignore[arg-type]
            )  # fmt: skip
            tuner = Tuner(model, TunerSettings(AdapterSettings(rank=8)))
            ends.append(_gradient(tuner, [*_sft()]))
        # Stated distance: the gradients point the same way, within what 4 bits leave of the weights.
        cosine = torch.nn.functional.cosine_similarity(ends[0], ends[1], dim=0)
        assert cosine > 0.9
