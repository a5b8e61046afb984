"""This engine beside upstream's own code: the same random weights in both, step by step.

    git clone https://github.com/vikhyat/moondream upstream    # or any checkout of it
    python -m bench.upstream upstream [--seeds 2] [--kv-heads 1]

Nothing of upstream is kept here: its package is imported from the path given, its tokenizer (which
it would fetch) is replaced by one made here. The sizes are reduced as far as its code lets them be:
378 px crops of 14 px patches, 27 vision layers and 64-wide text heads are written into it. Exits
with 1 when a difference is above its bound.
"""

import argparse
import importlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from inference.engine import Moondream, MoondreamConfig, official
from inference.engine.answers import EncodedImage
from inference.engine.config import VisionConfig
from inference.engine.crops import image_tiling, make_crops, normalise
from inference.engine.testing import make_tiny_checkpoint

SIZES = (
    (224, 224), (378, 378), (640, 480), (800, 600), (1024, 768), (1280, 720), (1000, 300),
    (3000, 400), (512, 2048), (4032, 3024),
)  # fmt: skip
ASKED = ((300, 200), (640, 480), (420, 900))
"""Sizes of the images that are encoded and asked about: one tile, wide, and tall."""
GREEDY = {"temperature": 0, "max_tokens": 24}
PROMPTS = (
    ("caption", "short"), ("caption", "normal"), ("caption", "long"),
    ("query", "How many stars are there?"), ("query", "Where is it?"),
)  # fmt: skip
REFERENCES = [(0.25, 0.75), (0.1, 0.2, 0.6, 0.9)]
VOCABULARY = 51200
# An end of text likely enough that some answers end by themselves.
EOS_LEAN = 6.0
THOUGHT_LEAN = torch.tensor([5.6, 6.2, 6.0, 5.0])


@dataclass(slots=True)
class Row:
    """The largest difference of one step over all that was compared, and its bound."""

    step: str
    bound: float
    largest: float = 0.0
    compared: int = 0

    def add(self, difference: float) -> None:
        self.largest = max(self.largest, difference)
        self.compared += 1

    @property
    def holds(self) -> bool:
        return self.largest <= self.bound and self.compared > 0


class Report:
    """Rows by step, in the order they came."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def row(self, step: str, bound: float) -> Row:
        return self.rows.setdefault(step, Row(step, bound))

    def tensors(self, step: str, bound: float, mine: torch.Tensor, theirs: torch.Tensor) -> None:
        """The largest difference relative to the largest value."""
        if mine.shape != theirs.shape:
            self.row(step, bound).add(float("inf"))
            return
        scale = float(theirs.abs().max()) or 1.0
        self.row(step, bound).add(float((mine.double() - theirs.double()).abs().max()) / scale)

    def same(self, step: str, mine: object, theirs: object) -> None:
        """1 where two things that must be equal are not."""
        self.row(step, 0.0).add(float(mine != theirs))

    def show(self) -> bool:
        print(f"{'step':44}{'compared':>9}{'largest':>12}{'bound':>10}")
        for row in self.rows.values():
            verdict = "" if row.holds else "   ABOVE"
            print(f"{row.step:44}{row.compared:9}{row.largest:12.2e}{row.bound:10.0e}{verdict}")
        return all(row.holds for row in self.rows.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="A checkout of upstream's repository.")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--kv-heads", type=int, choices=(1, 2), default=2)
    options = parser.parse_args()
    if not (options.path / "moondream" / "torch" / "moondream.py").is_file():
        parser.error(f"{options.path} is not a checkout of github.com/vikhyat/moondream")
    upstream = Upstream(options.path)
    report = Report()
    print(f"Upstream's resampler: {'pyvips' if upstream.crops.HAS_VIPS else 'pillow'}")
    if upstream.crops.HAS_VIPS:
        print("Pixels will differ: uninstall pyvips to compare them.")
    compare_unpacking(report, upstream)
    compare_preprocessing(report, upstream)
    with tempfile.TemporaryDirectory() as scratch, torch.inference_mode():
        for seed in range(options.seeds):
            folder = checkpoint(Path(scratch) / str(seed), seed, options.kv_heads)
            for dtype in (torch.float32, torch.bfloat16):
                mine = Moondream.from_pretrained(folder, dtype=dtype, device="cpu")
                print(f"Comparing seed {seed} in {str(dtype).removeprefix('torch.')}", flush=True)
                compare(report, mine, upstream.load(folder, mine, dtype), upstream, seed)
    sys.exit(0 if report.show() else 1)


def wide_tokenizer() -> Tokenizer:
    """Bytes, and a word of its own for every other id: equal texts are equal ids."""
    specials = [f"<|{i}|>" for i in range(32)]
    symbols = [*specials, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    symbols += [f"Ġt{i}" for i in range(len(symbols), VOCABULARY)]
    tokenizer = Tokenizer(models.BPE(vocab={s: i for i, s in enumerate(symbols)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(specials)
    return tokenizer


def checkpoint(folder: Path, seed: int, kv_heads: int) -> Path:
    """A random model under the official names, with the release's prompts."""
    config = MoondreamConfig(
        name="moondream-random", revision="2025-06-21",
        text={"dim": 128, "ff_dim": 256, "n_layers": 3, "n_heads": 2, "n_kv_heads": kv_heads},
        vision={"enc_dim": 64, "enc_ff_dim": 128, "enc_n_heads": 2, "proj_out_dim": 128,
                "proj_inner_dim": 128, "max_crops": 4},
        region={"dim": 128, "inner_dim": 128},
    )  # fmt: skip
    make_tiny_checkpoint(folder, seed=seed, config=config)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors["model.text.lm_head.bias"][0] = EOS_LEAN
    # Thoughts that point, and end: the answer's token, coordinates, the tokens around grounding.
    tensors["model.text.lm_head.bias"][[3, 5, 7, 9]] = THOUGHT_LEAN
    save_file(tensors, file, metadata={"format": "pt"})
    wide_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


class Upstream:
    """Upstream's modules, imported from a path."""

    def __init__(self, path: Path) -> None:
        sys.path.insert(0, str(path.resolve()))
        self.model, self.config, self.crops, self.vision, self.weights, self.text, self.layers = (
            importlib.import_module(f"moondream.torch.{name}")
            for name in ("moondream", "config", "image_crops", "vision", "weights", "text", "layers")
        )  # fmt: skip

    def build(
        self, folder: Path, config: MoondreamConfig, tokenizer: Tokenizer, dtype: torch.dtype
    ) -> Any:
        """Upstream's model with the folder's weights, by its own loader."""
        parts = {}
        for name in ("text", "vision", "region"):
            kind = getattr(self.config, f"{name.title()}Config")
            known = {f.name for f in fields(kind)}
            values = {k: v for k, v in getattr(config, name).items() if k in known}
            if name == "text":
                values["n_kv_heads"] = config.sections.text.kv_heads
            parts[name] = kind(**values)
        given = SimpleNamespace(from_pretrained=lambda _name: tokenizer)
        self.model.Tokenizer = given  # type: ignore[attr-defined]  # theirs is the hub's
        model = self.model.MoondreamModel(self.config.MoondreamConfig(**parts), dtype=dtype)
        self.weights.load_weights_into_model(str(folder / "model.safetensors"), model)
        return model.eval()

    def load(self, folder: Path, mine: Moondream, dtype: torch.dtype) -> Any:
        """`build`, checked to hold the weights of ours."""
        model = self.build(folder, mine.model.config, mine.tokenizer, dtype)
        theirs = dict(model.named_parameters())
        state = mine.model.model.state_dict()
        for name, value in state.items():
            if not torch.equal(theirs[name], value):
                raise SystemExit(f"{name} was not read alike.")
        if len(theirs) != len(state):
            raise SystemExit("Upstream has other parameters.")
        encode = model._vis_enc
        last: list[torch.Tensor] = []

        def encoded(pixels: torch.Tensor) -> torch.Tensor:
            # It makes pixels in bf16 whatever its weights are; and one pass is enough here.
            if not last or not torch.equal(last[0], pixels):
                last[:] = [pixels, encode(pixels.to(dtype))]
            return last[1]

        model._vis_enc = encoded
        assert mine.sections.text.prefix_attn == 730
        return model


def compare_unpacking(report: Report, upstream: Upstream) -> None:
    """The vendor's 4-bit form."""
    random = torch.Generator().manual_seed(0)
    packed = torch.randint(0, 256, (48, 128), generator=random, dtype=torch.uint8)
    scale, zero = torch.rand(96, 1, generator=random), torch.rand(96, 1, generator=random) * 15
    theirs = upstream.layers.dequantize_tensor(packed, scale, zero, (96, 128))
    mine = official._unpack(packed, scale, zero, (96, 128))
    report.tensors("4-bit form, unpacked", 0, mine, theirs)


def pictures(seed: int, sizes: tuple[tuple[int, int], ...]) -> Iterator[Image.Image]:
    """Smooth random pictures: noise alone would average out in every crop."""
    random = np.random.default_rng(seed)
    for size in sizes:
        coarse = random.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        yield Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def compare(report: Report, mine: Moondream, theirs: Any, upstream: Upstream, seed: int) -> None:
    """Every step of one checkpoint at one precision."""
    full = mine.dtype == torch.float32
    where = "" if full else ", bf16"
    for image in pictures(seed, ASKED):
        pixels, tiling = upstream.vision.prepare_crops(image, theirs.config.vision, "cpu")
        used = pixels[:1] if tiling == (1, 1) else pixels
        features = mine.model.vision(used.to(mine.dtype))
        expected = theirs._vis_enc(pixels)
        report.tensors(f"vision features{where}", 1e-5 if full else 0.1, features, expected[: len(used)])  # fmt: skip
        tokens = mine.model.join_crops(features, tiling)
        expected = theirs._run_vision_encoder(image)
        report.tensors(f"image tokens{where}", 1e-5 if full else 0.1, tokens, expected)
        # From here on both read the same image tokens.
        prefix = mine.model.prefix(expected[None])
        encoded = EncodedImage(prefix, image.size, mine.key, 0.0)
        known = theirs.encode_image(image)
        compare_decoder(report, mine, theirs, encoded, known, where)
        if full:
            compare_answers(report, mine, theirs, encoded, known)
    if full:
        asked = mine.query(None, "What is a star?", settings=GREEDY)["answer"]
        expected = theirs.query(None, "What is a star?", settings=GREEDY)["answer"]
        report.same("greedy answers without an image", asked, expected)


def compare_preprocessing(report: Report, upstream: Upstream) -> None:
    """Tiles and pixels, at the release's sizes."""
    config = VisionConfig()
    theirs = upstream.config.VisionConfig()
    for image in pictures(0, SIZES):
        made = upstream.crops.overlap_crop_image(np.array(image), config.overlap_margin, config.max_crops)  # fmt: skip
        crops = make_crops(image, config)
        report.same("tiling", image_tiling(image.size, config), made["tiling"])
        count = len(crops.pixels)
        difference = np.abs(crops.pixels.astype(int) - made["crops"][:count].astype(int)).max()
        report.row("crops, pixel values", 0.0).add(float(difference))
        pixels, _ = upstream.vision.prepare_crops(image, theirs, "cpu")
        own = normalise(crops.pixels, torch.bfloat16, torch.device("cpu"))
        report.tensors("crops, normalised in bf16", 0, own, pixels[:count])


def compare_decoder(
    report: Report, mine: Moondream, theirs: Any, encoded: EncodedImage, known: Any, where: str
) -> None:
    """The last position after the image's prefix and a prompt."""
    prompt = mine.query_prompt("How many stars are there?")
    cache = encoded.prefix.fork(len(prompt))
    hidden = mine.model.prefill(mine.model.text.embed(torch.tensor([prompt])), cache)
    logits = mine.model.text.logits(hidden)
    theirs.load_encoded_image(known)
    expected, states, _, _ = theirs._prefill_prompt(torch.tensor([prompt]), known.pos, 0, 0)
    bound = 0.1 if where else 1e-5
    report.tensors(f"hidden state after a prompt{where}", bound, hidden, states[:, -1])
    report.tensors(f"logits after a prompt{where}", bound, logits, expected)


def compare_answers(
    report: Report, mine: Moondream, theirs: Any, encoded: EncodedImage, known: Any
) -> None:
    """Whole answers, greedy."""
    for skill, asked in PROMPTS:
        key = "caption" if skill == "caption" else "answer"
        answer = getattr(mine, skill)(encoded, asked, settings=GREEDY)
        expected = getattr(theirs, skill)(known, asked, settings=GREEDY)[key]
        report.same(f"greedy tokens, {skill}", answer[key], expected)
    answer = mine.query(encoded, "What is here?", spatial_refs=REFERENCES, settings=GREEDY)
    expected = theirs.query(known, "What is here?", spatial_refs=REFERENCES, settings=GREEDY)
    report.same("greedy tokens, query about places", answer["answer"], expected["answer"])
    for asked in ("What is here?", "How many stars are there?"):
        answer = mine.query(encoded, asked, reasoning=True, settings=GREEDY)
        try:
            expected = theirs.query(known, asked, reasoning=True, settings=GREEDY)
        except RuntimeError:
            continue  # a defect of upstream's: a thought that begins with a coordinate
        report.same("greedy tokens, answer after a thought", answer["answer"], expected["answer"])
        thought, other = answer["reasoning"], expected["reasoning"]
        report.same("greedy tokens, thought", thought["text"], other["text"])
        spans = [[(g["start_idx"], g["end_idx"], len(g["points"])) for g in t["grounding"]] for t in (thought, other)]  # fmt: skip
        report.same("thought, what points", *spans)
        for mine_part, their_part in zip(thought["grounding"], other["grounding"], strict=False):
            for point, known_point in zip(mine_part["points"], their_part["points"], strict=False):
                report.row("thought, coordinates", 1e-6).add(max(abs(a - b) for a, b in zip(point, known_point, strict=True)))  # fmt: skip
    for skill, key in (("point", "points"), ("detect", "objects")):
        for phrase in ("star", "red circle", "dog"):
            found = getattr(mine, skill)(encoded, phrase, settings={"max_objects": 5})[key]
            expected = getattr(theirs, skill)(known, phrase, settings={"max_objects": 5})[key]
            report.same(f"{skill}, how many", len(found), len(expected))
            for place, other in zip(found, expected, strict=False):
                for name, value in other.items():
                    report.row(f"{skill}, coordinates", 1e-6).add(abs(place[name] - value))


if __name__ == "__main__":
    main()
