"""One interface, several ways to answer."""

import functools
from typing import TYPE_CHECKING

from inference.backends.base import (
    AdapterFiles,
    Backend,
    BackendEvent,
    Batching,
    Finished,
    Found,
    Request,
    Stage,
    Token,
)
from inference.models import Variant

if TYPE_CHECKING:
    from inference.remote import Link

__all__ = [
    "AdapterFiles", "Backend", "BackendEvent", "Batching", "Finished", "Found", "Request", "Stage", "Token", "for_variant",
]  # fmt: skip


def for_variant(variant: Variant) -> Backend:
    """The backend of a variant, kept for the life of this process (the latest four)."""
    if variant.backend == "remote":
        from inference.services.remotes import link_of_variant

        return _remote(link_of_variant(variant))
    where = variant.model_name if variant.backend == "cloud" else variant.folder
    return _backend(variant.backend, where, variant.revision, variant.quantization, variant.dtype)


@functools.lru_cache(maxsize=4)
def _backend(kind: str, where: str, revision: str, quantization: str, dtype: str) -> Backend:
    if kind == "engine":
        from inference.backends.engine import EngineBackend

        return EngineBackend(where, quantization, dtype)
    if kind == "cloud":
        from inference.backends.cloud import CloudBackend

        return CloudBackend(where)
    raise ValueError(f"Unknown backend {kind!r}.")


@functools.lru_cache(maxsize=4)
def _remote(link: "Link") -> Backend:
    from inference.backends.remote import RemoteBackend

    return RemoteBackend(link)
