"""A question as code: what is sent is what was asked, whatever it says; and nothing of it is run."""

import base64
import dataclasses
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nbformat
import pytest
from django.urls import reverse
from PIL import Image

from inference import services as inference
from inference.images import Upload
from inference.models import Job
from inference.world.samples import sample_bytes
from playground.exports import EXPORTS, RESULTS, Model, Picture, Recipe
from playground.recipes import recipe_of

LANGUAGES = ("python", "javascript", "curl", "notebook")
SETTINGS = {
    "temperature": 0.7,
    "top_p": 0.3,
    "max_tokens": 20,
    "max_objects": 50,
    "seed": 2**32 - 1,
}
DATA = sample_bytes("night")
SHA256 = hashlib.sha256(DATA).hexdigest()
HOSTILE = [
    "it's \"quoted\" \\ \\\\ 'twice' \"\"\" ''' ```",
    "$(touch pwned) `touch pwned` ${HOME} $HOME !! ; touch pwned | touch pwned & touch pwned",
    "first\nsecond\r\nthird\ttab",
    "</script><script>alert(1)</script><!-- --> ]]>",
    "é ü 月 😀 \u2028 \u2029 \u202e right to left \ufeff",
    "JSON\nEOF\nPY\n'; touch pwned; '",
    "{f\"{open('pwned', 'w')}\"} {{x}} {% now %} %s %d %(x)s {0} #{x}",
    "'); require('fs').writeFileSync('pwned', ''); ('",
    "-d @/etc/passwd",
]


class Site:
    """A server that keeps what it is sent and gives every skill an answer."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, dict[str, Any]]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def _reply(self, kind: str, data: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self) -> None:
                if self.path.startswith("/v1/models/"):
                    body = {"id": "m", "revision": "r'1", "quantization": "nf4"}
                    self._reply("application/json", json.dumps(body).encode())
                else:
                    self._reply("image/webp", DATA)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                site.bodies.append((self.path, body))
                answer = {"caption": "a", "answer": "a", "objects": [], "points": []}
                self._reply("application/json", json.dumps(answer).encode())

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.stop()


def execute(language: str, text: str, folder: Path) -> str:
    """Run an export as its reader would; what it prints. Nothing may be said on the side."""
    export = EXPORTS[language]
    file = folder / f"moondream-query.{export.extension}"
    file.write_text(text)
    if language == "notebook":
        book = nbformat.reads(text, as_version=4)
        nbformat.validate(book)
        file = folder / "cells.py"
        file.write_text("\n".join(cell.source for cell in book.cells if cell.cell_type == "code"))
    command = {"javascript": "node", "curl": "bash"}.get(language, sys.executable)
    done = subprocess.run(
        [command, file.name], cwd=folder, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "MOONDREAM_API_KEY": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def recipe(
    site: Site, skill: str = "query", picture: Picture | None = None, **params: Any
) -> Recipe:
    given = params or {"question": "How many?"}
    return Recipe(site.url, skill, "m", "r'1", "nf4", given, SETTINGS, picture)


@pytest.mark.usefixtures("node_client", "curl")
@pytest.mark.parametrize("language", LANGUAGES)
class TestSent:
    @pytest.mark.parametrize("prompt", HOSTILE)
    def test_prompts_are_data(self, site: Site, tmp_path: Path, language: str, prompt: str) -> None:
        picture = Picture("night.webp", SHA256, f"{site.url}/night.webp")
        text = EXPORTS[language].write(recipe(site, picture=picture, question=prompt))
        assert text.isascii()
        execute(language, text, tmp_path)
        path, body = site.bodies[-1]
        assert path == "/v1/query"
        assert body["question"] == prompt
        assert body["settings"] == SETTINGS
        assert body.get("model") == "m"
        assert base64.b64decode(body["image_url"].partition(",")[2]) == DATA
        assert not (tmp_path / "pwned").exists()

    @pytest.mark.parametrize(
        ("skill", "params"),
        [
            ("caption", {"length": "short"}), ("detect", {"object": "a 'star'"}), ("point", {"object": "star"}),
            ("query", {"question": "What?", "reasoning": True, "spatial_refs": [[0.5, 0.25], [0, 0, 1, 0.5]]}),
        ],
    )  # fmt: skip
    def test_each_skill(
        self, site: Site, tmp_path: Path, language: str, skill: str, params: dict[str, Any]
    ) -> None:
        picture = Picture("small.png", data=DATA)
        said = execute(
            language, EXPORTS[language].write(recipe(site, skill, picture, **params)), tmp_path
        )
        path, body = site.bodies[-1]
        assert path == f"/v1/{skill}"
        assert {name: body[name] for name in params} == params
        assert body["image_url"].startswith("data:image/png;base64,")
        reply = json.loads(said)
        assert (reply[RESULTS[skill]] if language == "curl" else reply) in ("a", [])

    def test_several_models(self, site: Site, tmp_path: Path, language: str) -> None:
        picture = Picture("night.webp", SHA256, f"{site.url}/night.webp")
        others = (Model("n", "r'1", "nf4"), Model("b/01ARZ3NDEKTSV4RRFFQ69G5FAV@2", "r'1", "nf4"))
        asked = dataclasses.replace(recipe(site, picture=picture), others=others)
        site.bodies.clear()
        printed = execute(language, EXPORTS[language].write(asked), tmp_path)
        names = ["m", *(model.name for model in others)]
        assert [body["model"] for _, body in site.bodies] == names
        assert len({body["image_url"] for _, body in site.bodies}) == 1
        if language == "curl":
            assert [json.loads(line)["answer"] for line in printed.split("\n") if line] == ["a"] * 3
        else:
            assert json.loads(printed) == dict.fromkeys(names, "a")

    def test_without_an_image(self, site: Site, tmp_path: Path, language: str) -> None:
        execute(language, EXPORTS[language].write(recipe(site)), tmp_path)
        assert "image_url" not in site.bodies[-1][1]

    def test_other_weights_and_images_are_noticed(
        self, site: Site, tmp_path: Path, language: str
    ) -> None:
        made = recipe(site, picture=Picture("own.webp", "0" * 64))
        (tmp_path / "own.webp").write_bytes(DATA)
        other = Recipe(site.url, "query", "m", "r2", "nf4", made.params, SETTINGS, made.picture)
        with pytest.raises(AssertionError, match="revision") as caught:
            execute(language, EXPORTS[language].write(other), tmp_path)
        assert "is not the image that was asked about" in str(caught.value)


@pytest.mark.django_db
class TestRecipes:
    @pytest.fixture(autouse=True)
    def _kept(self, monkeypatch: Any) -> None:
        inference.variants_sync()
        monkeypatch.setattr("inference.tasks.run_job.apply_async", lambda *a, **k: None)

    def asked(self, data: bytes = DATA, owner: str = "me", **settings: Any) -> Job:
        return inference.job_submit(
            skill="query", variant_slug="", image=Upload(lambda: data), caller="playground",
            params={"question": "How many?", "settings": settings}, owner_key=owner,
        )  # fmt: skip

    def recipe(self, job: Job, owner: str = "me") -> Recipe:
        return recipe_of(job.pk, site="https://hub.test", owner_key=owner)

    def picture(self, job: Job, owner: str = "me") -> Picture:
        found = self.recipe(job, owner).picture
        assert found is not None
        return found

    def test_all_that_decides_an_answer(self) -> None:
        job = self.asked(temperature=0.9, seed=7)
        made = self.recipe(job)
        assert (made.model, made.revision) == (job.variant.slug, job.variant.revision)
        assert made.settings == {
            "temperature": 0.9,
            "top_p": 0.3,
            "max_tokens": 768,
            "max_objects": 50,
            "seed": 7,
        }
        assert made.params["question"] == "How many?"
        job.variant.revision = "newer"
        job.variant.save()
        assert self.recipe(job).revision != "newer"  # what answered, not what would now

    def test_a_sample_is_had_by_anybody(self) -> None:
        picture = self.picture(self.asked(), "somebody")
        assert picture.address == "https://hub.test/static/samples/night.webp"
        assert picture.sha256 == SHA256

    def test_an_upload_is_its_askers(self, client: Any) -> None:
        job = self.asked(noise())
        picture = self.picture(job)
        assert hashlib.sha256(noise()).hexdigest() == picture.sha256
        got = client.get(picture.address.removeprefix("https://hub.test"))
        assert got.status_code == 200
        assert got.content == noise()
        other = self.picture(job, "somebody")
        assert (other.address, other.data, other.sha256) == ("", b"", picture.sha256)
        assert not self.picture(self.asked(noise(), owner=""), "").address

    def test_a_small_one_is_in_the_code(self) -> None:
        file = io.BytesIO()
        Image.new("RGB", (40, 30), "red").save(file, "PNG")
        assert self.picture(self.asked(file.getvalue())).data == file.getvalue()

    @pytest.mark.parametrize("token", ["x", "a:b:c", "../../etc/passwd", "%00"])
    def test_addresses_that_nobody_gave(self, client: Any, token: str) -> None:
        assert client.get(f"/playground/images/{token}/").status_code == 404

    def test_an_image_that_is_past_its_time(self, client: Any) -> None:
        job = self.asked(noise())
        address = self.picture(job).address.removeprefix("https://hub.test")
        Job.objects.update(image=None)
        job.image.delete()
        assert client.get(address).status_code == 404
        assert self.picture(Job.objects.get()).address == ""

    def test_pages_and_files(self, client: Any) -> None:
        job = self.asked()
        page = client.get(reverse("playground:job_code", args=[job.pk]))
        assert page["Cache-Control"].startswith("max-age=0")
        for slug, export in EXPORTS.items():
            got = client.get(reverse("playground:job_code_file", args=[job.pk, slug]))
            assert (
                got["Content-Disposition"]
                == f'attachment; filename="moondream-query.{export.extension}"'
            )
            assert "How many?" in got.content.decode()
        assert (
            client.get(reverse("playground:job_code_file", args=[job.pk, "cobol"])).status_code
            == 404
        )
        assert (
            client.get(
                reverse("playground:job_code", args=["0" * 8 + "-" + "0000-" * 3 + "0" * 12])
            ).status_code
            == 404
        )


def noise() -> bytes:
    """An image larger than what is written into code."""
    file = io.BytesIO()
    Image.effect_noise((160, 120), 80).convert("RGB").save(file, "PNG")
    return _NOISE.setdefault("data", file.getvalue())


_NOISE: dict[str, bytes] = {}
