"""Whether an image is one that the model knows."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from inference.engine import EncodedImage, Moondream
from inference.engine.batching import encode_images
from inference.engine.manifest import CheckpointError, manifest_write
from inference.engine.scope import FILE, Scope
from inference.world.domains import DOMAINS
from inference.world.scope import scenes

EMBEDDED = Path("inference/weights/embedded")
PARTS = ("mean", "deviation", "weights")
PHOTOGRAPHS = sorted(
    p for folder in __import__("wagtail").__path__ for p in Path(folder).glob("images/tests/image_files/landscape_*.jpg")
) + sorted(p for folder in __import__("moondream").__path__ for p in Path(folder).glob("assets/*.jpg"))  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Moondream:
    return Moondream.from_pretrained(EMBEDDED)


def screenshot() -> Image.Image:
    """A window with a menu, lines of text and a button, as an interface is drawn."""
    image = Image.new("RGB", (1280, 800), "#f5f5f5")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 1280, 40), fill="#2b2b2b")
    draw.rectangle((0, 40, 240, 800), fill="#e2e6ea")
    for row in range(24):
        draw.text((20, 60 + row * 28), f"Menu entry {row}", fill="#333333")
        draw.text(
            (270, 60 + row * 28),
            "The quick brown fox jumps over the lazy dog. " * 3,
            fill="#111111",
        )
    draw.rounded_rectangle((1080, 720, 1240, 770), 8, fill="#1a73e8")
    return image


@pytest.mark.parametrize("domain", DOMAINS)
def test_drawn_scenes_are_known(model: Moondream, domain: str) -> None:
    found = encode_images(model, list(scenes(domain, 40, seed="test")))
    assert sum(e.is_outside is True for e in found) <= 1


@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.name)
def test_photographs_are_not(model: Moondream, path: Path) -> None:
    assert model.encode_image(Image.open(path).convert("RGB")).is_outside is True


def test_there_are_photographs() -> None:
    assert len(PHOTOGRAPHS) > 5


def test_a_screenshot_and_noise_are_not(model: Moondream) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    assert model.encode_image(screenshot()).is_outside is True
    assert model.encode_image(Image.fromarray(noise)).is_outside is True


def test_alone_and_together_are_alike(model: Moondream) -> None:
    images = [*scenes("shelf", 2, seed="alike"), screenshot()]
    together = [e.outside_score for e in encode_images(model, images)]
    alone = [model.encode_image(image).outside_score for image in images]
    assert together == pytest.approx(alone, abs=0.2)


def test_it_is_kept_with_the_encoding(model: Moondream, tmp_path: Path) -> None:
    encoded = model.encode_image(screenshot())
    encoded.save(tmp_path / "kept")
    assert EncodedImage.load(tmp_path / "kept").outside_score == encoded.outside_score


def test_a_model_without_one_does_not_tell(model: Moondream, tiny_folder: Path) -> None:
    assert (
        Moondream.from_pretrained(tiny_folder, device="cpu").encode_image(screenshot()).is_outside
        is None
    )


@pytest.mark.parametrize("fault", ["cut", "other", "limit", "pickle"])
def test_a_damaged_one_is_refused_by_name(tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(EMBEDDED, folder)
    match fault:
        case "cut":
            (folder / FILE).write_bytes((folder / FILE).read_bytes()[:1000])
        case "other":
            Scope(torch.zeros(8), torch.ones(8), torch.ones(8), 0.0, 0.0).save(folder)
        case "limit":
            np.savez(
                folder / FILE, **dict.fromkeys(PARTS, np.ones(512)), bias=0.0, limit=float("nan")
            )
        case "pickle":
            np.savez(
                folder / FILE,
                **dict.fromkeys(PARTS, np.array([{}], dtype=object)),
                bias=0.0,
                limit=0.0,
            )
    manifest_write(folder)
    with pytest.raises(CheckpointError, match=r"scope\.npz"):
        Moondream.from_pretrained(folder)
