"""A run's code, executed as it stands against a live server: it gives the answer that is stored."""

import io
import json
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import nbformat
import pytest
from PIL import Image, ImageDraw

from playground.exports import EXPORTS, RESULTS
from tests.live import LiveStack
from tests.playground.test_exports import HOSTILE, execute

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("node_client", "curl")]


def picture(side: int) -> bytes:
    """An upload that is no sample."""
    image = Image.effect_noise((side, side), 12).convert("RGB")
    ImageDraw.Draw(image).ellipse((side // 4, side // 4, side // 2, side // 2), fill="red")
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def ask(stack: LiveStack, data: bytes = b"", **fields: str) -> dict[str, Any]:
    """A job of the playground, once it has its answer."""
    mark = uuid.uuid4().hex
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    if data:
        head = f'--{mark}\r\nContent-Disposition: form-data; name="image"; filename="own.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        parts.append(head.encode() + data + b"\r\n")
    body = b"".join(parts) + f"--{mark}--\r\n".encode()
    request = urllib.request.Request(
        f"{stack.base_url}/v1/jobs", body, {"Content-Type": f"multipart/form-data; boundary={mark}"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        job: dict[str, Any] = json.load(response)
    until = time.monotonic() + 60
    while job["status"] in ("queued", "running") and time.monotonic() < until:
        time.sleep(0.2)
        job = stack.get(f"/v1/jobs/{job['id']}")
    assert job["status"] == "succeeded", job
    return job


def code(stack: LiveStack, job: dict[str, Any], language: str) -> str:
    address = f"{stack.base_url}/playground/jobs/{job['id']}/code/{language}/"
    with urllib.request.urlopen(address, timeout=30) as response:
        text: str = response.read().decode()
    return text


SAMPLED = json.dumps({"temperature": 1.0, "top_p": 0.95, "seed": 4711, "max_tokens": 24})
ASKED: dict[str, dict[str, Any]] = {
    "greedy": {"skill": "query", "sample": "night", "question": "How many stars are there?"},
    "sampled": {"skill": "caption", "sample": "moon", "length": "normal", "settings": SAMPLED},
    "4 bits": {"skill": "detect", "sample": "night", "object": "stars", "variant": "moondream-embedded-nf4"},
    "an upload": {"skill": "point", "data": picture(320), "object": "red circle"},
    "a small upload": {"skill": "caption", "data": picture(48), "length": "short", "settings": SAMPLED},
    "hostile": {"skill": "query", "sample": "night", "question": "".join(HOSTILE), "settings": SAMPLED},
}  # fmt: skip


@pytest.mark.parametrize("asked", ASKED)
def test_each_form_gives_the_stored_answer(
    live_stack: LiveStack, tmp_path: Path, asked: str
) -> None:
    job = ask(live_stack, **ASKED[asked])
    name = RESULTS[job["skill"]]
    stored = job["result"][name]
    for language in EXPORTS:
        folder = tmp_path / language
        folder.mkdir()
        reply = json.loads(execute(language, code(live_stack, job, language), folder))
        answer = reply[name] if language == "curl" else reply
        assert near(answer, stored), (language, answer, stored)
        assert not (folder / "pwned").exists()


def near(answer: Any, stored: Any) -> bool:
    """Words are equal; places within what a probability's last digits differ by."""
    if not isinstance(stored, list):
        return bool(answer == stored)
    return len(answer) == len(stored) and all(
        a[key] == pytest.approx(s[key], abs=1e-4)
        for a, s in zip(answer, stored, strict=True) for key in a
    )  # fmt: skip


def test_sampling_with_another_seed_differs(live_stack: LiveStack) -> None:
    """Otherwise equal answers would show nothing of the seed."""
    answers = {
        ask(live_stack, **{**ASKED["sampled"], "settings": SAMPLED.replace("4711", str(seed))})["result"]["caption"]
        for seed in range(6)
    }  # fmt: skip
    assert len(answers) > 1


def test_the_notebook_runs_as_one(live_stack: LiveStack, tmp_path: Path) -> None:
    from nbclient import NotebookClient

    job = ask(live_stack, **ASKED["greedy"])
    book = nbformat.reads(code(live_stack, job, "notebook"), as_version=4)
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (output,) = book.cells[-1].outputs
    assert json.loads(output.text) == job["result"]["answer"]
