"""Tokens a second and images a second: this engine, its batches, and a plain transformers loop on
the same weights.

    python -m bench.throughput [--folder inference/weights/embedded] [--rounds 5]

The plain loop is transformers' own Phi, which is what Moondream's decoder is, with the same
weights, cache and `generate`; it sees the same image tokens.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from inference.engine import Moondream
from inference.engine.batching import Ask, answer_many, encode_images
from inference.engine.crops import make_crops
from inference.engine.testing import plain_phi

TOKENS = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("inference/weights/embedded"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", default="auto")
    options = parser.parse_args()
    model = Moondream.from_pretrained(options.folder, dtype=options.dtype)
    model.warm_up()
    phi = plain_phi(model)
    images = [Image.effect_noise((448, 448), 30 + n).convert("RGB") for n in range(8)]
    encoded = encode_images(model, images)
    # No token ends an answer, so that every way makes the same number.
    tokens = replace(model.sections.tokenizer, eos_id=-1)
    model.sections = replace(model.sections, tokenizer=tokens)
    settings = {"max_tokens": TOKENS}
    prompt = torch.tensor([model.sections.tokenizer.templates["caption"]["long"]])
    bos = torch.tensor([[model.sections.tokenizer.bos_id]])

    @torch.inference_mode()
    def plain() -> int:
        tokens = model.model.image_tokens(make_crops(images[0], model.sections.vision))[None]
        embed = model.model.text.embed
        embeds = torch.cat((embed(bos), tokens, embed(prompt)), dim=1)
        out = phi.generate(
            inputs_embeds=embeds, attention_mask=torch.ones(embeds.shape[:2]), do_sample=False,
            min_new_tokens=TOKENS, max_new_tokens=TOKENS, pad_token_id=0,
        )  # fmt: skip
        return int(out.shape[1])

    def single() -> int:
        return model.caption(images[0], "long", settings=settings).tokens["completion"]

    def eight() -> int:
        rows = answer_many(model, [Ask(image, length="long") for image in images], settings)
        return sum(row.tokens["completion"] for row in rows)

    def one_image_eight_times() -> int:
        rows = answer_many(model, [Ask(encoded[0], length="long")] * 8, settings)
        return sum(row.tokens["completion"] for row in rows)

    rates = race(
        {"plain transformers": plain, "engine": single, "engine, 8 images": eight,
         "engine, 8 of one image": one_image_eight_times},
        options.rounds,
    )  # fmt: skip
    images_rates = race(
        {"encode one by one": lambda: len([model.encode_image(i) for i in images]),
         "encode 8 together": lambda: len(encode_images(model, images))},
        options.rounds,
    )  # fmt: skip
    print(f"{'tokens a second':28}{'median':>10}{'ratio':>8}")
    for name, rate in rates.items():
        print(f"{name:28}{rate:>10.0f}{rate / rates['plain transformers']:>8.2f}")
    print(f"8 images against single: {rates['engine, 8 images'] / rates['engine']:.2f}x")
    print(f"{'images a second':28}{'median':>10}{'ratio':>8}")
    for name, rate in images_rates.items():
        print(f"{name:28}{rate:>10.1f}{rate / images_rates['encode one by one']:>8.2f}")


def race(ways: dict[str, Callable[[], int]], rounds: int) -> dict[str, float]:
    """Median units a second of each way; the ways take turns, so a busy moment hits all."""
    seen: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            units = way()
            seen[name].append(units / (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in seen.items()}


if __name__ == "__main__":
    main()
