"""Files on a disk and in a bucket: the same to whoever uses them, and what a storage that is away does."""

import contextlib
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.core import checks
from django.core.exceptions import SuspiciousOperation
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from inference import images
from inference.errors import Busy
from inference.models import Job, StoredImage
from inference.storage import QUESTION_IMAGES, SHARED, probe
from inference.world.samples import sample_bytes
from moondream_site.services import free_port
from moondream_site.settings.base import in_bucket
from tests.bucket import KEYS, client_of, s3_server

KEEPERS = ("default", "private")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture(scope="module")
def client(server: str) -> Any:
    return client_of(server)


@pytest.fixture
def bucket(server: str, client: Any, settings: Any, request: pytest.FixtureRequest) -> str:
    """The site's files in a new bucket."""
    name = f"hub-{abs(hash(request.node.name)) % 10**9}"
    client.create_bucket(Bucket=name)
    settings.STORAGES = settings.STORAGES | in_bucket(
        bucket_name=name, endpoint_url=server, timeout_s=2, **KEYS
    )
    return name


@pytest.fixture
def local(settings: Any, tmp_path: Path) -> str:
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.IMAGE_STORE_DIR = tmp_path / "images"
    private = {**settings.STORAGES["private"], "OPTIONS": {"location": tmp_path / "private"}}
    settings.STORAGES = settings.STORAGES | {"private": private}
    return str(tmp_path)


@pytest.fixture(params=["local", "bucket"])
def files(request: pytest.FixtureRequest) -> Callable[[str], Storage]:
    request.getfixturevalue(request.param)
    return lambda alias: storages[alias]


class _Answers(BaseHTTPRequestHandler):
    """A server that answers every request with one status."""

    status = 500

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_PUT = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class _Denies(_Answers):
    status = 403


@contextlib.contextmanager
def _odd_server(kind: str) -> Iterator[int]:
    """The port of a server that is not there, never answers, has a fault, or does not let us in."""
    if kind == "silent":
        with socket.create_server(("127.0.0.1", 0)) as listening:
            yield listening.getsockname()[1]
    elif kind == "refused":
        yield free_port()
    else:
        with ThreadingHTTPServer(
            ("127.0.0.1", 0), _Denies if kind == "denied" else _Answers
        ) as answering:
            threading.Thread(target=answering.serve_forever, args=(0.01,), daemon=True).start()
            yield answering.server_port
            answering.shutdown()


@pytest.fixture(params=["refused", "silent", "faulty", "denied"])
def away(settings: Any, request: pytest.FixtureRequest) -> Iterator[None]:
    """A bucket's server that cannot be used."""
    with _odd_server(request.param) as port:
        settings.STORAGES = settings.STORAGES | in_bucket(
            bucket_name="hub", endpoint_url=f"http://127.0.0.1:{port}", timeout_s=0.2, **KEYS
        )
        yield


# What both do alike


@pytest.mark.parametrize("alias", SHARED)
@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 40_000], ids=len)
def test_a_file_comes_back_as_it_was(files, alias: str, data: bytes) -> None:
    storage = files(alias)
    name = storage.save("aa/file.jsonl.gz", ContentFile(data))
    assert storage.exists(name)
    assert storage.size(name) == len(data)
    with storage.open(name) as file:
        assert file.read() == data
    with storage.open(name) as file:
        assert b"".join(file.chunks(1000)) == data
    storage.delete(name)
    storage.delete(name)  # nothing is left to do
    assert not storage.exists(name)


@pytest.mark.parametrize("alias", SHARED)
@pytest.mark.parametrize("name", ["no.txt", "no/such/file", "n" * 3000, "é" * 700, "odd name?#%41&.txt"])  # fmt: skip
def test_a_file_that_is_not_there(files, alias: str, name: str) -> None:
    storage = files(alias)
    assert not storage.exists(name)
    for ask in (storage.open, storage.size, storage.version, storage.get_modified_time):
        with pytest.raises(FileNotFoundError):
            ask(name)
    storage.delete(name)


@pytest.mark.parametrize("alias", SHARED)
@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt"])
def test_nothing_outside_of_its_folder(files, alias: str, name: str) -> None:
    for ask in (files(alias).open, files(alias).version, files(alias).delete):
        with pytest.raises(SuspiciousOperation):
            ask(name)


def test_a_folder_is_no_file(files) -> None:
    files("default").save("benchmarks/x/one.txt", ContentFile(b"1"))
    with pytest.raises(FileNotFoundError):
        files("default").open("benchmarks/x")


@pytest.mark.parametrize("alias", KEEPERS)
def test_none_is_replaced(files, alias: str) -> None:
    """Nor by ten that come in the same moment."""
    storage, made = files(alias), []
    start = threading.Barrier(10)

    def save(data: bytes) -> None:
        start.wait()
        made.append((storage.save("documents/a.pdf", ContentFile(data)), data))

    threads = [threading.Thread(target=save, args=(f"{n}".encode(),)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({name for name, _ in made}) == 10
    for name, data in made:
        assert name.startswith("documents/a")
        assert name.endswith(".pdf")
        with storage.open(name) as file:
            assert file.read() == data


def test_a_version_changes_with_the_file(files) -> None:
    storage = files(QUESTION_IMAGES)
    storage.save("aa/x.png", ContentFile(b"one"))
    first = storage.version("aa/x.png")
    assert storage.version("aa/x.png") == first
    storage.save("aa/x.png", ContentFile(b"other"))
    assert storage.version("aa/x.png") != first


@pytest.mark.parametrize("alias", SHARED)
def test_the_probe_leaves_nothing(files, alias: str, request: Any) -> None:
    assert probe(alias)
    assert files(alias).listdir("probe")[1] == []


def test_the_same_image_is_stored_once(files) -> None:
    normal = images.normalise(sample_bytes("night"))
    assert images.write(normal, "aa/x.webp")
    assert not images.write(normal, "aa/x.webp")
    assert images.read("aa/x.webp").size == (normal.width, normal.height)
    assert images.preview("aa/x.webp")[:2] == b"\xff\xd8"
    images.delete("aa/x.webp")
    assert not images.exists("aa/x.webp")
    with pytest.raises(FileNotFoundError):
        images.read("aa/x.webp")


# A bucket


def test_a_bucket_has_the_folders_that_a_disk_has(bucket: str, client: Any) -> None:
    for alias in SHARED:
        storages[alias].save("a/b.txt", ContentFile(b"x"))
    found = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert {f["Key"] for f in found} == {"media/a/b.txt", "private/a/b.txt", "images/a/b.txt"}


def test_nobody_else_reads_a_bucket(bucket: str, client: Any, server: str) -> None:
    for alias in SHARED:
        storages[alias].save("a/b.txt", ContentFile(b"x"))
    for item in client.list_objects_v2(Bucket=bucket)["Contents"]:
        grants = client.get_object_acl(Bucket=bucket, Key=item["Key"])["Grants"]
        assert not [g for g in grants if g["Grantee"].get("URI")]
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"{server}/{bucket}/{item['Key']}", timeout=5)
    assert storages["default"].url("a/b ü.txt") == f"/media/a/{quote('b ü.txt')}"
    for alias in ("private", QUESTION_IMAGES):
        with pytest.raises(ValueError, match="not accessible"):
            storages[alias].url("a/b.txt")


def _checked() -> list[str]:
    return [
        str(message.id)
        for message in checks.run_checks(tags=["storage"], include_deployment_checks=True)
    ]


def test_the_check_passes_where_files_are_private(files) -> None:
    assert _checked() == []


def test_the_check_finds_a_bucket_that_anybody_reads(bucket: str, client: Any) -> None:
    allowed = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    assert _checked() == ["storage.E002"] * 3
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)


def test_the_check_finds_one_that_is_away(away) -> None:
    assert _checked() == ["storage.E003"] * 3


def test_media_are_given_by_the_site(bucket: str, db: None) -> None:
    data = b"<script>alert(1)</script>"
    storages["default"].save("benchmarks/b/x.html", ContentFile(data))
    answer = Client().get("/media/benchmarks/b/x.html")
    assert b"".join(answer.streaming_content) == data
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment")
    again = Client().get("/media/benchmarks/b/x.html", headers={"If-None-Match": answer["ETag"]})
    assert again.status_code == 304
    assert Client().get("/media/benchmarks/b/none.html").status_code == 404
    assert Client().get("/media/benchmarks/b").status_code == 404


def test_documents_are_given_by_the_site(bucket: str, starter: Any) -> None:
    from wagtail.documents import get_document_model

    made = get_document_model().objects.create(
        title="Figures", file=SimpleUploadedFile("figures.csv", b"a,b\n1,2\n")
    )
    answer = Client().get(made.url)
    assert answer.status_code == 200
    assert b"".join(answer.streaming_content) == b"a,b\n1,2\n"
    assert answer["Content-Disposition"].startswith("attachment")
    moved = Client().get(made.file.url)
    assert (moved.status_code, moved["Location"]) == (302, made.url)


def test_pictures_are_made_from_a_bucket(bucket: str, starter: Any) -> None:
    from wagtail.images import get_image_model

    picture = get_image_model().objects.create(
        title="Moon", description="The moon", file=SimpleUploadedFile("moon.webp", sample_bytes("moon"))
    )  # fmt: skip
    smaller = picture.get_rendition("width-64")
    answer = Client().get(smaller.url)
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("image/")


# Away


@pytest.mark.parametrize("alias", SHARED)
def test_a_bucket_that_is_away_is_told_soon(away, alias: str) -> None:
    storage = storages[alias]
    asked: list[Callable[[], Any]] = [
        lambda: storage.exists("a"), lambda: storage.open("a"), lambda: storage.size("a"),
        lambda: storage.version("a"), lambda: storage.delete("a"), lambda: storage.get_modified_time("a"),
        lambda: storage.save("a", ContentFile(b"x")), lambda: probe(alias),
    ]  # fmt: skip
    for ask in asked:
        started = time.monotonic()
        with pytest.raises(Busy) as caught:
            ask()
        assert (caught.value.code, caught.value.status) == ("storage_unavailable", 503)
        assert time.monotonic() - started < 6


def _ask_json(client: Client) -> Any:
    from tests.images import data_url

    body = {"image_url": data_url(sample_bytes("night"))}
    return client.post("/v1/caption", json.dumps(body), content_type="application/json")


def _ask_job(client: Client) -> Any:
    image = SimpleUploadedFile("a.webp", sample_bytes("night"))
    return client.post("/v1/jobs", {"skill": "caption", "image": image})


@pytest.mark.parametrize("ask", [_ask_json, _ask_job])
def test_a_question_while_it_is_away(away, starter: Any, ask: Any) -> None:
    """Declared, soon, and nothing is left of it."""
    before = Job.objects.count(), StoredImage.objects.count()
    answer = ask(Client())
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "storage_unavailable"
    assert int(answer["Retry-After"]) > 0
    assert (Job.objects.count(), StoredImage.objects.count()) == before


def test_pages_and_files_while_it_is_away(away, starter: Any) -> None:
    """A page without files is served; a file is not said to be missing."""
    assert Client().get("/").status_code == 200
    answer = Client().get("/media/benchmarks/b/x.png")
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0
    assert b"storage" in answer.content


def test_the_status_page_says_so(away, starter: Any) -> None:
    from status import checks as status

    found = status._guarded("storage", "File storage", status._storage)
    assert found.state == "down"
    assert "127.0.0.1" not in found.note
