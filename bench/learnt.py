"""What `python -m bench.tuning learn` measured, as rows; the guide *Tune a model* shows them. Imports no torch."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Learnt:
    """What became of a task; rewards of held-out examples, before and after."""

    task: str
    seed: int
    likeliest: tuple[float, float]
    """Of the likeliest answers."""
    sampled: tuple[float, float]
    """Of answers sampled as in training: what reinforcement learning maximises."""
    others: dict[str, float]
    """Change of each other skill's reward, of its likeliest answers."""
    steps: int
    cpu_minutes: float
    """Of all threads together, training alone."""
    minutes: float
    """By the clock; as many more as other work keeps the machine busy."""
    kl: float

    @property
    def worst(self) -> tuple[str, float]:
        return min(self.others.items(), key=lambda item: item[1])

    def row(self) -> list[str]:
        """As the table shows it."""
        skill, change = self.worst
        pairs = [f"{before:.3f} → {after:.3f}" for before, after in (self.likeliest, self.sampled)]
        return [
            self.task, str(self.seed), *pairs, f"{skill} {100 * change:+.1f}", str(self.steps),
            f"{self.cpu_minutes:.1f}", f"{self.kl:.2f}",
        ]  # fmt: skip


HEAD = ("task", "seed", "likeliest", "sampled", "other skills, worst", "steps", "CPU min", "KL")
MEASURED = Path(__file__).parent / "measured" / "tuning.json"
"""What the guide's table shows."""


def read_rows(path: Path = MEASURED) -> list[Learnt]:
    """What was measured."""
    return [
        Learnt(**row | {name: tuple(row[name]) for name in ("likeliest", "sampled")})
        for row in json.loads(path.read_text())
    ]


def table(rows: Sequence[Learnt]) -> str:
    """Rows as Markdown."""
    lines = [HEAD, ["---"] * len(HEAD), *(row.row() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
