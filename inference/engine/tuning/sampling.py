"""Sampling several answers of several questions in one pass, with the probability of each choice.

An image's prefix is computed once and shared by its answers; prompts are aligned at their ends, as in
`inference.engine.batching`. What is sampled from is the model's own distribution at the temperature:
there is no top-p, under which the probabilities would be others than the scorer's (trl #6789).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from inference.engine.batching import prompt_mask
from inference.engine.layers import KVCache
from inference.engine.moondream import Moondream, Prompt
from inference.engine.tuning.distributions import Distributions
from inference.engine.tuning.rollouts import REGION_SKILLS, Kind, Rollout, output_of, size_value


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: its prompt, and what the decoder is to know of its image."""

    skill: str
    prompt: Prompt
    image_tokens: torch.Tensor | None
    """(tokens, dim); None for a question without an image."""


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How answers are sampled.

    Raises:
        ValueError: out of range.
    """

    temperature: float = 1.0
    """0 takes the likeliest of each choice, as the model answers by default; such answers are for
    measuring, not for training."""
    max_tokens: int = 128
    max_objects: int = 20

    def __post_init__(self) -> None:
        if self.temperature and not 0.05 <= self.temperature <= 5:
            raise ValueError("temperature is 0.05 to 5, or 0 for the likeliest.")
        if not 1 <= self.max_tokens <= 2048 or not 1 <= self.max_objects <= 500:
            raise ValueError("max_tokens is 1 to 2048, max_objects 1 to 500.")


@torch.no_grad()
def sample(
    model: Moondream,
    questions: Sequence[Asked],
    count: int,
    settings: SamplingSettings,
    generator: torch.Generator,
    *,
    step: int = 0,
) -> list[list[Rollout]]:
    """`count` answers of each question, in its order.

    Raises:
        ValueError: a prompt is too long for the model.
    """
    made: list[list[Rollout]] = [[] for _ in questions]
    for numbers in _alike(questions):
        some = [questions[n] for n in numbers]
        run = _Sampling(model, some, count, settings, generator, step)
        rollouts = run.places() if some[0].skill in REGION_SKILLS else run.texts()
        for at, rollout in enumerate(rollouts):
            made[numbers[at // count]].append(rollout)
    return made


def _alike(questions: Sequence[Asked]) -> list[list[int]]:
    """Numbers of the questions that go through the decoder together."""
    kinds: dict[tuple[bool, str], list[int]] = {}
    for number, asked in enumerate(questions):
        what = asked.skill if asked.skill in REGION_SKILLS else "text"
        kinds.setdefault((asked.image_tokens is None, what), []).append(number)
    return list(kinds.values())


class _Sampling:
    """Answers while they are sampled: one row each."""

    def __init__(
        self,
        model: Moondream,
        questions: Sequence[Asked],
        count: int,
        settings: SamplingSettings,
        generator: torch.Generator,
        step: int,
    ) -> None:
        self.model, self.settings, self.generator, self.step = model, settings, generator, step
        self.network, self.sections = model.model, model.sections
        self.skills = [asked.skill for asked in questions for _ in range(count)]
        self.rows = len(self.skills)
        self.distributions = Distributions(model, settings.temperature or 1.0)
        self.log_probabilities: list[list[float]] = [[] for _ in range(self.rows)]
        self._prefill(questions, count)

    def _prefill(self, questions: Sequence[Asked], count: int) -> None:
        """Read images and prompts once each, then give every answer a row of its own."""
        text, device = self.sections.text, self.model.device
        images = [a.image_tokens for a in questions if a.image_tokens is not None]
        prefix = self.network.prefix(torch.stack(images)) if images else self._blank(len(questions))
        self.start = prefix.length
        longest = max(len(asked.prompt[0]) for asked in questions)
        wanted = (
            self.settings.max_objects * (3 if self.skills[0] == "detect" else 2)
            if self.skills[0] in REGION_SKILLS
            else self.settings.max_tokens
        )
        self.room = min(text.max_context - self.start - longest, wanted)
        if self.room < 1:
            raise ValueError(f"The longest prompt has {longest} tokens: too many for this model.")
        pads = torch.tensor([longest - len(a.prompt[0]) for a in questions], device=device)
        ids = torch.tensor(
            [[0] * (longest - len(a.prompt[0])) + a.prompt[0] for a in questions], device=device
        )
        embeds = self.network.text.embed(ids)
        for row, asked in enumerate(questions):
            for at, value in asked.prompt[1].items():
                embeds[row, int(pads[row]) + at] = self.model.region_embedding(value)
        positions = self.start + torch.arange(longest, device=device) - pads[:, None]
        cache = prefix.fork(longest)
        mask = prompt_mask(pads, self.start, longest, longest)
        hidden = self.network.text(embeds, positions, mask, cache)[:, -1]
        self.hidden = hidden.repeat_interleave(count, 0)
        self.pads = pads.repeat_interleave(count, 0)
        self.cache = cache.repeated(count, self.room)
        self.longest = longest
        self.fed = 0

    def _blank(self, rows: int) -> KVCache:
        """The prefix of a question without an image: BOS alone."""
        return self.network.prefix(
            torch.empty(
                rows, 0, self.sections.text.dim, dtype=self.model.dtype, device=self.model.device
            )
        )

    def _feed(self, embeds: torch.Tensor) -> None:
        """Feed (rows, dim)."""
        self.fed += 1
        here = self.start + self.longest + self.fed - 1 - self.pads[:, None]
        mask = prompt_mask(self.pads, self.start, 1, self.longest + self.fed)
        self.hidden = self.network.text(
            embeds[:, None].to(self.model.dtype), here, mask, self.cache
        )[:, -1]

    def _choose(self, kind: Kind, open_rows: list[int], *, is_first: bool = False) -> torch.Tensor:
        """Sample for every row, (rows,); the choices of the open ones are kept."""
        logs = self.distributions(kind, self.hidden, is_first=is_first)
        if self.settings.temperature:
            chosen = torch.multinomial(logs.exp(), 1, generator=self.generator)
        else:
            chosen = logs.argmax(-1, keepdim=True)
        values = logs.gather(1, chosen)[:, 0].tolist()
        for row in open_rows:
            self.log_probabilities[row].append(values[row])
        return chosen[:, 0]

    def texts(self) -> list[Rollout]:
        """Sample until every row has ended."""
        eos = self.sections.tokenizer.eos_id
        ids: list[list[int]] = [[] for _ in range(self.rows)]
        open_rows = list(range(self.rows))
        for step in range(self.room):
            chosen = self._choose(Kind.TOKEN, open_rows, is_first=step == 0).tolist()
            for row in open_rows:
                if chosen[row] != eos:
                    ids[row].append(chosen[row])
            open_rows = [row for row in open_rows if chosen[row] != eos]
            if not open_rows or step == self.room - 1:
                break
            tokens = torch.tensor(chosen, device=self.model.device)
            self._feed(self.network.text.embed(tokens))
        return [
            self._rollout(row, row in open_rows, answer_tokens=ids[row]) for row in range(self.rows)
        ]

    def places(self) -> list[Rollout]:
        """Sample points or boxes until every row has ended."""
        region, sizes = self.network.region, self.skills[0] == "detect"
        coords: list[list[int]] = [[] for _ in range(self.rows)]
        pairs: list[list[list[int]]] = [[] for _ in range(self.rows)]
        open_rows = list(range(self.rows))
        for _ in range(self.room // (3 if sizes else 2)):
            another = self._choose(Kind.ANOTHER, open_rows).tolist()
            open_rows = [row for row in open_rows if another[row]]
            if not open_rows:
                break
            for _axis in "xy":
                bins = self._choose(Kind.COORD, open_rows)
                for row in open_rows:
                    coords[row].append(int(bins[row]))
                self._feed(region.encode_coord(region.coord_value(bins)[:, None]))
            if sizes:
                chosen = [self._choose(kind, open_rows) for kind in (Kind.WIDTH, Kind.HEIGHT)]
                for row in open_rows:
                    pairs[row].append([int(each[row]) for each in chosen])
                values = torch.tensor(
                    [[size_value(int(each[row]), region.config) for each in chosen]
                     for row in range(self.rows)],
                    device=self.model.device,
                )  # fmt: skip
                self._feed(region.encode_size(values))
        return [
            self._rollout(row, row in open_rows, coords=coords[row], sizes=pairs[row])
            for row in range(self.rows)
        ]

    def _rollout(
        self,
        row: int,
        is_cut: bool,  # noqa: FBT001
        *,
        answer_tokens: Sequence[int] = (),
        coords: Sequence[int] = (),
        sizes: Sequence[list[int]] = (),
    ) -> Rollout:
        skill, text = self.skills[row], self.model.tokenizer.decode(list(answer_tokens))
        return Rollout(
            skill, output_of(skill, text, coords, sizes, self.model.model.config),
            "length" if is_cut else "stop", list(answer_tokens), list(coords), list(sizes),
            self.log_probabilities[row], self.settings.temperature, self.step,
        )  # fmt: skip
