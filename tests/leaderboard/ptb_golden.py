"""Makes `ptb_golden.tsv` anew: `python -m tests.leaderboard.ptb_golden stanford-corenlp-3.4.1.jar`.

Needs Java and the jar, which comes with the package pycocoevalcap 1.2 (`tokenizer/`). The captions are
those already in the file's first column; add a line with a new one and run it again. A line is a
caption, a tab, and what the original prints for it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

FILE = Path(__file__).parent / "ptb_golden.tsv"
BETWEEN = ","
"""A line between captions: the original reads on past a line's end, where this says nothing to it."""


def printed(captions: list[str], jar: Path) -> list[str]:
    """What the original prints for each caption, with pycocoevalcap's options."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{caption}\n{BETWEEN}\n" for caption in captions)
        file.flush()
        done = subprocess.run(
            ["java", "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase", file.name],
            capture_output=True, check=True,
        )  # fmt: skip
    lines = done.stdout.decode().split("\n")[: 2 * len(captions)]
    if set(lines[1::2]) != {BETWEEN}:
        raise ValueError("A caption has a line end of its own.")
    return [line.rstrip() for line in lines[::2]]


def captions() -> list[str]:
    return [line.split("\t")[0] for line in FILE.read_text("utf-8").split("\n") if line]


if __name__ == "__main__":
    asked = captions()
    answers = printed(asked, Path(sys.argv[1]))
    FILE.write_text("".join(f"{a}\t{b}\n" for a, b in zip(asked, answers, strict=True)), "utf-8")
