"""Making and deleting fine-tunes."""

import re
import secrets
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from inference import selectors as variants
from inference.engine.tuning.defaults import EMBEDDED, BaseDefaults, defaults_of
from inference.engine.tuning.plan import LAYERS, RANKS
from inference.models import Variant
from inference.tuning import errors
from inference.tuning.models import Finetune
from inference.tuning.services.owners import one_at_a_time
from inference.tuning.who import Who

MOST = 200
"""Fine-tunes of one account."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def is_embedded(variant: Variant) -> bool:
    """Whether a variant is the model that ships with this project, at full precision."""
    return variant.folder == str(settings.INFERENCE_MODEL_DIR) and not variant.quantization


def defaults_for(variant: Variant) -> BaseDefaults:
    """What runs on a variant start from."""
    return EMBEDDED if is_embedded(variant) else defaults_of(variant.parameters)


def base_of(slug: str | None, who: Who) -> Variant:
    """The variant that a caller may tune.

    Raises:
        NotFound: there is none.
        InvalidInput: it cannot be tuned here, or not by them.
    """
    variant = variants.variant_get(slug)
    if variant.backend != "engine":
        raise refused("base", f"{variant.name} does not run here and cannot be tuned here")
    if not who.is_account and not is_embedded(variant):
        raise refused("base", "without an account only the embedded model can be tuned")
    return variant


def refused(field: str, text: str) -> Exception:
    """What one field is refused with."""
    return errors.BAD_FINETUNE(
        f"{field}: {text}.", fields=[{"field": field, "problem": text}], field=field
    )


def precision_of(variant: Variant) -> str:
    """What an adapter is trained beside."""
    return variant.quantization or "full"


def finetune_new(variant: Variant, who: Who, **fields: Any) -> Finetune:
    """A fine-tune of a variant as it is now; not saved."""
    return Finetune(
        **who.fields, variant=variant, base_name=variant.model_name, base_revision=variant.revision,
        base_precision=precision_of(variant), seed=secrets.randbits(31), **fields,
    )  # fmt: skip


def finetune_get_or_make(
    *,
    name: str,
    rank: int,
    who: Who,
    variant_slug: str | None = None,
    layers: str | None = None,
    regions: bool | None = None,
) -> Finetune:
    """A client's fine-tune of a name: the one there is, or a new one.

    Args:
        layers: of the text blocks (`inference.engine.tuning.plan.LAYERS`). None: those of the one there is;
            of a new one the MLPs, as Moondream's service adapts them, so that its code reads what is
            downloaded, but of the embedded model all, with which it learns faster.
        regions: whether the heads that say places are adapted as well. None: as the one there is; a new one's
            where all layers are, as a client may ask for any skill.

    Raises:
        InvalidInput: the name or the rank cannot be.
        Conflict: there is one of another rank or of other layers, or there are too many.
    """
    if not _NAME.fullmatch(name):
        raise refused("name", "must be 1 to 80 letters, digits, dots, hyphens and underscores")
    if rank not in RANKS:
        raise refused("rank", f"must be one of {', '.join(map(str, RANKS))}")
    if layers is not None and layers not in LAYERS:
        raise refused("layers", f"must be one of {', '.join(LAYERS)}")
    with transaction.atomic():
        one_at_a_time(who)
        mine = Finetune.objects.filter(who.owns, by_client=True, deleted_at=None)
        found = mine.filter(name=name).first()
        if found is not None:
            if found.rank != rank:
                raise errors.FINETUNE_CONFLICT(f"{name} has the rank {found.rank}, not {rank}.")
            if layers not in (None, found.layers) or regions not in (None, found.regions):
                raise errors.FINETUNE_CONFLICT(f"{name} adapts other layers than these.")
            return found
        if mine.count() >= MOST:
            raise errors.TOO_MANY_FINETUNES(f"{MOST} fine-tunes are the most.")
        made = finetune_new(base_of(variant_slug, who), who, name=name, rank=rank, by_client=True)
        made.layers = layers or ("text" if is_embedded(made.variant) else "mlp")
        made.regions = made.layers == "text" if regions is None else regions
        made.save(force_insert=True)
        return made


@transaction.atomic
def finetune_delete(*, finetune: Finetune) -> None:
    """Delete a fine-tune: its checkpoints go, its name is free, and no worker writes to it any more."""
    locked = Finetune.objects.select_for_update().get(pk=finetune.pk)
    locked.deleted_at = timezone.now()
    locked.fence += 1
    locked.head = None
    locked.save()
    for rows in (locked.checkpoints, locked.operations, locked.steps):
        rows.all().delete()
