"""What a model costs: memory, load time, encoding, first token, tokens a second.

Each model is measured in a process of its own, or its peak memory would be everybody's.
"""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image


@dataclass(frozen=True, slots=True)
class Cost:
    """One model's costs on one machine. Times are medians; sizes are bytes."""

    weight_bytes: int
    peak_bytes: int
    """Highest resident memory of the whole process: Python, torch and the model."""
    load_ms: float
    encode_ms: float
    first_token_ms: float
    """After the image is encoded."""
    tokens_per_s: float
    dtype: str
    device: str
    hardware: str
    threads: int


def hardware() -> str:
    """The processor's (or the GPU's) name."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        if names:
            return f"{names[0]}, {os.cpu_count()} threads"
    return f"{platform.machine()}, {os.cpu_count()} threads"


def measure(
    folder: str | os.PathLike[str],
    quantization: str = "",
    *,
    threads: int = 0,
    rounds: int = 8,
    adapter: str | os.PathLike[str] | None = None,
) -> Cost:
    """Measure one model folder at one precision, in a new process.

    Args:
        adapter: a folder with an adapter that answers; its bytes and its loading count.

    Raises:
        RuntimeError: the process failed; its last words are in the message.
    """
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", __name__, str(folder), quantization, str(threads), str(rounds),
         str(adapter or "")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"Measuring failed: {done.stderr.strip()[-800:]}")
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def _resident_peak() -> int:
    # Linux counts kilobytes, macOS bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _measure_here(folder: str, quantization: str, threads: int, rounds: int, adapter: str) -> Cost:
    import torch

    from inference.engine.checkpoint import weight_bytes
    from inference.engine.moondream import Moondream

    if threads:
        torch.set_num_threads(threads)
    started = time.perf_counter()
    model = Moondream.from_pretrained(folder, quantization=quantization or None)  # type: ignore[arg-type]
    if adapter:
        from inference.engine.tuning import Adapters

        Adapters(model).load("measured", adapter, on_this_base=True)
    load_ms = (time.perf_counter() - started) * 1e3
    model.warm_up()
    encode, first, speeds = [], [], []
    for number in range(rounds):
        image = Image.effect_noise((640, 480), 40 + number).convert("RGB")
        started = time.perf_counter()
        encoded = model.encode_image(image)
        encode.append((time.perf_counter() - started) * 1e3)
        answer = model.caption(encoded, "long", settings={"max_tokens": 48})
        first.append(answer.timings["first_token_ms"])
        if answer.timings["decode_ms"]:
            speeds.append((answer.tokens["completion"] - 1) / answer.timings["decode_ms"] * 1e3)
    return Cost(
        weight_bytes=weight_bytes(model.model),
        peak_bytes=_resident_peak(),
        load_ms=load_ms,
        encode_ms=statistics.median(encode),
        first_token_ms=statistics.median(first),
        tokens_per_s=statistics.median(speeds) if speeds else 0.0,
        dtype=model.info["dtype"],
        device=model.info["device"],
        hardware=hardware(),
        threads=torch.get_num_threads(),
    )


if __name__ == "__main__":
    _folder, _quantization, _threads, _rounds, _adapter = sys.argv[1:]
    _cost = _measure_here(_folder, _quantization, int(_threads), int(_rounds), _adapter)
    print(json.dumps(asdict(_cost)))  # noqa: T201
