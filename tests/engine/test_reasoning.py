"""Thinking before an answer, against the same thought written out without a cache."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inference.engine import Moondream
from inference.engine.decoding import choose
from inference.engine.settings import Settings
from inference.engine.testing import make_tiny_checkpoint, tiny_config

IMAGE = Image.linear_gradient("L").resize((96, 64)).convert("RGB")
SETTINGS = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 40}
# Bytes are ids from 32 on: without a lean a random model would hardly point.
LEANS = {3: 4.0, 5: 5.0, 7: 3.5, 9: 3.5}


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Moondream:
    folder: Path = tmp_path_factory.mktemp("thinker")
    config = tiny_config()
    config.lacks = []
    config.tokenizer["thinking_id"] = 4
    make_tiny_checkpoint(folder, config=config)
    made = Moondream.from_pretrained(folder, dtype="float32", device="cpu")
    with torch.no_grad():
        for token, lean in LEANS.items():
            made.model.text.lm_head.bias[token] = lean
    return made


@torch.inference_mode()
def written_out(  # noqa: C901  # flat on purpose: to be read beside upstream's
    model: Moondream, question: str, settings: Settings
) -> dict[str, Any]:
    """Upstream's `_generate_reasoning`, reading everything anew for every token."""
    encoded = model.encode_image(IMAGE)
    text, region = model.model.text, model.model.region
    rows = [text.embed(torch.tensor([1, 14, 2, *model._encode(question), 3, 4]))]
    generator = torch.Generator().manual_seed(settings.seed)
    chunks: list[list[int]] = [[]]
    grounds: list[list[float]] = [[]]
    said: list[int] = []
    answering = False
    for step in range(2 * settings.max_tokens + 2):
        if not answering and sum(map(len, chunks)) == settings.max_tokens:
            answering = True
            rows.append(text.embed(torch.tensor([3])))
        embeds = torch.cat(rows)[None]
        hidden = model.model.prefill(embeds, encoded.prefix.fork(embeds.shape[1]))
        logits = text.logits(hidden)[0].float()
        if answering:
            if said:
                logits[3] = -torch.inf
        elif step:
            logits[[0, 6]] = -torch.inf
        token = choose(logits, settings, generator)[0]
        if answering:
            if token == 0 or len(said) == settings.max_tokens:
                break
            said.append(token)
        elif token == 3:
            answering = True
            rows.append(text.embed(torch.tensor([3])))
            continue
        else:
            if token in (7, 9):
                chunks.append([])
                grounds.append([])
            chunks[-1].append(token)
        if token == 5 and not answering:
            value = region.coord_logits(hidden)[0].argmax() / 1024
            grounds[-1].append(float(value))
            rows.append(region.encode_coord(value.view(1)).view(1, -1))
        else:
            rows.append(text.embed(torch.tensor([token])))
    texts = [model.tokenizer.decode(c) for c in chunks]
    starts = [sum(map(len, texts[:n])) for n in range(len(texts))]
    grounding = [
        {"start_idx": at, "end_idx": at + len(words),
         "points": [list(g[n : n + 2]) for n in range(0, len(g) // 2 * 2, 2)]}
        for at, words, g in zip(starts, texts, grounds, strict=True) if len(g) > 1
    ]  # fmt: skip
    return {"text": "".join(texts), "grounding": grounding, "answer": model.tokenizer.decode(said)}


def test_a_thought_is_the_one_written_out(thinker: Moondream) -> None:
    pointed = ended = 0
    for seed in range(6):
        asked: dict[str, Any] = {**SETTINGS, "seed": seed}
        expected = written_out(thinker, "why?", Settings.read(asked))
        answer = thinker.query(IMAGE, "why?", reasoning=True, settings=asked)
        thought = answer["reasoning"]
        assert thought["text"] == expected["text"]
        assert [g["start_idx"] for g in thought["grounding"]] == [g["start_idx"] for g in expected["grounding"]]  # fmt: skip
        for mine, other in zip(thought["grounding"], expected["grounding"], strict=True):
            assert mine["end_idx"] == other["end_idx"]
            assert np.allclose(mine["points"], other["points"], atol=1e-6)
        assert answer["answer"] == expected["answer"]
        pointed += bool(thought["grounding"])
        ended += answer.tokens["completion"] < 80
    assert pointed
    assert ended


def test_a_streamed_answer_has_its_thought_before_the_first_piece(thinker: Moondream) -> None:
    asked = {**SETTINGS, "seed": 1}
    whole = thinker.query(IMAGE, "why?", reasoning=True, settings=asked)
    streamed = thinker.query(IMAGE, "why?", reasoning=True, stream=True, settings=asked)
    pieces = iter(streamed["answer"])
    first = next(pieces, "")
    assert streamed["reasoning"] == whole["reasoning"]
    assert first + "".join(pieces) == whole["answer"]


def test_places_may_be_asked_about_with_a_thought(thinker: Moondream) -> None:
    """Upstream raises here; there is no reason to."""
    answer = thinker.query(
        IMAGE, "why?", reasoning=True, spatial_refs=[(0.5, 0.5)], settings={"max_tokens": 4}
    )
    assert set(answer["reasoning"]) == {"text", "grounding"}


def test_a_job_of_a_thinking_checkpoint_has_its_thought(tmp_path: Path) -> None:
    """A checkpoint with today's tokenizer reasons, and the worker keeps what it thought."""
    from inference.backends.base import Finished, Request
    from inference.backends.engine import EngineBackend

    config = tiny_config()
    config.lacks = []
    config.tokenizer["thinking_id"] = 4
    make_tiny_checkpoint(tmp_path, config=config)
    backend = EngineBackend(str(tmp_path), "", "float32")
    params = {"question": "why?", "reasoning": True, "settings": {"max_tokens": 4}}
    events = list(backend.answer(Request("query", params, "key", lambda: IMAGE)))
    assert isinstance(events[-1], Finished)
    assert set(events[-1].result) == {"answer", "reasoning"}
    assert set(events[-1].result["reasoning"]) == {"text", "grounding"}
