"""Advantages and losses against TRL's own code on the same numbers.

What TRL computes is inside two methods of its trainer. The one that makes advantages is cut out of its
source by the comments that frame it (`_trl_advantages`); the other is called on a trainer that has nothing
but what it reads.
"""

import inspect
import random
import textwrap
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from inference.engine.tuning import Objective
from inference.engine.tuning.objectives import advantages, token_losses, token_weights

grpo = pytest.importorskip("trl.trainer.grpo_trainer", reason="TRL is a dependency of the tests")
GROUPS, SIZE = 5, 4


def _trl_advantages(
    terms: torch.Tensor, weights: torch.Tensor, scaling: str, combination: str
) -> torch.Tensor:
    """(answers, terms) of groups of `SIZE`, as TRL's trainer does it."""
    source = inspect.getsource(grpo.GRPOTrainer._generate_and_score_completions)
    start = source.index("        # A completion for which every reward function returned None")
    end = source.index("        # Slice to keep only the local part of the data")
    trainer = SimpleNamespace(
        multi_objective_aggregation=combination, scale_rewards=scaling, reward_weights=weights,
        reward_funcs=[None] * terms.shape[1],
    )  # fmt: skip
    names: dict[str, Any] = vars(grpo) | {
        "self": trainer, "rewards_per_func": terms, "num_generations": SIZE, "device": terms.device,
    }  # fmt: skip
    exec(textwrap.dedent(source[start:end]), names)  # a dependency's own source
    found: torch.Tensor = names["advantages"]
    return found


def _terms(seed: int, *, votes: bool) -> torch.Tensor:
    rng = random.Random(seed)
    rows = [
        [rng.random(), 10 * rng.random(), float(rng.random() > 0.5)] for _ in range(GROUPS * SIZE)
    ]
    terms = torch.tensor(rows, dtype=torch.float64)
    if votes:
        terms[3] = float("nan")
        terms[6, 1] = float("nan")
    return terms


@pytest.mark.parametrize("votes", [False, True], ids=["all vote", "some do not"])
@pytest.mark.parametrize("scaling", ["group", "batch", "none"])
@pytest.mark.parametrize("combination", ["sum_then_normalize", "normalize_then_sum"])
def test_advantages(combination: str, scaling: str, votes: bool) -> None:
    weights = torch.tensor([1.0, 0.5, -0.3], dtype=torch.float64)
    terms = _terms(7, votes=votes)
    expected = _trl_advantages(terms, weights, scaling, combination)
    rows = [[None if v != v else v for v in row] for row in terms.tolist()]
    totals = [
        None if all(v is None for v in row)
        else sum(w * v for w, v in zip(weights.tolist(), row, strict=True) if v is not None)
        for row in rows
    ]  # fmt: skip
    objective = Objective(scaling=scaling, combination=combination)  # type: ignore[arg-type]
    found = advantages(
        _in_groups(totals), objective, _in_groups(rows), weights.tolist(),
    )  # fmt: skip
    mine = torch.tensor([v or 0.0 for group in found.values for v in group], dtype=torch.float64)
    assert torch.allclose(mine, expected, atol=1e-6, rtol=0)
    assert not any(found.is_flat)


def _in_groups(values: list[Any]) -> list[list[Any]]:
    return [values[n : n + SIZE] for n in range(0, len(values), SIZE)]


@pytest.mark.parametrize("scaling", ["group", "batch", "none"])
def test_flat_groups(scaling: str) -> None:
    # They are left out; what is left is TRL's, of a batch that never had them.
    rng = random.Random(1)
    groups = [[rng.random() for _ in range(SIZE)] for _ in range(3)]
    flat: list[list[float | None]] = [[0.1] * SIZE, [0.7, 0.7 + 1e-9, 0.7, 0.7], [None] * SIZE]
    found = advantages([flat[0], *groups, *flat[1:]], Objective(scaling=scaling))  # type: ignore[arg-type]
    assert found.is_flat == [True, False, False, False, True, True]
    assert found.values[0] == [None] * SIZE
    expected = _trl_advantages(
        torch.tensor(groups, dtype=torch.float64).reshape(-1, 1), torch.ones(1, dtype=torch.float64),
        scaling, "sum_then_normalize",
    )  # fmt: skip
    mine = torch.tensor(found.values[1:4], dtype=torch.float64).flatten()
    assert torch.allclose(mine, expected, atol=1e-6, rtol=0)


def test_group_of_one() -> None:
    assert advantages([[0.4]], Objective()).values == [[0.0]]


def _trl_loss(
    objective: Objective, now: torch.Tensor, sampled: torch.Tensor, reference: torch.Tensor,
    mask: torch.Tensor, advantage: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """TRL's own `_compute_loss` of (answers, tokens)."""

    class Accelerator:
        num_processes = 1
        device = now.device

        @staticmethod
        def gather(value: torch.Tensor) -> torch.Tensor:
            return value

        @staticmethod
        def reduce(value: torch.Tensor, reduction: str = "sum") -> torch.Tensor:
            return value

    trainer = object.__new__(grpo.GRPOTrainer)
    vars(trainer).update(
        model=SimpleNamespace(training=True), accelerator=Accelerator(), aux_loss_enabled=False,
        top_entropy_quantile=1.0, off_policy_mask_threshold=None, importance_sampling_level="token",
        beta=objective.beta, loss_type=objective.loss, epsilon_low=objective.clip_low,
        epsilon_high=objective.clip_high, use_vllm=False, max_completion_length=objective.max_length,
        current_gradient_accumulation_steps=1, entropy_coef=0.0, use_adaptive_entropy=False,
        _entropy_bonus_enabled=False,
        args=SimpleNamespace(delta=None, use_bias_correction_kl=True, steps_per_generation=1),
        _metrics={"train": defaultdict(list)},
        _get_per_token_logps_and_entropies=lambda *_, **__: (now, torch.zeros_like(now), None),
    )  # fmt: skip
    ids = torch.zeros_like(now, dtype=torch.long)
    loss: torch.Tensor = trainer._compute_loss(None, {
        "prompt_ids": ids[:, :0], "prompt_mask": ids[:, :0], "completion_ids": ids,
        "completion_mask": mask.long(), "advantages": advantage, "old_per_token_logps": sampled,
        "ref_per_token_logps": reference, "num_items_in_batch": mask.sum(),
    })  # fmt: skip
    return loss


@pytest.mark.parametrize("beta", [0.0, 0.04])
@pytest.mark.parametrize("loss", ["grpo", "dapo", "dr_grpo", "cispo"])
def test_losses_and_gradients(loss: str, beta: float) -> None:
    generator = torch.Generator().manual_seed(3)
    lengths = torch.tensor([1, 7, 4, 9, 2, 5])
    mask = torch.arange(9)[None, :] < lengths[:, None]
    sampled = -torch.rand(6, 9, generator=generator, dtype=torch.float64) * 3
    drift = 0.4 * torch.randn(6, 9, generator=generator, dtype=torch.float64)
    reference = sampled + 0.3 * torch.randn(6, 9, generator=generator, dtype=torch.float64)
    advantage = torch.randn(6, generator=generator, dtype=torch.float64)
    objective = Objective(loss=loss, beta=beta, max_length=11)  # type: ignore[arg-type]

    theirs = (sampled + drift).requires_grad_()
    expected = _trl_loss(objective, theirs, sampled, reference, mask, advantage)
    expected.backward()

    mine = (sampled + drift).requires_grad_()
    numbers = torch.arange(6).repeat_interleave(lengths)
    made = token_losses(mine[mask], sampled[mask], advantage[numbers], objective, reference[mask])
    found = (made.losses * token_weights(numbers, objective)).sum()
    found.backward()

    assert float(found) == pytest.approx(float(expected), abs=1e-6)
    assert torch.allclose(mine.grad, theirs.grad, atol=1e-6, rtol=0)
    if loss != "cispo":
        assert made.is_low_clipped.any() or made.is_high_clipped.any()  # or nothing was tried
