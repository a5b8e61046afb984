"""What bin/demo says when the machine does not let it begin."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """The project's scripts on a machine that has nothing installed."""
    for name in ("bin", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    (tmp_path / "fake").mkdir()
    return tmp_path


def _run(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    path = f"{folder / 'fake'}:{os.environ['PATH']}"
    return subprocess.run(
        [folder / "bin" / "demo"], capture_output=True, text=True, check=False, timeout=200,
        env={**os.environ, "PATH": path, **env},
    )  # fmt: skip


def _fake(folder: Path, name: str, output: str) -> None:
    script = folder / "fake" / name
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\n")
    script.chmod(0o755)


def test_another_platform(fresh: Path) -> None:
    _fake(fresh, "uname", "Plan9")
    done = _run(fresh)
    assert done.returncode == 1
    assert "This platform (Plan9) is not supported" in done.stderr


def test_no_python(fresh: Path) -> None:
    for name in ("python3.13", "python3.12", "python3.11", "python3", "python"):
        (fresh / "fake" / name).write_text("#!/bin/sh\nexit 1\n")
        (fresh / "fake" / name).chmod(0o755)
    done = _run(fresh, PYTHON="")
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr


def test_no_room(fresh: Path) -> None:
    _fake(fresh, "df", "Filesystem 1024-blocks Used Available Capacity Mounted\n/x 9 9 12345 9% /")
    done = _run(fresh)
    assert done.returncode == 1
    assert "Only 12 MB of disk are free" in done.stderr


@pytest.mark.timeout(240)
def test_no_network(fresh: Path) -> None:
    (fresh / "requirements.txt").write_text("a-package-that-is-nowhere==1\n")
    index = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": os.devnull,
    }
    done = _run(fresh, **index)
    assert done.returncode == 1
    assert "The packages could not be installed" in done.stderr
    assert "No network" in done.stderr
