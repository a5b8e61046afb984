"""Training the embedded model on the world: seeded, resumable, logged."""

import json
import math
import random
import string
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from inference.engine.config import MoondreamConfig
from inference.engine.crops import normalise
from inference.engine.layers import Vision, VisionBlock
from inference.engine.manifest import manifest_write
from inference.engine.model import MoondreamForVision
from inference.engine.training import Batch, run
from inference.world.curriculum import (
    FEW,
    LETTERS,
    SIGHTS,
    SIGNED_WORLD,
    SIGNS,
    SOME,
    THINGS,
    WORLD,
    Curriculum,
    PatchLabels,
    Stage,
)
from inference.world.tokenizer import SPECIALS, build_tokenizer, templates
from inference.world.vocabulary import COLOURS, SHAPES, SIGN, WORDS

NAME = "moondream-embedded"
VOCABULARY = 1088


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the training with its own scenes and its own fall of the learning rates.

    The rates are `rate` times the plan's, rise over `warmup` steps and fall by a cosine to `last`
    of that.
    """

    steps: int
    stages: tuple[tuple[float, Stage], ...]
    """(share of the phase from which on, stage)."""
    rate: float = 1.0
    last: float = 0.02
    warmup: int = 50
    sigma: tuple[float, float] = (8.0, 8.0)
    """Width of the coordinates' soft labels in bins, at the start and at the end."""

    @property
    def encoder_only(self) -> bool:
        return not self.stages[0][1].words

    def stage(self, progress: float) -> Stage:
        return [level for start, level in self.stages if start <= progress][-1]

    def pace(self, step: int) -> float:
        """Factor on the learning rates at a step of the phase."""
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        rise = min(1.0, (step + 1) / self.warmup)
        return self.rate * rise * (self.last + (1 - self.last) * cosine)


PHASES = (
    # The encoder learns what a patch shows, the whole learns the world; then the encoder learns to
    # read, which is rare in the world and slow to come, and the whole learns to use it.
    Phase(2200, ((0.0, SIGHTS),), last=0.3),
    Phase(3500, ((0.0, FEW), (0.03, SOME), (0.1, WORLD)), warmup=200, sigma=(40.0, 8.0)),
    Phase(500, ((0.0, SIGNS),), rate=0.5, last=0.2),
    Phase(1000, ((0.0, SIGNED_WORLD),), rate=0.7, warmup=100),
    Phase(350, ((0.0, SIGNED_WORLD),), rate=0.5, warmup=30),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that determines the result."""

    seed: int = 20
    phases: tuple[Phase, ...] = PHASES
    batch: int = 24
    segments: int = 9
    muon_rate: float = 3e-3
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    bf16: bool = True

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    def at(self, step: int) -> tuple[Phase, int]:
        """The phase of a step (0 … `steps` - 1), and the step's number in it."""
        for phase in self.phases:
            if step < phase.steps:
                return phase, step
            step -= phase.steps
        raise IndexError(step)

    def shortened(self, steps: int) -> "Plan":
        """The same plan with `steps` steps in all, for a trial."""
        share = steps / self.steps
        parts = tuple(replace(p, steps=max(1, round(p.steps * share))) for p in self.phases)
        return replace(self, phases=parts)


def embedded_config() -> MoondreamConfig:
    """The small member of the family: 80 px crops, 100 image tokens, 5.5 M parameters."""
    return MoondreamConfig(
        name=NAME,
        lacks=["reasoning", "text_only"],
        text={
            "dim": 256, "ff_dim": 512, "n_layers": 5, "vocab_size": VOCABULARY, "n_heads": 8,
            "n_kv_heads": 8, "max_context": 512, "prefix_attn": 101,
        },
        vision={
            "enc_dim": 192, "enc_patch_size": 8, "enc_n_layers": 4, "enc_ff_dim": 576,
            "enc_n_heads": 6, "proj_out_dim": 256, "crop_size": 80, "max_crops": 1,
            "overlap_margin": 1, "proj_inner_dim": 384,
        },
        region={
            "dim": 256, "coord_feat_dim": 128, "coord_out_dim": 1024, "size_feat_dim": 128,
            "size_out_dim": 2048, "inner_dim": 192,
        },
        tokenizer={
            "bos_id": 0, "eos_id": 0, "answer_id": SPECIALS.index("<|answer|>"),
            "thinking_id": None, "templates": templates(),
        },
    )  # fmt: skip


class PatchHead(nn.Module):
    """Auxiliary head, not shipped: says what lies under each patch. Without it the encoder learns
    only through the decoder, which takes many times longer."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.widths = (len(COLOURS), len(SHAPES) + 1, len(THINGS), len(WORDS), len(LETTERS))
        self.classes = nn.Linear(dim, sum(self.widths))
        self.presence = nn.Linear(dim, 1)
        self.boxes = nn.Linear(dim, 4)

    def right(self, features: torch.Tensor, labels: PatchLabels) -> dict[str, float]:
        """Share of the labelled patches whose class is the argmax, by class."""
        parts = self.classes(features).split(self.widths, dim=-1)
        columns = (labels.colour, labels.shape, labels.thing, labels.word, labels.letter)
        return {
            name: round((part[at].argmax(-1) == column[at]).float().mean().item(), 3)
            for name, part, column in zip(
                ("colour", "shape", "thing", "word", "letter"), parts, columns, strict=True
            )
            if (at := column >= 0).any()
        }

    def loss(self, features: torch.Tensor, labels: PatchLabels) -> torch.Tensor:
        """Cross-entropy of presence and of each class where there is one, plus L1 of the boxes.

        Classes are averaged over the patches that have them: averaged over all patches, signs are
        so rare that reading is not learnt at all.
        """
        columns = (labels.colour, labels.shape, labels.thing, labels.word, labels.letter)
        parts = self.classes(features).float().split(self.widths, dim=-1)
        present = (labels.shape >= 0) | (labels.thing >= 0)
        loss = F.binary_cross_entropy_with_logits(
            self.presence(features).float().squeeze(-1), present.float()
        )
        for part, column in zip(parts, columns, strict=True):
            at = column >= 0
            if at.any():
                loss = loss + F.cross_entropy(part[at], column[at])
        if present.any():
            loss = loss + 4 * F.l1_loss(
                self.boxes(features).float()[present], labels.boxes[present]
            )
        return loss


def alignment_loss(
    model: MoondreamForVision, image: torch.Tensor, labels: PatchLabels, words: "WordIds"
) -> torch.Tensor:
    """Pull each image token towards the embeddings of the words for what it shows.

    Matching words to image tokens is the slow step of the whole training (it shows as a plateau on
    which the model finds *an* object, not *the* object); a shared code shortens it.
    """
    dim = image.shape[-1]
    tokens = F.layer_norm(image.float(), (dim,))
    table = F.layer_norm(model.text.wte.float(), (dim,))
    digits = labels.letter - LETTERS.index("0")
    parts = []
    for ids, column in (
        (words.colours, labels.colour), (words.shapes, labels.shape), (words.things, labels.thing),
        (words.words, labels.word), (words.digits, digits),
    ):  # fmt: skip
        at = column >= 0
        if at.any():
            logits = tokens[at] @ table[list(ids)].T / math.sqrt(dim)
            parts.append(F.cross_entropy(logits, column[at]))
    return torch.stack(parts).sum() if parts else tokens.sum() * 0


@dataclass(frozen=True, slots=True)
class WordIds:
    """Token ids of the words for what a patch shows, in the labels' order."""

    colours: tuple[int, ...]
    shapes: tuple[int, ...]
    things: tuple[int, ...]
    words: tuple[int, ...]
    digits: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "WordIds":
        def one(text: str) -> int:
            ids: list[int] = tokenizer.encode(text).ids
            if len(ids) != 1:
                raise ValueError(f"{text!r} is not one token.")
            return ids[0]

        return cls(
            tuple(one(f" {c}") for c in COLOURS),
            tuple(one(f" {s}") for s in (*SHAPES, SIGN)),
            # "missing screw" goes by its first word: "screw" is another thing.
            tuple(one(f" {thing.split()[0]}") for thing in THINGS),
            tuple(map(one, WORDS)),
            tuple(map(one, string.digits)),
        )


_RATES = (2.2, 0.25)
"""Fastest and slowest angle per patch of the position codes."""
_NEIGHBOURS = (
    ((0, -1), (0, 1), (-1, 0), (1, 0), (-1, -1), (1, 1)),
    ((0, -1), (0, 1), (-1, 0), (1, 0), (-1, 1), (1, -1)),
)
"""For the first two encoder layers, the (row, column) offset each head looks at to begin with."""


def initialise_vision(vision: Vision, patches: torch.Tensor, *, gain: float = 2.4) -> None:
    """Start the encoder as something like a convolution over whitened patches.

    A vision transformer on few, small images spends most of its training on finding out that
    neighbours matter. So: two-dimensional sine/cosine position codes in the first `head_dim`
    channels; heads of the first two layers that look at one neighbour each (queries hold the code
    rotated by the offset); and a patch embedding that is the PCA whitening of real patches, so that
    edges are not drowned by mean colour. All of it is trained on.

    Args:
        patches: (N, C * p * p) flattened, channel-first.
    """
    config = vision.config
    head = config.enc_dim // config.enc_n_heads
    count = head // 4
    rates = torch.exp(torch.linspace(math.log(_RATES[0]), math.log(_RATES[1]), count))
    for module in vision.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    keep = min(config.enc_dim, len(values))
    whitening = (vectors.flip(1)[:, :keep] / (values.flip(0)[:keep] + 0.1).sqrt()).T * 0.7
    with torch.no_grad():
        vision.patch_emb.weight[:keep] = whitening
        vision.patch_emb.weight[:head] *= 0.1
        vision.patch_emb.bias.copy_(-vision.patch_emb.weight @ mean)
        index = torch.arange(config.tokens)
        code = torch.zeros(config.tokens, config.enc_dim)
        for half, axis in enumerate((index // config.grid, index % config.grid)):
            angles = axis[:, None] * rates
            code[:, half * 2 * count : (half + 1) * 2 * count] = torch.cat(
                (angles.sin(), angles.cos()), dim=1
            )
        vision.pos_emb.copy_(code[None])
        for layer, offsets in enumerate(_NEIGHBOURS):
            block = vision.blocks[layer]
            assert isinstance(block, VisionBlock)
            weight = block.attn.qkv.weight
            for number, (down, right) in enumerate(offsets[: config.enc_n_heads]):
                query, key = torch.zeros(head, config.enc_dim), torch.zeros(head, config.enc_dim)
                query[: 2 * count, : 2 * count] = _rotation(rates * down)
                query[2 * count :, 2 * count : 4 * count] = _rotation(rates * right)
                key[:, :head] = torch.eye(head)
                rows = slice(number * head, (number + 1) * head)
                weight[rows] = query * gain
                weight[config.enc_dim + rows.start : config.enc_dim + rows.stop] = key * gain


def _rotation(angles: torch.Tensor) -> torch.Tensor:
    """Block rotation of (sines, cosines) by the angles."""
    cos, sin = torch.diag(angles.cos()), torch.diag(angles.sin())
    return torch.cat((torch.cat((cos, sin), 1), torch.cat((-sin, cos), 1)), 0)


def typical_patches(curriculum: Curriculum, images: int = 300) -> torch.Tensor:
    """Flattened patches of world images, (N, C * p * p)."""
    vision = curriculum.config.sections.vision
    rng = random.Random("patches")
    scenes = [SIGHTS.sample(rng) for _ in range(images)]
    pixels = normalise(
        np.stack([curriculum.view(s, rng) for s in scenes]), torch.float32, torch.device("cpu")
    )
    p = vision.enc_patch_size
    return F.unfold(pixels, p, stride=p).transpose(1, 2).flatten(0, 1)


class _Lessons(Dataset[tuple[Batch, PatchLabels]]):
    """Batches by step, made in a worker process."""

    def __init__(self, curriculum: Curriculum, plan: Plan, start: int) -> None:
        self.curriculum, self.plan, self.start = curriculum, plan, start

    def __len__(self) -> int:
        return self.plan.steps - self.start

    def __getitem__(self, index: int) -> tuple[Batch, PatchLabels]:
        if index >= len(self):
            raise IndexError(index)
        step = self.start + index
        phase, within = self.plan.at(step)
        return self.curriculum(step, phase.stage(within / phase.steps))


class Trainer:
    """One training run in a folder; started again, it goes on from its last checkpoint."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(plan.seed)
        self.config = embedded_config()
        self.tokenizer: Tokenizer = build_tokenizer(VOCABULARY)
        self.words = WordIds.of(self.tokenizer)
        self.model = MoondreamForVision(self.config).float()
        self.curriculum = Curriculum(
            self.config, self.tokenizer, seed=plan.seed, batch=plan.batch, segments=plan.segments
        )
        initialise_vision(self.model.vision, typical_patches(self.curriculum))
        self.head = PatchHead(self.config.sections.vision.enc_dim)
        self.parameters = [*self.model.parameters(), *self.head.parameters()]
        self.optimizers = self._fresh_optimizers()
        self.step = 0
        self._resume()

    def _fresh_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        plan = self.plan
        matrices = [
            p
            for name, p in self.model.named_parameters()
            if p.ndim == 2 and (".blocks." in name or ".proj_mlp." in name or "_decoder." in name)
        ]
        chosen = {id(p) for p in matrices}
        rest = [p for p in self.parameters if id(p) not in chosen]
        # Muon orthogonalises the updates of matrices: about half the steps of AdamW here.
        return {
            "muon": torch.optim.Muon(
                matrices, lr=plan.muon_rate, weight_decay=plan.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            ),
            "adamw": torch.optim.AdamW(
                rest, lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True
            ),
        }  # fmt: skip

    def train(self, report: Callable[[dict[str, object]], None], every: int = 50) -> None:
        """Run to the end, reporting and checkpointing on the way."""
        plan, started = self.plan, time.monotonic()
        tally: dict[str, tuple[int, int]] = {}
        for seen, (batch, labels) in enumerate(self._batches(), start=1):
            phase, within = plan.at(self.step)
            if within == 0:
                self.optimizers = self._fresh_optimizers()
            pace, progress = phase.pace(within), within / phase.steps
            for name, optimizer in self.optimizers.items():
                base = plan.muon_rate if name == "muon" else plan.learning_rate
                for group in optimizer.param_groups:
                    group["lr"] = base * pace
            with torch.autocast("cpu", torch.bfloat16, enabled=plan.bf16):
                loss, figures, right = self._loss(phase, progress, batch, labels)
            for kind, (hits, count) in right.items():
                old = tally.get(kind, (0, 0))
                tally[kind] = (old[0] + hits, old[1] + count)
            self.model.zero_grad(set_to_none=True)
            self.head.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters, 1.0)
            for optimizer in self.optimizers.values():
                optimizer.step()
            self.step += 1
            if self.step % every == 0:
                report(
                    {
                        "step": self.step, "loss": loss.item(), **figures,
                        "steps_per_s": seen / (time.monotonic() - started),
                        "right": {k: round(h / n, 3) for k, (h, n) in sorted(tally.items())},
                    }
                )  # fmt: skip
                tally = {}
            if self.step % (every * 5) == 0:
                self._checkpoint()
        self._checkpoint()

    def _loss(
        self, phase: Phase, progress: float, batch: Batch, labels: PatchLabels
    ) -> tuple[torch.Tensor, dict[str, object], dict[str, tuple[int, int]]]:
        """A batch's loss, the figures to report and what was answered right, by kind."""
        if phase.encoder_only:
            features = self.model.vision(batch.pixels)
            aux = self.head.loss(features, labels)
            image = self.model.vision.project(features, features)
            aligned = alignment_loss(self.model, image, labels, self.words)
            patches = self.head.right(features.detach(), labels)
            return (
                aux + aligned,
                {"aux": aux.item(), "align": aligned.item(), "patches": patches},
                {},
            )
        start, end = phase.sigma
        sigma = start + (end - start) * progress
        losses = run(self.model, batch, sigma=sigma, jitter=0.01 * progress)
        aux = self.head.loss(losses.features, labels)
        aligned = alignment_loss(self.model, losses.image, labels, self.words)
        figures: dict[str, object] = {
            "text": losses.text, "coord": losses.coord, "size": losses.size,
            "coord_error": losses.coord_error, "aux": aux.item(), "align": aligned.item(),
        }  # fmt: skip
        return losses.total + 0.5 * (1 - progress) * (aux + aligned), figures, losses.right

    def _batches(self) -> Iterator[tuple[Batch, PatchLabels]]:
        lessons = _Lessons(self.curriculum, self.plan, self.step)
        return iter(DataLoader(lessons, batch_size=None, num_workers=1, prefetch_factor=4))

    @property
    def _state_file(self) -> Path:
        return self.folder / "state.pt"

    def _checkpoint(self) -> None:
        partial = self._state_file.with_suffix(".partial")
        torch.save(
            {
                "plan": asdict(self.plan), "step": self.step, "model": self.model.state_dict(),
                "head": self.head.state_dict(), "optimizers": {k: o.state_dict() for k, o in self.optimizers.items()},
            },
            partial,
        )  # fmt: skip
        partial.replace(self._state_file)

    def _resume(self) -> None:
        if not self._state_file.exists():
            return
        state = torch.load(self._state_file, weights_only=True)
        if state["plan"] != asdict(self.plan):
            raise ValueError(
                f"{self._state_file} belongs to another plan; remove it or choose another folder."
            )
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.head.load_state_dict(state["head"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])

    def export(self, target: Path, revision: str) -> None:
        """Write a model folder: config.json, model.safetensors (fp16), tokenizer.json."""
        export(self.model, self.tokenizer, target, revision)


def export(model: MoondreamForVision, tokenizer: Tokenizer, target: Path, revision: str) -> None:
    """Write a model folder that `Moondream.from_pretrained` reads; weights in fp16."""
    target.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.half().contiguous() for k, v in model.state_dict().items()}
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    model.config.revision = revision
    values = model.config.to_dict()
    kept = ("model_type", "name", "revision", "lacks", "text", "vision", "region", "tokenizer")
    config = {"architectures": [type(model).__name__], "dtype": "float16"}
    config |= {k: values[k] for k in kept}
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    tokenizer.save(str(target / "tokenizer.json"))
    manifest_write(target)
