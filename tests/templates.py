"""A PostgreSQL cluster with a migrated database, made once and copied for each test run.

Migrating takes half a minute of a core; copying the stopped cluster takes less than a second. The
cluster is kept under `var/test-cluster/<digest>`, where the digest is of everything that decides
what a migrated database looks like: all migrations of this project and all pinned packages.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

ROOT = Path(__file__).parents[1]
MIGRATED = "template_migrated"
"""Name of the migrated database in the cluster; nobody may stay connected to it."""
_CACHE = ROOT / "var" / "test-cluster"


def with_database(url: str, name: str) -> str:
    """The same server's URL with another database."""
    parts = conninfo_to_dict(url)
    parts["dbname"] = name
    return make_conninfo(**parts)  # type: ignore[arg-type]


@contextlib.contextmanager
def _cluster() -> Iterator[Path]:
    _CACHE.mkdir(parents=True, exist_ok=True)
    made = _CACHE / _digest()
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _make(made)
        yield made


def cluster_ready() -> None:
    """Make the stopped cluster with the migrated database if there is none."""
    with _cluster():
        pass


def cluster_copy(target: Path) -> None:
    """Copy the stopped cluster with the migrated database to `target`."""
    with _cluster() as made:
        target.parent.mkdir(parents=True, exist_ok=True)
        # cp keeps the owner: PostgreSQL runs as a user of its own when root starts it.
        subprocess.run(["cp", "-Rp", str(made), str(target)], check=True)


def _digest() -> str:
    patterns = ("*/migrations/*.py", "inference/*/migrations/*.py", "requirements/*.txt")
    files = [file for pattern in patterns for file in sorted(ROOT.glob(pattern))]
    digest = hashlib.sha256(sys.version.encode())
    for file in files:
        digest.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:20]


_IN_A_HURRY = """
# A test database need not outlive a power cut.
fsync = off
full_page_writes = off
synchronous_commit = off
autovacuum = off
"""


def _make(made: Path) -> None:
    from moondream_site.services.embedded import EmbeddedServices

    folder = Path(tempfile.mkdtemp(prefix="hub-template-"))
    folder.chmod(0o755)
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    try:
        with EmbeddedServices(folder) as services:
            url = with_database(services.database_url, MIGRATED)
            _sql(services.database_url, f"CREATE DATABASE {MIGRATED}")
            environment = os.environ | services.environment
            environment |= {"DATABASE_URL": url, "VAR_DIR": str(folder / "var")}
            environment["DJANGO_SETTINGS_MODULE"] = "moondream_site.settings.test"
            subprocess.run(
                [sys.executable, "manage.py", "migrate", "-v0"],
                cwd=ROOT, env=environment, check=True,
            )  # fmt: skip
        for old in _CACHE.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
        subprocess.run(["cp", "-Rp", str(folder / "postgres"), f"{made}.part"], check=True)
        with Path(f"{made}.part", "postgresql.conf").open("a") as configuration:
            configuration.write(_IN_A_HURRY)
        Path(f"{made}.part").rename(made)
    finally:
        if runtime is None:  # PostgreSQL's wheel was given one in the folder that goes now
            os.environ.pop("XDG_RUNTIME_DIR", None)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Made:
    """A database that nobody may stay connected to, and a folder: both to be copied."""

    database: str
    files: Path


@contextlib.contextmanager
def made_once(name: str, make: Callable[[Made], None]) -> Iterator[Made]:
    """What the first process of a test run makes and all others find, while no other copies it."""
    shared = Path(os.environ["TEST_SHARED_DIR"])
    made = Made(f"{name}_{shared.name}", shared / name)
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.files.exists():
            unfinished = shared / f"{name}.part"
            unfinished.mkdir(parents=True, exist_ok=True)
            make(Made(made.database, unfinished))
            unfinished.rename(made.files)
        yield made


def database_copy(url: str, name: str, template: str | None) -> None:
    """Make database `name` anew as a copy of `template`, to which nobody may be connected.

    Without a template it is empty.
    """
    _sql(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    _sql(url, f'CREATE DATABASE "{name}" TEMPLATE "{template or "template1"}"')


def _sql(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
