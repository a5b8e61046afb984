"""What the way through HTTP, Redis and a worker costs over calling the engine in-process, and what
the image-encoding cache saves.

    python -m bench.latency --url http://127.0.0.1:8000 [--rounds 40]

Needs a running stack on this machine (`ANON_RATE=100000/m bin/demo`) and the same model folder.
"""

import argparse
import base64
import io
import json
import statistics
import time
import urllib.request
from pathlib import Path
from typing import Any

from PIL import Image

from inference.engine import Moondream
from inference.world import render, sample_scene

QUESTION = "How many shapes are there?"


def main() -> None:
    import random

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--folder", type=Path, default=Path("inference/weights/embedded"))
    options = parser.parse_args()
    model = Moondream.from_pretrained(options.folder)
    model.warm_up()
    rows: dict[str, list[float]] = {
        "engine, first token": [], "engine, total": [],
        "HTTP new image, first token": [], "HTTP new image, total": [],
        "HTTP same image, first token": [], "HTTP same image, total": [],
        "engine, same image, first token": [],
        "worker, new image, first token": [], "worker, same image, first token": [],
    }  # fmt: skip
    ask(options.url, data_url(scene(random.Random("warm"))))
    for number in range(options.rounds):
        # The two ways take turns, on images of their own, so that a busy moment hits both.
        image = scene(random.Random(f"latency:{time.time_ns()}:{number}"))
        answer = model.query(image, QUESTION, stream=True)
        first, total = drain(answer["answer"])
        rows["engine, first token"].append(first)
        rows["engine, total"].append(total)
        encoded = model.encode_image(image)
        first, _ = drain(model.query(encoded, QUESTION, stream=True)["answer"])
        rows["engine, same image, first token"].append(first)
        url = data_url(image)
        for kind in ("new", "same"):
            first, total, job = ask(options.url, url)
            timings = get(f"{options.url}/v1/jobs/{job}")["timings"]
            rows[f"worker, {kind} image, first token"].append(timings["first_token_ms"])
            rows[f"HTTP {kind} image, first token"].append(first)
            rows[f"HTTP {kind} image, total"].append(total)
    print(f"{'':36}{'median ms':>12}{'p90 ms':>12}")
    for name, values in rows.items():
        ranked = sorted(values)
        print(f"{name:36}{statistics.median(ranked):>12.1f}{ranked[int(len(ranked) * 0.9)]:>12.1f}")
    median = {name: statistics.median(values) for name, values in rows.items()}
    for what in ("first token", "total"):
        over = median[f"HTTP new image, {what}"] - median[f"engine, {what}"]
        print(f"overhead, {what}: {over:.1f} ms")
    saved = median["HTTP new image, first token"] / median["HTTP same image, first token"]
    inside = median["engine, first token"] / median["engine, same image, first token"]
    worker = median["worker, new image, first token"] / median["worker, same image, first token"]
    print(
        f"same image again, first token: {inside:.2f}x in the engine, {worker:.2f}x in the worker, "
        f"{saved:.2f}x through HTTP with the image sent again"
    )


def scene(rng: Any) -> Image.Image:
    """A new world image."""
    return render(sample_scene(rng))


def data_url(image: Image.Image) -> str:
    """As the official clients send it: JPEG, quality 95."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def drain(pieces: Any) -> tuple[float, float]:
    """(first, total) ms of an iterator."""
    started = time.perf_counter()
    first = 0.0
    for _ in pieces:
        first = first or (time.perf_counter() - started) * 1e3
    return first, (time.perf_counter() - started) * 1e3


def ask(base: str, image_url: str) -> tuple[float, float, str]:
    """(first, total) ms of a streamed query over HTTP, and its job."""
    body = json.dumps({"image_url": image_url, "question": QUESTION, "stream": True}).encode()
    request = urllib.request.Request(  # noqa: S310  # the address is the caller's own server
        f"{base}/v1/query", body, {"Content-Type": "application/json"}
    )
    started = time.perf_counter()
    first, job = 0.0, ""
    with urllib.request.urlopen(request) as response:  # noqa: S310
        for line in response:
            if line.startswith(b"data: "):
                first = first or (time.perf_counter() - started) * 1e3
                job = json.loads(line[6:]).get("request_id", "")
    return first, (time.perf_counter() - started) * 1e3, job


def get(url: str) -> Any:
    with urllib.request.urlopen(url) as response:  # noqa: S310
        return json.load(response)


if __name__ == "__main__":
    main()
