"""Batches answer as single questions do."""

import base64
import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from inference.engine import Moondream
from inference.engine.attention import attention_maps, prompt_attention
from inference.engine.batching import Ask, answer_many, encode_images, stream_many


def _images(count: int) -> list[Image.Image]:
    sizes = [(90, 60), (40, 40), (300, 60), (64, 200)]
    return [
        Image.fromarray(
            np.random.default_rng(n).integers(0, 255, (*sizes[n % 4][::-1], 3), dtype=np.uint8)
        )
        for n in range(count)
    ]


QUESTIONS = ["?", "How many of them are there?", "What is it", "Where? And why, and since when?"]


def test_images_encoded_together_are_the_same(tiny: Moondream) -> None:
    images = _images(5)
    known = tiny.encode_image(images[2])
    together = encode_images(tiny, [*images[:2], known, *images[3:]])
    assert together[2] is known
    for image, encoded in zip(images, together, strict=True):
        alone = tiny.encode_image(image)
        assert encoded.size == image.size
        assert torch.allclose(encoded.prefix.keys, alone.prefix.keys, atol=1e-4)
        assert torch.allclose(encoded.prefix.values, alone.prefix.values, atol=1e-4)


def test_a_batch_answers_as_each_row_alone(tiny: Moondream) -> None:
    images = _images(4)
    asks = [Ask(image, question) for image, question in zip(images, QUESTIONS, strict=True)]
    asks.append(Ask(images[0], length="long"))
    settings = {"max_tokens": 12}
    batch = answer_many(tiny, asks, settings)
    for ask, answer in zip(asks, batch, strict=True):
        alone = (
            tiny.caption(ask.image, "long", settings=settings)
            if ask.length
            else tiny.query(ask.image, ask.question, settings=settings)
        )
        assert dict(answer) == dict(alone)
        assert answer.tokens == alone.tokens
        assert answer.finish_reason == alone.finish_reason
        assert answer.confidence == pytest.approx(alone.confidence, rel=1e-3)


def test_a_batch_streams_what_it_answers(tiny: Moondream) -> None:
    asks = [
        Ask(image, length=length)
        for image, length in zip(_images(2), ("short", "long"), strict=True)
    ]
    said = ["", ""]
    whole: dict[int, str] = {}
    for row, item in itertools.chain.from_iterable(stream_many(tiny, asks, {"max_tokens": 9})):
        if isinstance(item, str):
            assert row not in whole
            said[row] += item
        else:
            whole[row] = item["caption"]
    assert said == [whole[0], whole[1]]


def test_questions_on_one_image_reuse_its_encoding(tiny: Moondream) -> None:
    encoded = tiny.encode_image(_images(1)[0])
    answers = answer_many(tiny, [Ask(encoded, q) for q in QUESTIONS], {"max_tokens": 5})
    assert all(a.timings["encode_cached"] for a in answers)


def test_a_row_without_a_question_is_refused(tiny: Moondream) -> None:
    with pytest.raises(ValueError, match="empty"):
        answer_many(tiny, [Ask(_images(1)[0], " ")])
    with pytest.raises(ValueError, match="too many"):
        answer_many(tiny, [Ask(_images(1)[0], "x" * 400)])


def test_attention_maps_are_shares_of_the_image(tiny: Moondream) -> None:
    image = _images(1)[0]
    maps = attention_maps(tiny, image, QUESTIONS[1], "seven")
    grid = tiny.sections.vision.grid
    assert maps.pieces == list("seven")
    values = np.array(maps.maps)
    assert values.shape == (len(maps.pieces), grid, grid)
    assert values.sum((1, 2)) == pytest.approx(np.ones(len(values)), abs=1e-4)
    assert all(0 < share < 1 for share in maps.image_share)


def test_attention_maps_on_the_wire(tiny: Moondream) -> None:
    image = _images(1)[0]
    maps = attention_maps(tiny, image, QUESTIONS[1], "seven")
    wire = maps.to_dict()
    levels = np.frombuffer(base64.b64decode(wire["maps"]), np.uint8).astype(float)
    levels = levels.reshape(len(maps.pieces), wire["grid"], wire["grid"])
    shares = levels / 255 * np.array(wire["peaks"])[:, None, None]
    assert shares == pytest.approx(np.array(maps.maps), abs=max(wire["peaks"]) / 200)
    assert (levels.max((1, 2)) == 255).all()
    prompt, _ = tiny.prompt("caption", {"length": "short"})
    assert prompt_attention(tiny, image, prompt, "seven", most=2).pieces == list("se")


def test_attention_maps_are_those_of_the_written_out_softmax(tiny: Moondream) -> None:
    """The last layer's map from the layer's own queries and keys, one head at a time."""
    from inference.engine.layers import rotary, rotate

    image = _images(1)[0]
    ids = tiny.tokenizer.encode("ab").ids
    prompt = tiny.query_prompt("Hm?")
    maps = attention_maps(tiny, image, "Hm?", "ab", layers=1)
    text = tiny.model.text
    seen: dict[str, torch.Tensor] = {}
    last = text.blocks[-1]
    hook = last.ln.register_forward_hook(lambda _m, _i, out: seen.update(y=out))
    prefix = tiny.encode_image(image).prefix
    cache = prefix.fork(len(prompt) + len(ids))
    tiny.model.prefill(text.embed(torch.tensor([prompt + ids[:-1]])), cache)
    hook.remove()
    q, _, _ = last.attn.split(seen["y"])
    positions = torch.arange(prefix.length, prefix.length + len(prompt) + len(ids) - 1)
    q = rotate(q, *rotary(positions, text.config))[0, :, len(prompt) - 1]
    keys = cache.keys[-1, 0, :, : prefix.length + len(prompt)]
    heads = [
        (keys[h].double() @ q[h].double() / q.shape[-1] ** 0.5).softmax(-1) for h in range(len(q))
    ]
    mean = torch.stack(heads).mean(0)[1 : prefix.length]
    expected = (mean / mean.sum()).reshape(tiny.sections.vision.grid, -1)
    assert torch.tensor(maps.maps[0]).double() == pytest.approx(expected, abs=1e-5)
