"""Models of this installation beyond the embedded one, and what each costs."""

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from inference import adapters, errors, selectors
from inference.models import Variant, VariantMeasurement
from inference.services.remotes import remotes_sync

PRECISIONS: tuple[tuple[str, str, str], ...] = (
    ("", "fp16", ""),
    (Variant.Quantization.INT8, "int8", ", 8-bit"),
    (Variant.Quantization.NF4, "nf4", ", 4-bit"),
)
"""(quantization, end of the slug, end of the name)."""

TOKENIZER_REPOSITORY = "moondream/starmie-v1"
_SLUG = re.compile(r"[^a-z0-9]+")


def model_add(
    *,
    source: Path,
    name: str,
    revision: str,
    licence: str = "",
    origin: str = "",
    tokenizer: Path | None = None,
) -> list[Variant]:
    """Register a checkpoint at three precisions; adding the same again updates it.

    Raises:
        InvalidInput: the files are not a complete checkpoint, with what is wrong.
    """
    from inference.engine import CheckpointError
    from inference.engine.official import convert

    slug = _SLUG.sub("-", f"{name}-{revision}".lower()).strip("-")
    folder = settings.MODELS_DIR / slug
    try:
        digest = convert(source, folder, name=name, revision=revision, tokenizer=tokenizer)
    except CheckpointError as error:
        raise errors.BAD_CHECKPOINT(str(error)) from error
    return variants_register(
        folder, slug=slug, title=name,
        extra={"source": origin or source.name, "licence": licence, "sha256": digest},
    )  # fmt: skip


def variants_register(
    folder: Path, *, slug: str, title: str, extra: Mapping[str, Any] | None = None
) -> list[Variant]:
    """Make the three variants of a model folder, or bring them to the folder's revision."""
    config = json.loads((folder / "config.json").read_text())
    card = folder / "world.txt"
    fields = {
        "model_name": config["name"],
        "revision": config["revision"],
        "folder": str(folder),
        "world": card.read_text().strip() if card.exists() else "",
        "lacks": config.get("lacks", []),
        **(extra or {}),
    }
    made = []
    with transaction.atomic():
        for quantization, suffix, ending in PRECISIONS:
            own = {**fields, "name": f"{title}{ending}", "quantization": quantization}
            first = not quantization and not Variant.objects.filter(is_default=True).exists()
            variant, _ = Variant.objects.update_or_create(
                slug=f"{slug}-{suffix}", defaults=own, create_defaults={**own, "is_default": first}
            )
            made.append(variant)
    return made


def variants_sync() -> list[Variant]:
    """Make the embedded model's variants and those of the cloud and of another server, where settings name
    these; or update them."""
    variants_register(
        Path(settings.INFERENCE_MODEL_DIR), slug="moondream-embedded", title="Moondream embedded",
        extra={"source": "this project", "licence": "Apache-2.0"},
    )  # fmt: skip
    _cloud_sync()
    remotes_sync()
    return selectors.variants_available()


def _cloud_sync() -> None:
    """The cloud's variant is there while its key is."""
    slug = "moondream-cloud"
    if not settings.MOONDREAM_API_KEY:
        Variant.objects.filter(slug=slug).update(enabled=False)
        return
    fields = {
        "name": "Moondream cloud",
        "model_name": "",
        "revision": "service",
        "backend": "cloud",
        "source": settings.MOONDREAM_ENDPOINT,
        "world": "Moondream's own service. The image leaves this server for it.",
        "enabled": True,
    }
    Variant.objects.update_or_create(slug=slug, defaults=fields)


def variant_measure(
    *,
    variant: Variant,
    adapter: str = "",
    scores: Callable[[Variant, Path | None], dict[str, Any]] | None = None,
) -> VariantMeasurement:
    """Measure a variant, or an adapter of it (`finetune@step`), on this machine.

    Args:
        scores: tells how well it answers; takes the adapter's folder, or None for the variant itself.

    Raises:
        DomainError: the adapter was deleted, or its storage is away.
    """
    from inference.engine.measuring import measure

    with tempfile.TemporaryDirectory(prefix="adapter-") as holder:
        folder = Path(holder) if adapter else None
        if folder is not None:
            adapters.files(adapter).fetch(folder)
        cost = measure(
            variant.folder, variant.quantization, threads=settings.INFERENCE_THREADS, adapter=folder
        )
        found = scores(variant, folder) if scores else {}
    return VariantMeasurement.objects.create(
        variant=variant, adapter=adapter, revision=variant.revision, scores=found, **asdict(cost)
    )
