"""The shipped weights really answer: held-out scenes, at a margin under the model card's scores."""

from pathlib import Path

import pytest

from inference.engine import Moondream
from inference.world.evaluation import held_out
from leaderboard.world_scores import evaluate

FOLDER = Path(__file__).parents[2] / "inference" / "weights" / "embedded"


@pytest.fixture(scope="module")
def scores() -> dict:
    model = Moondream.from_pretrained(FOLDER, dtype="float32", device="cpu")
    return evaluate(model, list(held_out(40)))


def test_questions(scores: dict) -> None:
    assert scores["vqa"] >= 0.93
    by_kind = scores["vqa_by_kind"]
    assert (
        min(by_kind[k] for k in ("background", "shape", "size", "existence", "relation", "reading"))
        >= 0.85
    )


def test_places(scores: dict) -> None:
    assert scores["point_error_mean"] <= 0.05
    assert scores["detect_f1"] >= 0.9


def test_captions(scores: dict) -> None:
    assert min(scores["caption_bleu4"].values()) >= 88


def test_weights_are_small() -> None:
    assert (FOLDER / "model.safetensors").stat().st_size <= 12_000_000
