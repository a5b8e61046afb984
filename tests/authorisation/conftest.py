"""The scene, and a site that refuses nobody for asking often."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.authorisation.scene import Scene, build


@pytest.fixture
def scene(starter: Any, settings: Any, tmp_path: Any) -> Iterator[Scene]:
    settings.IMAGE_STORE_DIR = tmp_path / "images"
    settings.INFERENCE_MAX_QUEUE_DEPTH = settings.INFERENCE_MAX_WAITING_PER_CALLER = 10**6
    settings.ACCOUNT_RATE_LIMITS = False
    logging.disable(logging.CRITICAL)  # thousands of refusals
    try:
        yield build()
    finally:
        logging.disable(logging.NOTSET)
