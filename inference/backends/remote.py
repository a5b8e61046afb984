"""Another server of this API: the same questions, answered there."""

import base64
import io
import itertools
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

from inference import errors, remote
from inference.backends.base import BackendEvent, Finished, Found, Request, Stage, Token
from inference.remote import Link, WaitError
from inference.remote.probing import model_told

PATIENCE_S = 15.0
"""How long a question waits in all where the server asks to come again."""
LEAST_PAUSE_S = 0.1
"""Before it asks again the first time, whatever the server says; twice as long each further time."""
KNOWN_S = 300.0
"""How long what the server said of its model is believed."""
MOST_FOUND = 1000
_KEYS = {"caption": "caption", "query": "answer", "detect": "objects", "point": "points"}
_SIDES = {"objects": ("x_min", "y_min", "x_max", "y_max"), "points": ("x", "y")}
_REASONS = ("stop", "length")


class RemoteBackend:
    """One model of one server. Nothing is loaded here; the image leaves this machine."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._known_until = 0.0

    @property
    def is_warm(self) -> bool:
        return time.monotonic() < self._known_until

    def load(self) -> dict[str, Any]:
        """Look which revision is there now.

        Raises:
            DomainError: the server is away, or has another one than the pinned.
        """
        started = time.perf_counter()
        told = model_told(self.link)
        self._known_until = time.monotonic() + KNOWN_S
        spent = (time.perf_counter() - started) * 1e3
        return {
            "parameters": told.get("parameters"), "weight_bytes": told.get("weight_bytes"), "dtype": "",
            "load_ms": spent, "revision": told.get("revision", ""),
        }  # fmt: skip

    def answer(self, request: Request) -> Iterator[BackendEvent]:
        if not self.is_warm:
            self.load()
        body = _body(request, self.link.model)
        yield Stage("sending", "the image is sent to another server" if request.open_image else "")
        started = time.perf_counter()
        waits_until = time.monotonic() + PATIENCE_S
        for tries in itertools.count():
            try:
                yield from self._answer(request, body, started)
            except WaitError as asked:
                again_at = time.monotonic() + max(asked.seconds, LEAST_PAUSE_S * 2**tries)
                if again_at > waits_until:
                    raise errors.REMOTE_BUSY(retry_after=math.ceil(asked.seconds)) from asked
                yield Stage("waiting", f"the other server asks to wait {asked.seconds:.0f} s")
                while (left := again_at - time.monotonic()) > 0:
                    time.sleep(min(left, 0.5))
                    yield Stage("waiting")  # whoever cancels is heard
            else:
                return

    def _answer(
        self, request: Request, body: dict[str, Any], started: float
    ) -> Iterator[BackendEvent]:
        path, key = f"/{request.skill}", _KEYS[request.skill]
        # A stream tells nothing of the reasoning.
        if key in _SIDES or request.params.get("reasoning"):
            told = remote.ask(self.link, path, body)
            first = _ms_since(started)
            if key in _SIDES:
                result: dict[str, Any] = {key: _regions(told, key)}
                for region in result[key]:
                    yield Found("object" if key == "objects" else "point", region)
                count = len(result[key])
            else:
                result = {key: _text(told, key), **_reasoning(told)}
                yield Token(result[key])
                count = 1
        else:
            pieces: list[str] = []
            first, told = 0.0, {}
            for event in remote.ask_stream(self.link, path, body):
                if event is None:
                    yield Stage("waiting")
                    continue
                told = event
                piece = _text(event, "chunk", absent="")
                if piece:
                    if not pieces:
                        first = _ms_since(started)
                        yield Stage("decoding")
                    pieces.append(piece)
                    yield Token(piece)
            result, count = {key: "".join(pieces)}, len(pieces)
        yield _finished(result, told, count, first, _ms_since(started))


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1e3


def _body(request: Request, model: str) -> dict[str, Any]:
    """The question in the wire's shape; the image as the official clients send it."""
    params = request.params
    names = ("question", "object", "length", "spatial_refs", "settings")
    body = {name: params[name] for name in names if params.get(name)}
    if params.get("reasoning"):
        body["reasoning"] = True
    if model:
        body["model"] = model
    if request.open_image is not None:
        out = io.BytesIO()
        request.open_image().convert("RGB").save(out, "JPEG", quality=95)
        body["image_url"] = f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
    return body


def _finished(
    result: dict[str, Any], told: Mapping[str, Any], count: int, first_ms: float, total_ms: float
) -> Finished:
    timings = {
        "encode_ms": 0.0, "encode_cached": False, "prefill_ms": 0.0, "first_token_ms": first_ms,
        "decode_ms": max(0.0, total_ms - first_ms), "total_ms": total_ms,
    }  # fmt: skip
    metrics = told.get("metrics")
    counted = metrics if isinstance(metrics, dict) else {}
    tokens = {
        "prompt": _count(counted.get("input_tokens"), 0),
        "completion": _count(counted.get("output_tokens"), count),
    }
    confidence = _number(told.get("confidence"))
    reason = told.get("finish_reason")
    return Finished(
        result, timings, confidence if confidence is not None and 0 <= confidence <= 1 else None, tokens,
        reason if reason in _REASONS else "stop",
        outside_world=outside if isinstance(outside := told.get("outside_world"), bool) else None,
    )  # fmt: skip


def _text(told: Mapping[str, Any], key: str, *, absent: str | None = None) -> str:
    text = told.get(key, absent)
    if not isinstance(text, str):
        raise errors.REMOTE_FAULT(f"The other server's answer has no {key}.")
    return text.replace("\0", "")


def _reasoning(told: Mapping[str, Any]) -> dict[str, Any]:
    """What it thought before it answered, where it says that in the wire's shape."""
    found = told.get("reasoning")
    if not isinstance(found, dict) or not isinstance(found.get("text"), str):
        return {}
    grounding = found.get("grounding")
    return {"reasoning": {"text": found["text"], "grounding": grounding if isinstance(grounding, list) else []}}  # fmt: skip


def _regions(told: Mapping[str, Any], key: str) -> list[dict[str, float]]:
    """Boxes or points, clamped to the image."""
    found = told.get(key)
    if not isinstance(found, list) or len(found) > MOST_FOUND:
        raise errors.REMOTE_FAULT(f"The other server's answer has no {key}.")
    regions = []
    for one in found:
        sides = {
            side: _number(one.get(side)) if isinstance(one, dict) else None for side in _SIDES[key]
        }
        if None in sides.values():
            raise errors.REMOTE_FAULT(f"The other server's {key} are not in the wire's shape.")
        region = {
            side: min(1.0, max(0.0, value)) for side, value in sides.items() if value is not None
        }
        confidence = _number(one.get("confidence"))
        regions.append(region if confidence is None else {**region, "confidence": confidence})
    return regions


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
    return float(value) if is_number else None


def _count(value: Any, otherwise: int) -> int:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
    return value if is_count else otherwise
