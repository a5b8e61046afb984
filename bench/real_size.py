"""Moondream2 2B and 0.5B with random weights: what each precision costs on this machine, and upstream's
own code beside it.

    python -m bench.real_size [--sizes 2B 0.5B] [--precisions bf16 int8 nf4] [--threads 1]
                              [--upstream PATH] [--folder PATH] [--rounds 5] [--image 640x480]

Every way has a process of its own, and the ways take turns, so that a busy moment hits all of them.
`PATH` of upstream is a checkout of github.com/vikhyat/moondream; it is run as it is, in bf16 and not
compiled. Made weights are kept in `--folder` if it is given (4 GB for 2B).

Times are processor time of the whole process (`--clock wall` for the clock's): it does not count what
others do on the machine meanwhile. The first token is that after an image that was encoded before;
a token is the difference of a long and a short answer. A precision is loaded from the full weights, and
from a folder that was saved in it (`manage.py models save`), which is what a worker should be given.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

QUESTION = "What is on it?"
"""A token a byte here: as many as a sentence has in the release's tokenizer."""
TOKENS = 16
STEPS = ("encode", "first token", "token")
UPSTREAM = "upstream bf16"
QUANTISED = ("int8", "nf4")
EMBEDDED = Path("inference/weights/embedded")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["2B", "0.5B"], choices=["2B", "0.5B"])
    parser.add_argument("--precisions", nargs="+", default=["bf16", "int8", "nf4"])
    parser.add_argument("--upstream", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--image", default="640x480", help="Width and height: 640x480 is nine crops."
    )
    parser.add_argument("--clock", choices=["cpu", "wall"], default="cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    # The children's libraries read it before anything else.
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    results = {}
    with tempfile.TemporaryDirectory() as scratch:
        for size in options.sizes:
            folder = (options.folder or Path(scratch)) / size
            if not (folder / "SHA256SUMS").is_file():
                _alone(_make, str(folder), size)
            results[size] = compare(size, folder, options)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def compare(size: str, folder: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Measure every way of one size and print them; figures in seconds and bytes."""
    ways = list(options.precisions)
    if options.upstream:
        ways.insert(0, UPSTREAM)
    with ExitStack() as open_:
        asked = {
            way: open_.enter_context(
                served(way, str(folder), str(options.upstream or ""), options.clock, options.image)
            )
            for way in ways
        }
        figures = {way: ask("load") for way, ask in asked.items()}
        for way in ways:
            figures[way]["load saved"] = figures[way]["load"]
            if way in QUANTISED:
                figures[way]["load saved"] = _saved_load(folder, way, options.clock)
        seen: dict[str, dict[str, list[float]]] = {way: {s: [] for s in STEPS} for way in ways}
        for _ in range(options.rounds):
            for way, ask in asked.items():
                for step, value in ask("round").items():
                    seen[way][step].append(value)
        for way, ask in asked.items():
            figures[way] |= {step: statistics.median(v) for step, v in seen[way].items()}
            figures[way] |= ask("memory")
    show(size, figures, options)
    return figures


def show(size: str, figures: dict[str, dict[str, float]], options: argparse.Namespace) -> None:
    """Print one size's table; ratios are to the first way."""
    first = next(iter(figures.values()))
    how = f"{options.threads} thread(s), {options.clock} time, median of {options.rounds}"
    print(f"\n{size}, image {options.image}, {how}")
    for step, unit, scale in (
        ("load", "s", 1), ("load saved", "s", 1), ("memory", "MiB", 2**-20), ("peak", "MiB", 2**-20),
        ("encode", "s", 1), ("first token", "ms", 1e3), ("token", "ms", 1e3),
    ):  # fmt: skip
        cells = [
            f"{way}: {row[step] * scale:.4g} {unit} ({row[step] / first[step]:.2f}x)"
            for way, row in figures.items()
        ]
        print(f"  {step:12}" + "   ".join(cells), flush=True)


Ask = Callable[[str], dict[str, float]]


@contextmanager
def served(way: str, folder: str, upstream: str, clock: str, image: str) -> Iterator[Ask]:
    """A process that holds one model and measures it when asked."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(there, way, folder, upstream, clock, image), daemon=True
    )
    process.start()
    there.close()

    def ask(what: str) -> dict[str, float]:
        here.send(what)
        got: dict[str, float] = here.recv()
        return got

    try:
        yield ask
    finally:
        here.close()
        process.join(10)
        process.kill()


def _saved_load(folder: Path, precision: str, clock: str) -> float:
    """Seconds that loading a folder takes which was saved in a precision."""
    saved = folder.with_name(f"{folder.name}-{precision}")
    if not (saved / "SHA256SUMS").is_file():
        _alone(_save, str(folder), str(saved), precision)
    with served(precision, str(saved), "", clock, "64x64") as ask:
        return ask("load")["load"]


def _save(folder: str, saved: str, precision: Any) -> None:
    from inference.engine.checkpoint import save_quantised

    save_quantised(folder, saved, precision)


def _alone(do: Callable[..., None], *args: Any) -> None:
    """Run in a process of its own, whose memory goes with it."""
    process = multiprocessing.get_context("spawn").Process(target=do, args=args)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


def _make(folder: str, size: Any) -> None:
    from bench.upstream import wide_tokenizer
    from inference.engine.manifest import manifest_write
    from inference.engine.testing import make_random_checkpoint, official_config

    target = make_random_checkpoint(folder, official_config(size))
    wide_tokenizer().save(str(target / "tokenizer.json"))
    manifest_write(target)


def _serve(pipe: Any, way: str, folder: str, upstream: str, clock: str, image: str) -> None:
    now = time.process_time if clock == "cpu" else time.perf_counter
    import torch

    from inference.engine import Moondream

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model: Any = None
    number = 0
    precision: Any = way if way in QUANTISED else None
    # What is imported with the first model is not part of loading one.
    if way == UPSTREAM:
        from bench.upstream import Upstream

        code = Upstream(Path(upstream))
    else:
        Moondream.from_pretrained(EMBEDDED, precision, "cpu", "bfloat16")
    while True:
        try:
            what = pipe.recv()
        except EOFError:
            return
        if what == "load":
            started = now()
            if way == UPSTREAM:
                model = _upstream(folder, code)
            else:
                model = Moondream.from_pretrained(folder, precision, "cpu", "bfloat16")
            spent = {"load": now() - started}
            _answer(model, model.encode_image(_image(0, image)), 2)
            pipe.send(spent)
        elif what == "round":
            number += 1
            picture = _image(number, image)
            pipe.send(_round(model, picture, now, late=int(way == UPSTREAM)))
        else:
            pipe.send(_memory())


def _round(model: Any, image: Any, now: Callable[[], float], *, late: int) -> dict[str, float]:
    """One image encoded and asked twice. Upstream computes a token more than it gives (`late`)."""
    started = now()
    encoded = model.encode_image(image)
    spent = [now() - started]
    for tokens in (1, 1 + TOKENS):
        started = now()
        _answer(model, encoded, tokens)
        spent.append(now() - started)
    token = (spent[2] - spent[1]) / TOKENS
    return {"encode": spent[0], "first token": spent[1] - late * token, "token": token}


def _answer(model: Any, encoded: Any, tokens: int) -> None:
    settings = {"temperature": 0, "max_tokens": tokens}
    model.query(encoded, QUESTION, settings=settings)


def _image(number: int, size: str) -> Any:
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(number)
    coarse = random.integers(0, 256, (12, 12, 3), dtype=np.uint8)
    width, height = map(int, size.split("x"))
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def _upstream(folder: str, code: Any) -> Any:
    import torch
    from tokenizers import Tokenizer

    from inference.engine import MoondreamConfig

    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    config = MoondreamConfig.from_pretrained(folder)
    return code.build(Path(folder), config, tokenizer, torch.bfloat16)


def _memory() -> dict[str, float]:
    """Resident bytes of this process, now and at most (Linux)."""
    status = Path("/proc/self/status").read_text().splitlines()
    kept = dict(line.split(":", 1) for line in status if line.startswith(("VmRSS", "VmHWM")))
    return {
        "memory": int(kept["VmRSS"].split()[0]) * 1024,
        "peak": int(kept["VmHWM"].split()[0]) * 1024,
    }


if __name__ == "__main__":
    main()
