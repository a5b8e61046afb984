"""The ONNX files in the repository are the embedded model's, and a fresh export works."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from inference.engine import Moondream
from inference.engine.crops import make_crops
from inference.engine.onnx_export import export
from inference.engine.testing import make_tiny_checkpoint, tiny_config
from inference.world.samples import SAMPLES, sample_bytes

WEIGHTS = Path(__file__).parents[2] / "inference" / "weights"


def _answer(
    folder: Path, model: Moondream, image: Image.Image, prompt: list[int], most: int
) -> str:
    """Greedy, by onnxruntime."""
    encoder, decoder = (
        onnxruntime.InferenceSession(folder / name) for name in ("encoder.onnx", "decoder.onnx")
    )
    pixels = make_crops(image, model.sections.vision).pixels[0].astype(np.float32) / 255
    keys, values = encoder.run(None, {"pixels": ((pixels - 0.5) / 0.5).transpose(2, 0, 1)[None]})
    said: list[int] = []
    ids = prompt
    while len(said) < most:
        feed: dict[str, Any] = {"ids": np.array([ids]), "past_keys": keys, "past_values": values}
        logits, keys, values = decoder.run(None, feed)
        if said:
            logits[model.sections.tokenizer.answer_id] = -np.inf
        token = int(logits.argmax())
        if token == model.sections.tokenizer.eos_id:
            break
        said.append(token)
        ids = [token]
    text: str = model.tokenizer.decode(said)
    return text


def test_the_committed_files_answer_as_the_engine() -> None:
    folder = WEIGHTS / "browser"
    facts = json.loads((folder / "browser.json").read_text())
    model = Moondream.from_pretrained(WEIGHTS / "embedded", dtype="float32", device="cpu")
    assert facts["revision"] == model.info["revision"]
    assert (folder / "tokenizer.json").read_text() == (
        WEIGHTS / "embedded" / "tokenizer.json"
    ).read_text()
    for sample in SAMPLES[:3]:
        image = Image.open(io.BytesIO(sample_bytes(sample.slug))).convert("RGB")
        question = sample.prompts["query"]
        expected = model.query(image, question)["answer"]
        assert _answer(folder, model, image, model.query_prompt(question), 20) == expected


def test_sizes_are_bearable() -> None:
    assert sum(f.stat().st_size for f in (WEIGHTS / "browser").iterdir()) < 17_000_000


@pytest.mark.parametrize("kv_heads", [None, 2])
def test_a_fresh_export(tmp_path: Path, kv_heads: int | None) -> None:
    config = tiny_config(max_crops=1, n_kv_heads=kv_heads)
    folder = make_tiny_checkpoint(tmp_path / "model", config=config)
    model = Moondream.from_pretrained(folder, dtype="float32", device="cpu")
    export(model, tmp_path / "out")
    # Noise of a fixed seed: on other pictures random weights can be of two minds about a token.
    noise = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    expected = model.query(image, "What?", settings={"max_tokens": 8})["answer"]
    assert _answer(tmp_path / "out", model, image, model.query_prompt("What?"), 8) == expected


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    tiled = Moondream.from_pretrained(make_tiny_checkpoint(tmp_path / "tiled"), device="cpu")
    with pytest.raises(ValueError, match="one crop"):
        export(tiled, tmp_path / "out")
