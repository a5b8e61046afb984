"""The public face: one class, shaped like the official clients."""

import functools
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self

import torch
from PIL import Image
from tokenizers import Tokenizer

from inference.engine.answers import (
    Answer,
    EncodedImage,
    ImageLike,
    Run,
    UnsupportedSkill,
    respond,
)
from inference.engine.checkpoint import (
    Kernels,
    Quantization,
    choose_device,
    choose_dtype,
    load,
    saved_quantization,
    weight_bytes,
)
from inference.engine.crops import make_crops
from inference.engine.decoding import Decoding
from inference.engine.layers import KVCache
from inference.engine.model import MoondreamForVision, tensor_shapes
from inference.engine.reasoning import Reasoning
from inference.engine.scope import Scope
from inference.engine.settings import Settings, read_reference

SpatialRef = Sequence[float]
SettingsLike = Settings | Mapping[str, Any] | None
Prompt = tuple[list[int], dict[int, tuple[float, ...]]]
_WINDOW = 0.05
"""Half-width, as a fraction of the bins, of the mass counted as the model's belief in a bin."""


class Moondream:
    """A loaded model.

    >>> model = Moondream.from_pretrained("inference/weights/embedded")
    >>> encoded = model.encode_image(image)
    >>> model.query(encoded, "How many circles are there?")["answer"]
    '3'
    """

    def __init__(
        self, model: MoondreamForVision, tokenizer: Tokenizer, quantization: Quantization | None
    ) -> None:
        self.model, self.tokenizer, self.quantization = model, tokenizer, quantization
        self.sections = model.config.sections
        reference = model.vision.pos_emb
        self.device, self.dtype = reference.device, reference.dtype
        self.compiled_step: Callable[..., torch.Tensor] | None = None
        self.scope: Scope | None = None
        """What the model knows, where its folder says it."""

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str],
        quantization: Quantization | None = None,
        device: str = "auto",
        dtype: str | torch.dtype = "auto",
        compile: Literal["auto", "on", "off"] = "off",  # noqa: A002  # torch's word
        trainable: bool = False,  # noqa: FBT001, FBT002
    ) -> Self:
        """Load a model folder.

        Args:
            folder: holds config.json, model.safetensors and tokenizer.json.
            quantization: None, "int8" (LLM.int8) or "nf4" (4-bit NormalFloat, double
                quantisation), by bitsandbytes while loading.
            device: "auto", "cpu", "cuda", "cuda:1" …
            dtype: of what is not quantised; "auto" is bf16 where the hardware has it.
            compile: "auto" compiles at full precision on a GPU (bitsandbytes' layers break the
                graph); "on" always. See `compile`.
            trainable: adapters will be trained (`inference.engine.tuning`); the weights never are.

        Raises:
            CheckpointError: not a model folder, or other tensors than the architecture's.
        """
        where = choose_device(device)
        # What is compiled has kernels of its own.
        kernels: Kernels = "trainable" if trainable else "auto"
        if compile == "on" and quantization is None:
            kernels = "loaded"
        model, tokenizer = load(
            folder,
            quantization=quantization,
            device=where,
            dtype=choose_dtype(dtype, where),
            kernels=kernels,
        )
        made = cls(model, tokenizer, quantization or saved_quantization(folder))
        made.scope = Scope.read(folder, model.config.sections.text.dim)
        if compile == "on" or (
            compile == "auto" and where.type == "cuda" and made.quantization is None
        ):
            made.compile()
        return made

    def compile(self, backend: str = "inductor") -> None:
        """Compile the decoding step of one answer, and the vision encoder; the first questions pay.

        The step has one shape at every length (its cache takes `max_context` slots), the encoder
        any number of tiles: neither is compiled again. Prompts and batches run as they are.
        """
        self.compiled_step = torch.compile(self.model.step, backend=backend, dynamic=False)
        vision = self.model.vision
        vision.forward = torch.compile(vision.forward, backend=backend, dynamic=True)  # type: ignore[method-assign]

    @functools.cached_property
    def key(self) -> str:
        """Names what an encoded image depends on: model, revision, precision."""
        info = self.info
        return "/".join(str(info[k]) for k in ("name", "revision", "quantization", "dtype"))

    @functools.cached_property
    def info(self) -> dict[str, Any]:
        """name, revision, parameters, weight_bytes, dtype, quantization, device."""
        config = self.model.config
        return {
            "name": config.name,
            "revision": config.revision,
            # Quantised tensors are packed and would miscount.
            "parameters": sum(math.prod(shape) for shape in tensor_shapes(config).values()),
            "weight_bytes": weight_bytes(self.model),
            "dtype": str(self.dtype).removeprefix("torch."),
            "quantization": self.quantization,
            "device": str(self.device),
        }

    @torch.inference_mode()
    def encode_image(self, image: ImageLike) -> EncodedImage:
        """Run the vision encoder and the decoder's image prefix, once for any number of questions.

        An `EncodedImage` is returned as it is.

        Raises:
            ValueError: it was encoded by another model or precision.
        """
        if isinstance(image, EncodedImage):
            if image.owner != self.key:
                raise ValueError(f"The image was encoded by {image.owner}, this is {self.key}.")
            return image
        started = time.perf_counter()
        crops = make_crops(image, self.sections.vision)
        tokens = self.model.image_tokens(crops)[None]
        prefix = self.model.prefix(tokens)
        (score,) = self.outside_scores(tokens)
        spent = (time.perf_counter() - started) * 1e3
        return EncodedImage(prefix, image.size, self.key, spent, outside_score=score)

    def outside_scores(self, tokens: torch.Tensor) -> list[float] | list[None]:
        """How far beyond what the model knows images are (`inference.engine.scope`); None where it does not
        tell.

        Args:
            tokens: (B, tokens, dim) image embeddings.
        """
        return [None] * len(tokens) if self.scope is None else self.scope.scores(tokens)

    def takes(self, image: EncodedImage) -> bool:
        """Whether an encoded image is of this model and of its sizes, as one read from a file may
        not be."""
        text, keys = self.sections.text, image.prefix.keys
        shape = (text.n_layers, 1, text.kv_heads, text.prefix_attn, text.head_dim)
        return image.owner == self.key and keys.shape == shape and keys.dtype == self.dtype

    def caption(
        self,
        image: ImageLike,
        length: Literal["short", "normal", "long"] = "normal",
        stream: bool = False,  # noqa: FBT001, FBT002  # the official clients' signature
        settings: SettingsLike = None,
    ) -> Answer:
        """Describe the image: `{"caption": str}`, or an iterator of str pieces when streaming.

        Raises:
            ValueError: an unknown length, or bad settings.
        """
        prompt, _ = self.prompt("caption", {"length": length})
        run = Run()
        pieces = self._text(run, image, prompt, {}, Settings.read(settings))
        return respond("caption", run, pieces, "".join, stream=stream)

    def query(
        self,
        image: ImageLike | None,
        question: str,
        reasoning: bool = False,  # noqa: FBT001, FBT002
        spatial_refs: Sequence[SpatialRef] | None = None,
        stream: bool = False,  # noqa: FBT001, FBT002
        settings: SettingsLike = None,
    ) -> Answer:
        """Answer a question: `{"answer": str}`, or an iterator of str pieces when streaming.

        `spatial_refs` are points (x, y) or boxes (x_min, y_min, x_max, y_max), 0..1, that the
        question is about.

        With `reasoning` the result also has `"reasoning": {"text": str, "grounding": [...]}`, whole
        before the answer's first piece; it may take as many tokens as the answer.

        Raises:
            ValueError: an empty or too long question, bad references or settings.
            UnsupportedSkill: the model does not reason, or does not answer without an image.
        """
        asked = {"question": question, "spatial_refs": spatial_refs, "reasoning": reasoning}
        prompt, regions = self.prompt("query", asked)
        if image is None and "text_only" in self.model.config.lacks:
            raise UnsupportedSkill(
                f"{self.model.config.name} answers about an image only; send one."
            )
        run = Run()
        if not reasoning:
            pieces = self._text(run, image, prompt, regions, Settings.read(settings))
            return respond("answer", run, pieces, "".join, stream=stream)
        told: dict[str, Any] = {}
        pieces = self._reasoned(run, image, prompt, regions, Settings.read(settings), told)
        answer = respond("answer", run, pieces, "".join, stream=stream)
        answer["reasoning"] = told
        return answer

    def detect(
        self,
        image: ImageLike,
        object: str,  # noqa: A002  # the official clients' name
        stream: bool = False,  # noqa: FBT001, FBT002
        settings: SettingsLike = None,
    ) -> Answer:
        """Find boxes: `{"objects": [{x_min, y_min, x_max, y_max, confidence}]}`, 0..1, not clamped.

        Raises:
            ValueError: an empty or too long phrase, or bad settings.
        """
        return self._find("detect", "objects", image, object, settings, stream=stream)

    def point(
        self,
        image: ImageLike,
        object: str,  # noqa: A002
        stream: bool = False,  # noqa: FBT001, FBT002
        settings: SettingsLike = None,
    ) -> Answer:
        """Find centres: `{"points": [{x, y, confidence}]}`, 0..1.

        Raises:
            ValueError: an empty or too long phrase, or bad settings.
        """
        return self._find("point", "points", image, object, settings, stream=stream)

    def warm_up(self) -> None:
        """Answer once on a blank image, so that the first visitor does not pay for set-up."""
        side = self.sections.vision.crop_size
        self.caption(Image.new("RGB", (side, side)), length="short", settings={"max_tokens": 2})

    def prompt(self, skill: str, params: Mapping[str, Any]) -> Prompt:
        """Token ids of what a skill is asked with, and by their places the values of spatial references.

        Args:
            params: as on the wire: `length`, `question` (with `spatial_refs`, `reasoning`) or `object`.

        Raises:
            ValueError: an unknown skill or length, an empty question or phrase, bad references.
            UnsupportedSkill: the model does not reason.
        """
        templates = self.sections.tokenizer.templates
        match skill:
            case "caption":
                known, length = templates.get("caption") or {}, params.get("length") or "normal"
                if length not in known:
                    names = ", ".join(known) or "none"
                    raise ValueError(f"Unknown caption length {length!r}; this model has: {names}.")
                return list(known[length]), {}
            case "query":
                question = str(params.get("question") or "").strip()
                if not question:
                    raise ValueError("The question is empty.")
                reasoning = bool(params.get("reasoning"))
                if reasoning and "reasoning" in self.model.config.lacks:
                    name = self.model.config.name
                    raise UnsupportedSkill(f"{name} does not reason; ask without it.")
                start = len(templates["query"]["prefix"])
                slots, regions = self._references(start, params.get("spatial_refs") or ())
                return self.query_prompt(question, slots, reasoning=reasoning), regions
            case "detect" | "point":
                phrase = str(params.get("object") or "").strip()
                if not phrase:
                    raise ValueError("Say what to look for: the object is empty.")
                space = " " if self.sections.tokenizer.object_space else ""
                template = templates[skill]
                named = self._encode(space + phrase)
                return [*template["prefix"], *named, *template["suffix"]], {}
        raise ValueError(f"Unknown skill {skill!r}.")

    def query_prompt(
        self, question: str, slots: Sequence[int] = (), *, reasoning: bool = False
    ) -> list[int]:
        """Token ids of a question's prompt; `slots` stand for spatial references."""
        tokens = self.sections.tokenizer
        template = tokens.templates["query"]
        asked = self._encode((" " if tokens.question_space else "") + question)
        suffix = (tokens.answer_id, tokens.thinking_id) if reasoning else template["suffix"]
        return [*template["prefix"], *slots, *asked, *suffix]

    # Internals

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _references(
        self, start: int, refs: Sequence[SpatialRef]
    ) -> tuple[list[int], dict[int, tuple[float, ...]]]:
        """Slots for spatial references and the values that fill them, by position in the prompt."""
        tokens = self.sections.tokenizer
        slots: list[int] = []
        values: dict[int, tuple[float, ...]] = {}
        for ref in map(read_reference, refs):
            at = start + len(slots)
            if len(ref) == 2:
                values[at], values[at + 1] = (ref[0],), (ref[1],)
                slots += [tokens.coord_id] * 2
            else:
                x1, y1, x2, y2 = ref
                values[at], values[at + 1] = ((x1 + x2) / 2,), ((y1 + y2) / 2,)
                values[at + 2] = (abs(x2 - x1), abs(y2 - y1))
                slots += [tokens.coord_id] * 2 + [tokens.size_id]
        return slots, values

    def _prefill(
        self,
        run: Run,
        image: ImageLike | None,
        prompt: list[int],
        regions: Mapping[int, tuple[float, ...]],
        reserve: int,
    ) -> tuple[torch.Tensor, KVCache, int]:
        """Encode the image if need be and read the prompt.

        Returns the last hidden state (1, dim), the cache, and how many tokens may follow (at most
        `reserve`).
        """
        text = self.sections.text
        start = text.prefix_attn if image is not None else 1
        room = text.max_context - start - len(prompt)
        if room < 1:
            raise ValueError(
                f"The prompt is too long: {len(prompt)} tokens, and this model reads at most "
                f"{text.max_context - start - 1} beside the image."
            )
        room = min(room, reserve)
        if image is not None:
            encoded = self.encode_image(image)
            run.encode_cached = encoded is image
            run.encode_ms = 0.0 if run.encode_cached else encoded.encode_ms
            cache = encoded.prefix.fork(self._slots(len(prompt) + room, encoded.prefix.length))
            ids = prompt
        else:
            ids = [self.sections.tokenizer.bos_id, *prompt]
            regions = {at + 1: value for at, value in regions.items()}
            slots = self._slots(len(ids) + room, 0)
            cache = KVCache(text, slots, batch=1, dtype=self.dtype, device=self.device)
        if self.compiled_step is not None:
            # Slots not yet written weigh nothing, but nothing times not-a-number is not nothing.
            for part in (cache.keys, cache.values):
                part[:, :, :, cache.length :] = 0
        began = time.perf_counter()
        embeds = self.model.text.embed(torch.tensor([ids], device=self.device))
        for at, value in regions.items():
            embeds[0, at] = self.region_embedding(value)
        hidden = self.model.prefill(embeds, cache)
        run.prefill_ms = (time.perf_counter() - began) * 1e3
        run.prompt_tokens = cache.length
        return hidden, cache, room

    def _slots(self, needed: int, held: int) -> int:
        """Room for a cache beyond what it holds: as much as is needed, or all for a compiled step."""
        return needed if self.compiled_step is None else self.sections.text.max_context - held

    def region_embedding(self, value: tuple[float, ...]) -> torch.Tensor:
        """(dim,) of a coordinate (one number) or of a size (width and height), 0..1."""
        tensor = torch.tensor(value, device=self.device, dtype=self.dtype)
        region = self.model.region
        return region.encode_coord(tensor) if len(value) == 1 else region.encode_size(tensor)

    def _step(self, embed: torch.Tensor, cache: KVCache) -> torch.Tensor:
        """Feed one embedding, (dim,) → hidden (1, dim)."""
        embeds = embed.view(1, 1, -1)
        if self.compiled_step is None:
            return self.model.prefill(embeds, cache)
        position = torch.tensor([cache.length], device=self.device)
        hidden = self.compiled_step(embeds, cache.keys, cache.values, position)
        cache.length += 1
        # What a CUDA graph returns is written over by its next run.
        return hidden.clone()

    @torch.inference_mode()
    def _text(
        self,
        run: Run,
        image: ImageLike | None,
        prompt: list[int],
        regions: Mapping[int, tuple[float, ...]],
        settings: Settings,
    ) -> Iterator[str]:
        """Generate text and yield it in whole words."""
        hidden, cache, room = self._prefill(run, image, prompt, regions, settings.max_tokens)
        generator = torch.Generator(self.device).manual_seed(settings.seed)
        yield from self._said(run, hidden, cache, room, settings, generator)

    @torch.inference_mode()
    def _reasoned(
        self,
        run: Run,
        image: ImageLike | None,
        prompt: list[int],
        regions: Mapping[int, tuple[float, ...]],
        settings: Settings,
        told: dict[str, Any],
    ) -> Iterator[str]:
        """Think, fill `told` with it, then answer as `_text` does."""
        most = settings.max_tokens
        hidden, cache, room = self._prefill(run, image, prompt, regions, 2 * most + 1)
        generator = torch.Generator(self.device).manual_seed(settings.seed)
        tokens, heads = self.sections.tokenizer, self.model.region
        thought = Reasoning(run, tokens, self.tokenizer)
        # One place is left for the answer's token, and one at least for an answer.
        while thought.count < min(most, room - 2):
            logits = self.model.text.logits(hidden)[0].float()
            token = thought.take(logits, settings, generator)
            if token == tokens.answer_id:
                break
            if token == tokens.coord_id:
                chosen, _ = pick_bin(heads.coord_logits(hidden)[0])
                value = heads.coord_value(chosen)
                thought.place(float(value))
                embed = heads.encode_coord(value.view(1))
            else:
                embed = self._embedded(token)
            hidden = self._step(embed, cache)
        told.update(thought.told())
        assert tokens.answer_id is not None
        hidden = self._step(self._embedded(tokens.answer_id), cache)
        left = min(most, room - thought.count - 1)
        yield from self._said(run, hidden, cache, left, settings, generator)

    def _embedded(self, token: int) -> torch.Tensor:
        return self.model.text.embed(torch.tensor(token, device=self.device))

    def _said(
        self, run: Run, hidden: torch.Tensor, cache: KVCache, room: int, settings: Settings,
        generator: torch.Generator,
    ) -> Iterator[str]:  # fmt: skip
        """The text that follows a prompt, in whole words."""
        text = Decoding(run, self.sections.tokenizer, self.tokenizer)
        for step in range(1, room + 1):
            token = text.take(self.model.text.logits(hidden)[0].float(), settings, generator)
            last = text.ended or step == room
            piece = text.piece(last=last)
            if piece:
                yield piece
            if last:
                break
            hidden = self._step(self._embedded(token), cache)
        if not text.ended:
            run.finish_reason = "length"

    def _find(
        self, skill: str, key: str, image: ImageLike, phrase: str, settings: SettingsLike,
        *, stream: bool,
    ) -> Answer:  # fmt: skip
        prompt, _ = self.prompt(skill, {"object": phrase})
        run = Run()
        pieces = self._regions(run, image, prompt, Settings.read(settings), sizes=skill == "detect")
        return respond(key, run, pieces, list, stream=stream)

    @torch.inference_mode()
    def _regions(
        self, run: Run, image: ImageLike, prompt: list[int], settings: Settings, *, sizes: bool
    ) -> Iterator[dict[str, float]]:
        """Yield points or boxes, greedily, until the model says there are no more."""
        per_object = 3 if sizes else 2
        hidden, cache, room = self._prefill(
            run, image, prompt, {}, settings.max_objects * per_object
        )
        heads, eos = self.model.region, self.sections.tokenizer.eos_id
        found = 0
        while True:
            odds = self.model.text.logits(hidden)[0].float().softmax(-1)
            run.token()
            if int(odds.argmax()) == eos:
                run.chose(float(odds[eos]))
                return
            if found >= settings.max_objects or (found + 1) * per_object > room:
                run.finish_reason = "length"
                return
            beliefs = [float(1 - odds[eos])]
            x_bin, belief = pick_bin(heads.coord_logits(hidden)[0])
            beliefs.append(belief)
            x = heads.coord_value(x_bin)
            hidden = self._step(heads.encode_coord(x.view(1)), cache)
            y_bin, belief = pick_bin(heads.coord_logits(hidden)[0])
            beliefs.append(belief)
            y = heads.coord_value(y_bin)
            hidden = self._step(heads.encode_coord(y.view(1)), cache)
            place = {"x": float(x), "y": float(y)}
            if sizes:
                picked = [pick_bin(row) for row in heads.size_logits(hidden)[0]]
                beliefs += [belief for _, belief in picked]
                size = heads.size_value(torch.stack([chosen for chosen, _ in picked]))
                hidden = self._step(heads.encode_size(size), cache)
                half_w, half_h = float(size[0]) / 2, float(size[1]) / 2
                place = {
                    "x_min": place["x"] - half_w, "y_min": place["y"] - half_h,
                    "x_max": place["x"] + half_w, "y_max": place["y"] + half_h,
                }  # fmt: skip
            for belief in beliefs:
                run.chose(belief)
            mean = torch.tensor(beliefs).clamp(min=1e-12).log().mean().exp()
            found += 1
            yield {**place, "confidence": float(mean)}


def pick_bin(logits: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Most likely bin of (bins,) logits, and the mass within 5% of the range around it."""
    odds = logits.float().softmax(-1)
    chosen = odds.argmax()
    reach = round(len(odds) * _WINDOW)
    low = max(0, int(chosen) - reach)
    return chosen, min(1.0, float(odds[low : int(chosen) + reach + 1].sum()))
