"""`bin/demo` from start to Ctrl-C, after a power cut, and when something is in its way."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.engine.testing import make_tiny_checkpoint
from moondream_site.services import free_port

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.live, pytest.mark.timeout(400)]


_SERVERS = ("DATABASE_URL", "REDIS_URL", "CACHE_URL", "VAR_DIR")


class Demo:
    """One run of the supervisor on a folder, with its output."""

    def __init__(self, var: Path, port: int, *args: str) -> None:
        self.port, self.url = port, f"http://127.0.0.1:{port}"
        env = {k: v for k, v in os.environ.items() if k not in _SERVERS}
        env |= {
            "OMP_NUM_THREADS": "1",
            "DJANGO_SETTINGS_MODULE": "moondream_site.settings.development",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moondream_site.demo", "--var", str(var), "--port", str(port), *args],
            cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.lines: list[str] = []

    def wait_ready(self) -> float:
        """Read until the URL is printed; seconds since the start."""
        started = time.monotonic()
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if f"is at {self.url}/" in line:
                return time.monotonic() - started
        raise AssertionError("".join(self.lines))

    def stop(self, number: int = signal.SIGINT) -> str:
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=60)
        return "".join(self.lines) + rest


def _processes(var: Path) -> list[str]:
    """Command lines of processes whose arguments or environment name the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            if str(var).encode() in command + (process / "environ").read_bytes():
                found.append(command.replace(b"\0", b" ").decode())
        except OSError:  # it ended meanwhile
            continue
    return found


@pytest.fixture
def var() -> Iterator[Path]:
    # PostgreSQL runs as a user of its own when started by root: the folder must be passable.
    folder = Path(tempfile.mkdtemp(prefix="hub-demo-"))
    folder.chmod(0o755)
    yield folder / "var"
    shutil.rmtree(folder, ignore_errors=True)


def test_it_starts_stops_without_a_trace_and_comes_back(var: Path) -> None:
    port = free_port()
    first = Demo(var, port)
    first.wait_ready()
    with urllib.request.urlopen(f"{first.url}/playground/") as response:
        assert b"Playground" in response.read()
    output = first.stop()
    assert first.process.returncode == 0, output
    assert output.rstrip().endswith("Stopped")
    if sys.platform == "linux":
        assert _processes(var) == []
    assert not list((var / "run").glob("*.pid"))

    # Again at once, on the same data; this time the power goes.
    second = Demo(var, port, "--admin", "keeper@example.org")
    second.wait_ready()
    assert second.process.stdout is not None
    told = [second.process.stdout.readline() for _ in range(3)]
    assert "keeper@example.org is an admin" in "".join(told)
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with browser.open(told[-1].strip()) as response:
        assert b'type="password"' in response.read()
    assert _manage(var, "keeper@example.org") == "True"
    # Nothing changed since: nothing is made again, and the worker is one of this run.
    assert "Database and starter content are up to date" in "".join(second.lines)
    assert re.search(r"Ready, \d+\.\d s after the start", "".join(second.lines))
    log = (var / "log" / "worker.log").read_text()
    assert log.count("mingle: searching for neighbors") == 2
    second.process.send_signal(signal.SIGKILL)
    second.process.communicate()

    third = Demo(var, port)
    third.wait_ready()
    with urllib.request.urlopen(f"{third.url}/") as response:
        assert response.status == 200
    output = third.stop(signal.SIGTERM)
    assert third.process.returncode == 0, output
    assert "leftover" in output
    if sys.platform == "linux":
        assert _processes(var) == []


def _manage(var: Path, email: str) -> str:
    """Whether an address is an admin's, by a command that `bin/manage` runs."""
    code = (
        "from django.contrib.auth import get_user_model;"
        f"print(get_user_model().objects.get(email={email!r}).is_superuser)"
    )
    env = {name: value for name, value in os.environ.items() if name not in _SERVERS}
    done = subprocess.run(
        [sys.executable, "-m", "moondream_site.running", "shell", "-v0", "-c", code],
        env={**env, "VAR_DIR": str(var)}, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_without_a_demo_its_services_are_started_for_a_command(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name not in _SERVERS}
    done = subprocess.run(
        [sys.executable, "-m", "moondream_site.running", "check"], cwd=ROOT, text=True,
        env={**env, "VAR_DIR": str(tmp_path)}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "start bin/demo once" in done.stderr


def test_a_taken_port_is_said(var: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        demo = Demo(var, port)
        output, _ = demo.process.communicate(timeout=60)
    assert demo.process.returncode == 1
    assert f"Port {port}" in output
    assert f"bin/demo --port {port + 1}" in output
    assert "Traceback" not in output


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    demo = Demo(blocked / "var", free_port())
    output, _ = demo.process.communicate(timeout=60)
    assert demo.process.returncode == 1
    assert "Cannot write to" in output
    assert "Traceback" not in output


def test_a_model_of_a_folder_answers_by_default(var: Path) -> None:
    folder = make_tiny_checkpoint(var.parent / "tiny")
    demo = Demo(var, free_port(), "--model", str(folder))
    try:
        demo.wait_ready()
        with urllib.request.urlopen(f"{demo.url}/v1/variants", timeout=30) as response:
            default = {row["slug"]: row["default"] for row in json.load(response)}
        worker = (var / "run" / "worker.pid").read_text()
        variables = (Path("/proc") / worker / "environ").read_bytes()
    finally:
        said = demo.stop()
    assert default["moondream-embedded-fp16"] is False, "it stays, and is not the default"
    assert next(slug for slug in default if default[slug]).startswith("tiny-local-")
    assert re.search(r"tiny.* answers at (16|8|4)-bit: ", said)
    assert b"INFERENCE_JOB_TIME_LIMIT_S=180" in variables, "a large model needs its time"


def test_a_folder_that_is_not_there_starts_nothing(var: Path) -> None:
    demo = Demo(var, free_port(), "--model", str(var.parent / "no-such-folder"))
    said = demo.process.communicate(timeout=60)[0]
    assert demo.process.returncode == 1
    assert "There is no folder" in said
    assert not var.exists()
