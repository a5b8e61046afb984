"""A web server and a worker under production's settings, and the processor time each process takes."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from bench.site import ROOT, Site, end_group


class Stack(Site):
    """One web process and one worker with one child, on the services that `env` names."""

    def __init__(self, folder: Path, env: dict[str, str], services: Path) -> None:
        super().__init__(folder, {"C_FORCE_ROOT": "1", "ANON_RATE": "1000000/m", **env})
        self.services = services
        self.worker: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Serve, and wait until a question is answered."""
        super().start()
        with (self.folder / "worker.log").open("ab") as log:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "moondream_site", "worker", "-Q", "cpu,default",
                 "-c", "1", "--prefetch-multiplier", "1", "-l", "WARNING"],
                cwd=ROOT, env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.worker.poll() is None:
            try:
                self.ask({"question": "How many?", "image_url": picture_url("warm")})
            except OSError:
                time.sleep(0.2)  # polling a worker that is starting
            else:
                return
        self.stop()
        raise RuntimeError(
            f"The worker did not answer:\n{(self.folder / 'worker.log').read_text()}"
        )

    def stop(self) -> None:
        """Stop both."""
        if self.worker is not None:
            end_group(self.worker)
            self.worker = None
        super().stop()

    def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        """An answer of `/v1/query`."""
        return post_json(f"{self.url}/v1/query", body)

    def processor_s(self) -> dict[str, float]:
        """Seconds of processor time that each kind of process took so far."""
        assert self.process is not None
        assert self.worker is not None
        found = {
            "web": [psutil.Process(self.process.pid)],
            "image decoders": psutil.Process(self.process.pid).children(recursive=True),
            "worker, parent": [psutil.Process(self.worker.pid)],
            "worker, child": psutil.Process(self.worker.pid).children(recursive=True),
            "PostgreSQL": [], "Valkey": [],
        }  # fmt: skip
        # Valkey's command line names no folder; all work in their own.
        for process in psutil.process_iter(["name", "cwd"]):
            if Path(process.info["cwd"] or "/").is_relative_to(self.services):
                kind = "Valkey" if "valkey" in process.info["name"] else "PostgreSQL"
                found[kind].append(process)
        return {kind: sum(map(_seconds, processes)) for kind, processes in found.items()}


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    # With those of children that have ended.
    return float(times.user + times.system + times.children_user + times.children_system)


def post_json(url: str, body: dict[str, Any]) -> Any:
    """POST JSON, get JSON.

    Raises:
        OSError: nobody answers, or with an error.
    """
    request = urllib.request.Request(  # noqa: S310  # a server that was started here
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=180) as response:  # noqa: S310
        return json.load(response)


def picture_url(seed: str) -> str:
    """A picture of the world, as the official clients send one: JPEG, quality 95."""
    import base64
    import io
    import random

    from inference.world import render, sample_scene

    out = io.BytesIO()
    render(sample_scene(random.Random(seed))).save(out, "JPEG", quality=95)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
