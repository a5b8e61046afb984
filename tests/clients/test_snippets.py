"""The quickstart's code, as a page shows it, run as it stands against a live server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from research.snippets import quickstart
from tests.live import LiveStack

pytestmark = pytest.mark.live


def run(command: list[str], folder: Path, text: str | None = None) -> str:
    done = subprocess.run(
        command, cwd=folder, input=text, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _code(live_stack: LiveStack, language: str) -> str:
    found = {s.language: s.code for s in quickstart(live_stack.base_url).snippets}
    return found[language]


@pytest.fixture
def right(live_stack: LiveStack) -> str:
    """What the sample's own scene says."""
    from inference.world.samples import SAMPLES

    scene = next(s for s in SAMPLES if s.slug == "night").scene()
    return str(len(scene.matching("stars")))


def test_python(live_stack: LiveStack, tmp_path: Path, right: str) -> None:
    (tmp_path / "snippet.py").write_text(_code(live_stack, "python"))
    assert run([sys.executable, "snippet.py"], tmp_path) == right


def test_javascript(live_stack: LiveStack, node_client: Path, tmp_path: Path, right: str) -> None:
    file = node_client / f"snippet-{tmp_path.name}.mjs"
    file.write_text(_code(live_stack, "javascript"))
    try:
        assert run(["node", file.name], node_client) == right
    finally:
        file.unlink()


def test_shell(live_stack: LiveStack, curl: str, tmp_path: Path, right: str) -> None:
    said = run(["bash", "-eu"], tmp_path, _code(live_stack, "shell"))
    assert json.loads(said)["answer"] == right
