"""The shipped weights really answer: held-out scenes, at a margin under the model card's scores."""

from pathlib import Path
from typing import Any

import pytest

from inference.engine import Moondream
from leaderboard.world_scores import evaluate, held_out_world

FOLDER = Path(__file__).parents[2] / "inference" / "weights" / "embedded"


PRECISIONS: list[Any] = [
    ("float32", None),
    ("bfloat16", None),
    ("bfloat16", "int8"),
    ("bfloat16", "nf4"),
]


@pytest.fixture(scope="module", params=PRECISIONS, ids=["full", "half", "int8", "nf4"])
def scores(request: pytest.FixtureRequest) -> dict:
    dtype, quantization = request.param
    model = Moondream.from_pretrained(FOLDER, quantization, device="cpu", dtype=dtype)
    # At half precision and 8 bits few answers are others than in full: fewer scenes show it.
    scenes = 8 if quantization in (None, "int8") and dtype == "bfloat16" else 20
    return evaluate(model, held_out_world(scenes))


def test_questions(scores: dict) -> None:
    assert scores["vqa"] >= 0.93
    by_domain = scores["vqa_by_domain"]
    assert by_domain["shapes"] >= 0.92
    assert min(by_domain.values()) >= 0.85
    by_kind = scores["vqa_by_kind"]
    sure = (
        "background",
        "shape",
        "size",
        "existence",
        "relation",
        "plate inspection",
        "shelf stock",
    )
    assert min(by_kind[k] for k in sure) >= 0.85


def test_places(scores: dict) -> None:
    assert scores["point_error_mean"] <= 0.05
    assert scores["detect_f1"] >= 0.87


def test_captions(scores: dict) -> None:
    assert min(scores["caption_bleu4"].values()) >= 74


def test_weights_are_small() -> None:
    assert (FOLDER / "model.safetensors").stat().st_size <= 12_000_000
