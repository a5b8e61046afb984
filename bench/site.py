"""A web server under production's settings, with its use of the database's pool written down.

python -m bench.site PORT FILE      serves on loopback; other modules start it as a child
"""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from moondream_site.services import EmbeddedServices, free_port

ROOT = Path(__file__).parents[1]
_SAMPLE_S = 0.02


@contextlib.contextmanager
def own_services() -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder for everything, and the variables of PostgreSQL and Valkey under its `services`; all of it
    is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as a user of its own when started by root
        with EmbeddedServices(folder / "services") as services:
            yield folder, {**services.environment, "REDIS_PREFIX": f"bench-{os.getpid()}:"}


class Site:
    """One web process on loopback, on the services that `env` names.

    `folder` takes its logs.
    """

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "bench.settings",
            "SECRET_KEY": secrets.token_urlsafe(60),
            "REFERENCES_KEY": secrets.token_urlsafe(60),
            "SECURE_SSL_REDIRECT": "false",
            "DEBUG": "false",
            "ALLOWED_HOSTS": "127.0.0.1",
            "SITE_URL": self.url,
            "VAR_DIR": str(folder),
            "PYTHONPATH": str(ROOT),
            **env,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def manage(self, *args: str) -> None:
        """Run a management command."""
        subprocess.run(  # noqa: S603
            [sys.executable, "manage.py", *args], cwd=ROOT, env=self.env, check=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def prepare(self, *options: str) -> None:
        """Migrate, and load the starter content with these options."""
        self.manage("migrate", "-v0")
        self.manage("load_starter", *options)

    def start(self) -> None:
        """Serve, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "web.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "bench.site", str(self.port), str(self._samples)],
                cwd=ROOT, env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"{self.url}/healthz", timeout=2),  # noqa: S310
            ):
                return
            time.sleep(0.1)  # polling a process that is starting
        self.stop()
        raise RuntimeError(f"The web server did not start:\n{self.log()}")

    def stop(self) -> None:
        """Stop the web process, whatever streams are open."""
        if self.process is not None:
            end_group(self.process)
            self.process = None

    def log(self) -> str:
        """What the web process wrote."""
        return (self.folder / "web.log").read_text(errors="replace")

    @property
    def _samples(self) -> Path:
        return self.folder / "connections.log"

    def connections(self, since: float) -> list[int]:
        """Database connections in use, sampled since a `time.time()`."""
        rows = (line.split() for line in self._samples.read_text().splitlines())
        return [int(row[1]) for row in rows if len(row) == 2 and float(row[0]) >= since]

    def memory_mb(self) -> float:
        """Resident memory of the web process."""
        assert self.process is not None
        listed = subprocess.run(  # noqa: S603
            ["ps", "-o", "rss=", "-p", str(self.process.pid)],  # noqa: S607
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        return int(listed) / 1024


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to stop, and end it with its children when it does not."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def main() -> None:
    import uvicorn
    from django.db import connection

    from moondream_site.asgi import application

    file = Path(sys.argv[2])
    pool: Any = connection.pool  # type: ignore[attr-defined]

    def watch() -> None:
        with file.open("a", buffering=1) as written:
            while True:
                seen = pool.get_stats()
                in_use = seen.get("pool_size", 0) - seen.get("pool_available", 0)
                written.write(f"{time.time():.3f} {in_use}\n")
                time.sleep(_SAMPLE_S)  # sampling

    threading.Thread(target=watch, daemon=True).start()
    uvicorn.run(
        application, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning",
        timeout_graceful_shutdown=3, proxy_headers=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()
