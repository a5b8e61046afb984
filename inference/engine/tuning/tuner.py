"""Tuning an adapter step by step: sample answers, reward them, train.

    tuner = Tuner(Moondream.from_pretrained(folder), TunerSettings(), seed=0)
    groups = tuner.rollouts(examples, count=8)
    rewards = [[reward(rollout) for rollout in group] for group in groups]
    tuner.train_step([RLGroup(*each) for each in zip(examples, groups, rewards)], lr=5e-4)
    tuner.save("adapter")

Who owns the loop may be a script, a worker, or a client far away: as in Tinker and `md.ft`, answers
carry what training needs of them.
"""

import json
import math
import os
import random
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image

from inference.engine.crops import make_crops
from inference.engine.moondream import Moondream
from inference.engine.tuning import rehearsal, supervised
from inference.engine.tuning.adapters import Adapters, AdapterSettings, read
from inference.engine.tuning.examples import Example
from inference.engine.tuning.names import OPTIMISER, STATE, VENDOR_FILE
from inference.engine.tuning.objectives import (
    Objective,
    advantages,
    token_losses,
    token_weights,
)
from inference.engine.tuning.rollouts import Rollout, Trace
from inference.engine.tuning.sampling import Asked, SamplingSettings, sample
from inference.engine.tuning.scoring import Packed, Row, batches, hidden_states, pack, score
from inference.engine.tuning.vendor import layout_of, vendor_save

_IMAGE_BYTES = 256 * 2**20
"""Of the images' tokens that are kept."""
_BASE_ANSWERS = 2048
"""Answers of the base that are kept."""


class TunerError(RuntimeError):
    """An invariant of training does not hold: going on would train something else than is said."""


@dataclass(frozen=True, slots=True)
class RLGroup:
    """Answers to one question with their rewards."""

    example: Example
    rollouts: Sequence[Rollout]
    rewards: Sequence[float | None]
    """None is no vote."""
    terms: Sequence[Sequence[float | None]] | None = None
    """Of each answer, its reward's terms."""

    def __post_init__(self) -> None:
        if not self.rollouts or len(self.rollouts) != len(self.rewards):
            raise ValueError("A group has one reward for each of its rollouts.")
        for value in self.rewards:
            if value is not None and not math.isfinite(value):
                raise ValueError("A reward is a finite number.")
        if any(rollout.skill != self.example.skill for rollout in self.rollouts):
            raise ValueError("A rollout is of another skill than its question.")


@dataclass(frozen=True, slots=True)
class SFTGroup:
    """A question with its right answer."""

    example: Example
    target: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RehearsalGroup:
    """A question of another skill with the base's answer, whose distributions are to stay."""

    example: Example
    rollout: Rollout


Group = RLGroup | SFTGroup | RehearsalGroup


@dataclass(frozen=True, slots=True)
class TunerSettings:
    """What stays the same over a whole training.

    Raises:
        ValueError: out of range.
    """

    adapter: AdapterSettings = field(default_factory=AdapterSettings)
    objective: Objective = field(default_factory=Objective)
    reward_weights: tuple[float, ...] = ()
    """Of a reward's terms; for "normalize_then_sum"."""
    max_grad_norm: float = 1.0
    weight_decay: float = 0.0
    rehearsal_weight: float = 1.0
    """Of the divergence of what is rehearsed, nats a choice, in the loss."""
    positions: int = 24_576
    """Positions that go through the decoder at once when training; memory grows with it."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one step did; the names are TRL's."""

    step: int
    """Steps trained so far, this one included."""
    applied: bool
    """False where there was nothing to learn: every group was flat."""
    loss: float
    sft_loss: float | None = None
    rehearsal_kl: float | None = None
    """Divergence of the rehearsed answers from the base's, nats a choice."""
    reward: float | None = None
    """Mean over all answers."""
    reward_std: float | None = None
    """Mean over the groups."""
    frac_reward_zero_std: float | None = None
    """Share of the groups that were flat."""
    kl: float | None = None
    """k3 estimate of the divergence to the base, nats a token."""
    entropy: float | None = None
    clip_low: float | None = None
    clip_high: float | None = None
    completion_length: float | None = None
    grad_norm: float | None = None
    stale_steps: int = 0
    """Steps that the oldest answer is older than the adapter."""
    logp_difference: float | None = None
    """Mean |sampler - scorer| of fresh answers' log-probabilities."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Tuner:
    """A model with an adapter that is trained.

    Args:
        model: holds the base; its adapter is active between calls.
        settings: see `TunerSettings`.
        seed: of the adapter's first weights and of all sampling.
        name: of the adapter in the model.
    """

    def __init__(
        self,
        model: Moondream,
        settings: TunerSettings | None = None,
        *,
        seed: int = 0,
        adapters: Adapters | None = None,
        name: str = "tuned",
    ) -> None:
        self.model, self.settings = model, settings or TunerSettings()
        self.seed, self.name, self.steps = seed, name, 0
        self.adapters = adapters or Adapters(model)
        self.adapters.add(name, self.settings.adapter, seed=seed)
        self._parameters = self.adapters.parameters(name)
        self._optimiser = torch.optim.AdamW(
            list(self._parameters.values()), betas=(0.9, 0.95),
            weight_decay=self.settings.weight_decay,
        )  # fmt: skip
        self._image_tokens: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._image_bytes = 0
        self._base_answers: OrderedDict[tuple[str, str, str], Rollout] = OrderedDict()
        self._samplings = 0

    # Sampling

    def rollouts(
        self,
        examples: Sequence[Example],
        count: int,
        settings: SamplingSettings | None = None,
        *,
        seed: int | None = None,
        adapter: bool = True,
    ) -> list[list[Rollout]]:
        """`count` sampled answers of each example.

        Args:
            seed: of this sampling; by default each call has its own, given by the tuner's seed.
            adapter: False samples from the base.

        Raises:
            ValueError: a question that the model cannot take.
        """
        if not 1 <= count <= 256:
            raise ValueError("count is 1 to 256.")
        generator = torch.Generator(self.model.device)
        if seed is None:
            self._samplings += 1
            name = f"{self.seed}:{self.steps}:{self._samplings}"
            seed = random.Random(name).getrandbits(62)
        generator.manual_seed(seed)
        asked = [self._asked(example) for example in examples]
        with self.adapters.using(self.name if adapter else None):
            return sample(
                self.model, asked, count, settings or SamplingSettings(), generator,
                step=self.steps,
            )  # fmt: skip

    def base_answers(self, examples: Sequence[Example]) -> list[Rollout]:
        """The base's likeliest answers, each sampled once."""
        found = {_question(example): example for example in examples}
        missing = {key: e for key, e in found.items() if key not in self._base_answers}
        if missing:
            settings = SamplingSettings(temperature=0)
            groups = self.rollouts(list(missing.values()), 1, settings, seed=0, adapter=False)
            self._base_answers.update({k: g[0] for k, g in zip(missing, groups, strict=True)})
        made = [self._base_answers[_question(example)] for example in examples]
        while len(self._base_answers) > _BASE_ANSWERS:
            self._base_answers.popitem(last=False)
        return made

    def _asked(self, example: Example) -> Asked:
        if example.params.get("reasoning"):
            raise ValueError("Answers with reasoning are not tuned: ask without it.")
        prompt = self.model.prompt(example.skill, example.params)
        return Asked(example.skill, prompt, self.image_tokens(example))

    def image_tokens(self, example: Example) -> torch.Tensor | None:
        """(tokens, dim) of an example's image, encoded once; None where it has none."""
        if example.open_image is None:
            return None
        found = self._image_tokens.get(example.image_key)
        if found is None:
            found = encode(self.model, example.open_image())
            self._image_tokens[example.image_key] = found
            self._image_bytes += found.nbytes
            while self._image_bytes > _IMAGE_BYTES and len(self._image_tokens) > 1:
                self._image_bytes -= self._image_tokens.popitem(last=False)[1].nbytes
        self._image_tokens.move_to_end(example.image_key)
        return found

    # Training

    def train_step(self, groups: Sequence[Group], lr: float = 2e-4) -> StepReport:
        """One update from groups of all kinds.

        The losses of sampled answers (`Objective`), right ones and rehearsed ones are added.

        Raises:
            ValueError: no groups, or one that does not fit the model.
            TunerError: the scorer does not agree with the sampler, or a loss is no number; nothing was
                trained then.
        """
        if not groups:
            raise ValueError("A step needs at least one group.")
        if not 0 < lr <= 0.1:
            raise ValueError("lr is over 0 and at most 0.1.")
        with self.adapters.using(self.name):
            return _Step(self, groups, lr).run()

    def check_learning(self) -> None:
        """
        Raises:
            TunerError: no step has changed the adapter: its B is 0 still.
        """
        if not any(p.any() for key, p in self._parameters.items() if "lora_B" in key):
            raise TunerError("The adapter is unchanged after its first steps: it is not trained.")

    # Keeping

    def save(self, folder: str | os.PathLike[str], **card: Any) -> None:
        """Write adapter, optimiser and counters; and Moondream's own file, where the adapter has a place in one.

        Raises:
            OSError: it cannot be written.
        """
        path = Path(folder)
        self.adapters.save(self.name, path, step=self.steps, **card)
        if layout_of(self.adapters.settings(self.name)) is not None:
            vendor_save(self.adapters, self.name, path / VENDOR_FILE)
        state = {"step": self.steps, "seed": self.seed, "samplings": self._samplings}
        (path / STATE).write_text(json.dumps(state) + "\n")
        # Seeds of all that is random follow from seed and counters: there is no other random state.
        torch.save(self._optimiser.state_dict(), path / OPTIMISER)

    def restore(self, folder: str | os.PathLike[str]) -> Self:
        """Go on where `save` was called.

        Raises:
            AdapterError: the adapter is another.
            OSError: files are missing.
        """
        path = Path(folder)
        weights, _ = read(path)
        self.adapters.assign(self.name, weights)
        state = json.loads((path / STATE).read_text())
        self.steps, self.seed, self._samplings = state["step"], state["seed"], state["samplings"]
        self._optimiser.load_state_dict(
            torch.load(path / OPTIMISER, map_location=self.model.device, weights_only=True)
        )
        return self

    @property
    def memory_bytes(self) -> dict[str, int]:
        """Of base, adapter and optimiser."""
        adapter = sum(p.numel() * p.element_size() for p in self._parameters.values())
        return {
            "base": self.model.info["weight_bytes"],
            "adapter": adapter,
            "optimiser": 2 * adapter,
        }


def _question(example: Example) -> tuple[str, str, str]:
    """What is the same where the same is asked of the same image."""
    return example.image_key, example.skill, json.dumps(dict(example.params), sort_keys=True)


@torch.no_grad()
def encode(model: Moondream, image: Image.Image) -> torch.Tensor:
    """(tokens, dim): what the decoder is shown of an image. No adapter changes it."""
    return model.model.image_tokens(make_crops(image, model.sections.vision))


@dataclass(slots=True)
class _Answer:
    """One answer of the batch."""

    group: int
    trace: Trace
    rollout: Rollout
    advantage: float = 0.0


class _Step:
    """One update while it is made."""

    def __init__(self, tuner: Tuner, groups: Sequence[Group], lr: float) -> None:
        self.tuner, self.model, self.lr = tuner, tuner.model, lr
        self.objective = tuner.settings.objective
        self.rl = [group for group in groups if isinstance(group, RLGroup)]
        self.sft = [group for group in groups if isinstance(group, SFTGroup)]
        self.rehearsed = [group for group in groups if isinstance(group, RehearsalGroup)]

    def run(self) -> StepReport:
        tuner = self.tuner
        optimiser = tuner._optimiser
        for parameter in tuner._parameters.values():
            parameter.requires_grad = True
        optimiser.zero_grad(set_to_none=True)
        try:
            report = self._rewards()
            report |= self._reinforce()
            report |= self._supervise()
            if self._is_learning() or not (self.rl or self.sft):
                # Where there is nothing to learn the adapter stays: Adam would make steps of noise.
                report |= self._rehearse()
            loss = report.pop("rl_loss", 0.0) + report.get("sft_loss", 0.0)
            loss += tuner.settings.rehearsal_weight * report.get("rehearsal_kl", 0.0)
            if not math.isfinite(loss):
                raise TunerError("The loss is not a number; nothing was trained in this step.")
            applied = self._is_learning()
            if applied:
                report["grad_norm"] = self._apply()
        finally:
            optimiser.zero_grad(set_to_none=True)
            for parameter in tuner._parameters.values():
                parameter.requires_grad = False
        tuner.steps += 1
        return StepReport(tuner.steps, applied, loss, **report)

    def _is_learning(self) -> bool:
        return any(p.grad is not None for p in self.tuner._parameters.values())

    def _apply(self) -> float:
        parameters = list(self.tuner._parameters.values())
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.tuner.settings.max_grad_norm)
        if not torch.isfinite(norm):
            raise TunerError("The gradient is not a number; nothing was trained in this step.")
        for group in self.tuner._optimiser.param_groups:
            group["lr"] = self.lr
        self.tuner._optimiser.step()
        return float(norm)

    def _rewards(self) -> dict[str, Any]:
        """What is reported of the rewards."""
        if not self.rl:
            return {}
        votes = [[r for r in group.rewards if r is not None] for group in self.rl]
        everything = [value for group in votes for value in group]
        deviations = [float(torch.tensor(g).std()) for g in votes if len(g) > 1]
        lengths = [rollout.length for group in self.rl for rollout in group.rollouts]
        return {
            "reward": sum(everything) / len(everything) if everything else None,
            "reward_std": sum(deviations) / len(deviations) if deviations else 0.0,
            "completion_length": sum(lengths) / len(lengths),
        }

    def _trace(self, example: Example, rollout: Rollout) -> Trace:
        ids, references = self.model.prompt(example.skill, example.params)
        return Trace.of(ids, references, rollout, self.model.model.config)

    def _reinforce(self) -> dict[str, Any]:
        """Backward through the sampled answers that teach something."""
        if not self.rl:
            return {}
        tuner = self.tuner
        found = advantages(
            [group.rewards for group in self.rl], self.objective,
            [group.terms for group in self.rl] if all(g.terms for g in self.rl) else None,  # type: ignore[misc]
            tuner.settings.reward_weights,
        )  # fmt: skip
        answers = [
            _Answer(number, self._trace(group.example, rollout), rollout, advantage)
            for number, group in enumerate(self.rl)
            for rollout, advantage in zip(group.rollouts, found.values[number], strict=True)
            if advantage is not None
        ]
        oldest = min(rollout.step for group in self.rl for rollout in group.rollouts)
        report: dict[str, Any] = {
            "frac_reward_zero_std": sum(found.is_flat) / len(found.is_flat),
            "stale_steps": max(0, tuner.steps - oldest),
        }
        if not answers:
            return report
        examples = {number: group.example for number, group in enumerate(self.rl)}
        return report | self._reinforce_answers(answers, examples)

    def _reinforce_answers(
        self, answers: list[_Answer], examples: Mapping[int, Example]
    ) -> dict[str, Any]:
        device = self.model.device
        lengths = torch.tensor([len(a.trace.choices) for a in answers], device=device)
        weights = token_weights(
            torch.arange(len(answers), device=device).repeat_interleave(lengths), self.objective
        )
        starts = lengths.cumsum(0) - lengths
        sums: dict[str, float] = {}
        differences: list[torch.Tensor] = []
        parts = list(self._packed(answers, examples))
        choices = sum(len(packed.rows) for packed in parts)
        for packed in parts:
            numbers = packed.numbers
            at = starts[numbers] + _places(numbers)
            sampled = torch.cat([
                torch.tensor(answers[n].rollout.log_probabilities) for n in numbers.unique_consecutive().tolist()
            ]).to(device)  # fmt: skip
            temperatures = torch.tensor(
                [a.rollout.temperature for a in answers], device=device
            )[numbers]  # fmt: skip
            advantage = torch.tensor([a.advantage for a in answers], device=device)[numbers]
            fresh = torch.tensor(
                [a.rollout.step == self.tuner.steps for a in answers], device=device
            )[numbers]  # fmt: skip
            reference = self._reference(packed, temperatures)
            scores = score(self.model, packed, temperatures)
            difference = (scores.log_probabilities.detach() - sampled).abs()
            differences.append(difference[fresh])
            made = token_losses(
                scores.log_probabilities, sampled, advantage, self.objective, reference
            )
            loss = (made.losses * weights[at]).sum()
            _backward(loss)
            for name, value in (
                ("rl_loss", loss.detach()),
                ("kl", made.kl.sum() / choices),
                ("entropy", scores.entropies.sum() / choices),
                ("clip_low", made.is_low_clipped.sum() / choices),
                ("clip_high", made.is_high_clipped.sum() / choices),
            ):
                sums[name] = sums.get(name, 0.0) + float(value)
        fresh_differences = torch.cat(differences)
        if len(fresh_differences):
            sums["logp_difference"] = float(fresh_differences.mean())
            self._check_agreement(sums["logp_difference"])
        return sums

    def _check_agreement(self, difference: float) -> None:
        bound = agreement_bound(self.model)
        if difference > bound:
            raise TunerError(
                f"Sampler and scorer disagree: their log-probabilities differ by {difference:.2g} in the "
                f"mean, and at most {bound:g} is right. Nothing was trained in this step."
            )

    @torch.no_grad()
    def _reference(self, packed: Packed, temperatures: torch.Tensor) -> torch.Tensor:
        """The choices' log-probabilities under the base."""
        with self.tuner.adapters.using(None):
            return score(self.model, packed, temperatures).log_probabilities

    def _packed(self, answers: list[_Answer], examples: Mapping[int, Example]) -> Iterable[Packed]:
        rows: dict[int, list[int]] = {}
        for number, answer in enumerate(answers):
            rows.setdefault(answer.group, []).append(number)
        laid = [
            Row(
                self.tuner.image_tokens(examples[group]),
                [answers[n].trace for n in numbers],
                numbers,
            )
            for group, numbers in rows.items()
        ]
        for part in batches(laid, self.tuner.settings.positions):
            yield pack(part, self.model.device)

    def _supervise(self) -> dict[str, Any]:
        """Backward through the right answers."""
        if not self.sft:
            return {}
        answers = []
        for number, group in enumerate(self.sft):
            right = supervised.right_answer(self.model, group.example.skill, group.target)
            answers.append(_Answer(number, self._trace(group.example, right), right))
        kinds = [choice.kind for answer in answers for choice in answer.trace.choices]
        totals = supervised.totals_of(kinds)
        total = 0.0
        for packed in self._packed(answers, {n: g.example for n, g in enumerate(self.sft)}):
            loss = supervised.loss(self.model, packed, hidden_states(self.model, packed), totals)
            _backward(loss)
            total += float(loss.detach())
        return {"sft_loss": total}

    def _rehearse(self) -> dict[str, Any]:
        """Backward through what is to stay."""
        if not self.rehearsed:
            return {}
        answers = [
            _Answer(number, self._trace(group.example, group.rollout), group.rollout)
            for number, group in enumerate(self.rehearsed)
        ]
        choices = sum(len(answer.trace.choices) for answer in answers)
        total = 0.0
        for packed in self._packed(answers, {n: g.example for n, g in enumerate(self.rehearsed)}):
            with torch.no_grad(), self.tuner.adapters.using(None):
                base = rehearsal.distributions_of(
                    self.model, packed, hidden_states(self.model, packed)
                )
            now = rehearsal.distributions_of(self.model, packed, hidden_states(self.model, packed))
            away = rehearsal.divergence(base, now) / choices
            _backward(self.tuner.settings.rehearsal_weight * away)
            total += float(away.detach())
        return {"rehearsal_kl": total}


def _backward(loss: torch.Tensor) -> None:
    """Gradients of a loss; none where an adapter of the region heads alone meets a text."""
    if loss.requires_grad:
        loss.backward()


def _places(numbers: torch.Tensor) -> torch.Tensor:
    """(N,) numbers of answers, in runs → each choice's place within its answer."""
    _, lengths = numbers.unique_consecutive(return_counts=True)
    starts = lengths.cumsum(0) - lengths
    return torch.arange(len(numbers), device=numbers.device) - starts.repeat_interleave(lengths)


def agreement_bound(model: Moondream) -> float:
    """How far sampler and scorer may be apart in the mean, in nats: they round differently."""
    if model.quantization == "int8":
        return 0.1  # each row of the input is rounded by its own largest value
    return 1e-3 if model.dtype == torch.float32 else 0.05
