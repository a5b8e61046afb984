"""numpy and scipy, loaded when something is first computed: the web process starts without them, and
most of its requests need neither."""

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["np", "special"]


class _Later:
    """A module that is imported at the first look at what is in it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, found)
        return found


if TYPE_CHECKING:
    import numpy as np
    from scipy import special
else:
    np, special = _Later("numpy"), _Later("scipy.special")
