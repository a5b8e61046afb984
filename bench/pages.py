"""Kept pages for readers without a session: how many one web process sends, and how soon.

    python -m bench.pages [--connections 16] [--seconds 5]

The status is kept for two seconds at a time: what it costs to make it anew is part of its figures.

Starts PostgreSQL, Valkey and one uvicorn process of its own on loopback, under production's settings;
stops them afterwards. The client is this process, on a core of its own where there are two.
"""

import argparse
import asyncio
import os
import statistics
import time

import psutil

from bench.site import Site, own_services

PAGES = (
    "/", "/research/papers/", "/research/papers/qlora/", "/docs/", "/docs/api/", "/infrastructure/",
    "/pricing/", "/leaderboards/", "/leaderboards/world-vqa/", "/status/",
)  # fmt: skip
NOT_KEPT = ("/search/?q=lora",)
GOAL_RATE, GOAL_P99_MS = 2000, 50


async def load(port: int, path: str, connections: int, seconds: float) -> list[float]:
    """Seconds of each request, asked over connections that stay open.

    Raises:
        RuntimeError: an answer that is no 200.
    """
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    ends_at = time.perf_counter() + seconds
    took: list[float] = []

    async def reader() -> None:
        incoming, outgoing = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        while (started := time.perf_counter()) < ends_at:
            outgoing.write(request)
            head = await incoming.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"{path}: {head.splitlines()[0].decode()}")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await incoming.readexactly(int(length))
            took.append(time.perf_counter() - started)
        outgoing.close()

    await asyncio.gather(*(reader() for _ in range(connections)))
    return took


def measure(site: Site, connections: int, seconds: float) -> bool:
    """Print a row for each page; whether the goals were met."""
    assert site.process is not None
    web, met = psutil.Process(site.process.pid), True
    print(f"{'page':26}{'a second':>10}{'median ms':>11}{'p99 ms':>9}{'a CPU second':>14}")
    for path in (*PAGES, *NOT_KEPT):
        asyncio.run(load(site.port, path, 2, 1))
        before = sum(web.cpu_times()[:2])
        took = sorted(asyncio.run(load(site.port, path, connections, seconds)))
        busy = sum(web.cpu_times()[:2]) - before
        rate, p99 = len(took) / seconds, took[int(len(took) * 0.99)] * 1e3
        print(
            f"{path:26}{rate:>10.0f}{statistics.median(took) * 1e3:>11.1f}{p99:>9.1f}{len(took) / busy:>14.0f}"
        )
        if path in PAGES:
            met &= rate >= GOAL_RATE and p99 <= GOAL_P99_MS
    print(
        f"goal for kept pages: {GOAL_RATE} a second, p99 {GOAL_P99_MS} ms, at {connections} connections"
    )
    print(f"load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    with own_services() as (folder, servers):
        site = Site(folder / "web", {**servers, "ANON_RATE": "1000000/m"})
        site.prepare("--dev-scenes", "1")
        with site:
            met = measure(site, options.connections, options.seconds)
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
