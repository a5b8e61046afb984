"""The starter notebooks, run from top to bottom against a live server; the gallery lists no other."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from research.management.commands.notebooks import run
from tests.live import LiveStack

pytestmark = pytest.mark.live
NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def stack(live_stack: LiveStack) -> Iterator[LiveStack]:
    live_stack.start_trainer()
    yield live_stack
    live_stack.end_worker("trainer")


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda f: f.stem)
def test_it_runs(stack: LiveStack, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setenv("TUNING_STEPS", "3")
    execution = run(file, stack.base_url)
    assert execution.error == ""
    assert execution.source_path == f"notebooks/{file.name}"


def test_a_notebook_that_fails_says_where(live_stack: LiveStack, tmp_path: Path) -> None:
    cell: dict[str, Any] = {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": None, "outputs": [],
            "source": "1 / 0"}  # fmt: skip
    book = {"nbformat": 4, "nbformat_minor": 5, "cells": [cell],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}}}  # fmt: skip
    file = tmp_path / "bad.ipynb"
    file.write_text(json.dumps(book))
    assert "ZeroDivisionError" in run(file, live_stack.base_url).error


def test_the_files_carry_what_the_gallery_needs() -> None:
    assert len(NOTEBOOKS) >= 5
    for file in NOTEBOOKS:
        about = json.loads(file.read_text())["metadata"]["hub"]
        assert {"slug", "title", "lede", "published_on", "tags", "sample"} <= about.keys()
