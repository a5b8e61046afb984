"""What the way through HTTP, Valkey and a worker costs over calling the engine in-process: time to
the answer, processor time by process, and answers a second under load.

    python -m bench.latency [--rounds 60] [--callers 32] [--peers FOLDER]

Starts PostgreSQL, Valkey, one uvicorn process and one worker of its own on loopback, under
production's settings; stops them afterwards. All threads of one process compute on one core.

`--peers` measures a bare FastAPI application and Gradio's queue around the same engine in the same
run. They are no requirement of this project: `pip install --target FOLDER -r bench/peers.txt`.
"""

import argparse
import base64
import io
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from PIL import Image

from bench.site import ROOT, end_group, own_services
from bench.stack import Stack, picture_url, post_json
from inference.engine import Moondream
from moondream_site.services import free_port

QUESTION = "How many shapes are there?"
FOLDER = Path("inference/weights/embedded")
GOAL_WEB_MS, GOAL_WORKER, GOAL_ADDED_MS = 10, 1.3, 20
Ask = Callable[[str], object]
"""Asks `QUESTION` about the picture of a data URL."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--callers", type=int, default=32)
    parser.add_argument("--peers", metavar="FOLDER")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    with own_services() as (folder, servers):
        env = {**servers, "INFERENCE_MAX_WAITING_PER_CALLER": "1000"}
        stack = Stack(folder / "web", env, folder / "services")
        stack.prepare("--dev-scenes", "1")
        with stack:
            met = measure(stack, options.rounds)
            rate = under_load("this hub", lambda url: ask_hub(stack, url), options)
    if options.peers:
        for kind in ("fastapi", "gradio"):
            other = peer(kind, options)
            if kind == "fastapi":
                met &= rate >= other
    return 0 if met else 1


def measure(stack: Stack, rounds: int) -> bool:
    """One question after another, the engine in-process and the hub taking turns."""
    model = Moondream.from_pretrained(FOLDER)
    model.warm_up()
    rows: dict[str, list[float]] = {}
    inside_s = 0.0
    outside = dict.fromkeys(stack.processor_s(), 0.0)

    def note(name: str, *figures: float) -> None:
        for what, figure in zip(("first token", "total"), figures, strict=False):
            rows.setdefault(f"{name}, {what}", []).append(figure)

    for number in range(rounds + 5):
        if number == 5:  # what came first warmed up
            rows.clear()
            inside_s, outside = 0.0, dict.fromkeys(outside, 0.0)
        url = picture_url(f"latency:{time.time_ns()}")
        busy = time.process_time()
        note("engine", *drain(model, url))
        inside_s += time.process_time() - busy
        before = stack.processor_s()
        first, total, job = stream_hub(stack, url)
        for kind, seconds in stack.processor_s().items():
            outside[kind] += seconds - before[kind]
        note("hub, new image", first, total)
        with urllib.request.urlopen(f"{stack.url}/v1/jobs/{job}") as response:  # noqa: S310
            note("worker, new image", json.load(response)["timings"]["first_token_ms"])
        first, total, _ = stream_hub(stack, url)
        note("hub, same image", first, total)
    print(f"{'':36}{'median ms':>12}{'p90 ms':>12}")
    for name, values in rows.items():
        ranked = sorted(values)
        print(f"{name:36}{statistics.median(ranked):>12.1f}{ranked[int(len(ranked) * 0.9)]:>12.1f}")
    median = {name: statistics.median(values) for name, values in rows.items()}
    added = median["hub, new image, total"] - median["engine, total"]
    print(f"added at the median: {added:.1f} ms (goal: at most {GOAL_ADDED_MS})")
    saved = median["hub, new image, first token"] / median["hub, same image, first token"]
    print(f"same image sent again, first token: {saved:.2f}x sooner")
    print("processor time for one question, ms:")
    engine_ms = inside_s * 1e3 / rounds
    print(f"  {'engine in-process':24}{engine_ms:>8.1f}")
    spent = {kind: seconds * 1e3 / rounds for kind, seconds in outside.items()}
    for kind, each in spent.items():
        print(f"  {kind:24}{each:>8.1f}")
    ratio = spent["worker, child"] / engine_ms
    print(f"worker's child over the engine: {ratio:.2f}x (goal: at most {GOAL_WORKER})")
    print(f"web: {spent['web']:.1f} ms (goal: at most {GOAL_WEB_MS})")
    return added <= GOAL_ADDED_MS and ratio <= GOAL_WORKER and spent["web"] <= GOAL_WEB_MS


def drain(model: Moondream, url: str) -> tuple[float, float]:
    """(first, total) ms in this process, from the same bytes that the hub is sent."""
    started = time.perf_counter()
    first = 0.0
    for _ in model.query(opened(url), QUESTION, stream=True)["answer"]:
        first = first or (time.perf_counter() - started) * 1e3
    return first, (time.perf_counter() - started) * 1e3


def opened(url: str) -> Image.Image:
    """The picture of a data URL."""
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")


def stream_hub(stack: Stack, url: str) -> tuple[float, float, str]:
    """(first, total) ms of a streamed query over HTTP, and its job."""
    body = json.dumps({"image_url": url, "question": QUESTION, "stream": True}).encode()
    request = urllib.request.Request(  # noqa: S310  # a server that was started here
        f"{stack.url}/v1/query", body, {"Content-Type": "application/json"}
    )
    started = time.perf_counter()
    first, job = 0.0, ""
    with urllib.request.urlopen(request) as response:  # noqa: S310
        for line in response:
            if line.startswith(b"data: "):
                first = first or (time.perf_counter() - started) * 1e3
                job = json.loads(line[6:]).get("request_id", "")
    return first, (time.perf_counter() - started) * 1e3, job


def ask_hub(stack: Stack, url: str) -> object:
    """A whole answer."""
    return stack.ask({"image_url": url, "question": QUESTION})


def under_load(name: str, ask: Ask, options: argparse.Namespace) -> float:
    """Print and return answers a second with many callers, each about a picture of its own."""
    urls = [picture_url(f"load:{time.time_ns()}") for _ in range(options.callers * 8)]
    with ThreadPoolExecutor(options.callers) as callers:
        list(callers.map(ask, urls[: options.callers]))
        started = time.perf_counter()
        list(callers.map(ask, urls[options.callers :]))
        rate = (len(urls) - options.callers) / (time.perf_counter() - started)
    print(f"{name}: {rate:.1f} answers a second with {options.callers} callers", flush=True)
    return rate


def peer(kind: str, options: argparse.Namespace) -> float:
    """Answers a second of another server around the same engine, in a process of its own."""
    port = free_port()
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "bench.peers", kind, str(port), options.peers], cwd=ROOT,
        start_new_session=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"

    def ask(url: str) -> object:
        return post_json(
            f"{address}/query" if kind == "fastapi" else f"{address}/gradio_api/run/query",
            {"image_url": url, "question": QUESTION} if kind == "fastapi" else {"data": [url, QUESTION]},
        )  # fmt: skip

    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                ask(picture_url("warm"))
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.3)  # polling a process that is starting
        return under_load(kind, ask, options)
    finally:
        end_group(process)


if __name__ == "__main__":
    raise SystemExit(main())
