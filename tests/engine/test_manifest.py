"""Files of weights that are lost, cut short or changed are named when they are loaded, and where they
lie is not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference.engine import CheckpointError, Moondream, manifest
from inference.engine.checkpoint import save_quantised

WEIGHTS = Path(__file__).parents[2] / "inference" / "weights"


def flip(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


FAULTS = [flip, cut, empty, Path.unlink, folder_instead]


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    made = tmp_path / "hidden" / "model-x"
    shutil.copytree(tiny_folder, made)
    return made


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as refused:
        Moondream.from_pretrained(folder)
    text = str(refused.value)
    assert str(folder) not in text
    assert "hidden" not in text
    assert "/" not in text
    return text


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_is_not_as_it_was_written_is_named(
    folder: Path, name: str, fault: Callable[[Path], None]
) -> None:
    manifest.manifest_write(folder)
    assert manifest.manifest_check(folder)
    fault(folder / name)
    assert name in refusal(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("fault", [cut, empty, Path.unlink])
def test_also_without_a_manifest(folder: Path, name: str, fault: Callable[[Path], None]) -> None:
    assert not manifest.manifest_check(folder)
    fault(folder / name)
    assert name in refusal(folder)


@pytest.mark.parametrize(
    "text", ["nonsense\n", "0" * 64 + "  ../../etc/passwd\n", "\0\n", "x" * 64 + "  a\n"]
)
def test_a_manifest_that_is_none_is_said(folder: Path, text: str) -> None:
    (folder / manifest.NAME).write_text(text)
    assert refusal(folder) == f"{manifest.NAME} is damaged."
    (folder / manifest.NAME).write_bytes(b"\xff\xfe")
    assert "cannot be read" in refusal(folder)


def test_a_part_that_the_index_lists_is_named(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    parts = {"a.safetensors": names[:10], "b.safetensors": names[10:]}
    for file, part in parts.items():
        save_file({n: tensors[n] for n in part}, folder / file, metadata={"format": "pt"})
    where = {name: file for file, part in parts.items() for name in part}
    index = {"metadata": {"total_size": 1}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    Moondream.from_pretrained(folder)
    (folder / "b.safetensors").unlink()
    assert "b.safetensors" in refusal(folder)


def test_missing_tensors_are_named_the_first_of_many(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {"model.text.wte": torch.zeros(2, 2)},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    said = refusal(folder)
    assert "model.text" in said
    assert f"and {len(tensors) - 1 - 8} more" in said


def test_what_this_project_writes_has_a_manifest(tiny_folder: Path, tmp_path: Path) -> None:
    for name in ("embedded", "browser"):
        assert manifest.manifest_check(WEIGHTS / name)
    listed = (WEIGHTS / "embedded" / manifest.NAME).read_text()
    assert all(f"  {n}\n" in listed for n in ("config.json", "model.safetensors", "tokenizer.json"))
    small = save_quantised(tiny_folder, tmp_path / "small", "int8")
    assert manifest.manifest_check(small)
    flip(small / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        Moondream.from_pretrained(small)
