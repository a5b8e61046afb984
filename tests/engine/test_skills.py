"""The public face: shapes, streams, settings, errors; on a random tiny model."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from inference.engine import CheckpointError, Moondream, Settings, UnsupportedSkill
from inference.engine.checkpoint import Quantization, choose_device, choose_dtype, save_quantised
from inference.engine.decoding import choose, flush_point
from inference.engine.moondream import pick_bin

IMAGE = Image.effect_noise((90, 60), 70).convert("RGB")
SHORT = {"max_tokens": 6}


def test_prompts_follow_the_templates(tiny: Moondream, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    prefill = Moondream._prefill

    def spy(self: Moondream, run: Any, image: Any, prompt: list[int], *rest: Any) -> Any:
        seen.append(prompt)
        return prefill(self, run, image, prompt, *rest)

    monkeypatch.setattr(Moondream, "_prefill", spy)
    encoded = tiny.encode_image(IMAGE)
    tiny.caption(encoded, "short", settings=SHORT)
    tiny.query(encoded, " hi? ", settings=SHORT)
    tiny.detect(encoded, "cat", settings={"max_objects": 1})
    tiny.query(encoded, "a", spatial_refs=[(0.1, 0.2), (0.1, 0.2, 0.3, 0.4)], settings=SHORT)
    ids = tiny.tokenizer.encode
    assert seen[0] == [1, 10, 2, 11, 3]
    assert seen[1] == [1, 14, 2, *ids("hi?").ids, 3], "questions carry no leading space"
    assert seen[2] == [1, 15, 2, *ids(" cat").ids, 3], "objects carry one"
    assert seen[3] == [1, 14, 2, 5, 5, 5, 5, 6, *ids("a").ids, 3]


@pytest.mark.parametrize("skill", ["caption", "query", "detect", "point"])
def test_streamed_and_whole_answers_agree(tiny: Moondream, skill: str) -> None:
    key = {"caption": "caption", "query": "answer", "detect": "objects", "point": "points"}[skill]
    args: tuple[Any, ...] = () if skill == "caption" else ("thing",)
    settings = {"max_tokens": 12, "max_objects": 3}
    whole = getattr(tiny, skill)(IMAGE, *args, settings=settings)
    streamed = getattr(tiny, skill)(IMAGE, *args, settings=settings, stream=True)
    pieces = list(streamed[key])
    joined = "".join(pieces) if skill in ("caption", "query") else pieces
    assert joined == whole[key]
    for answer in (whole, streamed):
        assert set(answer.timings) == {
            "encode_ms", "prefill_ms", "first_token_ms", "decode_ms", "total_ms", "encode_cached",
        }  # fmt: skip
        assert answer.confidence is None or 0 <= answer.confidence <= 1
        assert answer.tokens["prompt"] > 37
        assert answer.timings["total_ms"] >= answer.timings["first_token_ms"] > 0


def test_an_encoded_image_saves_the_encoding_and_changes_nothing(tiny: Moondream) -> None:
    encoded = tiny.encode_image(IMAGE)
    fresh = tiny.caption(IMAGE, settings=SHORT)
    reused = tiny.caption(encoded, settings=SHORT)
    again = tiny.caption(encoded, settings=SHORT)
    assert fresh["caption"] == reused["caption"] == again["caption"]
    assert not fresh.timings["encode_cached"]
    assert reused.timings["encode_cached"]
    assert reused.timings["encode_ms"] == 0
    assert encoded.nbytes > 0


def test_an_image_encoded_by_another_precision_is_refused(
    tiny: Moondream, tiny_folder: Path
) -> None:
    other = Moondream.from_pretrained(tiny_folder, quantization="int8", device="cpu")
    with pytest.raises(ValueError, match="was encoded by"):
        other.caption(tiny.encode_image(IMAGE))


def test_limits_are_kept_and_said(tiny: Moondream) -> None:
    answer = tiny.caption(IMAGE, settings={"maxTokens": 3})
    assert answer.tokens["completion"] == 3
    assert answer.finish_reason == "length"
    found = tiny.detect(IMAGE, "x", settings={"max_objects": 2})
    assert len(found["objects"]) <= 2


def test_sampling_is_seeded(tiny: Moondream) -> None:
    def ask(seed: int) -> str:
        settings = {"temperature": 1.5, "top_p": 1.0, "max_tokens": 16, "seed": seed}
        text: str = tiny.query(IMAGE, "x", settings=settings)["answer"]
        return text

    assert ask(1) == ask(1)
    assert len({ask(seed) for seed in range(6)}) > 1


def test_top_p_keeps_tokens_while_the_mass_before_them_is_small() -> None:
    logits = torch.tensor([0.5, 0.3, 0.2]).log()
    generator = torch.Generator().manual_seed(0)
    settings = Settings(temperature=1.0, top_p=0.5)
    drawn = {choose(logits, settings, generator)[0] for _ in range(200)}
    assert drawn == {0, 1}, "the second starts at a mass of exactly 0.5"
    only = {choose(logits, Settings(temperature=1.0, top_p=0.1), generator)[0] for _ in range(50)}
    assert only == {0}


def test_confidence_is_the_geometric_mean_of_the_choices(
    tiny: Moondream, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = iter([(40, 0.9), (41, 0.4), (0, 0.6)])
    monkeypatch.setattr("inference.engine.decoding.choose", lambda *_: next(given))
    answer = tiny.query(IMAGE, "x")
    assert answer.confidence == pytest.approx((0.9 * 0.4 * 0.6) ** (1 / 3))
    assert answer.tokens["completion"] == 3


def test_belief_in_a_bin_is_the_mass_around_it() -> None:
    logits = torch.full((1024,), -30.0)
    logits[500], logits[530], logits[900] = 3.0, 2.0, 2.5
    chosen, belief = pick_bin(logits)
    odds = logits.softmax(-1)
    assert int(chosen) == 500
    assert belief == pytest.approx(float(odds[500] + odds[530]), abs=1e-5)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("A red", 2), ("A red ", 6), ("word", 0), ("line\n", 5), ("ab\u4e2d", 3), ("", 0)],
)
def test_text_is_shown_in_whole_words(text: str, shown: int) -> None:
    assert flush_point(text) == shown


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.query(IMAGE, "  "), "question is empty"),
        (lambda m: m.detect(IMAGE, ""), "object is empty"),
        (lambda m: m.caption(IMAGE, "epic"), "Unknown caption length"),
        (lambda m: m.query(IMAGE, "x" * 4000), "too long"),
        (lambda m: m.query(IMAGE, "x", spatial_refs=[(0.1, 2)]), "spatial reference"),
        (
            lambda m: m.caption(IMAGE, settings={"temperature": "hot"}),
            "temperature must be a number",
        ),
        (lambda m: m.caption(IMAGE, settings={"max_tokens": 0}), "max_tokens must be between"),
        (lambda m: m.caption(IMAGE, settings={"top_p": float("nan")}), "top_p must be between"),
    ],
)
def test_bad_arguments_say_what_is_wrong(tiny: Moondream, call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(tiny)


def test_unknown_settings_are_ignored(tiny: Moondream) -> None:
    assert tiny.caption(IMAGE, settings={"variant": "x", "max_tokens": 2}).tokens["completion"] <= 2


def test_what_the_weights_lack_is_refused(tiny: Moondream) -> None:
    with pytest.raises(UnsupportedSkill, match="does not reason"):
        tiny.query(IMAGE, "why?", reasoning=True)


def test_text_only_questions_start_from_bos(tiny: Moondream) -> None:
    answer = tiny.query(None, "hello", settings=SHORT)
    assert answer.tokens["prompt"] == 1 + 3 + 5 + 1


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_quantised_weights_answer_and_take_less_room(
    tiny: Moondream, tiny_folder: Path, quantization: Any
) -> None:
    small = Moondream.from_pretrained(
        tiny_folder, quantization=quantization, dtype="float32", device="cpu"
    )
    assert small.info["weight_bytes"] < tiny.info["weight_bytes"]
    assert small.info["parameters"] == tiny.info["parameters"]
    assert isinstance(small.caption(IMAGE, settings=SHORT)["caption"], str)
    assert small.model.region.coord_encoder.weight.dtype == torch.float32
    kind = type(small.model.text.blocks[0].attn.qkv).__name__
    assert kind == {"int8": "Linear8bitLt", "nf4": "Linear4bit"}[quantization]


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_weights_can_be_saved_quantised(
    tiny_folder: Path, tmp_path: Path, quantization: Quantization
) -> None:
    saved = save_quantised(tiny_folder, tmp_path / "saved", quantization)
    size, whole = ((f / "model.safetensors").stat().st_size for f in (saved, tiny_folder))
    assert size < 0.8 * whole
    again = Moondream.from_pretrained(saved, device="cpu")
    fresh = Moondream.from_pretrained(tiny_folder, quantization=quantization, device="cpu")
    assert again.key == fresh.key
    image = Image.effect_noise((80, 60), 60).convert("RGB")
    settings = {"max_tokens": 8}
    assert again.query(image, "?", settings=settings) == fresh.query(image, "?", settings=settings)
    other: Quantization = "nf4" if quantization == "int8" else "int8"
    with pytest.raises(CheckpointError, match="was saved in"):
        Moondream.from_pretrained(saved, quantization=other)
    with pytest.raises(CheckpointError, match="quantised already"):
        save_quantised(saved, tmp_path / "twice", quantization)


@pytest.mark.parametrize(
    ("asked", "has_gpu", "device"),
    [
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        ("cpu", True, "cpu"),
        ("cuda:1", True, "cuda:1"),
    ],
)
def test_a_gpu_is_found_by_itself(
    monkeypatch: pytest.MonkeyPatch, asked: str, has_gpu: bool, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert choose_device(asked) == torch.device(device)


def test_precision_follows_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    for has_bf16, on_gpu, on_cpu in (
        (True, torch.bfloat16, torch.bfloat16),
        (False, torch.float16, torch.float32),
    ):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda has=has_bf16: has)
        monkeypatch.setattr("inference.engine.checkpoint.cpu_has_bf16", lambda has=has_bf16: has)
        assert choose_dtype("auto", gpu) == on_gpu
        assert choose_dtype("auto", cpu) == on_cpu
    assert choose_dtype("float32", gpu) == torch.float32
    with pytest.raises(ValueError, match="Unknown dtype"):
        choose_dtype("float17", cpu)


def test_unknown_quantisation_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(ValueError, match="Unknown quantization"):
        Moondream.from_pretrained(tiny_folder, quantization="int3")  # type: ignore[arg-type]


def test_a_folder_that_is_not_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json, tokenizer\.json, model\.safetensors"):
        Moondream.from_pretrained(tmp_path)


@pytest.mark.parametrize("fault", ["missing", "extra"])
def test_other_tensors_fail_loudly(tiny_folder: Path, tmp_path: Path, fault: str) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((tiny_folder / name).read_bytes())
    tensors = load_file(tiny_folder / "model.safetensors")
    if fault == "missing":
        del tensors["model.text.wte"]
    else:
        tensors["model.text.blocks.9.ln.weight"] = torch.zeros(64)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"wte|blocks\.9"):
        Moondream.from_pretrained(tmp_path)
