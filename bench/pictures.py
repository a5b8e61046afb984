"""Draws pictures of the training stages for the starter content, from the world, the model and its weights.

    python -m bench.pictures FOLDER

The others in `research/starter/pictures` are screenshots of the demo.
"""

import sys
from pathlib import Path

import numpy as np
from bitsandbytes.functional import get_4bit_type
from PIL import Image, ImageDraw

from inference.engine import Moondream
from inference.engine.attention import attention_maps
from inference.world.samples import SAMPLE_DIR, SAMPLES

SIZE = (1280, 800)
NIGHT = (11, 13, 18)
LINE, BAR, LEVEL = (42, 47, 60), (98, 160, 234), (87, 227, 137)
BLOCK = 64


def scenes() -> Image.Image:
    """Scenes of the drawn world, side by side."""
    sheet = Image.new("RGB", SIZE, NIGHT)
    shown = [sample for sample in SAMPLES if sample.domain == "shapes"][:6] + [
        sample for sample in SAMPLES if sample.domain != "shapes"
    ]
    width, height, gap = 410, 252, 13
    for number, sample in enumerate(shown[:9]):
        picture = Image.open(SAMPLE_DIR / sample.file_name).convert("RGB")
        scale = max(width / picture.width, height / picture.height)
        picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
        left, top = (picture.width - width) // 2, (picture.height - height) // 2
        column, row = number % 3, number // 3
        at = (gap + column * (width + gap), gap + row * (height + gap))
        sheet.paste(picture.crop((left, top, left + width, top + height)), at)
    return sheet


def attention(model: Moondream) -> Image.Image:
    """Where the model looks in the image while it answers one question."""
    picture = Image.open(SAMPLE_DIR / "crosses.webp").convert("RGB")
    maps = attention_maps(model, picture, "Where is the purple star?", "bottom right")
    seen = np.asarray(maps.maps, dtype=np.float64).mean(0)
    seen = (seen - seen.min()) / (seen.max() - seen.min())
    light = Image.fromarray((seen * 255).astype(np.uint8)).resize(
        picture.size, Image.Resampling.BICUBIC
    )
    grey = picture.convert("L").convert("RGB").point(lambda value: int(value * 0.45))
    shown = Image.composite(picture, grey, light)
    shown = shown.resize((1066, 800))
    whole = Image.new("RGB", SIZE, NIGHT)
    whole.paste(shown, ((SIZE[0] - shown.width) // 2, 0))
    return whole


def levels(model: Moondream) -> Image.Image:
    """The weights of one layer as shares of the largest in their block of 64, and the 16 values that 4
    bits leave."""
    weight = max(
        (value for name, value in model.model.text.state_dict().items() if name.endswith("weight")),
        key=lambda value: value.numel(),
    )
    blocks = weight.float().cpu().numpy().reshape(-1)
    blocks = blocks[: len(blocks) // BLOCK * BLOCK].reshape(-1, BLOCK)
    shares = blocks / np.abs(blocks).max(1, keepdims=True).clip(1e-9)
    counts, _ = np.histogram(shares, bins=160, range=(-1, 1))
    picture = Image.new("RGB", SIZE, NIGHT)
    draw = ImageDraw.Draw(picture)
    left, right, bottom, top = 90, SIZE[0] - 90, 680, 110
    tallest = np.sort(counts)[-3]  # the ends hold one weight of each block

    def x_of(value: float) -> float:
        return left + (value + 1) / 2 * (right - left)

    draw.line((left, bottom, right, bottom), fill=LINE, width=2)
    for number, count in enumerate(counts):
        start, end = (x_of(-1 + 2 * edge / 160) for edge in (number, number + 1))
        height = min(1.0, count / tallest) * (bottom - top)
        draw.rectangle((start + 1, bottom - height, end - 1, bottom - 1), fill=BAR)
    # QLoRA, appendix E.
    for value in get_4bit_type("nf4", device="cpu").tolist():
        draw.line((x_of(value), bottom - 560, x_of(value), bottom + 40), fill=LEVEL, width=3)
    return picture


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    model = Moondream.from_pretrained(
        Path("inference/weights/embedded"), dtype="float32", device="cpu"
    )
    pictures = {"scenes": scenes(), "attention": attention(model), "levels": levels(model)}
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.webp", quality=82, method=6)


if __name__ == "__main__":
    main()
