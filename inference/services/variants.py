"""What workers find out about a variant."""

from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from inference.models import Variant


def variant_loaded(variant: Variant, loaded: Mapping[str, Any]) -> None:
    """Keep what the worker measured when it loaded the variant."""
    variant.parameters = loaded["parameters"]
    variant.weight_bytes = loaded["weight_bytes"]
    variant.loaded_dtype = loaded["dtype"]
    variant.load_ms = loaded["load_ms"]
    variant.measured_at = timezone.now()
    variant.save(
        update_fields=["parameters", "weight_bytes", "loaded_dtype", "load_ms", "measured_at"]
    )
