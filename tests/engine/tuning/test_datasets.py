"""Data sets as strangers send them: the usual shapes are read, everything wrong is named, nothing
unpacks to more than it may."""

import base64
import gzip
import io
import json
import struct
import time
import zipfile

import pytest
from PIL import Image

from inference.engine.files import UnreadableError
from inference.engine.files.archives import Limits, opened
from inference.engine.tuning.datasets import ImagesInMemory, read_dataset

BOX = {"x_min": 0.1, "y_min": 0.2, "x_max": 0.3, "y_max": 0.4}


def png(colour="red"):
    out = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(out, "PNG")
    return out.getvalue()


URL = "data:image/png;base64," + base64.b64encode(png()).decode()


def lines(*rows):
    return "\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows).encode()


def read(data, **more):
    return read_dataset(io.BytesIO(data), ImagesInMemory(), **more)


def zipped(members, **more):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        for info, data in more.get("infos", []):
            archive.writestr(info, data)
    return out.getvalue()


def only(data):
    assert data.faults == []
    (example,) = data.examples
    return example


USER = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "How many?"}]}
ASSISTANT = {"role": "assistant", "content": [{"type": "text", "text": "Three."}]}
SHAPES = {
    "answer": ({"image": URL, "question": "How many?", "answer": 3}, "query", {"answer": "3"}, {"answers": ["3"]}),
    "answers": ({"image": URL, "question": "How many?", "answers": ["3", "three"]}, "query", {"answer": "3"}, {"answers": ["3", "three"]}),
    "count": ({"image": URL, "question": "How many?", "count": 3}, "query", {"answer": "3"}, {"count": 3}),
    "caption": ({"image": URL, "caption": "A cross."}, "caption", {"caption": "A cross."}, {"captions": ["A cross."]}),
    "boxes": ({"image": URL, "object": "cross", "boxes": [[0.1, 0.2, 0.3, 0.4]]}, "detect", {"boxes": [BOX]}, {"objects": [BOX]}),
    "objects": ({"image": URL, "object": "cross", "objects": [{"box": [0.1, 0.2, 0.3, 0.4]}]}, "detect", {"boxes": [BOX]}, {"objects": [BOX]}),
    "points": ({"image": URL, "object": "cross", "points": [[0.5, 0.5]]}, "point", {"points": [{"x": 0.5, "y": 0.5}]}, {"points": [{"x": 0.5, "y": 0.5}]}),
    "text only": ({"question": "2 + 2?", "answer": "4"}, "query", {"answer": "4"}, {"answers": ["4"]}),
    "trl prompt": ({"prompt": "How many?", "images": [URL], "solution": "3"}, "query", None, "3"),
    "trl completion": ({"prompt": [USER], "completion": [ASSISTANT], "image": URL}, "query", {"answer": "Three."}, {"answers": ["Three."]}),
    "trl messages": ({"messages": [USER, ASSISTANT], "images": [URL]}, "query", {"answer": "Three."}, {"answers": ["Three."]}),
    "openai parts": ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": URL}}, {"type": "text", "text": "How many?"}]}, ASSISTANT]}, "query", {"answer": "Three."}, {"answers": ["Three."]}),
    "group sft": ({"mode": "sft", "request": {"skill": "query", "image_url": URL, "question": "How many?"}, "target": {"answer": "3"}}, "query", {"answer": "3"}, {"answers": ["3"]}),
    "group truth": ({"request": {"skill": "detect", "image_url": URL, "object": "cross"}, "ground_truth": {"boxes": [BOX]}}, "detect", None, {"objects": [BOX]}),
    "group points in boxes": ({"request": {"skill": "point", "image_url": URL, "object": "cross"}, "ground_truth": {"boxes": [BOX]}}, "point", None, {"objects": [BOX]}),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_of_each_usual_shape(shape):
    row, skill, target, reference = SHAPES[shape]
    example = only(read(lines(row)))
    assert (example.skill, example.target, example.reference) == (skill, target, reference)
    if shape != "text only":
        assert example.open_image().size == (8, 6)
        assert example.open_image().getpixel((0, 0)) == (255, 0, 0)


WRONG = {
    "not json": ("{", "is no JSON"),
    "not an object": ([1], "must be an object"),
    "twice": ('{"question": "a", "question": "b"}', "twice"),
    "asks nothing": ({"image": URL}, "asks nothing"),
    "pixels": ({"image": URL, "object": "a", "boxes": [[1, 2, 30, 40]]}, "is in pixels"),
    "backwards": ({"image": URL, "object": "a", "boxes": [[0.5, 0, 0.2, 1]]}, "smaller corner first"),
    "three corners": ({"image": URL, "object": "a", "boxes": [[0.5, 0, 0.2]]}, "must be [x_min"),
    "remote": ({"image": "https://example.org/a.jpg", "question": "a"}, "not fetched"),
    "no image": ({"object": "a", "points": []}, "is about one"),
    "broken image": ({"image": "data:image/png;base64,AAAA", "question": "a"}, "no image that can be read"),
    "broken base64": ({"image": "data:image/png;base64,%%%", "question": "a"}, "base64 is broken"),
    "file without a zip": ({"image": "a.png", "question": "a"}, "send it in a zip"),
    "two images": ({"images": [URL, URL], "question": "a"}, "holds several"),
    "preferences": ({"prompt": "a", "chosen": "b", "rejected": "c"}, "pairs of preferences"),
    "two turns": ({"messages": [USER, ASSISTANT, USER, ASSISTANT]}, "no memory"),
    "bad target": ({"request": {"skill": "detect", "image_url": URL, "object": "a"}, "target": {"points": []}}, "nothing that detect is taught"),
    "unknown skill": ({"skill": "segment", "image": URL, "object": "a"}, "must be one of"),
    "huge number": ({"image": URL, "object": "a", "boxes": [[10**40, 0, 1, 1]]}, "must be [x_min"),
    "empty answers": ({"question": "a", "answers": []}, "is empty"),
    "object as answer": ({"question": "a", "answer": {"b": 1}}, "must be a text"),
    "groups in groups": ({"groups": [{"groups": []}]}, "asks nothing"),
}  # fmt: skip


def test_every_wrong_line_is_named_by_its_number():
    data = read(lines(*(row for row, _ in WRONG.values()), SHAPES["answer"][0]))
    assert len(data.examples) == 1
    by_line = {fault.line: fault.problem for fault in data.faults}
    for line, (shape, (_, words)) in enumerate(WRONG.items(), 1):
        assert words in by_line.get(line, ""), (shape, by_line.get(line))
    assert len(by_line) == len(WRONG)


def test_faults_beyond_the_named_ones_are_counted():
    data = read(lines(*({"image": URL} for _ in range(250))))
    assert (len(data.faults), data.faulty) == (200, 250)


def test_a_zip_with_images_and_rows_in_folders():
    rows = lines(
        {"file_name": "b.png", "caption": "Red."},
        {"image": "train/b.png", "caption": "Red again."},
        {"image": "a.png", "caption": "Blue."},
    )
    data = read(
        zipped({"train/metadata.jsonl": gzip.compress(rows) and rows, "train/b.png": png(), "a.png": png("blue"),
                "unused.png": png("green"), "__MACOSX/train/._b.png": b"x", "more.jsonl.gz": gzip.compress(lines({"image": "a.png", "question": "Colour?"}))})
    )  # fmt: skip
    assert data.faults == []
    assert [e.open_image().getpixel((0, 0)) for e in data.examples] == [
        (255, 0, 0), (255, 0, 0), (0, 0, 255), (0, 0, 255),
    ]  # fmt: skip
    assert len({e.image_key for e in data.examples}) == data.images == 2
    assert data.notes == ["1 files of the zip are named by no row"]


def test_faults_in_a_zip_name_the_file():
    data = read(
        zipped({
            "a.jsonl": lines({"image": "gone.png", "question": "a"}), "b.json": "[" , "c.png": b"no image",
            "d.jsonl": lines("", {"image": "c.png", "question": "a"}, {"image": "./c.png", "question": "a"}),
            "e.jsonl": lines({"image": "../a.jsonl", "question": "a"}),
        })
    )  # fmt: skip
    named = [(f.file, f.line, f.problem.split(":")[0]) for f in data.faults]
    assert named == [
        ("a.jsonl", 1, "`image` gone.png is not in the zip file"),
        ("b.json", 0, "The file is no JSON"),
        ("d.jsonl", 2, "c.png is no image that can be read"),
        ("d.jsonl", 3, "c.png is no image that can be read"),
        ("e.jsonl", 1, "`image` ../a.jsonl is not in the zip file"),
    ]


def info(name, mode=0o100644):
    made = zipfile.ZipInfo(name)
    made.external_attr = mode << 16
    return made


@pytest.mark.parametrize(
    ("infos", "words"),
    [
        ([(info("../out.png"), b"a")], "leads out"),
        ([(info("/etc/passwd"), b"a")], "leads out"),
        ([(info("a\\..\\b"), b"a")], "leads out"),
        ([(info("C:/b"), b"a")], "leads out"),
        ([(info("link", 0o120777), b"/etc/passwd")], "no file"),
        ([(info("a.png"), b"a"), (info("a.png"), b"b")], "twice"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_lead_elsewhere(infos, words):
    (fault,) = read(zipped({"a.jsonl": lines(SHAPES["answer"][0])}, infos=infos)).faults
    assert words in fault.problem


def test_a_bomb_is_judged_before_it_is_unpacked():
    bomb = zipped({"a.jsonl": b"0" * (30 * 2**20)})
    assert len(bomb) < 2**16
    assert "times its size" in read(bomb).faults[0].problem
    many = zipped({f"{n}.txt": b"" for n in range(50)})
    with (
        pytest.raises(UnreadableError, match="50 members; at most 40"),
        opened(io.BytesIO(many), Limits(members=40)),
    ):
        pass  # fmt: skip
    large = zipped({"a": bytes(range(256)) * 40, "b": bytes(range(256)) * 40})
    with (
        pytest.raises(UnreadableError, match="unpacks to more than"),
        opened(io.BytesIO(large), Limits(unpacked=15_000)),
    ):
        pass  # fmt: skip


def test_a_member_gives_no_more_than_it_claims():
    """The list of members says 10 bytes where a hundred thousand are packed."""
    data = bytearray(zipped({"a.jsonl": b"7" * 100_000}))
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    faults = read(bytes(data)).faults
    assert faults
    assert "damaged" in faults[0].problem


def test_a_list_of_members_too_long_to_be_read(monkeypatch):
    monkeypatch.setattr("inference.engine.files.archives.MAX_DIRECTORY", 70_000)
    (fault,) = read(zipped({f"{'n' * 200}{n}": b"" for n in range(400)})).faults
    assert fault.problem == "The zip file lists too many members."


@pytest.mark.parametrize("cut", [0, 3, 20, 60, -1])
def test_damaged_zips_are_named(cut):
    whole = zipped({"a.jsonl": lines(SHAPES["answer"][0]), "a.png": png()})
    data = read(whole[:cut] if cut else whole[:70] + bytes(8) + whole[78:])
    assert data.faults
    assert not data.examples


def test_encrypted_and_oddly_packed_members():
    data = bytearray(zipped({"a.jsonl": b"{}"}))
    at = data.rindex(b"PK\x01\x02")
    data[at + 8] |= 1
    assert "encrypted" in read(bytes(data)).faults[0].problem
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.jsonl", b"{}")
    assert "deflate" in read(out.getvalue()).faults[0].problem


def test_too_many_rows_and_none():
    data = read(lines(*({"question": "a"} for _ in range(12))), most_rows=10)
    assert (len(data.examples), data.faults[-1].line) == (10, 0)
    assert "Far too many" in data.faults[-1].problem
    assert "empty" in read(b"").faults[0].problem
    assert read(b"[]").faults[0].problem == "The file has no rows."


def test_what_is_not_read_is_said():
    row = {"image": URL, "question": "a", "answer": "b", "difficulty": 3}
    system = {
        "messages": [{"role": "system", "content": "Be brief."}, USER, ASSISTANT],
        "image": URL,
    }
    assert read(lines(row, system)).notes == [
        "difficulty: not read, in 1 of the rows", "the system's message: not read, in 1 of the rows",
    ]  # fmt: skip


@pytest.mark.timeout(20)
def test_long_rows_are_read_in_time_that_grows_with_them():
    """A data set may have images in its lines: 25 MB in one, in pieces of 64 KB."""
    row = {"question": "a", "answer": "b", "image": "data:image/png;base64," + "A" * (25 * 2**20)}
    started = time.perf_counter()
    (fault,) = read(lines(row, row)[: 30 * 2**20]).faults[:1]
    assert "no image that can be read" in fault.problem
    assert time.perf_counter() - started < 8
    assert "longer than 1024 KB" in read(json.dumps([row]).encode()).faults[0].problem
