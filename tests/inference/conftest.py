"""A stored image, variants, and a backend whose pace the test decides."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from inference import backends, services
from inference.backends import BackendEvent, Finished, Found, Request, Stage, Token
from inference.models import Job, StoredImage, Variant
from inference.services import running
from inference.world.samples import sample_bytes

WORDS = ("A red", " star", " and a", " blue", " circle.")


class ScriptedBackend:
    """Answers with `WORDS`; `before(n)` runs ahead of the n-th piece. Stands for a slow or broken
    model; what the real one does is tested elsewhere."""

    def __init__(self) -> None:
        self.is_warm = True
        self.before: Callable[[int], None] = lambda _: None
        self.words: tuple[str, ...] = WORDS
        self.answered = 0

    def load(self) -> dict[str, Any]:
        return {"parameters": 1, "weight_bytes": 1, "dtype": "float32", "load_ms": 0.0}

    def answer(self, request: Request) -> Iterator[BackendEvent]:
        self.answered += 1
        yield Stage("decoding")
        timings = dict.fromkeys(("encode_ms", "prefill_ms", "decode_ms", "first_token_ms"), 1.0)
        if request.skill == "point":
            found = [{"x": n / 10, "y": 0.5, "confidence": 1.0} for n in range(3)]
            for number, point in enumerate(found):
                self.before(number)
                yield Found("point", point)
            result: dict[str, Any] = {"points": found}
        else:
            for number, word in enumerate(self.words):
                self.before(number)
                yield Token(word)
            result = {"caption" if request.skill == "caption" else "answer": "".join(self.words)}
        yield Finished(result, timings, 0.9, {"prompt": 3, "completion": len(self.words)})


@pytest.fixture
def variants(db: None) -> list[Variant]:
    return services.variants_sync()


@pytest.fixture
def image(db: None, settings, tmp_path) -> StoredImage:
    settings.IMAGE_STORE_DIR = tmp_path / "images"
    return services.image_store(data=sample_bytes("night"))


@pytest.fixture
def submit(variants: list[Variant], image: StoredImage) -> Callable[..., Job]:
    def ask(skill: str = "caption", **params: Any) -> Job:
        keys = {k: params.pop(k) for k in ("idempotency_key", "owner_key") if k in params}
        return services.job_submit(
            skill=skill, variant_slug=None, image=image, params=params, caller="test", **keys
        )

    return ask


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> ScriptedBackend:
    backend = ScriptedBackend()
    monkeypatch.setattr(backends, "for_variant", lambda _: backend)
    # As of a model that takes its time: each piece is published by itself, and finds who cancelled.
    monkeypatch.setattr(running, "_AT_ONCE_S", 0.0)
    return backend
