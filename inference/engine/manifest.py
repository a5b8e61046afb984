"""What a model folder must hold, byte for byte: `SHA256SUMS`, as `sha256sum` writes and checks it.

Every folder this project writes has one. It is checked when the folder is loaded, so that a file that
was cut short, changed or lost is named before anything is answered with it. Imports no torch.
"""

import hashlib
import re
from pathlib import Path

NAME = "SHA256SUMS"
_LISTED = (
    "config.json",
    "tokenizer.json",
    "browser.json",
    "scope.npz",
    "*.safetensors",
    "*.safetensors.index.json",
    "*.onnx",
)
_LINE = re.compile(r"([0-9a-f]{64})[ ][ *]([^/\\\0]+)")


class CheckpointError(ValueError):
    """A folder that is not a model, or whose files or tensors are not what they must be. The message
    names files and tensors, never where they lie: it is shown to who asked."""


def manifest_write(folder: Path) -> Path:
    """Write a folder's manifest: the SHA-256 of every file that a model is made of."""
    files = sorted({file for pattern in _LISTED for file in folder.glob(pattern)})
    target = folder / NAME
    target.write_text("".join(f"{_digest(file)}  {file.name}\n" for file in files))
    return target


def manifest_check(folder: Path) -> bool:
    """Whether a folder has a manifest; if it has, every file in it is as it was written.

    Raises:
        CheckpointError: naming what is missing, changed or cannot be read.
    """
    try:
        lines = (folder / NAME).read_text().splitlines()
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError):
        raise CheckpointError(f"{NAME} cannot be read.") from None
    wrong = []
    for line in filter(None, lines):
        match = _LINE.fullmatch(line)
        if match is None:
            raise CheckpointError(f"{NAME} is damaged.")
        try:
            if _digest(folder / match[2]) != match[1]:
                wrong.append(f"{match[2]} is not as it was written")
        except FileNotFoundError:
            wrong.append(f"{match[2]} is missing")
        except OSError:
            wrong.append(f"{match[2]} cannot be read")
    if wrong:
        raise CheckpointError(f"The model's files are damaged: {'; '.join(wrong)}.")
    return True


def identity(folder: Path) -> str:
    """Tells one folder's weights from another's: changes when a file of the model does.

    From the manifest, or without one from the files' names, sizes and times.
    """
    try:
        told = (folder / NAME).read_bytes()
    except OSError:
        files = sorted({file for pattern in _LISTED for file in folder.glob(pattern)})
        stats = [(file.name, file.stat()) for file in files]
        told = repr([(name, s.st_size, s.st_mtime_ns) for name, s in stats]).encode()
    return hashlib.sha256(told).hexdigest()


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
