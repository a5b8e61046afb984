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


def _setting(heading: str, about: str) -> Link:
    return Link(f"{GUIDE}#{heading}", about)


_DATA = Link(f"{GUIDE}#choose-what-to-train-on", "what data can be")
_REWARD = Link(f"{GUIDE}#choose-what-is-good", "what a reward must do")
_WHILE = Link(f"{GUIDE}#while-it-trains", "what is watched")
_KEEP = Link(f"{GUIDE}#keep-other-skills", "how other skills are kept")
_GRPO = Link(f"{_PAPERS}/grpo/#sec-grpo", "Shao et al. 2024, rewards of a group")
_STEPS = _setting("steps", "what a step is")
_RATE = _setting("learning-rate", "how it rises and falls")
_LENGTH = _setting("length-of-answers", "what is cut")
_CLIP = _setting("clip", "Yu et al. 2025, how far a token may move")
_BETA = _setting("beta", "the divergence to the base, and its estimate")
_RANK = Link(f"{_PAPERS}/lora/#sec-rank", "Hu et al. 2021, the rank")
LINKS: dict[str, Link] = {
    "method": _setting("method", "reinforcement and right answers"),
    "source": _DATA, "preset": _DATA, "domain": _DATA, "count": _DATA, "data_seed": _DATA, "split": _DATA,
    "upload": _DATA, "file": _DATA, "reward": _REWARD, "document": _REWARD,
    "steps": _STEPS, "groups": _STEPS, "group_size": _GRPO, "warmup_steps": _setting("method", "steps that teach"),
    "layers": _setting("layers", "what each adapts"),
    "lr": _RATE, "lr_warmup": _RATE, "temperature": _setting("temperature", "what it changes"),
    "max_tokens": _LENGTH, "max_objects": _LENGTH,
    "refills": _setting("replacements", "dynamic sampling, Yu et al. 2025"), "rank": _RANK,
    "loss": _setting("loss", "the four losses and their papers"),
    "scaling": _setting("scaling", "Liu et al. 2025, what an advantage is divided by"),
    "combination": _setting("combination", "GDPO, 2026"), "clip_low": _CLIP, "clip_high": _CLIP,
    "beta": _BETA, "kl_limit": _BETA, "checkpoint_every": _setting("checkpoints", "what is kept"),
    "seed": _setting("seed", "what follows from it"),
    "rehearsal": _KEEP, "chart-kept": _KEEP,
    "chart-reward": _GRPO, "chart-raw": _REWARD, "chart-kl": _GRPO, "chart-entropy": _WHILE,
    "chart-loss": _WHILE,
}  # fmt: skip
"""By the name of a field or a chart."""
