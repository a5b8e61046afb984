"""How often intervals hold the truth, tests find what is not there, and ranges hold the true rank.

python -m bench.statistics            the whole grid on one core, under five minutes; exits with 1
                                      where a goal is missed
python -m bench.statistics intervals  only that part; likewise tests, figures, ranges

Goals: intervals of 95 % hold the truth in 93 to 97 % of simulations, tests of 5 % find a difference in
at most 5 % where there is none. Of few right-or-wrong items no interval can be within these bounds: its
coverage jumps by the probability of one more miss. There, and with few images, where the design effect
can hardly be estimated, more than 97 % is allowed, and said; less than 93 % is not, but for simulation
error.
"""

import argparse
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

from leaderboard.metrics.captions import bleu_of
from leaderboard.metrics.intervals import (
    Interval,
    difference_interval,
    interval_of,
    mean_interval,
    spread_of_mean,
)
from leaderboard.metrics.statistics import RankRange, holm, paired_p, rank_ranges, ranks
from leaderboard.scoring.types import Sums

LEVEL, LEAST, MOST = 0.95, 0.93, 0.97
FALSE = 0.05
_SIGMAS = 2.6
"""Simulation error that is allowed, in standard errors: one cell of a hundred misses by chance."""


class Report:
    """Prints cells as they are done, and remembers whether one missed its goal."""

    def __init__(self) -> None:
        self.cells = self.missed = 0

    def cell(self, name: str, text: str, *, ok: bool, note: str = "") -> None:
        self.cells += 1
        self.missed += not ok
        print(f"{'PASS' if ok else 'FAIL'}  {name:58} {text:>26}  {note}", flush=True)

    def coverage(self, name: str, held: int, trials: int, *, discrete: bool) -> None:
        """A cell of intervals; `discrete` where more than the goal may be the nearest there is."""
        share, slack = held / trials, _SIGMAS * math.sqrt(LEAST * (1 - LEAST) / trials)
        over = share > MOST + slack
        ok = share >= LEAST - slack and (discrete or not over)
        note = "more than asked: few misses, or few images" if over and ok else ""
        self.cell(name, f"{100 * share:.1f} % held", ok=ok, note=note)

    def level(self, name: str, found: int, trials: int) -> None:
        """A cell of tests."""
        share, slack = found / trials, _SIGMAS * math.sqrt(FALSE * (1 - FALSE) / trials)
        self.cell(name, f"{100 * share:.1f} % false", ok=share <= FALSE + slack)


def answers(
    rng: np.random.Generator, images: int, each: int, p: float, correlation: float, *, even: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Right or wrong answers to about `each` questions an image, with the image of each: chances of
    images are beta distributed around p, so that answers about one correlate."""
    sizes = np.full(images, each) if even else rng.geometric(1 / each, images)
    chances = np.full(images, p)
    if correlation:
        of_both = 1 / correlation - 1
        chances = rng.beta(p * of_both, (1 - p) * of_both, images)
    image = np.repeat(np.arange(images), sizes)
    return (rng.random(len(image)) < chances[image]).astype(float), image


def intervals(report: Report, rng: np.random.Generator) -> None:
    """Of shares: alone, and by image; of scores between; of counts' errors."""
    _alone(report, rng)
    _by_image(report, rng)
    _between(report, rng)


def _alone(report: Report, rng: np.random.Generator) -> None:
    for n in (30, 100, 300, 1000, 3000):
        for p in (0.5, 0.7, 0.9, 0.95, 0.99, 0.995):
            # Exact: each number of hits with its probability.
            hits = rng.binomial(n, p, 4000)
            values, counts = np.unique(hits, return_counts=True)
            held = 0
            for value, count in zip(values, counts, strict=True):
                found = mean_interval(np.repeat([1.0, 0.0], [value, n - value]))
                held += int(count) * (found.low <= p <= found.high)
            report.coverage(f"share {p} of {n} items", held, 4000, discrete=n * (1 - p) < 12)


def _by_image(report: Report, rng: np.random.Generator) -> None:
    trials = 300
    grid = itertools.product(
        (5, 20, 60, 300), (2, 10), (0.5, 0.9, 0.97, 0.995), (0.0, 0.3), (True, False)
    )
    for images, each, p, correlation, even in grid:
        held = 0
        for _ in range(trials):
            scores, image = answers(rng, images, each, p, correlation, even=even)
            found = mean_interval(scores, clusters=image)
            held += found.low <= p <= found.high
        sizes = "equal" if even else "unequal"
        name = f"share {p}, {images} images of {each} ({sizes}), ICC {correlation}"
        few = images <= 60 or images * each * (1 - p) < 30
        report.coverage(name, held, trials, discrete=few)


def _between(report: Report, rng: np.random.Generator) -> None:
    shapes: dict[str, tuple[Callable[[int], np.ndarray], float, tuple[float, float | None]]] = {
        "VQA accuracy": (lambda n: rng.choice([0, 0.3, 0.6, 0.9, 1.0], n, p=[0.1, 0.1, 0.1, 0.2, 0.5]), 0.77, (0, 1)),
        "VQA accuracy near 1": (lambda n: rng.choice([0, 0.6, 0.9, 1.0], n, p=[0.01, 0.01, 0.03, 0.95]), 0.983, (0, 1)),
        "IoU": (lambda n: rng.beta(6, 2, n), 0.75, (0, 1)),
        "CIDEr-D": (lambda n: np.minimum(10, rng.gamma(1.2, 0.8, n)), 0.96, (0, 10)),
        "MAE": (lambda n: (rng.random(n) < 0.3) * rng.geometric(0.6, n), 0.5, (0, None)),
    }  # fmt: skip
    for name, (draw, truth, bounds) in shapes.items():
        for n in (30, 100, 1000):
            held = 0
            for _ in range(800):
                found = mean_interval(draw(n).astype(float), bounds=bounds)
                held += found.low <= truth <= found.high
            report.coverage(f"{name}, {n} items", held, 800, discrete=n <= 100 or "near" in name)


def figures(report: Report, rng: np.random.Generator) -> None:
    """Of figures of a corpus (F1, BLEU-2), and of differences, by what a very large sample says."""

    def f1(sums: np.ndarray) -> np.ndarray:
        result: np.ndarray = 2 * sums[:, :1] / np.maximum(1, sums[:, 1:2] + sums[:, 2:])
        return result

    def yes_no(images: int) -> tuple[np.ndarray, np.ndarray]:
        image = np.repeat(np.arange(images), 6)
        skill = rng.beta(8, 2, images)[image]
        true = rng.random(len(image)) < 0.5
        said = np.where(rng.random(len(image)) < skill, true, ~true)
        return np.column_stack([said & true, said, true]).astype(float), image

    def captions(images: int) -> tuple[np.ndarray, np.ndarray]:
        length = rng.integers(6, 14, images)
        quality = rng.beta(4, 4, images)
        guessed = np.stack([length - n for n in range(4)], axis=1)
        correct = np.stack([rng.binomial(length - n, quality ** (n + 1)) for n in range(4)], axis=1)
        lengths = np.column_stack([length, length + rng.integers(-1, 3, images)])
        return np.hstack([correct, guessed, lengths]).astype(float), np.arange(images)

    def bleu2(sums: np.ndarray) -> np.ndarray:
        return bleu_of(sums)[:, 1:2]

    for name, draw, combine in (("F1", yes_no, f1), ("BLEU-2", captions, bleu2)):
        truth = float(combine(draw(400_000)[0].sum(0, keepdims=True))[0, 0])
        for images in (30, 100, 500):
            held = 0
            for _ in range(600):
                table, image = draw(images)
                found = interval_of(Sums(table, combine).spreads(image, seed=0)[0])
                held += found.low <= truth <= found.high
            report.coverage(f"{name}, {images} images", held, 600, discrete=False)
    _differences(report, rng)


def _differences(report: Report, rng: np.random.Generator) -> None:
    for images, few in ((20, True), (200, False)):
        for change in (0.01, 0.2):
            held = 0
            for _ in range(600):
                right, image = answers(rng, images, 5, 0.8, 0.2, even=False)
                swapped = rng.random(len(right)) < change
                other = np.where(swapped, (rng.random(len(right)) < 0.8), right)
                found = difference_interval(spread_of_mean(right - other, image))
                held += found.low <= 0 <= found.high
            # Where the second answers anew it is as often right as the first: the truth is 0.
            report.coverage(
                f"difference, {images} images, {change:.0%} differ", held, 600, discrete=few or change < 0.1
            )  # fmt: skip


def tests(report: Report, rng: np.random.Generator) -> None:
    """Paired tests of entries that are equally good."""
    trials = 500
    for images in (5, 20, 60, 300):
        for each in (1, 10):
            for p in (0.5, 0.9, 0.995):
                for even in (True, False) if each > 1 else (True,):
                    found = 0
                    for _ in range(trials):
                        a, image = answers(rng, images, each, p, 0.2, even=even)
                        chances = np.clip(p + 0.5 * (a - p), 0, 1)
                        b = np.array(rng.random(len(a)) < chances, dtype=float)
                        a = np.array(rng.random(len(a)) < chances, dtype=float)
                        sums = [np.bincount(image, weights=x, minlength=images) for x in (a, b)]
                        found += paired_p(*sums) <= FALSE
                    sizes = "equal" if even else "unequal"
                    report.level(
                        f"test, share {p}, {images} images of {each} ({sizes})", found, trials
                    )


def systems(
    rng: np.random.Generator, shares: np.ndarray, items: int, each: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Sums by image of systems that find the same images hard."""
    images = items // each
    hard = np.repeat(rng.normal(0, 0.6, images), each)
    logits = np.log(shares / (1 - shares))[:, None] * 1.1 - hard
    right = rng.random((len(shares), items)) < 1 / (1 + np.exp(-logits))
    return list(right.reshape(len(shares), images, each).sum(2).astype(float)), shares


def _ranges(
    report: Report, rng: np.random.Generator, count: int, each: int, trials: int
) -> Iterator[list[RankRange]]:
    shares = np.linspace(0.95, 0.10, count)
    true = ranks(list(shares))
    held = 0
    for _ in range(trials):
        found = rank_ranges(systems(rng, shares, 1000, each)[0])
        held += all(r.first <= t <= r.last for r, t in zip(found, true, strict=True))
        yield found
    share = held / trials
    slack = _SIGMAS * math.sqrt(LEVEL * (1 - LEVEL) / trials)
    report.cell(
        f"{count} systems, 1,000 items, {each} an image", f"{100 * share:.0f} % hold all ranks", ok=share >= LEVEL - slack
    )  # fmt: skip


def ranges(report: Report, rng: np.random.Generator) -> None:
    """Ranges of systems from 95 to 10 %: they hold every true rank, and are narrow."""
    for count, each, trials, middle, ends in ((15, 1, 60, 2, 2), (15, 4, 60, 2, 2), (40, 1, 12, 5, 3), (40, 4, 12, 5.5, 3)):  # fmt: skip
        rows = list(_ranges(report, rng, count, each, trials))
        reach = np.array([[max(r.last - n, n - r.first) for n, r in enumerate(row, 1)] for row in rows])  # fmt: skip
        typical = np.median(reach, axis=0)
        edge = max(1, count // 10)
        outer = float(np.max(np.concatenate([typical[:edge], typical[-edge:]])))
        name = f"{count} systems, 1,000 items, {each} an image"
        report.cell(name, f"± {typical.max():g} in the middle", ok=typical.max() <= middle)
        report.cell(name, f"± {outer:g} at the ends", ok=outer <= ends)
    found = 0
    for _ in range(60):
        alike = systems(rng, np.full(15, 0.7), 300, 3)[0]
        found += any((r.first, r.last) != (1, 15) for r in rank_ranges(alike))
    report.level("15 systems alike: any pair told apart", found, 60)
    many = systems(rng, np.linspace(0.95, 0.1, 40), 1500, 1)[0]
    started = time.perf_counter()
    p = [paired_p(a, b) for n, a in enumerate(many) for b in many[:n]]
    spent = time.perf_counter() - started
    report.cell("780 pairs of 1,500 items", f"{spent:.2f} s", ok=spent < 5)
    least = min(holm(p))
    report.cell("the least corrected p", f"{least:.1g}", ok=least < 1e-20)


def edges(report: Report) -> None:
    """Perfect and empty scores."""
    for n in (1, 5, 30, 300, 3000):
        for value in (0.0, 1.0):
            one: Interval = mean_interval(np.full(n, value))
            width = one.high - one.low
            ok = (
                0 <= one.low <= value <= one.high <= 1 and 2 / n < width * (1 + 3 / n) * 1.3 < 6 / n
            )
            report.cell(f"{n} items all {value:g}", f"{one.low:.4f} to {one.high:.4f}", ok=ok)


PARTS = {"intervals": intervals, "figures": figures, "tests": tests, "ranges": ranges}


def main() -> int:
    """0 where every goal is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=PARTS)
    parser.add_argument("--seed", type=int, default=20)
    options = parser.parse_args()
    report, started = Report(), time.perf_counter()
    edges(report)
    for name, part in PARTS.items():
        if options.part in (None, name):
            part(report, np.random.default_rng(options.seed))
    spent = time.perf_counter() - started
    print(f"{report.cells} cells, {report.missed} missed, {spent:.0f} s")
    return int(report.missed > 0)


if __name__ == "__main__":
    sys.exit(main())
