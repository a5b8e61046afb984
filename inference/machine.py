"""What this machine has room for."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Room:
    """What a model could be given now, in bytes."""

    memory: int
    gpu: int
    """Of the GPU that would be used; 0 without one."""
    has_quick_8_bit: bool = False
    """Whether 8 bits are what this processor multiplies fastest (`inference/engine/kernels.py`)."""


def disk_free(folder: Path) -> int:
    """Bytes that may be written below a folder, which need not be there yet."""
    return shutil.disk_usage(_there(folder)).free


def is_one_disk(one: Path, other: Path) -> bool:
    """Whether what is written to one folder is missing in the other."""
    return _there(one).stat().st_dev == _there(other).stat().st_dev


def _there(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def memory_free(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes of memory that processes may still take: the machine's, and within a container's limit. Where
    the system does not say, half of what is built in."""
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        free = next(
            int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")
        )
    except (OSError, StopIteration, ValueError, IndexError):
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    try:
        limit, used = (
            (groups / name).read_text().strip() for name in ("memory.max", "memory.current")
        )
        return free if limit == "max" else max(0, min(free, int(limit) - int(used)))
    except (OSError, ValueError):
        return free


def room(device: str) -> Room:
    """What there is now.

    Args:
        device: as INFERENCE_DEVICE: "auto", "cpu", "cuda".
    """
    import torch

    from inference.engine.checkpoint import choose_device
    from inference.engine.kernels import measured_cpu

    where = choose_device(device)
    gpu = torch.cuda.mem_get_info(where)[0] if where.type == "cuda" else 0
    return Room(memory_free(), gpu, where.type == "cpu" and measured_cpu())
