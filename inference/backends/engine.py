"""Local weights, any precision, through `inference.engine`. Torch is imported when it loads."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from inference.backends.base import BackendEvent, Finished, Found, Request, Stage, Token
from inference.backends.encoded import EncodedImages, StoredEncodings
from inference.engine.manifest import identity

if TYPE_CHECKING:
    from inference.engine import Answer, EncodedImage, Moondream


_encoded = EncodedImages(settings.INFERENCE_ENCODE_CACHE_MB * 1024 * 1024)
_stored = StoredEncodings()


class EngineBackend:
    """One folder at one precision, loaded once and kept warm."""

    def __init__(self, folder: str, quantization: str, dtype: str) -> None:
        self.folder, self.quantization, self.dtype = folder, quantization, dtype
        self._model: Moondream | None = None
        self._key = ""

    @property
    def is_warm(self) -> bool:
        return self._model is not None

    def load(self) -> dict[str, Any]:
        import torch

        from inference.engine import Moondream

        if settings.INFERENCE_THREADS:
            torch.set_num_threads(settings.INFERENCE_THREADS)
        started = time.perf_counter()
        model = Moondream.from_pretrained(
            Path(self.folder),
            quantization=self.quantization or None,  # type: ignore[arg-type]  # checked by the model's choices
            device=settings.INFERENCE_DEVICE,
            dtype=self.dtype,
            compile=settings.INFERENCE_COMPILE,
        )
        model.warm_up()
        self._model = model
        self._key = f"{model.key}/{model.device.type}/{identity(Path(self.folder))}"
        return {**model.info, "load_ms": (time.perf_counter() - started) * 1e3}

    def answer(self, request: Request) -> Iterator[BackendEvent]:
        if self._model is None:
            self.load()
        assert self._model is not None
        started = time.perf_counter()
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
        result = {key: answer.text if kind == "text" else pieces}
        if "reasoning" in answer:
            result["reasoning"] = answer["reasoning"]
        yield Finished(result, timings, answer.confidence, answer.tokens, answer.finish_reason)

    def answer_many(self, requests: Sequence[Request]) -> Iterator[tuple[int, BackendEvent]]:
        from inference.engine.batching import Ask, stream_many

        if self._model is None:
            self.load()
        assert self._model is not None
        asks, encodings = [], []
        for number, request in enumerate(requests):
            yield number, Stage("encoding")
            encoded, encode_ms, cached = self._encode(request)
            encodings.append((encode_ms, cached))
            params = request.params
            length = params.get("length", "normal") if request.skill == "caption" else ""
            asks.append(Ask(encoded, params.get("question", ""), length))
        for number in range(len(requests)):
            yield number, Stage("prefill", f"answered together with {len(requests) - 1} more")
        decoding = set[int]()
        for number, item in stream_many(self._model, asks, requests[0].params.get("settings")):
            if isinstance(item, str):
                if number not in decoding:
                    decoding.add(number)
                    yield number, Stage("decoding")
                yield number, Token(item)
                continue
            encode_ms, cached = encodings[number]
            timings = {**item.timings, "encode_ms": encode_ms, "encode_cached": cached}
            yield (
                number,
                Finished(dict(item), timings, item.confidence, item.tokens, item.finish_reason),
            )

    def _encode(self, request: Request) -> tuple["EncodedImage", float, bool]:
        assert self._model is not None
        assert request.open_image is not None
        cache_key = (self._key, request.image_key)
        found = _encoded.get(cache_key)
        if found is None:
            found = _stored.get(cache_key, self._model)
            if found is not None:
                _encoded.put(cache_key, found)
        if found is not None:
            return found, 0.0, True
        started = time.perf_counter()
        encoded = self._model.encode_image(request.open_image())
        _encoded.put(cache_key, encoded)
        _stored.put(cache_key, encoded)
        return encoded, (time.perf_counter() - started) * 1e3, False

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


def _on_image(piece: dict[str, float], kind: str) -> dict[str, float]:
    """Clamp to the image: the core returns what the model said, the API what can be drawn."""
    return {k: v if k == "confidence" else min(1.0, max(0.0, v)) for k, v in piece.items()}
