"""Models that are not here yet: fetched or added, checked, and put to use."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from inference import errors, machine
from inference.models import Variant
from inference.services.catalogue import PRECISIONS, TOKENIZER_REPOSITORY, model_add
from inference.services.fitting import NAMES, precision_choose
from inference.services.variants import variant_make_default

REPOSITORIES = {
    "moondream2": "vikhyatk/moondream2",
    "moondream-2b-4bit": "moondream/moondream-2b-2025-04-14-4bit",
    "moondream-0.5b": "vikhyatk/moondream2",
    "moondream2-0.5b": "vikhyatk/moondream2",
}
"""Hub repositories by short name; the 0.5B lives on a revision of the 2B's."""
REVISIONS = {"moondream2": "2025-06-21", "moondream-2b-4bit": "main"}
"""Which revision is meant where none is named. The 0.5B was published as ONNX bundles, which are no weights for
this engine: its revision has to be named."""
EMBEDDED = "embedded"
"""The short name of the model that comes with this project."""
WAYS = (
    "Other ways: `models add PATH` (or bin/demo --model PATH) for files you have; `models pull` once the hub "
    "can be reached; a cloud variant (MOONDREAM_API_KEY); another server's API (`models remote ADDRESS`); or the "
    "embedded model, which needs no download."
)
_PATTERNS = ["*.safetensors", "*.safetensors.index.json", "tokenizer.json", "config.json"]
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MARGIN = 512 * 2**20
"""Bytes of disk that stay free."""
_BLOCK = 2**22


@dataclass(frozen=True, slots=True)
class Used:
    """A model that answers by default now."""

    variant: Variant
    reason: str
    """Why at this precision."""


def model_use(
    *, model: str, revision: str = "", precision: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Used:  # fmt: skip
    """Fetch a model, or add a folder's, and let it answer whoever names none; what is here already is not
    fetched again, and the others stay.

    Args:
        model: a short name, a repository of the hub, or a folder.
        precision: "", "int8" or "nf4"; None for the best that fits.
        say: is told of each step.

    Raises:
        InvalidInput: no such folder, no checkpoint, no room on disk or in memory, or no hub.
    """
    if model == EMBEDDED:
        variant = variant_make_default(variant=Variant.objects.get(slug="moondream-embedded-fp16"))
        say(f"{variant.name} answers")
        return Used(variant, "as asked")
    room = machine.room(settings.INFERENCE_DEVICE)
    path = Path(model).expanduser()
    if path.exists() or model.startswith((".", "/", "~")):
        if not path.exists():
            raise errors.BAD_CHECKPOINT(f"There is no folder {path}.", hint=WAYS)
        variants = _added(path.resolve(), revision or "local", say)
    else:
        revision = _revision(model, revision)
        variants = _registered(_origin(model, revision))
        if variants:
            say(f"{variants[0].name} is here already")
        else:
            variants = model_pull(
                name=model, revision=revision, say=say,
                check=lambda size: precision_choose(size, room, precision),
            )  # fmt: skip
    fit = precision_choose(_weights(Path(variants[0].folder)), room, precision)
    chosen = next(v for v in variants if v.quantization == fit.quantization)
    variant = variant_make_default(variant=chosen)
    say(f"{variant.name} answers at {NAMES[fit.quantization]}: {fit.reason}")
    return Used(variant, fit.reason)


def model_pull(
    *, name: str, revision: str = "", licence: str = "Apache-2.0",
    say: Callable[[str], None] = lambda _: None, check: Callable[[int], object] = lambda _: None,
) -> list[Variant]:  # fmt: skip
    """Fetch a published checkpoint from the Hugging Face hub, go on where an earlier try stopped, check
    what came, and register it.

    Args:
        check: is asked with the bytes of its weights before anything is fetched; what it raises ends it.

    Raises:
        InvalidInput: the hub cannot be reached, or has no such thing; there is no room; what came is damaged.
            Says what else can be done.
    """
    revision = _revision(name, revision)
    repository = REPOSITORIES.get(name, name)
    planned = _ask_hub(repository, revision, dry_run=True)
    if isinstance(planned, list):
        weights = sum(f.file_size for f in planned if f.filename.endswith(".safetensors"))
        if not weights:
            raise errors.BAD_CHECKPOINT(
                f"{repository} at {revision} has no weights as safetensors.", hint=WAYS
            )
        check(weights)
        missing = sum(f.file_size for f in planned if f.will_download)
        _disk_check(missing, weights)
        say(f"Fetching {missing / 1e9:.1f} GB of {repository} at {revision}" if missing else "All files were fetched before")  # fmt: skip
    folder = Path(_ask_hub(repository, revision))
    say("Checking and converting the weights")
    _verify(folder)
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.exists() and revision >= "2025-06-21":
        tokenizer = Path(_ask_hub(TOKENIZER_REPOSITORY, "", file="tokenizer.json"))
    return model_add(
        source=folder, name=name, revision=revision, licence=licence,
        origin=_origin(name, revision), tokenizer=tokenizer,
    )  # fmt: skip


def _revision(name: str, revision: str) -> str:
    """
    Raises:
        InvalidInput: none is named, and none is known.
    """
    known = revision or REVISIONS.get(name, "")
    if not known:
        raise errors.BAD_CHECKPOINT(
            f"Say which revision of {name} is meant: --revision.",
            hint="A repository's page lists its branches and tags. " + WAYS,
        )
    return known


def _origin(name: str, revision: str) -> str:
    return f"huggingface.co/{REPOSITORIES.get(name, name)}@{revision}"


def _ask_hub(repository: str, revision: str, *, dry_run: bool = False, file: str = "") -> Any:
    """
    Raises:
        InvalidInput: it does not answer, or has no such thing.
    """
    from huggingface_hub import hf_hub_download, snapshot_download

    try:
        if file:
            return hf_hub_download(repository, file)
        more = {"dry_run": True} if dry_run else {}
        return snapshot_download(repository, revision=revision, allow_patterns=_PATTERNS, **more)
    except Exception as error:
        # The hub's client raises its own, httpx's and the operating system's errors.
        raise errors.HUB_UNREACHABLE(
            f"{repository} at {revision or 'its newest'} could not be fetched ({type(error).__name__}).",
            hint=WAYS,
        ) from error


def _disk_check(fetched: int, converted: int) -> None:
    """
    Raises:
        InvalidInput: there is no room for what is fetched, or for what is made of it.
    """
    from huggingface_hub import constants

    cache, models = Path(constants.HF_HUB_CACHE), Path(settings.MODELS_DIR)
    if machine.is_one_disk(cache, models):
        wanted = {cache: fetched + converted}
    else:
        wanted = {cache: fetched, models: converted}
    for folder, size in wanted.items():
        free = machine.disk_free(folder)
        if size and size + _MARGIN > free:
            raise errors.MODEL_TOO_LARGE(
                f"It needs {(size + _MARGIN) / 1e9:.1f} GB of disk at {folder}, and {free / 1e9:.1f} GB are free."
            )


def _verify(folder: Path) -> None:
    """Each large file has the SHA-256 under which the hub's client keeps it; one that has not is deleted, so
    that the next try fetches it again.

    Raises:
        InvalidInput: one is damaged.
    """
    for file in sorted(folder.glob("*.safetensors")):
        kept = file.resolve()
        if _SHA256.fullmatch(kept.name) and _digest(kept) != kept.name:
            kept.unlink()
            raise errors.BAD_CHECKPOINT(f"{file.name} came damaged. Try again: it is fetched anew.")


def _digest(file: Path) -> str:
    made = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK):
            made.update(block)
    return made.hexdigest()


def _added(path: Path, revision: str, say: Callable[[str], None]) -> list[Variant]:
    """The variants of a folder; it is converted again only if it has changed since."""
    name = (path.parent if path.is_file() else path).name
    known = _registered(str(path))
    files = [path] if path.is_file() else [*path.glob("*.safetensors"), *path.glob("*.json")]
    if known and all(f.stat().st_mtime <= (Path(known[0].folder) / "config.json").stat().st_mtime for f in files):  # fmt: skip
        say(f"{known[0].name} is here already")
        return known
    weights = sum(f.stat().st_size for f in files if f.suffix == ".safetensors")
    _disk_check(0, weights)
    say(f"Checking and converting the weights of {path}")
    return model_add(source=path, name=name, revision=revision, origin=str(path))


def _registered(origin: str) -> list[Variant]:
    """The variants of what came from there, where its files are still here."""
    found = list(Variant.objects.filter(source=origin, backend="engine", enabled=True))
    whole = len(found) == len(PRECISIONS) and (Path(found[0].folder) / "config.json").is_file()
    return found if whole else []


def _weights(folder: Path) -> int:
    """Bytes of the weights of a converted folder, which are at 16 bits."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))
