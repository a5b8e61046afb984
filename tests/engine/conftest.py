from pathlib import Path

import pytest

from inference.engine import Moondream
from inference.engine.testing import make_tiny_checkpoint


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Moondream:
    return Moondream.from_pretrained(tiny_folder, dtype="float32", device="cpu")
