"""Pages while many streams are open and many callers wait: how long they take, and how many database
connections the web process has in use.

    python -m bench.streams [--streams 200] [--callers 64] [--seconds 20]

Starts PostgreSQL, Valkey and one uvicorn process of its own on loopback, under production's settings
and without a worker, so that every caller keeps waiting; stops them afterwards.
"""

import argparse
import asyncio
import json
import statistics
import time

import psycopg

from bench.site import Site, own_services

PAGES = ("/", "/leaderboards/", "/playground/", "/research/papers/", "/status/", "/v1/variants")
# A page for a reader with a session is never kept: each is made anew, from the database.
READER = "sessionid=0123456789abcdefghijklmnopqrstuv"
GOAL_S, GOAL_CONNECTIONS = 1.0, 2


class Client:
    """HTTP/1.1 on loopback, a connection for each request."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._open: list[asyncio.StreamWriter] = []

    async def send(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> asyncio.StreamReader:
        """Send a request; its reader is open until `close`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._open.append(writer)
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body:
            lines += [f"Content-Length: {len(body)}"]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()
        return reader

    async def status(self, reader: asyncio.StreamReader) -> int:
        """The status of a response, whose body stays unread."""
        return int((await asyncio.wait_for(reader.readline(), 30)).split()[1])

    async def waits(self, reader: asyncio.StreamReader) -> bool:
        """Whether nothing has been answered yet."""
        try:
            await asyncio.wait_for(reader.read(1), 0.01)
        except TimeoutError:
            return True
        return False

    async def fetch(self, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
        """A whole response's body.

        Raises:
            RuntimeError: its status was an error.
        """
        reader = await self.send(method, path, body, **headers)
        writer = self._open.pop()
        text = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        head, _, content = text.partition(b"\r\n\r\n")
        if head.split()[1][:1] not in b"23":
            raise RuntimeError(f"{method} {path}: {head.splitlines()[0].decode()}")
        return content

    def close(self) -> None:
        """Leave, as a client does whose network is gone."""
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()


async def pages(client: Client, seconds: float) -> dict[str, list[float]]:
    """Seconds that each page took, read one after the other."""
    took: dict[str, list[float]] = {path: [] for path in PAGES}
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        for path in PAGES:
            started = time.perf_counter()
            await client.fetch("GET", path, Cookie=READER)
            took[path].append(time.perf_counter() - started)
    return took


async def measure(site: Site, streams: int, callers: int, seconds: float) -> bool:
    """Print pages' times without and with streams and callers; whether the goal was met."""
    client, started = Client(site.port), time.time()
    boards = json.loads(await client.fetch("GET", "/api/leaderboards"))
    form = b"skill=caption&sample=night"
    job = json.loads(
        await client.fetch(
            "POST", "/v1/jobs", form, Content_Type="application/x-www-form-urlencoded"
        )
    )
    await pages(client, 3)  # the first of each compiles its templates
    quiet, memory = await pages(client, seconds / 2), site.memory_mb()
    paths = [f"/api/leaderboards/{boards[0]['slug']}/events", job["events_url"]]
    opened = [await client.send("GET", paths[n % 2]) for n in range(streams)]
    states = [await client.status(reader) for reader in opened]
    question = json.dumps({"question": "How many shapes are there?", "image_url": _picture()})
    asked = [
        await client.send(
            "POST", "/v1/query", question.encode(), Content_Type="application/json",
            X_Moondream_Auth=f"caller-{number}",
        )
        for number in range(callers)
    ]  # fmt: skip
    await asyncio.sleep(5)  # until all callers wait, not send
    since = time.time()
    busy = await pages(client, seconds)
    in_use = max(site.connections(since))
    waiting = [await client.waits(reader) for reader in asked].count(True)
    held = states.count(200) == streams and waiting == callers
    print(
        f"open: {states.count(200)} streams of {streams}; waiting: {waiting} callers of {callers}"
    )
    print(f"memory of the web process, MB: {memory:.0f} before, {site.memory_mb():.0f} with them")
    print(f"{'page':16} {'median, ms':>12} {'with them':>12} {'longest':>12}")
    for path in PAGES:
        medians = (statistics.median(t[path]) * 1e3 for t in (quiet, busy))
        print("{:16} {:12.0f} {:12.0f} {:12.0f}".format(path, *medians, max(busy[path]) * 1e3))
    longest = max(max(times) for times in busy.values())
    print(f"longest page: {longest:.2f} s (goal: at most {GOAL_S} s)")
    print(f"database connections in use, most: {in_use} (goal: at most {GOAL_CONNECTIONS})")
    client.close()
    await asyncio.sleep(8)  # for the server to notice, and to cancel what the callers asked
    since = time.time() - 1
    print(f"in use when all have left: {max(site.connections(since))}")
    print(f"questions cancelled by callers' leaving: {_cancelled(site, started)}")
    return longest <= GOAL_S and in_use <= GOAL_CONNECTIONS and held


def _cancelled(site: Site, since: float) -> int:
    with psycopg.connect(site.env["DATABASE_URL"]) as connection:
        found = connection.execute(
            "SELECT count(*) FROM inference_job WHERE status = 'cancelled' AND skill = 'query'"
            " AND created_at > to_timestamp(%s)",
            [since],
        ).fetchone()
    return int(found[0]) if found else 0


def _picture() -> str:
    import base64

    from inference.world.samples import sample_bytes

    return f"data:image/webp;base64,{base64.b64encode(sample_bytes('night')).decode()}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument(
        "--prepared", action="store_true", help="DATABASE_URL names one with the starter content"
    )
    options = parser.parse_args()
    with own_services() as (folder, servers):
        waiting = str(options.streams + options.callers)
        env = {
            **servers,
            # All come from one address here.
            "STREAMS_MAX_PER_ADDRESS": waiting, "STREAMS_MAX": waiting,
            "INFERENCE_MAX_WAITING_PER_CALLER": waiting, "ANON_RATE": "100000/m",
            "INFERENCE_MAX_QUEUE_DEPTH": str(options.callers + 1),
            "INFERENCE_MAX_QUEUE_AGE_S": "600", "INFERENCE_JOB_TIME_LIMIT_S": "600",
        }  # fmt: skip
        site = Site(folder / "web", env)
        if not options.prepared:
            site.prepare()
        with site:
            met = asyncio.run(measure(site, options.streams, options.callers, options.seconds))
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
