"""`bin/demo`: the whole system on this machine, and all of it gone after Ctrl-C."""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType
from typing import IO

import psycopg
import redis

from moondream_site import running
from moondream_site.services import EmbeddedServices, ServiceError, command_of, wait_gone
from research.prepared import digest, is_prepared

ROOT = Path(__file__).parents[1]
NEEDED_MB = 500
PATIENCE_S = 90
_SLOW = {
    "INFERENCE_JOB_TIME_LIMIT_S": 180, "INFERENCE_VISIBILITY_TIMEOUT_S": 200, "INFERENCE_MAX_QUEUE_AGE_S": 240,
}  # fmt: skip
"""Seconds, where a model of the vendor's size answers: a processor takes some of them for one image."""
_CELERY = ("-m", "celery", "-A", "moondream_site")
_STARTED = time.monotonic()


class DemoError(RuntimeError):
    """Something a person can put right; the message says how."""


class Stopped(BaseException):
    """Ctrl-C or a SIGTERM."""


def main() -> int:
    """Run until stopped; 0 after Ctrl-C, 1 when something failed."""
    options = _options()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        place = options.host, options.port, options.var.resolve()
        Demo(*place, options.admin, options.model, options.revision).run()
    except Stopped:
        say("Stopped")
    except (DemoError, ServiceError) as error:
        print(f"\n✗ {error}", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/demo",
        description="Start the site, its worker and its services; Ctrl-C stops all.",
    )
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--var", type=Path, default=ROOT / "var", help="folder for all data")
    parser.add_argument("--admin", metavar="EMAIL", help="make this account an admin")
    parser.add_argument(
        "--model", metavar="MODEL",
        help="let this model answer: moondream2, a repository of the model hub or a folder, which are fetched or "
        "added first; embedded for the one that comes with this",
    )  # fmt: skip
    parser.add_argument("--revision", default="", help="of --model; the newest known one if none")
    return parser.parse_args()


def _stop(number: int, frame: FrameType | None) -> None:
    # A second Ctrl-C must not cut the shutting down short.
    for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(again, signal.SIG_IGN)
    raise Stopped


def say(text: str) -> None:
    """One line of progress."""
    print(f"· {text}", flush=True)


class Demo:
    """The processes of one demo."""

    def __init__(
        self, host: str, port: int, var: Path, admin: str | None = None, model: str | None = None,
        revision: str = "",
    ) -> None:  # fmt: skip
        self.host, self.port, self.var, self.admin = host, port, var, admin
        self.model, self.revision = model, revision
        self.started_at = time.time()
        self.logs, self.pids = var / "log", var / "run"
        self.url = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}"  # noqa: S104
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.passing: set[str] = set()
        """Children that may end by themselves."""

    def run(self) -> None:
        """Start everything in order, wait, stop everything in reverse."""
        self._check_model()
        self._check_place()
        self._end_leftovers()
        self._check_port()
        say("Starting PostgreSQL and Valkey")
        with EmbeddedServices(self.var) as services:
            self.env = self._environment(services)
            try:
                running.note(self.var, self.env)
                self._prepare(services.database_url)
                self._use_model(services.database_url)
                say("Starting web server, worker and scheduler")
                self._start_all()
                self._wait_ready(services.redis_url)
                # Figures of this machine for the pages that compare variants; it ends by itself.
                self.passing.add("measure")
                self._start("measure", "manage.py", "benchmarks", "run", "--measure", "--start")
                say(f"Ready, {_age_s():.1f} s after the start")
                print(f"\n  Moondream hub is at {self.url}/   (Ctrl-C stops it)\n", flush=True)
                say(self._admin())
                self._watch()
            finally:
                say("Stopping")
                self._stop_all()
                running.gone(self.var)

    def _prepare(self, database_url: str) -> None:
        """Migrate and load starter content, unless this very code did so in this very database."""
        if is_prepared(database_url, digest(self.env)):
            say("Database and starter content are up to date")
            return
        say("Migrating the database")
        self._manage("migrate", "-v0")
        say("Loading starter content")
        self._manage("load_starter")

    def _use_model(self, database_url: str) -> None:
        """Let the model that was asked for answer; what it has to say goes to the terminal, with its bars."""
        if self.model is not None:
            more = ["--revision", self.revision] if self.revision else []
            done = subprocess.run(  # noqa: S603
                [sys.executable, "manage.py", "models", "use", self.model, *more],
                cwd=ROOT, env=self.env, stdin=subprocess.DEVNULL, check=False, start_new_session=True,
            )  # fmt: skip
            if done.returncode:
                raise DemoError("That model cannot be used; what is in the way stands above.")
        if not _answers_quickly(database_url):
            for name, seconds in _SLOW.items():
                self.env.setdefault(name, str(seconds))

    def _admin(self) -> str:
        """How to get in as an admin."""
        if self.admin is None:
            return "To edit the site: bin/manage make_admin YOUR-ADDRESS (and see bin/manage help)"
        return self._manage("make_admin", self.admin)

    def _check_place(self) -> None:
        try:
            for folder in (self.var, self.logs, self.pids):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DemoError(f"Cannot write to {self.var}: {error.strerror}. Use --var.") from error
        free = shutil.disk_usage(self.var).free // 2**20
        if free < NEEDED_MB:
            raise DemoError(
                f"Only {free} MB of disk are free under {self.var}; {NEEDED_MB} MB are needed."
            )

    def _check_model(self) -> None:
        """A folder is looked for before anything is started for it."""
        model = self.model or ""
        if model.startswith((".", "/", "~")) and not Path(model).expanduser().exists():
            raise DemoError(f"There is no folder {model} to take a model from.")

    def _check_port(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                raise DemoError(
                    f"Port {self.port} on {self.host} cannot be used ({error.strerror}). "
                    f"Stop what is using it, or choose another: bin/demo --port {self.port + 1}"
                ) from error

    def _environment(self, services: EmbeddedServices) -> dict[str, str]:
        env = running.environment(services, self.var, SITE_URL=self.url, C_FORCE_ROOT="1")
        if self.host not in ("127.0.0.1", "localhost"):
            env.setdefault("ALLOWED_HOSTS", "*")
        return env

    def _manage(self, *args: str) -> str:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "manage.py", *args],
            cwd=ROOT, env=self.env, capture_output=True, text=True, check=False,
            start_new_session=True,
        )  # fmt: skip
        if done.returncode:
            raise DemoError(f"manage.py {args[0]} failed:\n{(done.stdout + done.stderr)[-2000:]}")
        return done.stdout.strip()

    def _start_all(self) -> None:
        self._start(
            "web", "-m", "uvicorn", "moondream_site.asgi:application", "--host", self.host,
            "--port", str(self.port), "--timeout-graceful-shutdown", "3", "--no-proxy-headers",
        )  # fmt: skip
        self._start(
            "worker", *_CELERY, "worker", "-Q", "cpu,default", "-c", "1",
            "--prefetch-multiplier", "1", "-l", "INFO", REMAP_SIGTERM="SIGQUIT",
        )  # fmt: skip

    def _start_trainer(self) -> None:
        self._start(
            "trainer", *_CELERY, "worker", "-n", "train@%h", "-Q", "train", "-c", "1",
            "--prefetch-multiplier", "1", "-l", "INFO", REMAP_SIGTERM="SIGQUIT",
        )  # fmt: skip

    def _start_notifier(self) -> None:
        # Threads: they wait for receivers, and a process for each would hold the site in memory again.
        self._start(
            "notifier", *_CELERY, "worker", "-n", "notify@%h", "-Q", "notify", "-P", "threads",
            "-c", "4", "--prefetch-multiplier", "1", "-l", "INFO", REMAP_SIGTERM="SIGQUIT",
        )  # fmt: skip

    def _start(self, name: str, *args: str, **env: str) -> None:
        log: IO[bytes] = (self.logs / f"{name}.log").open("ab")
        with log:
            child = subprocess.Popen(  # noqa: S603
                [sys.executable, *args], cwd=ROOT, env=self.env | env, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL,
                # Ctrl-C reaches this process alone, which stops the others in order.
                start_new_session=True,
            )  # fmt: skip
        self.children[name] = child
        (self.pids / f"{name}.pid").write_text(str(child.pid))

    def _wait_ready(self, redis_url: str) -> None:
        self._wait("the web server", lambda: self._web_answers("/healthz"))
        with contextlib.suppress(OSError):  # the first page is slow, and is not to be a visitor's
            self._web_answers("/", timeout_s=10)
        say(f"The site answers, {_age_s():.1f} s after the start; waiting for the worker")
        client = redis.Redis.from_url(redis_url)
        self._wait("the worker", lambda: self._worker_beats(client))
        # Last: nobody waits for what it sends, and until here the others need the processor.
        self._start_trainer()
        self._start_notifier()
        self._start("beat", *_CELERY, "beat", "-l", "INFO", "--pidfile=")

    def _worker_beats(self, client: redis.Redis) -> bool:
        """Whether a worker of this run was heard of; one of the last run is remembered for a while."""
        names = list(
            client.scan_iter(f"{self.env.get('REDIS_PREFIX', 'moondream:')}worker:*", count=500)
        )
        beats = [json.loads(beat) for beat in client.mget(names) if beat] if names else []
        return any(beat["at"] > self.started_at for beat in beats)

    def _wait(self, what: str, ready: object) -> None:
        assert callable(ready)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self._check_children()
            with contextlib.suppress(OSError, urllib.error.URLError, redis.exceptions.RedisError):
                if ready():
                    return
            time.sleep(0.1)  # polling a process that is starting
        raise DemoError(f"{what} was not ready after {PATIENCE_S} s; see {self.logs}.")

    def _web_answers(self, path: str, timeout_s: float = 3) -> bool:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=timeout_s) as response:  # noqa: S310
            return bool(response.status == 200)

    def _check_children(self) -> None:
        for name, child in self.children.items():
            if name not in self.passing and child.poll() is not None:
                tail = (self.logs / f"{name}.log").read_text(errors="replace")[-1500:]
                raise DemoError(f"The {name} process ended (code {child.returncode}):\n{tail}")

    def _watch(self) -> None:
        while True:
            self._check_children()
            time.sleep(0.5)  # watching children

    def _stop_all(self) -> None:
        for name in ("measure", "beat", "notifier", "trainer", "worker", "web"):
            child = self.children.pop(name, None)
            if child is not None:
                _end_group(child)
            (self.pids / f"{name}.pid").unlink(missing_ok=True)

    def _end_leftovers(self) -> None:
        """Stop what a killed run of the same folder left behind."""
        for file in self.pids.glob("*.pid"):
            with contextlib.suppress(ValueError, OSError):
                pid = int(file.read_text())
                command = command_of(pid)
                ours = "moondream_site" in command or "manage.py" in command
                if ours and os.getpgid(pid) == pid:
                    say(f"Stopping a leftover {file.stem} process")
                    os.killpg(pid, signal.SIGKILL)
                    wait_gone(pid)
            file.unlink(missing_ok=True)


def _answers_quickly(database_url: str) -> bool:
    """Whether the default is the embedded model."""
    asked = "SELECT slug FROM inference_variant WHERE is_default"
    with contextlib.suppress(psycopg.Error), psycopg.connect(database_url) as connection:
        row = connection.execute(asked).fetchone()
        return row is None or str(row[0]).startswith("moondream-embedded")
    return True


def _age_s() -> float:
    """How long ago this process began, and with it `bin/demo`, which became it."""
    with contextlib.suppress(OSError):
        ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - _STARTED


def _end_group(child: subprocess.Popen[bytes], patience_s: float = 12) -> None:
    """SIGTERM to a child, SIGKILL to its whole group when that was not enough."""
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience_s)
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


if __name__ == "__main__":
    sys.exit(main())
