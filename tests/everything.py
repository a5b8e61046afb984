"""All checks and all tests, in two jobs side by side: `python -m tests.everything`, by `bin/test`.

One job runs the checks and the tests that need no running stack, the other the tests that do (web
servers, workers, browsers): those wait for other processes most of the time. Each job's output is
printed whole, the first when it ends; pytest's closing lines come again at the end, and their sum.
"""

import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.templates import cluster_ready

ROOT = Path(__file__).parents[1]
PYTHON = sys.executable
_CHECKS: list[tuple[str, list[str]]] = [
    ("ruff", [PYTHON, "-m", "ruff", "check", "."]),
    ("ruff format", [PYTHON, "-m", "ruff", "format", "--check", "."]),
    ("import-linter", [str(Path(PYTHON).with_name("lint-imports")), "--no-cache"]),
    ("check --deploy", [PYTHON, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]),
    ("mypy", [PYTHON, "-m", "mypy", "."]),
]
_PRODUCTION = {"DJANGO_SETTINGS_MODULE": "moondream_site.settings.production"}
_COUNT = re.compile(r"(\d+) (passed|failed|error|skipped)")


def _production_environment() -> dict[str, str]:
    keys = {name: secrets.token_urlsafe(50) for name in ("SECRET_KEY", "REFERENCES_KEY")}
    return {**os.environ, **_PRODUCTION, **keys}


def _checks() -> bool:
    for name, command in _CHECKS:
        started = time.monotonic()
        django = "manage.py" in command
        environment = _production_environment() if django else dict(os.environ)
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
        print(f"· {name}: {time.monotonic() - started:.0f} s", flush=True)
        if done.returncode:
            return False
    return True


def _pytest(*args: str) -> list[str]:
    # Each test job has its own servers; a worker of xdist has a database and a stack of its own.
    return [PYTHON, "-m", "pytest", "-q", "--durations=15", *args]


def _closing_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if _COUNT.search(line)]
    return lines[-1].strip("= ") if lines else "no closing line"


def main() -> int:
    """Run both jobs; 0 when everything passed."""
    started = time.monotonic()
    cluster_ready()
    folder = Path(tempfile.mkdtemp(prefix="hub-everything-"))
    logs = {part: folder / f"{part}.log" for part in ("fast", "stack")}
    with logs["stack"].open("wb") as log:
        stack = subprocess.Popen(
            _pytest("--part", "stack", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"),
            cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    checks_passed = _checks()
    with logs["fast"].open("wb") as log:
        fast = subprocess.run(
            _pytest("--part", "fast", "-n", "2", "--dist", "worksteal"),
            cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    codes = {"fast": fast.returncode}
    print(logs["fast"].read_text(errors="replace"), flush=True)
    codes["stack"] = stack.wait()
    print(logs["stack"].read_text(errors="replace"), flush=True)

    totals: Counter[str] = Counter()
    for part, log_file in logs.items():
        line = _closing_line(log_file)
        print(f"{part}: {line}")
        totals.update({what: int(number) for number, what in _COUNT.findall(line)})
    failed = totals["failed"] + totals["error"]
    if not checks_passed:
        print("A check before the tests failed: see its output above.")
    print(f"All of it took {time.monotonic() - started:.0f} s.")
    skipped = f", {totals['skipped']} skipped" if totals["skipped"] else ""
    print(f"{totals['passed']} passed, {failed} failed{skipped}")
    return int(not checks_passed or any(codes.values()))


if __name__ == "__main__":
    sys.exit(main())
