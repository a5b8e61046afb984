"""The unmodified Node client against a running stack."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from inference.world.samples import sample_bytes
from tests.live import LiveStack

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def ask(live_stack: LiveStack, node_client: Path, tmp_path_factory: pytest.TempPathFactory):
    file = tmp_path_factory.mktemp("node") / "image.webp"
    file.write_bytes(sample_bytes("night"))

    def run(*calls: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
        done = subprocess.run(
            ["node", "ask.mjs", f"{live_stack.base_url}/v1", str(file), json.dumps(calls)],
            cwd=node_client, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        outcomes: list[dict[str, Any]] = json.loads(done.stdout)
        return outcomes

    return run


def test_every_skill(ask) -> None:
    caption, query, detect, point = ask(
        ("caption", {"length": "short"}),
        ("query", {"question": "What color is the background?", "reasoning": False}),
        ("detect", {"object": "stars"}),
        ("point", {"object": "star"}),
    )
    assert "star" in caption["caption"]
    assert query["answer"] == "black"
    assert detect["objects"]
    for box in detect["objects"]:
        assert 0 <= box["x_min"] < box["x_max"] <= 1
        assert 0 <= box["y_min"] < box["y_max"] <= 1
    assert {"x", "y"} <= set(point["points"][0])


def test_streaming(ask) -> None:
    whole, stream, answer = ask(
        ("caption", {}),
        ("caption", {"stream": True}),
        ("query", {"question": "What color is the background?", "stream": True}),
    )
    assert len(stream["caption"]) > 3
    assert "".join(stream["caption"]) == whole["caption"]
    assert "".join(answer["answer"]) == "black"


def test_a_variant_by_name(ask) -> None:
    first, unknown = ask(
        ("query", {"question": "What color is the background?", "variant": "moondream-embedded-int8"}),
        ("query", {"question": "x", "variant": "nothing"}),
    )  # fmt: skip
    assert first["answer"] == "black"
    assert "404" in unknown["raised"]


def test_failures_raise(ask) -> None:
    segment, in_stream = ask(
        ("segment", {"object": "star"}),
        # Short enough to be taken in, too many tokens for the model: it fails inside the stream.
        ("caption", {"stream": True, "settings": {}, "variant": "nothing"}),
    )
    assert "400" in segment["raised"]
    # The client does not look at a stream's status: at least nothing is made up.
    assert in_stream.get("raised") or in_stream == {"caption": []}


def test_a_failure_inside_a_stream_raises(ask) -> None:
    (outcome,) = ask(("query", {"question": "é漢 " * 600, "stream": True}))
    assert "raised" in outcome
