"""A random checkpoint under the official names, answered twice: by the engine, and by the published
equations written out here in NumPy at float64. Nothing of the engine's arithmetic is used below."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from inference.engine import Moondream
from inference.engine.batching import Ask, answer_many
from inference.engine.crops import make_crops
from inference.engine.testing import make_tiny_checkpoint

GRID, PATCH, SIDE, MARGIN, DIM = 6, 8, 48, 1, 64
HEADS, LAYERS, PREFIX = 4, 2, GRID * GRID + 1
Array = np.ndarray


class Reference:
    """The published equations (sections 3 to 5 of the format), one step after the other."""

    def __init__(self, file: Path) -> None:
        self.w = {
            k.removeprefix("model."): v.astype(np.float64) for k, v in load_file(file).items()
        }

    def linear(self, x: Array, name: str) -> Array:
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def norm(self, x: Array, name: str) -> Array:
        mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) / np.sqrt(var + 1e-5) * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def mlp(self, x: Array, name: str) -> Array:
        h = self.linear(x, f"{name}.fc1")
        h = 0.5 * h * (1 + np.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)))
        return self.linear(h, f"{name}.fc2")

    def heads(self, x: Array, count: int) -> Array:
        return x.reshape(len(x), count, -1).transpose(1, 0, 2)

    def attention(self, q: Array, k: Array, v: Array, allowed: Array | None) -> Array:
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
        if allowed is not None:
            scores = np.where(allowed, scores, -np.inf)
        odds = np.exp(scores - scores.max(-1, keepdims=True))
        out = odds / odds.sum(-1, keepdims=True) @ v
        return out.transpose(1, 0, 2).reshape(out.shape[1], -1)

    def crops(self, image: Image.Image, rows: int, cols: int) -> list[Array]:
        window = (GRID - 2 * MARGIN) * PATCH
        size = (cols * window + 2 * MARGIN * PATCH, rows * window + 2 * MARGIN * PATCH)
        whole = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
        cut = [np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))]
        for r in range(rows):
            for c in range(cols):
                y, x = r * window, c * window
                cut.append(whole[y : y + SIDE, x : x + SIDE])
        return cut

    def vision(self, crop: Array) -> Array:
        pixels = (crop.astype(np.float64) / 255 - 0.5) / 0.5
        patches = [
            pixels[r * PATCH : (r + 1) * PATCH, c * PATCH : (c + 1) * PATCH]
            .transpose(2, 0, 1)
            .ravel()
            for r in range(GRID)
            for c in range(GRID)
        ]
        x = self.linear(np.array(patches), "vision.patch_emb") + self.w["vision.pos_emb"][0]
        for n in range(LAYERS):
            at = f"vision.blocks.{n}"
            q, k, v = np.split(self.linear(self.norm(x, f"{at}.ln1"), f"{at}.attn.qkv"), 3, axis=1)
            q, k, v = (self.heads(part, HEADS) for part in (q, k, v))
            mixed = self.attention(q, k, v, None)
            x = x + self.linear(mixed, f"{at}.attn.proj")
            x = x + self.mlp(self.norm(x, f"{at}.ln2"), f"{at}.mlp")
        return self.norm(x, "vision.post_ln")

    def image_tokens(self, image: Image.Image, rows: int, cols: int) -> Array:
        whole, *tiles = [
            self.vision(c).reshape(GRID, GRID, -1) for c in self.crops(image, rows, cols)
        ]
        keep = GRID - 2 * MARGIN
        stitched = np.zeros((rows * keep + 2 * MARGIN, cols * keep + 2 * MARGIN, DIM))
        # Inner rows and columns first, then the outer margins, each from the tile that owns it.
        for r in range(rows):
            for c in range(cols):
                tile = tiles[r * cols + c]
                top, left = (0 if r == 0 else MARGIN), (0 if c == 0 else MARGIN)
                bottom = GRID if r == rows - 1 else GRID - MARGIN
                right = GRID if c == cols - 1 else GRID - MARGIN
                y, x = r * keep + top, c * keep + left
                stitched[y : y + bottom - top, x : x + right - left] = tile[top:bottom, left:right]
        pooled = np.zeros((GRID, GRID, DIM))
        for i in range(GRID):
            for j in range(GRID):
                h, w = stitched.shape[:2]
                y0, y1 = i * h // GRID, -(-(i + 1) * h // GRID)
                x0, x1 = j * w // GRID, -(-(j + 1) * w // GRID)
                pooled[i, j] = stitched[y0:y1, x0:x1].mean((0, 1))
        both = np.concatenate((whole, pooled), axis=-1).reshape(GRID * GRID, -1)
        return self.mlp(both, "vision.proj_mlp")

    def turn(self, x: Array) -> Array:
        """Rotary embedding of (heads, T, 16): the first 8 dims, in pairs (i, i + 4)."""
        out = x.copy()
        position = np.arange(x.shape[1])
        for pair in range(4):
            angle = position * 10000 ** (-2 * pair / 8)
            a, b = x[..., pair], x[..., pair + 4]
            out[..., pair] = a * np.cos(angle) - b * np.sin(angle)
            out[..., pair + 4] = a * np.sin(angle) + b * np.cos(angle)
        return out

    def hidden(self, x: Array) -> Array:
        """The decoder over a whole sequence that begins with the image's prefix."""
        length = len(x)
        allowed = np.tril(np.ones((length, length), dtype=bool))
        allowed[:PREFIX, :PREFIX] = True
        for n in range(LAYERS):
            at = f"text.blocks.{n}"
            y = self.norm(x, f"{at}.ln")
            q, k, v = (
                self.heads(p, HEADS) for p in np.split(self.linear(y, f"{at}.attn.qkv"), 3, 1)
            )
            mixed = self.attention(self.turn(q), self.turn(k), v, allowed)
            x = x + self.linear(mixed, f"{at}.attn.proj") + self.mlp(y, f"{at}.mlp")
        return x

    def logits(self, hidden: Array) -> Array:
        return self.linear(self.norm(hidden, "text.post_ln"), "text.lm_head")

    def embed(self, ids: list[int]) -> Array:
        return self.w["text.wte"][ids]

    def fourier(self, value: list[float], kind: str) -> Array:
        angles = 2 * math.pi * np.array(value) @ self.w[f"region.{kind}_features"]
        return self.linear(
            np.concatenate((np.cos(angles), np.sin(angles))), f"region.{kind}_encoder"
        )

    def greedy(self, start: Array, count: int) -> list[int]:
        """Token ids; from the second on the answer token (3) is never chosen."""
        ids: list[int] = []
        x = start
        while len(ids) < count:
            odds = self.logits(self.hidden(x)[-1])
            if ids:
                odds[3] = -np.inf
            token = int(odds.argmax())
            if token == 0:
                break
            ids.append(token)
            x = np.concatenate((x, self.embed([token])))
        return ids

    def boxes(self, start: Array, most: int) -> list[dict[str, float]]:
        found: list[dict[str, float]] = []
        x = start
        while len(found) < most:
            last = self.hidden(x)[-1]
            if int(self.logits(last).argmax()) == 0:
                break
            centre = []
            for _ in range(2):
                value = int(self.mlp(last, "region.coord_decoder").argmax()) / 1024
                centre.append(value)
                x = np.concatenate((x, self.fourier([value], "coord")[None]))
                last = self.hidden(x)[-1]
            bins = self.mlp(last, "region.size_decoder").reshape(2, 1024).argmax(-1)
            w, h = (2.0 ** (b / 1023 * 10 - 10) for b in bins)
            x = np.concatenate((x, self.fourier([w, h], "size")[None]))
            found.append(
                {"x_min": centre[0] - w / 2, "y_min": centre[1] - h / 2,
                 "x_max": centre[0] + w / 2, "y_max": centre[1] + h / 2}
            )  # fmt: skip
        return found


@pytest.fixture(scope="module", params=[1, 2])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = make_tiny_checkpoint(tmp_path_factory.mktemp("parity"), seed=request.param)
    model = Moondream.from_pretrained(folder, dtype="float32", device="cpu")
    return Reference(folder / "model.safetensors"), model


@pytest.fixture(scope="module")
def image() -> Image.Image:
    noise = np.random.default_rng(5).integers(0, 255, (90, 150, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def _start(reference: Reference, tokens: Array, prompt: list[int]) -> Array:
    return np.concatenate((reference.embed([0]), tokens, reference.embed(prompt)))


def test_from_pixels_to_image_tokens(pair: Any, image: Image.Image) -> None:
    reference, model = pair
    crops = make_crops(image, model.sections.vision)
    rows, cols = crops.tiling
    assert rows * cols > 1
    for mine, theirs in zip(crops.pixels, reference.crops(image, rows, cols), strict=True):
        assert np.array_equal(mine, theirs)
    with torch.inference_mode():
        tokens = model.model.image_tokens(crops).double().numpy()
    assert np.allclose(tokens, reference.image_tokens(image, rows, cols), atol=2e-4)


def test_logits_and_greedy_text(pair: Any, image: Image.Image) -> None:
    reference, model = pair
    tokens = reference.image_tokens(image, *make_crops(image, model.sections.vision).tiling)
    prompt = model.sections.tokenizer.templates["caption"]["normal"]
    start = _start(reference, tokens, prompt)
    encoded = model.encode_image(image)
    with torch.inference_mode():
        cache = encoded.prefix.fork(len(prompt))
        hidden = model.model.prefill(model.model.text.embed(torch.tensor([prompt])), cache)
        logits = model.model.text.logits(hidden)[0].double().numpy()
    assert np.allclose(logits, reference.logits(reference.hidden(start)[-1]), atol=1e-3)
    expected = model.tokenizer.decode(reference.greedy(start, 10))
    settings = {"max_tokens": 10}
    assert model.caption(image, settings=settings)["caption"] == expected
    (row,) = answer_many(model, [Ask(image, length="normal")], settings)
    assert row["caption"] == expected


def test_boxes(pair: Any, image: Image.Image) -> None:
    reference, model = pair
    tokens = reference.image_tokens(image, *make_crops(image, model.sections.vision).tiling)
    template = model.sections.tokenizer.templates["detect"]
    named = model.tokenizer.encode(" star", add_special_tokens=False).ids
    start = _start(reference, tokens, [*template["prefix"], *named, *template["suffix"]])
    found = model.detect(image, "star", settings={"max_objects": 3})["objects"]
    expected = reference.boxes(start, 3)
    assert len(found) == len(expected) > 0
    for mine, theirs in zip(found, expected, strict=True):
        assert {k: mine[k] for k in theirs} == pytest.approx(theirs, abs=1e-6)
