"""Local weights, any precision, through `inference.engine`. Torch is imported when it loads."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from inference.backends.adapters import AdapterShelf
from inference.backends.base import BackendEvent, Finished, Found, Request, Stage, Token
from inference.backends.encoded import EncodedImages, StoredEncodings
from inference.engine.manifest import identity

if TYPE_CHECKING:
    from inference.engine import Answer, EncodedImage, Moondream

    _Encoded = tuple[EncodedImage, float, bool]

MOST_MAPS = 256
"""Attention maps of one answer: those of its first tokens."""
_encoded = EncodedImages(settings.INFERENCE_ENCODE_CACHE_MB * 1024 * 1024)
_stored = StoredEncodings()


def load_model(folder: str, quantization: str, dtype: str, **options: Any) -> "Moondream":
    """A variant's weights on this node's device, with its number of threads.

    Args:
        options: further ones of `Moondream.from_pretrained`.

    Raises:
        CheckpointError: they cannot be used.
    """
    import torch

    from inference.engine import Moondream

    if settings.INFERENCE_THREADS:
        torch.set_num_threads(settings.INFERENCE_THREADS)
    return Moondream.from_pretrained(
        Path(folder),
        quantization=quantization or None,  # type: ignore[arg-type]  # checked by the model's choices
        device=settings.INFERENCE_DEVICE, dtype=dtype, **options,
    )  # fmt: skip


class EngineBackend:
    """One folder at one precision, loaded once and kept warm."""

    def __init__(self, folder: str, quantization: str, dtype: str) -> None:
        self.folder, self.quantization, self.dtype = folder, quantization, dtype
        self._model: Moondream | None = None
        self._adapters: AdapterShelf | None = None
        self._base_key = ""

    @property
    def is_warm(self) -> bool:
        return self._model is not None

    def load(self) -> dict[str, Any]:
        started = time.perf_counter()
        compiled = settings.INFERENCE_COMPILE
        model = load_model(self.folder, self.quantization, self.dtype, compile=compiled)
        model.warm_up()
        self._model = model
        self._adapters = AdapterShelf(model)
        self._base_key = f"{model.key}/{model.device.type}/{identity(Path(self.folder))}"
        return {**model.info, "load_ms": (time.perf_counter() - started) * 1e3}

    def answer(self, request: Request) -> Iterator[BackendEvent]:
        if self._model is None:
            self.load()
        assert self._model is not None
        started = time.perf_counter()
        note = self._switch(request)
        if note:
            yield Stage("loading", note)
        encoded, encode_ms, cached = None, 0.0, False
        if request.open_image is not None:
            yield Stage("encoding")
            encoded, encode_ms, cached = self._encode(request)
            note = "image encoding reused" if cached else f"image encoded in {encode_ms:.0f} ms"
            yield Stage("prefill", note)
        before = time.perf_counter() - started
        answer, key, kind = self._ask(request, encoded)
        pieces: list[Any] = []
        for piece in answer[key]:
            if not pieces:
                yield Stage("decoding")
            pieces.append(piece if kind == "text" else _on_image(piece, kind))
            yield Token(piece) if kind == "text" else Found(kind, pieces[-1])
        timings = dict(answer.timings)
        timings |= {
            "encode_ms": encode_ms,
            "encode_cached": cached,
            "first_token_ms": timings["first_token_ms"] + before * 1e3,
        }
        result: dict[str, Any] = {key: answer.text if kind == "text" else pieces}
        if "reasoning" in answer:
            result["reasoning"] = answer["reasoning"]
        if request.params.get("attention") and encoded and answer.text.strip():
            result["attention"] = self._attention(request, encoded, answer.text)
        yield Finished(
            result, timings, answer.confidence, answer.tokens, answer.finish_reason,
            outside_world=encoded.is_outside if encoded else None,
        )  # fmt: skip

    def _attention(self, request: Request, encoded: "EncodedImage", text: str) -> dict[str, Any]:
        """Where each token of an answer looked (`inference.engine.attention`)."""
        from inference.engine.attention import prompt_attention

        assert self._model is not None
        prompt, _ = self._model.prompt(request.skill, request.params)
        return prompt_attention(self._model, encoded, prompt, text, most=MOST_MAPS).to_dict()

    def answer_many(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, BackendEvent]]]:
        from inference.engine.batching import Ask, stream_many

        if self._model is None:
            self.load()
        assert self._model is not None
        self._switch(requests[0])
        yield [(row, Stage("encoding")) for row in range(len(requests))]
        encodings = self._encode_all(requests)
        note = f"answered together with {len(requests) - 1} more"
        yield [(row, Stage("prefill", note)) for row in range(len(requests))]
        asks = [
            Ask(encoded, request.params.get("question", ""), _caption_length(request))
            for request, (encoded, _, _) in zip(requests, encodings, strict=True)
        ]
        decoding = set[int]()
        for made in stream_many(self._model, asks, requests[0].params.get("settings")):
            events: list[tuple[int, BackendEvent]] = []
            for row, item in made:
                if isinstance(item, str):
                    if row not in decoding:
                        decoding.add(row)
                        events.append((row, Stage("decoding")))
                    events.append((row, Token(item)))
                    continue
                encoded, encode_ms, cached = encodings[row]
                timings = {**item.timings, "encode_ms": encode_ms, "encode_cached": cached}
                finished = Finished(
                    dict(item), timings, item.confidence, item.tokens, item.finish_reason,
                    outside_world=encoded.is_outside,
                )  # fmt: skip
                events.append((row, finished))
            yield events

    def _switch(self, request: Request) -> str:
        """Answer with the request's adapter, or with the base, from now on.

        Returns:
            What there is to say of it; empty where it was there.

        Raises:
            ValueError: the adapter does not fit the model.
            DomainError: it was deleted, or its storage is away.
        """
        assert self._adapters is not None
        return self._adapters.activate(request.adapter)

    @property
    def _key(self) -> str:
        """Names what an encoded image depends on. An image's prefix goes through an adapter's layers."""
        active = self._adapters.active if self._adapters else None
        return f"{self._base_key}/{active}" if active else self._base_key

    def _encode(self, request: Request) -> "_Encoded":
        (encoded,) = self._encode_all([request])
        return encoded

    def _encode_all(self, requests: Sequence[Request]) -> "list[_Encoded]":
        """The encoding of each request's image, the milliseconds it took, and whether it was there. Those
        that were not are made in one pass; an image that several ask about is encoded once."""
        from inference.engine.batching import encode_images

        assert self._model is not None
        found = {key: self._known(key) for key in {request.image_key for request in requests}}
        missing = {r.image_key: r.open_image for r in requests if found[r.image_key] is None}
        started = time.perf_counter()
        opened = [read() for read in missing.values() if read is not None]
        made = encode_images(self._model, opened)
        each_ms = (time.perf_counter() - started) * 1e3 / max(1, len(made))
        for key, encoded in zip(missing, made, strict=True):
            found[key] = encoded
            _encoded.put((self._key, key), encoded)
            _stored.put((self._key, key), encoded)
        rows: list[_Encoded] = []
        for request in requests:
            encoded_image = found[request.image_key]
            assert encoded_image is not None
            is_new = request.image_key in missing
            rows.append((encoded_image, each_ms if is_new else 0.0, not is_new))
        return rows

    def _known(self, image_key: str) -> "EncodedImage | None":
        """An encoding that was kept in memory or on disk."""
        assert self._model is not None
        key = (self._key, image_key)
        found = _encoded.get(key)
        if found is None:
            found = _stored.get(key, self._model)
            if found is not None:
                _encoded.put(key, found)
        return found

    def _ask(self, request: Request, encoded: "EncodedImage | None") -> tuple["Answer", str, str]:
        """The answer (streaming), the key its pieces are under, and what they are."""
        assert self._model is not None
        params, model = request.params, self._model
        settings_ = params.get("settings")
        if request.skill == "query":
            answer = model.query(
                encoded, params["question"], reasoning=params.get("reasoning", False),
                spatial_refs=params.get("spatial_refs"), stream=True, settings=settings_,
            )  # fmt: skip
            return answer, "answer", "text"
        if encoded is None:
            raise ValueError("An image is needed.")
        match request.skill:
            case "caption":
                answer = model.caption(
                    encoded, params.get("length", "normal"), stream=True, settings=settings_
                )
                return answer, "caption", "text"
            case "detect":
                answer = model.detect(encoded, params["object"], stream=True, settings=settings_)
                return answer, "objects", "object"
            case "point":
                answer = model.point(encoded, params["object"], stream=True, settings=settings_)
                return answer, "points", "point"
        raise ValueError(f"Unknown skill {request.skill!r}.")


def _caption_length(request: Request) -> str:
    """The length of the caption that is asked for; empty for a question."""
    return str(request.params.get("length", "normal")) if request.skill == "caption" else ""


def _on_image(piece: dict[str, float], kind: str) -> dict[str, float]:
    """Clamp to the image: the core returns what the model said, the API what can be drawn."""
    return {k: v if k == "confidence" else min(1.0, max(0.0, v)) for k, v in piece.items()}
