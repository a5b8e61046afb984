"""Whether a database already is what `migrate` and `load_starter` would make of it.

Imports no Django: the supervisor asks before it starts anything that does. What is remembered lies in
the database it is about, so a restored, emptied or other one is never mistaken for prepared.
"""

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
_PLACES = (
    "requirements", "notebooks", "moondream_site", "status", "research", "playground", "leaderboard",
    "pricing", "inference", "docs",
)  # fmt: skip
_LARGE = 2**20
"""Files from so many bytes on are weights: `SHA256SUMS` beside them says what they are."""
_READ = re.compile(r'env(?:\.\w+)?\(\s*"([A-Z_]+)"')
_ADDRESSES = frozenset({"DATABASE_URL", "REDIS_URL", "CACHE_URL"})
"""Variables that say where the servers are: that differs at each start, and decides nothing here."""
APPLIED = (
    "SELECT md5(string_agg(app || '.' || name, ',' ORDER BY app, name)) FROM django_migrations"
)
"""Which migrations a database has."""


def digest(environment: Mapping[str, str]) -> str:
    """SHA-256 of all that decides what is made: this project's code and content, the pinned packages,
    Python, the model's manifest, and the variables that the settings read."""
    made = hashlib.sha256(sys.version.encode())
    for file in (
        *_files(),
        *sorted(_model(environment).glob("*.*")),
        _model(environment) / "SHA256SUMS",
    ):
        data = b"" if not file.is_file() or file.stat().st_size >= _LARGE else file.read_bytes()
        made.update(f"\n{file} {len(data)}\n".encode() + data)
    for name in sorted({"DJANGO_SETTINGS_MODULE", *_variables()} - _ADDRESSES):
        made.update(f"\n{name}={environment.get(name)}".encode())
    return made.hexdigest()


def _model(environment: Mapping[str, str]) -> Path:
    return ROOT / environment.get("INFERENCE_MODEL_DIR", "inference/weights/embedded")


def _files() -> Iterator[Path]:
    for place in _PLACES:
        for file in sorted((ROOT / place).rglob("*")):
            if file.suffix != ".pyc" and file.is_file():
                yield file


def _variables() -> set[str]:
    """Names that the settings read from the environment."""
    settings = (ROOT / "moondream_site" / "settings").glob("*.py")
    return {name for file in settings for name in _READ.findall(file.read_text())}


def is_prepared(database_url: str, wanted: str) -> bool:
    """Whether the database was prepared by exactly what `wanted` is the digest of, and nobody
    migrated it since. No, where it cannot be told."""
    import psycopg

    asked = f"SELECT 1 FROM research_starterload WHERE digest = %s AND migrations = ({APPLIED})"  # noqa: S608
    try:
        with psycopg.connect(database_url, connect_timeout=5) as connection:
            return connection.execute(asked, [wanted]).fetchone() is not None  # type: ignore[arg-type]
    except psycopg.Error:
        return False
