"""What every backend is asked and what it answers with; nothing heavy is imported here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from PIL import Image


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """A tuned adapter that a question is asked of, rather than of its base."""

    name: str
    """Of its content: one that is trained on has another."""
    fetch: Callable[[Path], None]
    """Brings its files into a folder.

    Raises:
        DomainError: it was deleted, or its storage is away.
    """


@dataclass(frozen=True, slots=True)
class Request:
    """One question. `image_key` names the image's content, for caches."""

    skill: str
    params: Mapping[str, Any]
    image_key: str = ""
    open_image: Callable[[], Image.Image] | None = None
    adapter: AdapterFiles | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """Work moved on: "encoding", "prefill" or "decoding"; `note` is for the log."""

    name: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """An "object" (box) or a "point", clamped to the image."""

    kind: str
    data: dict[str, float]


@dataclass(frozen=True, slots=True)
class Finished:
    """The whole answer, in the wire's shape."""

    result: dict[str, Any]
    timings: dict[str, Any]
    confidence: float | None
    tokens: dict[str, int] = field(default_factory=dict)
    finish_reason: str = "stop"
    outside_world: bool | None = None
    """Whether the image is unlike all that the model was trained on; None where that is not known."""


BackendEvent = Stage | Token | Found | Finished


class Backend(Protocol):
    """One way to answer for one variant."""

    @property
    def is_warm(self) -> bool:
        """Whether the first question would be answered without loading."""
        ...

    def load(self) -> dict[str, Any]:
        """Load the model; returns parameters, weight_bytes, dtype and load_ms."""
        ...

    def answer(self, request: Request) -> Iterator[BackendEvent]:
        """Answer; the last event is `Finished`. Closing the iterator stops the work.

        Raises:
            ValueError: a question the model cannot take, with the reason.
        """
        ...


@runtime_checkable
class Batching(Backend, Protocol):
    """A backend for which several questions in one pass cost less than one after the other."""

    def answer_many(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, BackendEvent]]]:
        """Captions and plain questions of one adapter in one pass: the events that come at one time, each with the
        number of its request; the last of each is `Finished`.

        Raises:
            ValueError: one of them cannot be taken; the others are for the caller to ask alone.
        """
        ...
