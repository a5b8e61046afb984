"""The embedded model's variants, and what workers measure of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from inference import selectors
from inference.models import Variant


def variants_sync() -> list[Variant]:
    """Make the embedded model's three variants, or update them to the folder's revision."""
    folder = Path(settings.INFERENCE_MODEL_DIR)
    config = json.loads((folder / "config.json").read_text())
    card = folder / "world.txt"
    world = card.read_text().strip() if card.exists() else ""
    with transaction.atomic():
        for quantization, slug, name in (
            ("", "moondream-embedded-fp16", "Moondream embedded"),
            ("int8", "moondream-embedded-int8", "Moondream embedded, 8-bit"),
            ("nf4", "moondream-embedded-nf4", "Moondream embedded, 4-bit"),
        ):
            fields = {
                "name": name,
                "model_name": config["name"],
                "revision": config["revision"],
                "folder": str(folder),
                "quantization": quantization,
                "world": world,
                "lacks": config.get("lacks", []),
            }
            first = not quantization and not Variant.objects.filter(is_default=True).exists()
            Variant.objects.update_or_create(
                slug=slug, defaults=fields, create_defaults={**fields, "is_default": first}
            )
    return selectors.variants_available()


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
