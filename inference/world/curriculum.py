"""Training examples for the embedded model: images of the world with packed segments."""

import math
import random
import string
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer

from inference.engine.config import MoondreamConfig
from inference.engine.crops import normalise
from inference.engine.training import Batch, Segment, pack, region_segment, text_segment
from inference.world.domains import DOMAINS, kind_name
from inference.world.drawing import letter_boxes
from inference.world.language import caption, question, targets
from inference.world.plate import SCRATCH
from inference.world.render import render
from inference.world.scenes import Box, Scene, WorldObject, sample_scene
from inference.world.tokenizer import casual
from inference.world.vocabulary import COLOURS, SHAPES, SIGN, WORDS

_QUESTIONS: dict[str, float] = {
    "color": 1.5, "shape": 1.0, "size": 1.0, "count": 5.0, "existence": 2.0, "relation": 3.0,
    "place": 1.5, "reading": 4.0, "background": 0.4, "here": 2.5, "scene": 0.3, "stock": 1.0,
    "row": 2.0, "inspection": 1.0, "defect": 1.0, "side": 1.0,
}  # fmt: skip
_DOMAINS = {"shelf": 0.55, "plate": 0.27, "phantom": 0.18}
CAPTION_WEIGHT = 0.6


@dataclass(frozen=True, slots=True)
class Stage:
    """What the scenes of a stretch of the training hold."""

    objects: tuple[int, int]
    """Fewest and most shapes."""
    sign: float
    """Share of scenes with a sign."""
    domains: float = 0.0
    """Share of scenes that are a shelf, a plate or a phantom."""
    words: bool = True
    """False trains the encoder alone: no questions are made."""

    def sample(self, rng: random.Random) -> Scene:
        if rng.random() < self.domains:
            (name,) = rng.choices(list(_DOMAINS), list(_DOMAINS.values()))
            return DOMAINS[name].sample(rng)
        return sample_scene(rng, objects=self.objects, sign=self.sign)


SIGHTS = Stage((2, 6), 0.5, 0.5, words=False)
SIGNS = Stage((0, 3), 0.85, 0.15, words=False)
SIGNED_WORLD = Stage((1, 6), 0.55, 0.38)
FEW, SOME, WORLD = Stage((1, 2), 0.15, 0.3), Stage((1, 3), 0.35, 0.4), Stage((1, 6), 0.42, 0.42)


@dataclass(slots=True)
class PatchLabels:
    """What lies under each patch, for the auxiliary vision loss; all (B, tokens).

    Class -1 means "nothing of the kind here". `boxes` is (B, tokens, 4): centre and size
    of the object under the patch.
    """

    colour: torch.Tensor
    shape: torch.Tensor
    thing: torch.Tensor
    """The product, defect or nodule, an index of `THINGS`."""
    word: torch.Tensor
    """The sign's whole word, on every patch of the sign."""
    letter: torch.Tensor
    """The one character under the patch, an index of `LETTERS`."""
    boxes: torch.Tensor


class Curriculum:
    """Deterministic batches: the same seed and step give the same batch."""

    def __init__(
        self, config: MoondreamConfig, tokenizer: Tokenizer, *, seed: int, batch: int, segments: int
    ) -> None:
        self.config, self.tokenizer = config, tokenizer
        self.seed, self.batch, self.segments = seed, batch, segments

    def __call__(self, step: int, level: Stage) -> tuple[Batch, PatchLabels]:
        """The batch of one step with its patch labels."""
        rng = random.Random(f"train:{self.seed}:{step}")
        scenes = [level.sample(rng) for _ in range(self.batch)]
        pixels = normalise(
            np.stack([self.view(scene, rng) for scene in scenes]),
            torch.float32,
            torch.device("cpu"),
        )
        images = [
            self.lesson(scene, rng) if level.words else [text_segment("", [0], [], 0)]
            for scene in scenes
        ]
        return pack(pixels, images), patch_labels(scenes, self.config.sections.vision.grid)

    def view(self, scene: Scene, rng: random.Random) -> np.ndarray:
        """The crop the encoder would see, drawn at a varying size, with slight sensor noise."""
        side = self.config.sections.vision.crop_size
        drawn = rng.randint(int(side * 1.4), int(side * 2.4))
        image = render(scene, (drawn, drawn), supersample=1)
        pixels = np.asarray(image.resize((side, side), Image.Resampling.LANCZOS))
        if rng.random() < 0.4:
            noise = np.random.default_rng(rng.getrandbits(32)).normal(
                0, rng.uniform(1, 5), pixels.shape
            )
            pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
        return pixels

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text).ids
        return ids

    def lesson(self, scene: Scene, rng: random.Random) -> list[Segment]:
        """One caption, pointing and detecting, and questions, for one scene."""
        length = rng.choice(("short", "normal", "long"))
        lesson = [self.caption(scene, length), self.region("point", scene, rng)]
        lesson.append(self.region(rng.choice(("detect", "detect", "point")), scene, rng))
        kinds = list(DOMAINS[scene.domain].askers)
        weights = [_QUESTIONS[kind] for kind in kinds]
        asked: set[str] = set()
        for _ in range(40):
            if len(lesson) >= self.segments:
                break
            qa = question(scene, rng.choices(kinds, weights)[0], rng)
            if qa is None or qa.question in asked:
                continue
            asked.add(qa.question)
            lesson.append(
                self.query(kind_name(scene, qa.kind), casual(qa.question, rng), qa.answer, qa.point)
            )
        rng.shuffle(lesson)
        return lesson

    def caption(self, scene: Scene, length: str) -> Segment:
        tokens = self.config.sections.tokenizer
        prompt = tokens.templates["caption"][length]
        return text_segment(
            f"caption-{length}", prompt, self.encode(caption(scene, length)), tokens.eos_id,
            weight=CAPTION_WEIGHT,
        )  # fmt: skip

    def query(
        self, kind: str, question: str, answer: str, point: tuple[float, float] | None
    ) -> Segment:
        tokens = self.config.sections.tokenizer
        template = tokens.templates["query"]
        refs = [tokens.coord_id] * 2 if point else []
        prompt = [*template["prefix"], *refs, *self.encode(question), *template["suffix"]]
        start = len(template["prefix"])
        coords = {start: point[0], start + 1: point[1]} if point else {}
        return text_segment(kind, prompt, self.encode(answer), tokens.eos_id, coords=coords)

    def region(self, skill: str, scene: Scene, rng: random.Random) -> Segment:
        phrase, found = targets(scene, rng)
        template = self.config.sections.tokenizer.templates[skill]
        prompt = [*template["prefix"], *self.encode(" " + phrase), *template["suffix"]]
        objects = [
            (o.centre, (2 * o.half[0], 2 * o.half[1]) if skill == "detect" else None) for o in found
        ]
        return region_segment(skill, prompt, objects, self.config, weight=0.6)


THINGS = tuple(n for d in DOMAINS.values() if d.name != "shapes" for n in d.nouns)
LETTERS = string.ascii_uppercase + string.digits


def patch_labels(scenes: list[Scene], grid: int) -> PatchLabels:
    """Label each patch by the object, and by the letter, whose box holds the patch's centre."""
    colours, shapes = list(COLOURS), [*SHAPES, SIGN]
    shape = (len(scenes), grid * grid)
    labels = PatchLabels(  # type: ignore[call-arg]
        *(torch.full(shape, -1) for _ in range(5)), torch.full((*shape, 4), float("nan"))
    )
    for row, scene in enumerate(scenes):
        for item in scene.objects:
            for patch in _patches(item.box, grid):
                if item.shape == SCRATCH and not _on_scratch(item, patch, grid):
                    continue
                if item.shape in shapes:
                    labels.shape[row, patch] = shapes.index(item.shape)
                else:
                    labels.thing[row, patch] = THINGS.index(item.shape)
                labels.boxes[row, patch] = torch.tensor(
                    (*item.centre, 2 * item.half[0], 2 * item.half[1])
                )
                if item.colour in COLOURS:
                    labels.colour[row, patch] = colours.index(item.colour)
                elif item.text in WORDS:
                    labels.word[row, patch] = WORDS.index(item.text)
        for char, box in letter_boxes(scene):
            for patch in _patches(box, grid):
                labels.letter[row, patch] = LETTERS.index(char)
    return labels


def _patches(box: Box, grid: int) -> Iterator[int]:
    """The patches whose centres lie in the box."""
    x0, y0, x1, y1 = (value * grid - 0.5 for value in box)
    for row in range(max(0, math.ceil(y0)), min(grid - 1, math.floor(y1)) + 1):
        for column in range(max(0, math.ceil(x0)), min(grid - 1, math.floor(x1)) + 1):
            yield row * grid + column


def _on_scratch(item: WorldObject, patch: int, grid: int) -> bool:
    """Whether a patch's centre lies near the line that crosses the scratch's box."""
    x = ((patch % grid + 0.5) / grid - item.centre[0]) / item.half[0]
    y = ((patch // grid + 0.5) / grid - item.centre[1]) / item.half[1]
    across = x + y if item.text == "/" else x - y
    return abs(across) * min(item.half) < 0.08
