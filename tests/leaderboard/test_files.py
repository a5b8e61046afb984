"""Files of predictions as programs, people and attackers write them: read alike, named, bounded."""

import gzip
import io
import json
import subprocess
import sys
import textwrap
from functools import partial
from typing import Any

import pytest

from inference.engine.files import unpacking as limits
from leaderboard.scoring import TASKS, Checked, read_predictions

VQA = TASKS["vqa"]
ROWS = [{"id": "q0", "answer": "red"}, {"id": "q1", "answer": 'a [b] {c} "d" \\'}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
ARRAY = json.dumps(ROWS).encode()
pack = partial(gzip.compress, mtime=0)
"""Packs alike at any time: what is packed names a test, and workers must collect the same ones."""
SAID = {row["id"]: row["answer"] for row in ROWS}


def read(data: bytes, **more: Any) -> Checked:
    return read_predictions(VQA, set(SAID), io.BytesIO(data), **more)


def told(data: bytes) -> str:
    found = read(data).problems
    return found.sentence() + " " + " ".join(p["problem"] for p in found.lines)


@pytest.mark.parametrize(
    "data",
    [
        LINES, ARRAY, LINES.rstrip(), LINES.replace(b"\n", b"\r\n"), LINES.replace(b"\n", b"\n\n \n"),
        b"\xef\xbb\xbf" + LINES, b"\xef\xbb\xbf" + ARRAY, b"\r\n \t\n" * 50_000 + ARRAY, b"\n\n" + LINES,
        json.dumps(ROWS, indent=4).encode() + b"\n\n", ARRAY.replace(b'{"', b'\n{ "'), ARRAY + b" " * 200_000,
        pack(LINES), pack(b"\xef\xbb\xbf" + ARRAY), pack(ARRAY) + b"\0" * 70_000,
        pack(LINES[:20]) + pack(b"") + pack(LINES[20:]),
        pack(ARRAY[:20]) + pack(ARRAY[20:]), b"".join(pack(LINES[n : n + 1]) for n in range(len(LINES))),
    ],
)  # fmt: skip
def test_a_good_file_is_read_however_it_is_written(data: bytes) -> None:
    for keep in (True, False):
        checked = read(data, keep=keep)
        assert not checked.problems, checked.problems
        assert checked.predictions == (SAID if keep else dict.fromkeys(SAID, True))


def test_rows_of_any_length_are_found_wherever_pieces_end() -> None:
    """Strings, escapes and brackets that cross from one piece of the file to the next."""
    rows = [
        {
            "id": f"q{n}",
            "answer": ('\\"]}[{,é' * n)[: n * 7 % 3900],
            "more": [[{"a": [n]}, ","], {}],
        }
        for n in range(400)
    ]
    keys = {row["id"] for row in rows}
    expected = {row["id"]: row["answer"] for row in rows}
    for data in (json.dumps(rows), json.dumps(rows, indent=1, ensure_ascii=False)):
        packed = gzip.compress(data.encode())
        assert len(data) > 5 * limits.PIECE
        for file in (data.encode(), packed):
            checked = read_predictions(VQA, keys, io.BytesIO(file))
            assert not checked.problems, checked.problems
            assert checked.predictions == expected


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"), (b" \n\r\n\t", "empty"), (b"\xef\xbb\xbf\n", "empty"), (pack(b""), "empty"),
        (LINES.decode().encode("utf-16"), "UTF-16"), (LINES.decode().encode("utf-16-be"), "as UTF-16 does"),
        (LINES.decode().encode("utf-32"), "UTF-32"), (ARRAY.decode().encode("utf-16-le"), "as UTF-16 does"),
        (b"PK\x03\x04rest", "a zip file"), (b"\x28\xb5\x2f\xfdrest", "zstd"), (b"\xfd7zXZ\x00rest", "xz"), (b"BZh9rest", "bzip2"),
        (pack(pack(LINES)), "gzip again"), (pack(b"PK\x03\x04"), "What is in the gzip file is a zip"),
        (b"predictions.jsonl".ljust(257, b"\0") + b"ustar\x0000" + b"\0" * 300, "tar archive"),
        (pack(LINES)[:-1], "ends too early"), (pack(LINES)[:-9], "ends too early"), (b"\x1f\x8b", "ends too early"),
        (pack(LINES) + b"more", "follows the first part"), (b"\x1f\x8b\x08\x00junkjunkjunk", "cannot be unpacked"),
        (pack(b"") * 10_001, "more than 10,000 members"),
        (ARRAY[:-1], "does not end"), (ARRAY[:-1] + b"}", "ends with a brace"), (ARRAY + b"[]", "follows the end"),
        (ARRAY + b" " * 70_000 + b"x", "follows the end"),
        (b'[{"id": "q0", "answer": "a"},\n {"id": "q1", "answer": "b"},\n]', "a comma after the last row, 2, in line 2"),
        (b'[{"id": "q0", "answer": "a"},\n\n,{"id": "q1"}]', "a comma too many before row 2, in line 3"),
        (b'{"id": "q0", "answer": "a"},\n', "ends with a comma"), (LINES.replace(b"\n", b"\r"), "several lines in one"),
        (b'{"id": "q0", "answer": "a",}\n', "trailing comma"), (b'{"id": "q0", "answer": "caf\xe9"}\n', "not UTF-8"),
        (b'{"id": "q0", "answer": NaN}\n', "no JSON: NaN and Infinity"), (b'[{"id": "q0", "answer": -Infinity}]', "NaN and Infinity"),
        (b'{"id": "q0", "answer": 1e999}\n', "infinity"), (b'{"id": "q0", "answer": ' + b"9" * 60_000 + b"}\n", "infinity"),
        (b'{"id": "q0", "answer": "a", "answer": "b"}\n', "`answer` twice"), (b'{"id": "q0", "id": "q1"}\n', "`id` twice"),
        (b"[" * 2000, "nested deeper"), (b'[{"a":' + b"[" * 2000, "nested deeper"),
        (b'{"id": "q0", "answer": [' + b"{}," * 9000 + b"{}]}\n", "more than 8,000 objects"),
        (b'["' + b"a" * 70_000, "Row 1 (line 1) is longer than 64 KB"), (b'[\n\n"' + b"a" * 70_000 + b'"]', "Row 1 (line 3) is longer"),
        (LINES + b"a" * 70_000, "Line 3 is longer than 64 KB"), (b"{}\n" * 2000, "Far too many lines"), (b"[" + b"1," * 2000, "Far too many rows"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(data: bytes, said: str) -> None:
    assert said in told(data)


def test_a_field_that_looks_twice_is_not() -> None:
    row = b'{"id": "q0", "answer": "a \\"answer\\": b", "other": {"answer": "c"}}\n'
    found = read(row + b'{"id": "q1", "answer": ""}').problems
    assert not found, found


def test_lines_are_counted_from_the_first() -> None:
    found = read(b"\n\n" + LINES.replace(b'"red"', b"1.5")).problems
    assert [(p["line"], p["id"]) for p in found.lines] == [(3, "q0")]
    found = read(b"\n\n[3, " + ARRAY[1:]).problems
    assert [(p["line"], p["problem"]) for p in found.lines] == [
        (1, "must be an object, not a number")
    ]


def test_what_was_checked_is_read_again_however_well_it_packs() -> None:
    """A plain file is packed when it is kept; the bound on ratios is for uploads."""
    keys = {f"q{n}" for n in range(6000)}
    packed = gzip.compress(
        b"".join(b'{"id": "q%d", "answer": "%s"}\n' % (n, b"a" * 3900) for n in range(6000))
    )
    refused = read_predictions(VQA, keys, io.BytesIO(packed))
    assert "100 times its size" in refused.problems.sentence()
    assert not read_predictions(VQA, keys, io.BytesIO(packed), stored=True).problems


HARM = {
    "blanks": "gzip.compress(b' ' * 700_000_000, 1)",
    "newlines": "gzip.compress(b'\\n' * 700_000_000, 1)",
    "a string": "gzip.compress(b'[\"' + b'a' * 400_000_000, 1)",
    "empty objects": "gzip.compress(b'[' + b'{},' * 20_000_000, 1)",
    "nested arrays": "gzip.compress(b'[[' + b'[],' * 20_000_000, 1)",
    "lines of objects": "gzip.compress((b'{\"id\":\"q0\",\"answer\":[' + b'{},' * 7000 + b'{}]}\\n') * 400)",
    "a plain array": 'b\'[\' + b\'{"id":"q0","objects":[]},\' * 1_900_000',
    "boxes": "b'\\n'.join(b'{\"id\":\"q%d\",\"objects\":[%s]}' % (n, b','.join([box] * 2900)) for n in range(80))",
    "members": "gzip.compress(b'') * 2_000_000",
}
PROBE = """
import gzip, io, resource, sys, threading, time
from leaderboard.scoring import TASKS, read_predictions

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()

box = b'{"x_min":0.1,"y_min":0.1,"x_max":0.25,"y_max":0.3,"score":0.5,"label":"cat"}'
read_predictions(TASKS["detection"], {"q0"}, io.BytesIO(gzip.compress(b"[]")))
most = 0
done = False
def watch():
    global most
    while not done:
        most = max(most, resident())
        time.sleep(0.002)
file = io.BytesIO(DATA)
before = resident()
watcher = threading.Thread(target=watch)
watcher.start()
started = time.process_time()
for task in ("vqa", "detection"):
    checked = read_predictions(TASKS[task], {f"q{n}" for n in range(400)}, file, keep=False)
spent = time.process_time() - started
done = True
watcher.join()
print(round((max(most, resident()) - before) / 2**20), round(spent, 1))
"""


@pytest.mark.parametrize("name", HARM)
def test_no_upload_costs_much_memory_or_time(name: str) -> None:
    """What a process that checks a file grows by, and the time it is busy: measured in one of its own."""
    code = textwrap.dedent(PROBE).replace("DATA", HARM[name])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    megabytes, seconds = map(float, done.stdout.split())
    assert megabytes <= 32
    assert seconds <= 8
