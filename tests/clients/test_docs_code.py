"""Code of the documentation that asks the model, run as it stands against a live server."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from inference.world.samples import sample_bytes
from research.starter import docs
from tests.clients.test_snippets import run
from tests.live import LiveStack

pytestmark = pytest.mark.live
_ASKING = (docs._CAPTION, docs._DETECT, docs._STREAM)


def _code(language: str, base_url: str) -> list[str]:
    """Each tab of a language, in the order of the chapters."""
    return [dict(tabs)[language].replace("{base_url}", f"{base_url}/v1") for tabs in _ASKING if language in dict(tabs)]  # fmt: skip


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    with Image.open(io.BytesIO(sample_bytes("night"))) as image:
        image.save(tmp_path / "scene.png")
    return tmp_path / "scene.png"


def test_python(live_stack: LiveStack, scene: Path) -> None:
    code = "\n".join(_code("python", live_stack.base_url))
    (scene.parent / "code.py").write_text(code)
    lines = run([sys.executable, "code.py"], scene.parent).splitlines()
    assert len(lines) >= 3
    assert lines[0].strip()


def test_javascript(live_stack: LiveStack, node_client: Path, scene: Path) -> None:
    first, *rest = _code("javascript", live_stack.base_url)
    more = "\n".join(rest) + "\nconsole.log(JSON.stringify([objects.length, points.length]));"
    file = node_client / f"docs-{scene.parent.name}.mjs"
    file.write_text(f"{first}\n{more}".replace('"scene.png"', json.dumps(str(scene))))
    try:
        lines = run(["node", file.name], node_client).splitlines()
    finally:
        file.unlink()
    assert lines[0].strip()
    assert lines[-1].endswith("]")


def test_shell(live_stack: LiveStack, curl: str, scene: Path) -> None:
    (code,) = _code("shell", live_stack.base_url)
    assert json.loads(run(["bash", "-eu"], scene.parent, code))["caption"]


def test_a_client_that_waits(live_stack: LiveStack) -> None:
    """The example that comes back after 429 and 503."""
    errors = next(a for c in docs.CHAPTERS for a in c["articles"] if a["slug"] == "errors")
    code = next(
        tab["code"] for kind, value in errors["body"] if kind == "code"
        for tab in value["tabs"] if tab["language"] == "python"
    )  # fmt: skip
    ask = f'{code}\nprint(ask(urllib.request.Request("{live_stack.base_url}/v1/variants")))'
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "moondream-embedded" in done.stdout
