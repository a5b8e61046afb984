"""Settings that a run starts from, by the size of its base.

Only the embedded model's were measured (`python -m bench.tuning learn`). The others are reasoned: a larger
model needs smaller steps (LoRA's rate falls with the width; Moondream's own example trains with 2e-4 at a
temperature of 1), its answers differ by themselves, and one of its answers costs so much more that fewer are
asked. Imports no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class BaseDefaults:
    """What runs on bases of one size start from."""

    name: str
    below: int | None
    """Parameters that a base of this size stays below; None: of any number."""
    settings: Mapping[str, Any]
    """Those of `Plan` that differ from its own defaults."""
    is_measured: bool

    @property
    def about(self) -> str:
        """Where the settings come from, in a sentence."""
        if self.is_measured:
            return "The settings below were measured on this base model."
        return "The settings below follow from this base model’s size. They were not measured here."


EMBEDDED = BaseDefaults("embedded", 50_000_000, {}, is_measured=True)
BASES: tuple[BaseDefaults, ...] = (
    EMBEDDED,
    BaseDefaults(
        "0.5B", 1_200_000_000, {"lr": 4e-4, "temperature": 1.0, "groups": 4}, is_measured=False
    ),
    BaseDefaults("2B", None, {"lr": 2e-4, "temperature": 1.0, "groups": 4}, is_measured=False),
)
"""From the smallest to the largest."""


def defaults_of(parameters: int | None) -> BaseDefaults:
    """What a base of so many parameters starts from; of an unknown number, the most careful."""
    if parameters is None:
        return BASES[-1]
    return next(b for b in BASES if b.below is None or parameters < b.below)


def settings_of(base: BaseDefaults, given: Mapping[str, Any]) -> dict[str, Any]:
    """A plan's settings: those that are given, else the base's."""
    return {**base.settings, **given}
