"""Models that are not here yet: from a hub that is a server of our own, from a folder, or not at all."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from safetensors.torch import load_file, save_file

from inference import machine, selectors, services
from inference.engine.testing import make_tiny_checkpoint
from inference.errors import DomainError
from inference.machine import Room
from inference.models import Job, Variant
from inference.services.fitting import need, precision_choose
from inference.world.samples import sample_bytes

GB = 10**9
MOONDREAM2 = int(3.86 * GB)
COMMIT = "c" * 40


# What fits


@pytest.mark.parametrize(
    ("room", "quantization", "said"),
    [
        (Room(64 * GB, 0), "", "nothing is lost to rounding"), (Room(10 * GB, 0), "int8", "16-bit would need 16.9 GB"),
        (Room(9 * GB, 0), "nf4", "of the 9.0 GB of memory"),
        (Room(64 * GB, 0, has_quick_8_bit=True), "int8", "the quickest on a processor like this one"),
        (Room(7 * GB, 0, has_quick_8_bit=True), "nf4", "8-bit would need 7.7 GB"),
        (Room(1 * GB, 24 * GB), "", "of the 24.0 GB of GPU memory"), (Room(64 * GB, 4 * GB), "int8", "16-bit would need 4.6 GB"),
        (Room(64 * GB, 3 * GB), "nf4", "needs about 2.7 GB"),
    ],
)  # fmt: skip
def test_the_best_that_fits_is_chosen_and_it_is_said_why(
    room: Room, quantization: str, said: str
) -> None:
    fit = precision_choose(MOONDREAM2, room)
    assert fit.quantization == quantization
    assert said in fit.reason


@pytest.mark.parametrize("room", [Room(4 * GB, 0), Room(64 * GB, 2 * GB), Room(0, 0)])
def test_what_does_not_fit_names_what_it_needs_and_the_other_ways(room: Room) -> None:
    with pytest.raises(DomainError) as caught:
        precision_choose(MOONDREAM2, room)
    assert "Even at 4 bits" in caught.value.message
    for way in ("smaller model", "MOONDREAM_API_KEY", "another server"):
        assert way in caught.value.hint
    assert precision_choose(MOONDREAM2, room, "").quantization == "", "who asks for one gets it"


def test_more_bits_need_more() -> None:
    for room in (Room(1, 0), Room(1, 0, has_quick_8_bit=True), Room(1, 1)):
        needs = [need(bits, MOONDREAM2, room) for bits in ("", "int8", "nf4")]
        assert needs == sorted(needs, reverse=True)


@pytest.mark.parametrize(
    ("limit", "used", "free"), [("max", "5", 8_000_000), ("6000000", "1000000", 5_000_000), ("100", "900", 0)]
)  # fmt: skip
def test_a_container_s_limit_counts(tmp_path: Path, limit: str, used: str, free: int) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 99999 kB\nMemAvailable:    7812 kB\nX: 1\n")
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    found = machine.memory_free(tmp_path, tmp_path)
    assert found == (7812 * 1024 if limit == "max" else free)
    assert machine.memory_free(tmp_path, tmp_path / "none") == 7812 * 1024
    assert machine.memory_free(tmp_path / "none", tmp_path / "none") > 2**26


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert machine.disk_free(tmp_path / "a" / "b") > 0
    assert machine.is_one_disk(tmp_path / "a", tmp_path / "b")


# A hub


class _Hub(BaseHTTPRequestHandler):
    server: "Hub"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/api/models/vikhyatk/moondream2/tree/"):
            rows = [
                {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": "0" * 40,
                 **({"lfs": {"oid": self.server.digests[f.name], "size": f.stat().st_size, "pointerSize": 130}}
                    if f.suffix == ".safetensors" else {})}
                for f in self.server.files()
            ]  # fmt: skip
            self._json(rows)
        elif path == "/api/models/vikhyatk/moondream2/revision/2025-06-21":
            self._json({"id": "vikhyatk/moondream2", "modelId": "vikhyatk/moondream2", "sha": COMMIT, "private": False,
                        "tags": [], "siblings": [{"rfilename": f.name} for f in self.server.files()]})  # fmt: skip
        elif "/resolve/" in path:
            self._file(path.rsplit("/", 1)[1])
        else:
            self._json({"error": "Revision not found"}, 404, X_Error_Code="RevisionNotFound")

    def _json(self, body: Any, status: int = 200, **headers: str) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def _file(self, name: str) -> None:
        raw = (self.server.folder / name).read_bytes()
        start = int((self.headers.get("Range") or "bytes=0-").split("=")[1].split("-")[0])
        self.server.sent.append((self.command, name, start))
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{self.server.digests[name]}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(raw) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(raw) - 1}/{len(raw)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.server.breaks and name.endswith(".safetensors"):
            self.server.breaks -= 1
            self.wfile.write(raw[start : start + (len(raw) - start) // 2])
            return  # and hangs up
        self.wfile.write(raw[start:])


class Hub(ThreadingHTTPServer):
    """A model hub with one repository."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Hub)
        self.folder = folder
        self.sent: list[tuple[str, str, int]] = []
        self.breaks = 0
        self.digests = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in self.files()}

    def files(self) -> list[Path]:
        return sorted(f for f in self.folder.iterdir() if f.is_file())


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with room, whatever else is on this one."""
    monkeypatch.setattr(machine, "room", lambda device: Room(64 * GB, 0))


@pytest.fixture
def hub(
    db: None, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, room: None
) -> Iterator[Hub]:
    settings.MODELS_DIR, settings.IMAGE_STORE_DIR = tmp_path / "models", tmp_path / "images"
    settings.INFERENCE_VARIANTS_KEPT_S = 0
    made = Hub(make_tiny_checkpoint(tmp_path / "published"))
    threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
    place = f"http://127.0.0.1:{made.server_port}"  # as HF_ENDPOINT, which is read once
    template = f"{place}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    for name, value in (("ENDPOINT", place), ("HUGGINGFACE_CO_URL_TEMPLATE", template),
                        ("HF_HUB_CACHE", str(tmp_path / "cache")), ("HF_HUB_DISABLE_XET", True),
                        ("DOWNLOAD_CHUNK_SIZE", 4096)):  # fmt: skip
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    services.variants_sync()
    yield made
    made.shutdown()
    made.server_close()


def use(*args: str) -> str:
    out = StringIO()
    call_command("models", "use", *args, stdout=out)
    return out.getvalue()


def answers() -> Job:
    job = services.job_submit(
        skill="query", variant_slug=None, params={"question": "What?"}, caller="t",
        image=services.image_store(data=sample_bytes("night")),
    )  # fmt: skip
    services.job_run(job_id=job.id, worker="w")
    job.refresh_from_db()
    return job


def test_a_model_is_fetched_checked_and_answers_by_default(hub: Hub) -> None:
    assert selectors.is_embedded_alone()
    said = use("moondream2")
    assert "Fetching" in said
    assert "answers at 16-bit: nothing is lost to rounding" in said
    variant = selectors.variant_get(None)
    assert (variant.slug, variant.source) == ("moondream2-2025-06-21-fp16", "huggingface.co/vikhyatk/moondream2@2025-06-21")  # fmt: skip
    assert {v.slug for v in selectors.variants_available()} >= {
        "moondream-embedded-fp16",
        "moondream2-2025-06-21-nf4",
    }
    assert not selectors.is_embedded_alone()
    assert answers().status == Job.Status.SUCCEEDED
    hub.sent.clear()
    hub.shutdown()  # what is here needs no hub
    assert "is here already" in use("moondream2", "--precision", "4")
    assert not hub.sent
    assert selectors.variant_get(None).quantization == "nf4"
    use("embedded")
    assert selectors.variant_get(None).slug == "moondream-embedded-fp16"


def test_a_fetch_that_broke_off_goes_on_where_it_stopped(hub: Hub) -> None:
    hub.breaks = 1
    try:
        use("moondream2")
    except CommandError:  # the hub's client tries again by itself, or leaves it to whoever asked
        use("moondream2")
    gets = [
        start for verb, name, start in hub.sent if verb == "GET" and name == "model.safetensors"
    ]
    assert gets[0] == 0
    assert gets[-1] > 0, "not from the beginning"
    assert answers().status == Job.Status.SUCCEEDED


def test_what_came_damaged_is_not_used_and_is_fetched_anew(hub: Hub) -> None:
    weights = hub.folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-64] + bytes(64))
    with pytest.raises(CommandError, match="came damaged"):
        use("moondream2")
    assert not Variant.objects.filter(slug__startswith="moondream2").exists()
    assert selectors.variant_get(None).slug == "moondream-embedded-fp16"
    weights.write_bytes(whole)
    use("moondream2")
    assert answers().status == Job.Status.SUCCEEDED


def test_without_a_hub_the_other_ways_are_named(hub: Hub) -> None:
    hub.shutdown()
    hub.server_close()
    with pytest.raises(CommandError) as caught:
        use("moondream2")
    for way in (
        "models pull",
        "models add PATH",
        "MOONDREAM_API_KEY",
        "models remote ADDRESS",
        "embedded model",
    ):
        assert way in str(caught.value)


@pytest.mark.parametrize(
    ("args", "said"),
    [(("moondream2", "--revision", "1999-01-01"), "could not be fetched"), (("moondream-0.5b",), "Say which revision"),
     (("somebody/model",), "Say which revision"), (("./no-such-folder",), "There is no folder"), (("/",), "tokenizer.json is missing")],
)  # fmt: skip
def test_what_is_nowhere(hub: Hub, args: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        use(*args)
    assert selectors.variant_get(None).slug == "moondream-embedded-fp16"


def test_a_repository_without_weights_for_this_engine(hub: Hub) -> None:
    (hub.folder / "model.safetensors").rename(hub.folder / "model.mf.gz")
    hub.digests["model.mf.gz"] = hub.digests["model.safetensors"]
    with pytest.raises(CommandError, match="no weights as safetensors"):
        use("moondream2")


def test_nothing_is_fetched_where_there_is_no_room(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "disk_free", lambda _: 400 * 2**20)
    with pytest.raises(CommandError, match=r"GB of disk at .* are free"):
        use("moondream2")
    monkeypatch.setattr(machine, "disk_free", lambda _: 10**12)
    monkeypatch.setattr(machine, "room", lambda device: Room(10**6, 0))
    with pytest.raises(CommandError, match="Even at 4 bits"):
        use("moondream2")
    assert not [one for one in hub.sent if one[0] == "GET"]
    assert not Variant.objects.filter(slug__startswith="moondream2").exists()


# A folder


def test_a_folder_is_added_once_and_again_when_it_changes(hub: Hub, tmp_path: Path) -> None:
    folder = make_tiny_checkpoint(tmp_path / "mine")
    assert "Checking and converting" in use(str(folder))
    assert selectors.variant_get(None).slug == "mine-local-fp16"
    first = selectors.variant_get(None).sha256
    assert "is here already" in use(str(folder))
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {name: tensor * 0.5 for name, tensor in tensors.items()}, folder / "model.safetensors"
    )
    assert "Checking and converting" in use(str(folder))
    assert selectors.variant_get(None).sha256 != first
    assert answers().status == Job.Status.SUCCEEDED
    assert not hub.sent


def test_a_folder_that_is_no_checkpoint_changes_nothing(hub: Hub, tmp_path: Path) -> None:
    folder = make_tiny_checkpoint(tmp_path / "mine")
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(CommandError):
        use(str(folder))
    assert selectors.variant_get(None).slug == "moondream-embedded-fp16"
    assert not Variant.objects.filter(slug__startswith="mine").exists()
