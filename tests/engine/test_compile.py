"""torch.compile changes speed, not answers, and compiles once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inference.engine import Moondream

SIZES = ((40, 40), (150, 90), (90, 200))
SETTINGS: dict[str, Any] = {"max_tokens": 9, "max_objects": 2}


def _everything(model: Moondream) -> list[Any]:
    """Answers of every kind about images of several tilings."""
    random = np.random.default_rng(0)
    said: list[Any] = []
    for width, height in SIZES:
        pixels = random.integers(0, 255, (height, width, 3), dtype=np.uint8)
        image = model.encode_image(Image.fromarray(pixels))
        said += [
            model.caption(image, "long", settings=SETTINGS)["caption"],
            model.query(image, "How many of them are there?", settings=SETTINGS)["answer"],
            model.detect(image, "star", settings=SETTINGS)["objects"],
            model.point(image, "red circle", settings=SETTINGS)["points"],
        ]
    said.append(model.query(None, "What?", settings=SETTINGS)["answer"])
    return said


# aot_eager traces and functionalises as inductor does, without writing C++ for a minute.
@pytest.mark.parametrize("kind", ["aot_eager"])
def test_compiled_answers_are_the_same_and_compiled_once(tiny_folder: Path, kind: str) -> None:
    plain = Moondream.from_pretrained(tiny_folder, dtype="float32", device="cpu")
    fast = Moondream.from_pretrained(tiny_folder, dtype="float32", device="cpu")
    torch._dynamo.reset()
    fast.compile(kind)
    expected = _everything(plain)
    first = _everything(fast)  # compiles for one tile, and for many
    with torch._dynamo.config.patch(error_on_recompile=True):
        again = _everything(fast)
    for got in (first, again):
        for mine, theirs in zip(got, expected, strict=True):
            if isinstance(theirs, str):
                assert mine == theirs
                continue
            assert len(mine) == len(theirs) > 0
            for place, other in zip(mine, theirs, strict=True):
                assert place == pytest.approx(other, abs=1e-4)


def test_automatically_it_is_compiled_on_a_gpu_alone(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Moondream] = []
    monkeypatch.setattr(Moondream, "compile", lambda self, *_: compiled.append(self))
    for choice in ("auto", "off"):
        Moondream.from_pretrained(tiny_folder, device="cpu", compile=choice)  # type: ignore[arg-type]
    assert compiled == []
    Moondream.from_pretrained(tiny_folder, device="cpu", compile="on")
    assert len(compiled) == 1
