"""One sampled answer, as it is trained on: what was chosen, and how likely each choice was."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any, Self

from inference.engine.config import MoondreamConfig, RegionConfig
from inference.engine.numbers import is_number

REGION_SKILLS = ("point", "detect")


class Kind(IntEnum):
    """What is chosen from: each kind has a distribution of its own."""

    TOKEN = 0
    """One of the vocabulary."""
    ANOTHER = 1
    """Whether there is another object (1) or the list ends (0): all but the end token, against it."""
    COORD = 2
    """One of the coordinate head's bins."""
    WIDTH = 3
    HEIGHT = 4
    """One of the size head's bins each."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice: made from the hidden state at position `at`, `target` was chosen."""

    at: int
    kind: Kind
    target: int
    is_first: bool = False
    """Of a text: from its second token on the answer token cannot be chosen."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A sampled answer.

    Text is in `answer_tokens` (without the end), regions in `coords` (bins, x and y in turn) and
    `sizes` (bins of width and height).
    """

    skill: str
    output: dict[str, Any]
    """As the skill answers: {"answer"}, {"caption"}, {"points"}, {"objects"}."""
    finish_reason: str
    """"stop", or "length" when a limit cut it."""
    answer_tokens: list[int] = field(default_factory=list)
    coords: list[int] = field(default_factory=list)
    sizes: list[list[int]] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    """Of each choice at the temperature it was sampled at; in the order of `Trace.choices`."""
    temperature: float = 1.0
    step: int = 0
    """Steps that the adapter had been trained for when this was sampled."""

    def to_dict(self) -> dict[str, Any]:
        """The wire's form; `Rollout.from_dict` reads it back."""
        return {**asdict(self), "thinking_tokens": [], "has_answer_separator": False}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], config: MoondreamConfig) -> Self:
        """
        Raises:
            ValueError: it is no rollout that this model can have given.
        """
        known: dict[str, Any] = {name: values[name] for name in cls.__slots__ if name in values}
        try:
            made = cls(**known)
            _check(made, config)
        except (TypeError, KeyError) as error:
            raise ValueError(f"This is no rollout: {error}") from error
        if values.get("thinking_tokens") or values.get("has_answer_separator"):
            raise ValueError("Rollouts with reasoning are not trained on.")
        return made

    @property
    def length(self) -> int:
        """How many choices it is made of."""
        return len(self.log_probabilities)


def _check(made: Rollout, config: MoondreamConfig) -> None:
    if made.skill not in ("query", "caption", *REGION_SKILLS):
        raise ValueError(f"Unknown skill {str(made.skill)[:40]!r}.")
    if made.finish_reason not in ("stop", "length"):
        raise ValueError("finish_reason is stop or length.")
    if not isinstance(made.output, Mapping):
        raise ValueError("output is an object.")
    _check_choices(made, config)
    expected = sum(1 for _ in _choices(made, 0, 0))
    if len(made.log_probabilities) != expected:
        raise ValueError(
            f"log_probabilities has {len(made.log_probabilities)} values for {expected} choices."
        )
    numbers = (*made.log_probabilities, made.temperature, made.step)
    if not all(map(is_number, numbers)):
        raise ValueError("log_probabilities, temperature and step are numbers.")
    step: Any = made.step  # whatever a document held
    if not isinstance(step, int) or step < 0:
        raise ValueError("step is a number of steps.")
    if max(made.log_probabilities, default=0) > 1e-3 or not 0 < made.temperature <= 10:
        raise ValueError("A log-probability is at most 0, a temperature over 0.")


def _check_choices(made: Rollout, config: MoondreamConfig) -> None:
    sections = config.sections
    _check_ids("answer_tokens", made.answer_tokens, sections.text.vocab_size)
    _check_ids("coords", made.coords, sections.region.coord_out_dim)
    for pair in made.sizes:
        _check_ids("sizes", pair, sections.region.size_bins)
        if len(pair) != 2:
            raise ValueError("sizes are pairs of bins.")
    if made.skill not in REGION_SKILLS:
        if made.coords or made.sizes:
            raise ValueError("An answer of text has no places.")
        return
    places = len(made.coords) // 2
    if made.answer_tokens or len(made.coords) % 2:
        raise ValueError("An answer of places has x and y of each, and no tokens.")
    if len(made.sizes) != (places if made.skill == "detect" else 0):
        raise ValueError("Each box has one size, and a point none.")


def _check_ids(name: str, values: Any, count: int) -> None:
    if not isinstance(values, list | tuple):
        raise ValueError(f"{name} is an array.")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
            raise ValueError(f"{name} holds integers of 0 to {count - 1}.")


@dataclass(slots=True)
class Trace:
    """A prompt with an answer as the decoder reads them, and the choices that made the answer.

    The model is fed `ids`, in which `coords` and `sizes` (values in 0..1) take the places of slots.
    """

    ids: list[int]
    choices: list[Choice]
    coords: dict[int, float] = field(default_factory=dict)
    sizes: dict[int, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        prompt: Sequence[int],
        references: Mapping[int, tuple[float, ...]],
        rollout: Rollout,
        config: MoondreamConfig,
    ) -> Self:
        """Lay out an answer behind its prompt.

        Args:
            references: values of spatial references in the prompt, as `Moondream.prompt` gives them.
        """
        sections = config.sections
        made = cls(
            list(prompt), list(_choices(rollout, len(prompt) - 1, sections.tokenizer.eos_id))
        )
        for at, value in references.items():
            if len(value) == 1:
                made.coords[at] = value[0]
            else:
                made.sizes[at] = (value[0], value[1])
        if rollout.skill not in REGION_SKILLS:
            made.ids += rollout.answer_tokens
        else:
            made._feed_places(rollout, config)
        # The last choice is not fed: nothing comes after it.
        last = made.choices[-1].at + 1 if made.choices else len(prompt)
        del made.ids[last:]
        made.coords = {at: value for at, value in made.coords.items() if at < last}
        made.sizes = {at: value for at, value in made.sizes.items() if at < last}
        return made

    def _feed_places(self, rollout: Rollout, config: MoondreamConfig) -> None:
        region, tokens = config.sections.region, config.sections.tokenizer
        for number in range(len(rollout.coords) // 2):
            for each in rollout.coords[2 * number : 2 * number + 2]:
                self.coords[len(self.ids)] = each / region.coord_out_dim
                self.ids.append(tokens.coord_id)
            if rollout.sizes:
                width, height = (size_value(each, region) for each in rollout.sizes[number])
                self.sizes[len(self.ids)] = (width, height)
                self.ids.append(tokens.size_id)


def size_value(number: int, region: RegionConfig) -> float:
    """A bin's width or height, 1/1024 … 1."""
    return float(2.0 ** region.size_exponent(number))


def _choices(rollout: Rollout, start: int, eos_id: int) -> Iterator[Choice]:
    """The choices that made an answer; the first is made from position `start`."""
    ended = rollout.finish_reason == "stop"
    if rollout.skill not in REGION_SKILLS:
        ids = [*rollout.answer_tokens, eos_id] if ended else rollout.answer_tokens
        for number, token in enumerate(ids):
            yield Choice(start + number, Kind.TOKEN, token, is_first=number == 0)
        return
    at = start
    for number in range(len(rollout.coords) // 2):
        yield Choice(at, Kind.ANOTHER, 1)
        yield Choice(at, Kind.COORD, rollout.coords[2 * number])
        yield Choice(at + 1, Kind.COORD, rollout.coords[2 * number + 1])
        at += 2
        if rollout.sizes:
            width, height = rollout.sizes[number]
            yield Choice(at, Kind.WIDTH, width)
            yield Choice(at, Kind.HEIGHT, height)
            at += 1
    if ended:
        yield Choice(at, Kind.ANOTHER, 0)


def output_of(rollout_skill: str, text: str, coords: Sequence[int], sizes: Sequence[Sequence[int]],
              config: MoondreamConfig) -> dict[str, Any]:  # fmt: skip
    """What a skill answers, from what was chosen. Places are clamped to the image, as the API's are."""
    if rollout_skill not in REGION_SKILLS:
        return {"answer" if rollout_skill == "query" else "caption": text}
    region = config.sections.region
    places = [
        (coords[n] / region.coord_out_dim, coords[n + 1] / region.coord_out_dim)
        for n in range(0, len(coords), 2)
    ]
    if rollout_skill == "point":
        return {"points": [{"x": x, "y": y} for x, y in places]}
    objects = []
    for (x, y), pair in zip(places, sizes, strict=True):
        half_w, half_h = (size_value(each, region) / 2 for each in pair)
        objects.append({
            "x_min": max(0.0, x - half_w), "y_min": max(0.0, y - half_h),
            "x_max": min(1.0, x + half_w), "y_max": min(1.0, y + half_h),
        })  # fmt: skip
    return {"objects": objects}
