"""Moondream's own service, through the official client: the same questions, answered elsewhere."""

import time
import urllib.error
from collections.abc import Iterator
from typing import Any

from django.conf import settings

from inference import errors
from inference.backends.base import BackendEvent, Finished, Found, Request, Stage, Token
from inference.errors import DomainError

_TEXT_KEY = {"caption": "caption", "query": "answer"}
_REGION_KEY = {"detect": "objects", "point": "points"}


class CloudBackend:
    """One model of the service. Nothing is loaded here; the image leaves this machine."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._client: Any = None

    @property
    def is_warm(self) -> bool:
        return self._client is not None

    def load(self) -> dict[str, Any]:
        started = time.perf_counter()
        try:
            import moondream
        except ImportError as error:
            raise errors.CLOUD_CLIENT_MISSING() from error
        self._client = moondream.vl(
            api_key=settings.MOONDREAM_API_KEY or None,
            endpoint=settings.MOONDREAM_ENDPOINT.rstrip("/"),
            model=self.model or None,
        )
        spent = (time.perf_counter() - started) * 1e3
        return {"parameters": None, "weight_bytes": None, "dtype": "", "load_ms": spent}

    def answer(self, request: Request) -> Iterator[BackendEvent]:
        if self._client is None:
            self.load()
        yield Stage("sending", "the image is sent to Moondream's service")
        started = time.perf_counter()
        try:
            yield from self._answer(request, started)
        except urllib.error.HTTPError as error:
            raise _told(error) from error
        except OSError as error:  # refused, no route, timeout, cut off
            raise errors.CLOUD_UNREACHABLE() from error

    def _answer(self, request: Request, started: float) -> Iterator[BackendEvent]:
        first = 0.0
        count = 0
        if request.skill in _TEXT_KEY:
            key = _TEXT_KEY[request.skill]
            pieces = []
            for piece in self._stream(request)[key]:
                first = first or (time.perf_counter() - started) * 1e3
                pieces.append(piece)
                if piece:
                    yield Token(piece)
            result: dict[str, Any] = {key: "".join(pieces)}
            count = len(pieces)
        else:
            key = _REGION_KEY[request.skill]
            result = {key: self._regions(request)[key]}
            first = (time.perf_counter() - started) * 1e3
            count = len(result[key])
            for region in result[key]:
                yield Found("object" if request.skill == "detect" else "point", dict(region))
        total = (time.perf_counter() - started) * 1e3
        timings = {
            "encode_ms": 0.0, "encode_cached": False, "prefill_ms": 0.0, "first_token_ms": first,
            "decode_ms": max(0.0, total - first), "total_ms": total,
        }  # fmt: skip
        # The service tells neither probabilities nor a count of prompt tokens.
        yield Finished(result, timings, None, {"prompt": 0, "completion": count})

    def _stream(self, request: Request) -> Any:
        params = request.params
        image = request.open_image() if request.open_image else None
        if request.skill == "caption":
            return self._client.caption(
                image, length=params.get("length", "normal"), stream=True,
                settings=params.get("settings") or None,
            )  # fmt: skip
        return self._client.query(
            image, params["question"], stream=True, settings=params.get("settings") or None,
            reasoning=params.get("reasoning", False), spatial_refs=params.get("spatial_refs"),
        )  # fmt: skip

    def _regions(self, request: Request) -> Any:
        if request.open_image is None:
            raise ValueError("An image is needed.")
        ask = self._client.detect if request.skill == "detect" else self._client.point
        params = request.params
        return ask(request.open_image(), params["object"], settings=params.get("settings") or None)


def _told(error: urllib.error.HTTPError) -> DomainError:
    """The service's refusal in our words; its own body may hold anything."""
    match error.code:
        case 401 | 403:
            return errors.CLOUD_UNAUTHORISED()
        case 429:
            return errors.CLOUD_RATE_LIMITED()
        case code if 400 <= code < 500:
            return errors.CLOUD_REFUSED(f"Moondream's service refused the question ({code}).")
    return errors.CLOUD_FAULT(f"Moondream's service has a fault ({error.code}).")
