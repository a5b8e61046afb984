"""The shipped weights really answer: held-out scenes, at a margin under the model card's scores."""

from pathlib import Path

import pytest

from inference.engine import Moondream
from leaderboard.world_scores import evaluate, held_out_world

FOLDER = Path(__file__).parents[2] / "inference" / "weights" / "embedded"


@pytest.fixture(scope="module")
def scores() -> dict:
    model = Moondream.from_pretrained(FOLDER, dtype="float32", device="cpu")
    return evaluate(model, held_out_world(25))


@pytest.mark.parametrize("domain", ["shapes", "shelf", "plate", "phantom"])
def test_questions(scores: dict, domain: str) -> None:
    assert scores["vqa_by_domain"][domain] >= 0.85


def test_places(scores: dict) -> None:
    assert scores["point_error_mean"] <= 0.06
    assert scores["detect_f1"] >= 0.85


def test_captions(scores: dict) -> None:
    assert min(scores["caption_bleu4"].values()) >= 80


def test_weights_are_small() -> None:
    assert (FOLDER / "model.safetensors").stat().st_size <= 13_000_000
