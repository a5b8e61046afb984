"""What hostile and honest uploads take of the web process: `python -m bench.uploads [--uploads 32]`.

Starts PostgreSQL, Valkey and one uvicorn process of its own on loopback, under production's settings,
without a worker; sends files made to cost, then many large images at once; prints statuses, times
and the peak of the memory of the web process and of its decoders.
"""

import argparse
import asyncio
import time
from collections import Counter
from pathlib import Path

import httpx

from bench.site import Site, own_services
from tests import bombs
from tests.images import encode


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    threads = [p.read_text().split() for p in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(c) for c in {*children, *(c for some in threads for c in some)}]


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


async def _ask(client: httpx.AsyncClient, data: bytes) -> tuple[int, float]:
    started = time.perf_counter()
    answer = await client.post("/v1/jobs", data={"skill": "caption"}, files={"image": ("a", data)})
    return answer.status_code, time.perf_counter() - started


async def measure(site: Site, uploads: int) -> None:
    """Print the table."""
    from PIL import Image

    assert site.process is not None
    pid = site.process.pid
    async with httpx.AsyncClient(base_url=site.url, timeout=120) as client:
        await _ask(client, bombs.png(64, 64))
        before = _peak_mb(pid)
        cases = {
            "WebP, 38 bytes, 268 MP": bombs.webp(16384, 16384),
            "JPEG of 1,500 scans": bombs.jpeg_of_scans(1500),
            "PNG, 40 MP of one colour": bombs.png(6300, 6300),
            "PNG, 500 MB of packed text": bombs.text_bombs(),
        }
        for name, data in cases.items():
            status, took = await _ask(client, data)
            print(f"{name:28} {len(data) / 1024:8.1f} KB  {status}  {took:6.2f} s")
        print(f"web process: {before:.0f} MB before, at most {_peak_mb(pid):.0f} MB since")
        large = encode(Image.effect_noise((2500, 2500), 80).convert("RGB"), "PNG", compress_level=1)
        started = time.perf_counter()
        answers = await asyncio.gather(*(_ask(client, large) for _ in range(uploads)))
        print(
            f"{uploads} uploads of {len(large) / 2**20:.0f} MB at once: "
            f"{dict(Counter(status for status, _ in answers))} in {time.perf_counter() - started:.1f} s"
        )
        print(f"web process: at most {_peak_mb(pid):.0f} MB")
        print("decoders: " + ", ".join(f"{_peak_mb(p):.0f} MB" for p in _family(pid)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=32)
    options = parser.parse_args()
    with own_services() as (folder, servers):
        env = {
            **servers, "ANON_RATE": "100000/m", "INFERENCE_MAX_WAITING_PER_CALLER": "1000",
            "INFERENCE_MAX_QUEUE_DEPTH": "1000",
        }  # fmt: skip
        site = Site(folder / "web", env)
        site.prepare()
        with site:
            asyncio.run(measure(site, options.uploads))


if __name__ == "__main__":
    main()
