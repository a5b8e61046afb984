"""A real stack for tests: uvicorn and a Celery worker as child processes."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from moondream_site.services import free_port
from tests.templates import Made, database_copy, made_once, with_database

ROOT = Path(__file__).parents[1]
_PATIENCE_S = 120


class LiveStack:
    """Web server and worker on a database and a Redis prefix of their own.

    Time limits are short, so that a lost worker's job comes back within seconds.
    """

    def __init__(self, folder: Path, name: str = "", **env: str) -> None:
        """
        Args:
            name: where several run in one process of tests, another for each.
            env: settings of its own.
        """
        self.name = name
        self.folder = folder
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.database = f"live_{os.getpid()}{name}"
        parts = conninfo_to_dict(os.environ["DATABASE_URL"])
        self.admin_url = make_conninfo(**parts)  # type: ignore[arg-type]
        parts["dbname"] = self.database
        self.env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "moondream_site.settings.development",
            "DATABASE_URL": make_conninfo(**parts),  # type: ignore[arg-type]
            "REDIS_PREFIX": f"live:{os.getpid()}{name}:",
            "VAR_DIR": str(folder),
            "SITE_URL": self.base_url,
            "DEBUG": "false",
            "ANON_RATE": "100000/m",
            "INFERENCE_JOB_TIME_LIMIT_S": "15",
            "INFERENCE_VISIBILITY_TIMEOUT_S": "18",
            # No beat runs here that would end what tests with killed workers leave behind.
            "INFERENCE_MAX_QUEUE_AGE_S": "3600",
            # Receivers of webhooks stand there.
            "OUTBOUND_ALLOWED": "127.0.0.1",
            "OMP_NUM_THREADS": "1",
            "C_FORCE_ROOT": "1",
            "PYTHONPATH": str(ROOT),
            **env,
        }
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._worker_settings: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self._start_from_starter()
            self._spawn(
                "web",
                "-m",
                "uvicorn",
                "moondream_site.asgi:application",
                "--port",
                str(self.port),
                "--no-proxy-headers",
                "--log-level",
                "warning",
            )
            self.start_worker()
            self._wait_for("the web server", self._web_answers)
            self._wait_for("the worker", self._worker_answers)
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

    def _start_from_starter(self) -> None:
        """Fill the database and the data folder with copies of a stack that only has starter content.

        The first stack of a test run makes it; those of other test processes wait, and copy it too.
        """
        with made_once("live_starter", self._make_starter) as starter:
            shutil.copytree(starter.files, self.folder, dirs_exist_ok=True)
            database_copy(self.admin_url, self.database, starter.database)
        with psycopg.connect(with_database(self.admin_url, self.database)) as connection:
            connection.execute("UPDATE wagtailcore_site SET port = %s", [self.port])

    def _make_starter(self, made: Made) -> None:
        env = {"DATABASE_URL": with_database(self.admin_url, made.database)}
        env["VAR_DIR"] = str(made.files)
        database_copy(self.admin_url, made.database, os.environ.get("TEST_DATABASE_TEMPLATE"))
        if "TEST_DATABASE_TEMPLATE" not in os.environ:
            self.manage("migrate", "-v0", **env)
        self.manage("load_starter", "--dev-scenes", "13", **env)

    def manage(self, *args: str, **env: str) -> str:
        """Run a management command against the stack's database."""
        done = subprocess.run(
            [sys.executable, "manage.py", *args], cwd=ROOT, env=self.env | env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"manage.py {args[0]} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def _spawn(self, name: str, *args: str, **env: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._children[name] = subprocess.Popen(
                [sys.executable, *args], cwd=ROOT, env=self.env | env, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def start_worker(self, **env: str) -> None:
        """Start the worker, with settings of its own; it answers once its model is warm."""
        self._worker_settings = env
        self._spawn(
            "worker", "-m", "celery", "-A", "moondream_site", "worker", "-n", f"worker{os.getpid()}{self.name}@%h",
            "-Q", "cpu,default",
            "-c", "1", "--prefetch-multiplier", "1", "-l", "INFO",
            REMAP_SIGTERM="SIGQUIT", **env,
        )  # fmt: skip

    def start_trainer(self, **env: str) -> None:
        """Start a worker that trains; it takes messages once it is up."""
        self._spawn(
            "trainer", "-m", "celery", "-A", "moondream_site", "worker", "-n", "train@%h", "-Q", "train",
            "-c", "1", "--prefetch-multiplier", "1", "-l", "WARNING", REMAP_SIGTERM="SIGQUIT", **env,
        )  # fmt: skip

    def start_notifier(self, **env: str) -> None:
        """Start a worker that delivers webhooks and mails; it takes messages once it is up."""
        self._spawn(
            "notifier", "-m", "celery", "-A", "moondream_site", "worker", "-n", "notify@%h", "-Q", "notify",
            "-P", "threads", "-c", "4", "--prefetch-multiplier", "1", "-l", "WARNING", **env,
        )  # fmt: skip

    def bring_back_worker(self, **env: str) -> None:
        """Start the worker and wait until it answers: the next test finds it warm."""
        self.start_worker(**env)
        self._wait_for("the worker", self._worker_answers)

    def restore_worker(self) -> None:
        """Bring the usual worker back, whatever a test that failed has left."""
        child = self._children.get("worker")
        if child and child.poll() is None and not self._worker_settings:
            return
        if child and child.poll() is None:
            self.end_worker()
        self.bring_back_worker()

    def wait_until_idle(self) -> None:
        """Wait until no question of earlier tests is waiting or being answered."""
        with psycopg.connect(self.env["DATABASE_URL"], autocommit=True) as connection:
            try:
                self._wait_for("the last question", lambda: self._is_idle(connection))
            except RuntimeError as error:
                rows = connection.execute(
                    "SELECT job.id, skill, status, caller, variant.slug, variant.queue, adapter, attempt, worker,"
                    " in_background, created_at, started_at FROM inference_job AS job"
                    " JOIN inference_variant AS variant ON variant.id = variant_id"
                    " WHERE status IN ('queued', 'running')"
                ).fetchall()
                # This test is told which they are; the ones after it need not wait for them again.
                self.cancel_questions()
                raise RuntimeError(f"{rows}\n{error}") from None

    def cancel_questions(self) -> None:
        """End what is asked of this database by way of a broker that no worker listens to."""
        with psycopg.connect(self.env["DATABASE_URL"]) as connection:
            connection.execute(
                "UPDATE inference_job SET status = 'cancelled' WHERE status IN ('queued', 'running')"
            )

    @staticmethod
    def _is_idle(connection: psycopg.Connection) -> bool:
        row = connection.execute(
            "SELECT count(*) FROM inference_job WHERE status IN ('queued', 'running')"
        ).fetchone()
        return row == (0,)

    def worker_processes(self) -> set[int]:
        """Ids of the worker's child processes, in one of which the model is."""
        parent = str(self._children["worker"].pid)
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
        ).stdout
        rows = (line.split() for line in listed.splitlines())
        return {int(pid) for pid, of in rows if of == parent}

    def kill_worker(self, name: str = "worker") -> None:
        """SIGKILL the worker and its children, as a lost machine would."""
        child = self._children.pop(name)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        # Its children share its sockets, and the one with the model takes a while to vanish: what is
        # queued meanwhile would be handed to the dead.
        with contextlib.suppress(ProcessLookupError):
            while True:
                os.killpg(child.pid, 0)
                time.sleep(0.01)

    def end_worker(self, name: str = "worker") -> None:
        """Ask the worker to stop, as a deployment does, and wait until it has."""
        child = self._children.pop(name)
        child.terminate()
        child.wait(30)

    def logs(self) -> str:
        """What web and worker wrote."""
        return "\n".join(
            f"--- {f.name}\n{f.read_text()[-4000:]}" for f in self.folder.glob("*.log")
        )

    def get(self, path: str) -> Any:
        """GET JSON."""
        with urllib.request.urlopen(self.base_url + path, timeout=30) as response:
            return json.load(response)

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """POST JSON → (status, JSON)."""
        request = urllib.request.Request(
            self.base_url + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json", **(headers or {})},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def _web_answers(self) -> bool:
        with urllib.request.urlopen(self.base_url + "/healthz", timeout=5) as response:
            return bool(response.status == 200)

    def _worker_answers(self) -> bool:
        from inference.world.samples import sample_bytes
        from tests.images import data_url

        code, _ = self.post(
            "/v1/caption",
            {"image_url": data_url(sample_bytes("night")), "settings": {"max_tokens": 2}},
        )
        return code == 200

    def _wait_for(self, what: str, ready: Any) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            dead = [n for n, c in self._children.items() if c.poll() is not None]
            if dead:
                raise RuntimeError(f"{dead} ended early\n{self.logs()}")
            try:
                if ready():
                    return
            except (OSError, urllib.error.URLError):
                pass
            time.sleep(0.2)
        raise RuntimeError(f"{what} did not answer\n{self.logs()}")

    def stop(self) -> None:
        """Stop the children, in order, and drop the database."""
        for name in list(self._children):
            child = self._children.pop(name)
            try:
                os.killpg(child.pid, signal.SIGTERM)
                child.wait(15)
            except (subprocess.TimeoutExpired, ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{self.database}" WITH (FORCE)')
