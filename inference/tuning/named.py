"""Checkpoints as models that questions may be asked of: `finetune@step`."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from django.db.models import Q, QuerySet

from inference import errors
from inference.adapters import NAME, Adapter, Asker
from inference.backends import AdapterFiles
from inference.engine.tuning.names import VENDOR_FILE
from inference.tuning import files
from inference.tuning.models import Checkpoint, Finetune

_LISTED = 50
_OF_EACH = 3


class Checkpoints:
    """The source of adapters (`inference.adapters.Source`)."""

    def variant_id(self, adapter: str, asker: Asker) -> int | None:
        """See `inference.adapters.Source`."""
        found = _named(adapter).filter(_for(asker)).values_list("finetune__variant", flat=True)
        return found.first()

    def files(self, adapter: str) -> AdapterFiles:
        """See `inference.adapters.Source`."""
        found = _named(adapter).first()
        if found is None:
            raise errors.ADAPTER_GONE()
        # Each folder is written once: its name is its content's.
        return AdapterFiles(found.folder, partial(_fetch, found))

    def known(self, names: Iterable[str]) -> dict[str, Adapter]:
        """See `inference.adapters.Source`; one query."""
        wanted = {name for name in names if name}
        if not wanted:
            return {}
        rows = Checkpoint.objects.filter(
            finetune__in={name.partition("@")[0] for name in wanted}, finetune__deleted_at=None
        ).select_related("finetune__run")
        made = (_adapter(row) for row in rows)
        return {adapter.name: adapter for adapter in made if adapter.name in wanted}


def _named(adapter: str) -> QuerySet[Checkpoint]:
    finetune, _, step = adapter.partition("@")
    return Checkpoint.objects.filter(
        finetune=finetune, step=int(step), finetune__deleted_at=None
    ).filter(Q(is_kept=True) | Q(finetune__head__step=int(step)))


def _for(asker: Asker) -> Q:
    """Checkpoints that an asker may ask."""
    if asker.is_site:
        return Q()
    shown = ~Q(finetune__visibility=Finetune.Visibility.PRIVATE)
    account = asker.account()
    if account is not None:
        return shown | Q(finetune__owner=account)
    if asker.owner_key:
        return shown | Q(finetune__owner=None, finetune__owner_key=asker.owner_key)
    return shown


def _fetch(checkpoint: Checkpoint, into: Path) -> None:
    from inference.tuning.services.checkpoints import STATE_FILES

    left_out = (*STATE_FILES, VENDOR_FILE)
    wanted = {name: size for name, size in checkpoint.files.items() if name not in left_out}
    try:
        files.folder_fetch(checkpoint.folder, wanted, into)
    except FileNotFoundError as error:
        raise errors.ADAPTER_GONE() from error


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A checkpoint in a list to choose from."""

    name: str
    """What a request names it by: `base/finetune@step`."""
    title: str
    base: str
    is_own: bool


def listed(asker: Asker, *, wanted: str = "") -> list[NamedModel]:
    """What an asker may choose: their own checkpoints, the latest of each fine-tune, then published
    ones; and the one that an address names. At most two queries.

    Args:
        wanted: `base/finetune@step`; left out where it is not for this asker.
    """
    account = asker.account()
    if account is not None:
        own = Q(finetune__owner=account)
    elif asker.owner_key:
        own = Q(finetune__owner=None, finetune__owner_key=asker.owner_key)
    else:
        own = Q(pk=None)
    public = Q(finetune__visibility=Finetune.Visibility.PUBLIC)
    shown = Checkpoint.objects.filter(finetune__deleted_at=None, finetune__variant__enabled=True)
    rows = (
        shown.filter(own | public, is_kept=True)
        .select_related("finetune__variant", "finetune__run")
        .order_by("-finetune_id", "-step")[: _LISTED * _OF_EACH]
    )
    made: list[NamedModel] = []
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.finetune_id] = counts.get(row.finetune_id, 0) + 1
        if counts[row.finetune_id] <= _OF_EACH and len(made) < _LISTED:
            made.append(_model(row, asker, account))
    match = NAME.fullmatch(wanted)
    if match and not any(model.name == wanted for model in made):
        named = (
            _named(match["adapter"])
            .filter(_for(asker))
            .select_related("finetune__variant", "finetune__run")
        )
        made += [
            _model(row, asker, account)
            for row in named
            if row.finetune.variant.slug == match["base"]
        ]
    return sorted(made, key=lambda model: not model.is_own)


def _title(finetune: Finetune) -> str:
    return finetune.run.title if hasattr(finetune, "run") else finetune.name


def _adapter(row: Checkpoint) -> Adapter:
    finetune = row.finetune
    return Adapter(
        f"{finetune.pk}@{row.step}", finetune.variant_id, finetune.base_revision, _title(finetune),
        finetune.owner_id, finetune.visibility == Finetune.Visibility.PUBLIC,
    )  # fmt: skip


def _model(row: Checkpoint, asker: Asker, account: int | None) -> NamedModel:
    finetune = row.finetune
    is_own = (
        finetune.owner_id == account
        if account is not None
        else finetune.owner_id is None and finetune.owner_key == asker.owner_key != ""
    )
    return NamedModel(
        finetune.model_name(row.step),
        f"{_title(finetune)} · step {row.step}",
        finetune.variant.name,
        is_own,
    )
