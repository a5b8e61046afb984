"""What workers find out about a variant."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from inference import errors
from inference.models import Variant


def variant_loaded(variant: Variant, loaded: Mapping[str, Any]) -> None:
    """Keep what the worker measured when it loaded the variant. Of what runs elsewhere, nothing is written
    where nothing is new: it is looked at every few minutes."""
    if variant.measured_at and loaded.get("revision") in ("", variant.revision):
        return
    variant.parameters = loaded["parameters"]
    variant.weight_bytes = loaded["weight_bytes"]
    variant.loaded_dtype = loaded["dtype"]
    variant.load_ms = loaded["load_ms"]
    variant.measured_at = timezone.now()
    fields = ["parameters", "weight_bytes", "loaded_dtype", "load_ms", "measured_at"]
    revision = loaded.get("revision")  # of what runs elsewhere, and may be another since
    if revision and revision != variant.revision:
        variant.revision = revision
        fields.append("revision")
    variant.save(update_fields=fields)


@transaction.atomic
def variant_make_default(*, variant: Variant) -> Variant:
    """Let a variant answer whoever names none; the one before it no longer does.

    Raises:
        NotFound: it is gone, or nobody may ask it.
    """
    # All of them, in one order: two admins who choose at once take turns.
    known = {one.pk: one for one in Variant.objects.select_for_update().order_by("pk")}
    chosen = known.get(variant.pk)
    if chosen is None or not chosen.enabled:
        raise errors.VARIANT_NOT_FOUND(f"{variant} cannot be asked.", hint="Enable it first.")
    for one in known.values():
        if one.is_default and one != chosen:
            one.is_default = False
            one.save(update_fields=["is_default"])
    chosen.is_default = True
    chosen.save(update_fields=["is_default"])
    return chosen
