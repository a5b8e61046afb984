"""Where settings and figures are explained: plain addresses, as the pages belong to a room above.

A test loads the starter's library and checks that every one of them exists.
"""

from typing import NamedTuple

GUIDE = "/docs/pipeline/tuning/"
_PAPERS = "/research/papers"


class Link(NamedTuple):
    """An address, and what is there."""

    url: str
    about: str


_SETTINGS = Link(f"{GUIDE}#settings", "the guide's settings")
_DATA = Link(f"{GUIDE}#choose-what-to-train-on", "what data can be")
_REWARD = Link(f"{GUIDE}#choose-what-is-good", "what a reward must do")
_WHILE = Link(f"{GUIDE}#while-it-trains", "what is watched")
_GRPO = Link(f"{_PAPERS}/grpo/#sec-grpo", "Shao et al. 2024, rewards of a group")
_RANK = Link(f"{_PAPERS}/lora/#sec-rank", "Hu et al. 2021, the rank")
LINKS: dict[str, Link] = {
    "method": _SETTINGS, "source": _DATA, "file": _DATA, "reward": _REWARD, "group_size": _GRPO,
    "lr": _SETTINGS, "temperature": _SETTINGS, "rank": _RANK, "loss": _SETTINGS, "scaling": _GRPO,
    "combination": _SETTINGS, "clip_low": _SETTINGS, "clip_high": _SETTINGS, "beta": _GRPO,
    "kl_limit": _WHILE, "refills": _SETTINGS, "warmup_steps": _REWARD,
    "chart-reward": _GRPO, "chart-raw": _REWARD, "chart-kl": _GRPO, "chart-entropy": _WHILE,
    "chart-loss": _WHILE,
}  # fmt: skip
"""By the name of a field or a chart."""
