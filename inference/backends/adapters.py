"""The adapters that a loaded model answers with: fetched once, switched without loading anything anew."""

import tempfile
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from inference.backends.base import AdapterFiles

if TYPE_CHECKING:
    from inference.engine import Moondream
    from inference.engine.tuning import Adapters


class AdapterShelf:
    """The latest adapters of one model, in memory; the least recently used make room."""

    def __init__(self, model: "Moondream") -> None:
        self._model = model
        self._adapters: Adapters | None = None
        self._order: OrderedDict[str, None] = OrderedDict()

    @property
    def active(self) -> str | None:
        """The adapter that answers; None is the base."""
        return self._adapters.active if self._adapters else None

    def activate(self, wanted: AdapterFiles | None) -> str:
        """Answer with an adapter, or with the base.

        Returns:
            What there is to say of it; empty where nothing was loaded.

        Raises:
            ValueError: the adapter does not fit the model, or was trained on another.
            DomainError: it was deleted, or its storage is away.
        """
        if wanted is None:
            if self._adapters is not None and self._adapters.active is not None:
                self._adapters.activate(None)
            return ""
        adapters = self._held()
        note = ""
        if wanted.name not in adapters:
            started = time.perf_counter()
            self._load(wanted)
            note = f"adapter loaded in {(time.perf_counter() - started) * 1e3:.0f} ms"
        elif adapters.active != wanted.name:
            adapters.activate(wanted.name)
        self._order[wanted.name] = None
        self._order.move_to_end(wanted.name)
        return note

    def _held(self) -> "Adapters":
        if self._adapters is None:
            from inference.engine.tuning import Adapters

            self._adapters = Adapters(self._model)
        return self._adapters

    def _load(self, wanted: AdapterFiles) -> None:
        adapters = self._held()
        while len(self._order) >= settings.INFERENCE_ADAPTERS_KEPT:
            oldest, _ = self._order.popitem(last=False)
            adapters.remove(oldest)
        with tempfile.TemporaryDirectory(prefix="adapter-") as folder:
            wanted.fetch(Path(folder))
            adapters.load(wanted.name, folder, on_this_base=True)
