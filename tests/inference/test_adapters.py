"""Tuned adapters on a warm model: its base stays what it was, and each question gets its own."""

import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

from inference.backends import AdapterFiles, Request
from inference.backends.base import Finished
from inference.backends.engine import EngineBackend
from inference.engine import Moondream
from inference.engine.testing import make_tiny_checkpoint
from inference.engine.tuning import Adapters, AdapterSettings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_tiny_checkpoint(tmp_path / "model")


def _adapter(folder: Path, name: str, seed: int) -> AdapterFiles:
    """One that changes what is answered."""
    adapters = Adapters(Moondream.from_pretrained(folder, dtype="float32", device="cpu"))
    adapters.add(name, AdapterSettings(rank=8), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in adapters.parameters(name).values():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.3)
    kept = folder.parent / name
    adapters.save(name, kept)
    return AdapterFiles(name, partial(shutil.copytree, kept, dirs_exist_ok=True))


def _picture() -> Image.Image:
    return Image.linear_gradient("L").convert("RGB").resize((48, 48))


def _ask(adapter: AdapterFiles | None = None, question: str = "How many?") -> Request:
    params = {"question": question, "settings": {"max_tokens": 12}}
    return Request("query", params, "picture", _picture, adapter)


def _answer(backend: EngineBackend, request: Request) -> str:
    done = list(backend.answer(request))[-1]
    assert isinstance(done, Finished)
    answer: str = done.result["answer"]
    return answer


@pytest.fixture
def backend(folder: Path) -> EngineBackend:
    return EngineBackend(str(folder), "", "float32")


def test_each_question_gets_its_own(folder: Path, backend: EngineBackend) -> None:
    base = _answer(backend, _ask())
    one, two = (_adapter(folder, name, seed) for seed, name in enumerate(("one", "two")))
    of_one, of_two = _answer(backend, _ask(one)), _answer(backend, _ask(two))
    assert len({base, of_one, of_two}) == 3
    for adapter, expected in ((None, base), (two, of_two), (one, of_one), (None, base)):
        assert _answer(backend, _ask(adapter)) == expected


def test_batch_of_one_adapter(folder: Path, backend: EngineBackend) -> None:
    one = _adapter(folder, "one", 1)
    questions = ("How many?", "What is it?", "Why?")
    alone = [_answer(backend, _ask(one, question)) for question in questions]
    _answer(backend, _ask())
    events = [e for made in backend.answer_many([_ask(one, q) for q in questions]) for e in made]
    done = {row: event for row, event in events if isinstance(event, Finished)}
    assert [done[row].result["answer"] for row in range(3)] == alone


def test_latest_are_kept(folder: Path, backend: EngineBackend, settings: object) -> None:
    settings.INFERENCE_ADAPTERS_KEPT = 2  # type: ignore[attr-defined]
    fetched: list[str] = []
    adapters = [_adapter(folder, f"adapter-{n}", n) for n in range(3)]

    def counted(adapter: AdapterFiles, into: Path) -> None:
        fetched.append(adapter.name)
        adapter.fetch(into)

    asked = [AdapterFiles(a.name, partial(counted, a)) for a in adapters]
    answers = [_answer(backend, _ask(adapter)) for adapter in asked]
    assert _answer(backend, _ask(asked[2])) == answers[2]
    assert len(fetched) == 3
    assert _answer(backend, _ask(asked[0])) == answers[0]  # made room for, and fetched again
    assert fetched[3:] == ["adapter-0"]


def test_of_another_base(tmp_path: Path, folder: Path, backend: EngineBackend) -> None:
    base = _answer(backend, _ask())
    other = tmp_path / "other"
    make_tiny_checkpoint(other / "model", seed=2)
    config = (other / "model" / "config.json").read_text().replace('"test"', '"another"')
    (other / "model" / "config.json").write_text(config)
    with pytest.raises(ValueError, match="was trained on moondream-tiny-random another"):
        _answer(backend, _ask(_adapter(other / "model", "strange", 1)))
    assert _answer(backend, _ask()) == base


def test_of_another_precision(folder: Path) -> None:
    adapter = _adapter(folder, "full", 1)
    backend = EngineBackend(str(folder), "nf4", "auto")
    with pytest.raises(ValueError, match=r"\(full\), and this is .*\(nf4\)"):
        _answer(backend, _ask(adapter))


def test_deleted_meanwhile(backend: EngineBackend) -> None:
    def gone(into: Path) -> None:
        raise LookupError("no such adapter")

    with pytest.raises(LookupError):
        _answer(backend, _ask(AdapterFiles("gone", gone)))
    assert _answer(backend, _ask()) is not None
