"""Tuning: how fast, how much memory, and what is learnt on the embedded model.

    python -m bench.tuning speed [--folder inference/weights/embedded] [--rounds 2]
    python -m bench.tuning memory [--folder inference/weights/embedded]
    python -m bench.tuning switch [--folder inference/weights/embedded]
    python -m bench.tuning learn [--task NAME] [--seeds 0 1 2] [--write bench/measured/tuning.json]
    python -m bench.tuning table

`speed` compares a step with the plain way on the same weights: one answer at a time, each with its own
pass over the image. `switch` is from one adapter to the other on a warm model. `learn` trains each
task on drawn scenes and measures its reward on held-out ones before and after, the likeliest answers and
sampled ones, and what became of the other skills. `table` prints the rows that are kept, for the guide.
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from bench.learnt import HEAD, MEASURED, Learnt, read_rows, table
from bench.throughput import race
from inference.engine import Moondream
from inference.engine.rewards import FORMAT, PRESETS, Reward
from inference.engine.tuning import (
    AdapterSettings,
    Loop,
    LoopSettings,
    Objective,
    RLGroup,
    SamplingSettings,
    Tuner,
    TunerSettings,
    measure,
)
from inference.engine.tuning import tuner as steps
from inference.engine.tuning.adapters import Part
from inference.engine.tuning.examples import Example
from inference.engine.tuning.loop import scored
from inference.engine.tuning.scoring import Packed, Row, pack
from inference.world.presets import skill_examples, world_examples

HELD_OUT = 120
EMBEDDED = Path("inference/weights/embedded")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("speed", "memory", "switch", "learn", "table"))
    parser.add_argument("--folder", type=Path, default=EMBEDDED)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--task", choices=[task.name for task in TASKS] or None)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--write", type=Path, help=f"the guide's table is of {MEASURED.name}")
    options = parser.parse_args()
    match options.part:
        case "speed":
            speed(options.folder, options.rounds)
        case "memory":
            memory(options.folder)
        case "switch":
            switch(options.folder, options.rounds)
        case "table":
            print(table(read_rows()))
        case "learn":
            learn(
                [t for t in TASKS if options.task in (None, t.name)], options.seeds, options.write
            )


# Speed


def speed(folder: Path, rounds: int) -> None:
    """Answers sampled and steps trained a second, against one answer at a time."""
    model = Moondream.from_pretrained(folder, trainable=True)
    tuner = Tuner(model)
    examples = world_examples("captions-normal", 3, seed=1)
    settings = SamplingSettings(1.0, max_tokens=48)
    for example in examples:  # encoding an image is no part of either way
        tuner.image_tokens(example)
    groups = tuner.rollouts(examples, 8, settings, seed=1)
    trained = [
        RLGroup(example, group, [n / 8 for n in range(8)])
        for example, group in zip(examples, groups, strict=True)
    ]

    def together() -> int:
        return sum(map(len, tuner.rollouts(examples, 8, settings, seed=1)))

    def one_by_one() -> int:
        for example in examples:
            for number in range(8):
                tuner.rollouts([example], 1, settings, seed=number)
        return 8 * len(examples)

    def step() -> int:
        tuner.train_step(_fresh(tuner, trained), 1e-6)
        return 1

    def plain_step() -> int:
        packed, steps._Step._packed = steps._Step._packed, _each_alone  # type: ignore[method-assign, assignment]
        try:
            return step()
        finally:
            steps._Step._packed = packed  # type: ignore[method-assign]

    rates = race(
        {"sampled, one by one": one_by_one, "sampled together": together,
         "step, one by one": plain_step, "step, packed": step},
        rounds,
    )  # fmt: skip
    print(f"{'a second':28}{'median':>10}{'ratio':>8}")
    for name, rate in rates.items():
        plain = "sampled, one by one" if name.startswith("sampled") else "step, one by one"
        print(f"{name:28}{rate:>10.2f}{rate / rates[plain]:>8.2f}")
    whole = {
        way: 1 / (8 * len(examples) / rates[f"sampled{a}"] + 1 / rates[f"step{b}"])
        for way, a, b in (("one by one", ", one by one", ", one by one"), ("together", " together", ", packed"))
    }  # fmt: skip
    print(
        f"\nwhole steps of {len(examples)} questions with 8 answers: {whole['together']:.2f} a second, "
        f"{whole['together'] / whole['one by one']:.2f} times one by one"
    )


def _fresh(tuner: Tuner, groups: Sequence[RLGroup]) -> list[RLGroup]:
    """The same answers, as if sampled just now."""
    return [
        replace(group, rollouts=[replace(r, step=tuner.steps - 1) for r in group.rollouts])
        for group in groups
    ]


def _each_alone(step: Any, answers: Any, examples: Any) -> Iterator[Packed]:
    """In place of the packed form: every answer has the image to itself."""
    for number, answer in enumerate(answers):
        image = step.tuner.image_tokens(examples[answer.group])
        yield pack([Row(image, [answer.trace], [number])], step.model.device)


# Memory


def memory(folder: Path) -> None:
    """Bytes of base, adapter and optimiser at each precision, and the process's peak with a step."""
    print(
        f"{'precision':12}{'base MB':>10}{'adapter MB':>12}{'optimiser MB':>14}{'peak RSS MB':>13}"
    )
    for quantization in (None, "int8", "nf4"):
        model = Moondream.from_pretrained(folder, quantization=quantization, trainable=True)  # type: ignore[arg-type]
        tuner = Tuner(model)
        example = world_examples("captions-short", 1, seed=1)[0]
        (group,) = tuner.rollouts([example], 8, SamplingSettings(1.0, max_tokens=32))
        tuner.train_step([RLGroup(example, group, [n / 8 for n in range(8)])])
        held = {name: value / 2**20 for name, value in tuner.memory_bytes.items()}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{quantization or 'full':12}{held['base']:>10.1f}{held['adapter']:>12.2f}"
            f"{held['optimiser']:>14.2f}{peak:>13.0f}"
        )
    print("The peak is of the process so far: that of a row holds for the rows above it too.")


# Switching


def switch(folder: Path, rounds: int) -> None:
    """Milliseconds from one adapter to the other, and to the base."""
    model = Moondream.from_pretrained(folder)
    tuner = Tuner(model, name="one")
    tuner.adapters.add("two", AdapterSettings())
    spent: dict[str, list[float]] = {}
    for _ in range(100 * rounds):
        for name in ("one", "two", None):
            started = time.perf_counter()
            tuner.adapters.activate(name)
            spent.setdefault(name or "base", []).append((time.perf_counter() - started) * 1e3)
    for name, times in spent.items():
        print(f"to {name:5}{statistics.median(times):8.3f} ms, at most {max(times):.3f}")


# Learning


@dataclass(frozen=True, slots=True)
class Task:
    """Something to learn, with its settings."""

    name: str
    preset: str
    reward: Reward
    settings: LoopSettings
    domain: str = "shapes"
    examples: int = 400
    adapter: AdapterSettings = field(default_factory=AdapterSettings)
    objective: Objective = field(default_factory=Objective)
    rehearsed: int = 256
    """Questions of other skills to draw from."""


def _reward(*terms: tuple[str, float, dict[str, Any]]) -> Reward:
    rows = [
        {"type": kind, "weight": weight, "parameters": values} for kind, weight, values in terms
    ]
    return Reward.from_dict({"format": FORMAT, "name": "Bench", "terms": rows})


_BOTH: tuple[Part, ...] = ("text", "regions")
TASKS = (
    Task("counting on a shelf", "counts", _reward(("exact", 1.0, {})),
         LoopSettings(steps=160, lr=1.5e-3, groups=8, group_size=16, sampling=SamplingSettings(1.0, 4), rehearsal=0.75), "shelf"),
    Task("shorter captions", "captions-shorter", PRESETS["short-captions"].reward,
         LoopSettings(steps=110, lr=1e-3, groups=6, group_size=12, sampling=SamplingSettings(1.4, 40), rehearsal=1.0)),
    Task("boxes on a phantom", "boxes", PRESETS["boxes-overlap"].reward,
         LoopSettings(steps=170, lr=3e-3, groups=6, group_size=16, rehearsal=0.5), "phantom", adapter=AdapterSettings(parts=_BOTH)),
    Task("answers as JSON", "json-answers",
         _reward(("json", 1.0, {"kind": "object", "keys": "answer:string"}), ("count", 1.0, {"where": "first"})),
         LoopSettings(steps=280, warmup_steps=240, lr=3e-3, groups=10, group_size=8, sampling=SamplingSettings(0.7, 16), rehearsal=1.5), examples=200, rehearsed=768),
)  # fmt: skip
_OTHERS = (
    ("counts", "counts", "count-right"),
    ("colours", "colours", "count-right"),
    ("captions", "captions-short", "short-captions"),
    ("boxes", "boxes", "boxes-overlap"),
)
"""What must not become worse: a name, a preset of the world, a reward."""


def learn(tasks: Sequence[Task], seeds: Sequence[int], write: Path | None) -> None:
    """A row for each task and seed."""
    print(f"{torch.get_num_threads()} threads; rewards of {HELD_OUT} held-out examples")
    print(" | ".join(HEAD), flush=True)
    for task in tasks:
        for seed in seeds:
            made = learnt(task, seed)
            print(" | ".join(made.row()), f"({made.minutes:.1f} min by the clock)", flush=True)
            if write is not None:
                _write(write, made)


def _write(path: Path, made: Learnt) -> None:
    """Put a row into a file of rows, in place of that of its task and seed."""
    rows = read_rows(path) if path.exists() else []
    kept = [row for row in rows if (row.task, row.seed) != (made.task, made.seed)]
    order = [task.name for task in TASKS]
    kept = sorted([*kept, made], key=lambda row: (order.index(row.task), row.seed))
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in kept], indent=1) + "\n")


def learnt(task: Task, seed: int) -> Learnt:
    """Train a task, and measure before and after."""
    model = Moondream.from_pretrained(EMBEDDED, trainable=True)
    tuner = Tuner(model, TunerSettings(task.adapter, task.objective), seed=seed)
    examples = world_examples(task.preset, task.examples, seed=seed, domain=task.domain)
    held = world_examples(task.preset, HELD_OUT, seed=1000, domain=task.domain, held_out=True)
    others = {
        name: (world_examples(preset, HELD_OUT, seed=1000, held_out=True), PRESETS[reward].reward)
        for name, preset, reward in _OTHERS
        if preset != task.preset or task.domain != "shapes"
    }
    before, sampled = measure(tuner, held, task.reward).reward, _sampled(tuner, held, task)
    skills = {name: measure(tuner, *what).reward for name, what in others.items()}
    clock, started = time.perf_counter(), time.process_time()
    loop = Loop(
        tuner, examples, task.settings, reward=task.reward, seed=seed,
        rehearsed=skill_examples(task.rehearsed, seed=seed, without=(task.preset, task.domain)),
    )  # fmt: skip
    for _ in loop.run():
        pass
    spent, clock = time.process_time() - started, time.perf_counter() - clock
    return Learnt(
        task.name, seed, (before, measure(tuner, held, task.reward).reward),
        (sampled, _sampled(tuner, held, task)),
        {name: measure(tuner, *what).reward - skills[name] for name, what in others.items()},
        tuner.steps, spent / 60, clock / 60, loop.kl,
    )  # fmt: skip


def _sampled(tuner: Tuner, examples: Sequence[Example], task: Task) -> float:
    """Mean reward of answers sampled as in training."""
    totals = []
    for start in range(0, len(examples), 24):
        some = examples[start : start + 24]
        groups = tuner.rollouts(some, 4, task.settings.sampling, seed=3)
        pairs = zip(some, groups, strict=True)
        totals += [s.score.total for e, g in pairs for s in scored(task.reward, e, g)]
    return sum(totals) / len(totals)


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
