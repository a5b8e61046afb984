"""Tuned adapters as models: what they are called, and where they come from.

Fine-tunes are kept by `inference.tuning`, which is above what answers questions: it says here where
adapters come from, when it is ready.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from inference import errors
from inference.backends.base import AdapterFiles

NAME = re.compile(r"(?P<base>[^/@]{1,100})/(?P<adapter>[0-9A-HJKMNP-TV-Z]{26}@[0-9]{1,9})")
"""`base/finetune@step`, as the official client's `model()` builds it; a fine-tune's id is a ULID."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who names a model: some adapters are for their owner alone."""

    owner_key: str = ""
    """The caller's opaque name."""
    account: Callable[[], int | None] = lambda: None
    """The caller's account; looked up only where it matters."""
    is_site: bool = False
    """This site itself, which may ask any."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """What there is to say of an adapter where models are listed."""

    name: str
    """`finetune@step`."""
    variant_id: int
    base_revision: str
    title: str
    """As its owner calls it: for others only where it is published."""
    owner_id: int | None
    """The account; None of a caller without one."""
    is_public: bool


class Source(Protocol):
    """Where adapters come from. They are called `finetune@step`."""

    def variant_id(self, adapter: str, asker: Asker) -> int | None:
        """The variant that an adapter is of; None where there is no such adapter for this asker."""
        ...

    def files(self, adapter: str) -> AdapterFiles:
        """What a worker loads.

        Raises:
            DomainError: it was deleted.
        """
        ...

    def known(self, names: Iterable[str]) -> dict[str, Adapter]:
        """Those of some adapters that are still there, by their name."""
        ...


_sources: list[Source] = []


def register(source: Source) -> None:
    """Take adapters from a source from now on."""
    _sources[:] = [source]


def variant_id(adapter: str, asker: Asker) -> int | None:
    """See `Source.variant_id`; None without a source too."""
    return _sources[0].variant_id(adapter, asker) if _sources else None


def files(adapter: str) -> AdapterFiles:
    """See `Source.files`.

    Raises:
        DomainError: there is no such adapter, or it was deleted.
    """
    if not _sources:
        raise errors.ADAPTER_GONE()
    return _sources[0].files(adapter)


def known(names: Iterable[str]) -> dict[str, Adapter]:
    """See `Source.known`; empty without a source too."""
    return _sources[0].known(names) if _sources else {}
