"""Rewards to start from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference.engine.rewards.reward import FORMAT, Reward


@dataclass(frozen=True, slots=True)
class Preset:
    """A reward with what it is for."""

    slug: str
    about: str
    skill: str
    """The skill it judges."""
    reward: Reward


def _preset(slug: str, name: str, about: str, skill: str, *terms: tuple[str, float, dict[str, Any]]) -> Preset:  # fmt: skip
    document = {"format": FORMAT, "name": name, "terms": [
        {"type": kind, "weight": weight, "parameters": values} for kind, weight, values in terms
    ]}  # fmt: skip
    return Preset(slug, about, skill, Reward.from_dict(document))


PRESETS: Mapping[str, Preset] = {
    preset.slug: preset
    for preset in (
        _preset("short-captions", "Short captions", "True to the reference, and no longer than needed.", "caption",
                ("cider", 1.0, {}), ("brevity", 0.6, {"wish": 10, "limit": 40}), ("repetition", -0.5, {})),
        _preset("valid-json", "Valid JSON", "An object with a text under “answer”, and nothing around it.", "query",
                ("json", 1.0, {"kind": "object", "keys": "answer:string"}),
                ("regex", 0.5, {"pattern": r'"answer"\s*:\s*"[^"]+"'})),
        _preset("count-right", "Count right", "The number itself, and no sentence around it.", "query",
                ("count", 1.0, {"tolerance": 2, "where": "first"}), ("exact", 0.5, {}), ("length", 0.25, {"least": 1, "most": 1, "slack": 5})),
        _preset("boxes-overlap", "Boxes overlap", "Every object once, with a tight box.", "detect",
                ("iou", 1.0, {"score": "mean"}), ("iou", 0.5, {"score": "f1", "threshold": 0.75}), ("count", 0.5, {"tolerance": 1})),
    )
}  # fmt: skip
