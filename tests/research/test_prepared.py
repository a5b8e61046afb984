"""When migrating and loading starter content may be left out, and when not."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from research import prepared
from research.management.commands import load_starter
from research.models import StarterLoad
from research.prepared import digest, is_prepared
from research.starter.loading import Loaded

WEIGHTS = "inference/weights/embedded"
CODE = "research/starter/site.py"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project of the same shape."""
    for name in (
        "requirements/web.txt", "notebooks/one.ipynb", CODE, "research/migrations/0001_initial.py",
        "leaderboard/reported.json", "moondream_site/settings/base.py", f"{WEIGHTS}/SHA256SUMS",
        "templates/base.html", "tests/test_a.py",
    ):  # fmt: skip
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    settings = tmp_path / "moondream_site/settings/base.py"
    settings.write_text(
        'A = env.int("AN_INT", default=1)\nB = env("A_TEXT")\nC = env.str("DATABASE_URL")\n'
    )
    monkeypatch.setattr(prepared, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "requirements/web.txt", "notebooks/one.ipynb", CODE, "research/migrations/0001_initial.py",
        "leaderboard/reported.json", "moondream_site/settings/base.py", f"{WEIGHTS}/SHA256SUMS",
    ],
)  # fmt: skip
def test_whatever_decides_what_is_made_changes_the_digest(tree: Path, name: str) -> None:
    before = digest({})
    file = tree / name
    file.write_text(file.read_text() + "y")
    changed = digest({})
    assert changed != before
    file.rename(file.with_name("other" + file.suffix))
    assert digest({}) not in (before, changed)


def test_a_file_that_comes_or_goes_changes_the_digest(tree: Path) -> None:
    before = digest({})
    new = tree / "research/migrations/0002_more.py"
    new.write_text("")
    assert digest({}) != before
    new.unlink()
    assert digest({}) == before
    # Where one file ends and the next begins counts too.
    (tree / "status").mkdir()
    (tree / "status/a.py").write_text("ab")
    (tree / "status/b.py").write_text("c")
    one = digest({})
    (tree / "status/a.py").write_text("a")
    (tree / "status/b.py").write_text("bc")
    assert digest({}) != one


def test_what_decides_nothing_leaves_the_digest(tree: Path) -> None:
    before = digest({"HOME": "/a", "DATABASE_URL": "postgresql:///one", "REDIS_URL": "redis://one"})
    (tree / "templates/base.html").write_text("other")
    (tree / "tests/test_a.py").write_text("other")
    cache = tree / "research/__pycache__"
    cache.mkdir()
    (cache / "site.pyc").write_bytes(b"compiled")
    (tree / CODE).touch()
    assert digest({"HOME": "/b", "DATABASE_URL": "postgresql:///two", "CACHE_URL": "x"}) == before


@pytest.mark.parametrize("name", ["AN_INT", "A_TEXT", "DJANGO_SETTINGS_MODULE"])
def test_the_settings_variables_count(tree: Path, name: str) -> None:
    assert len({digest({}), digest({name: ""}), digest({name: "1"})}) == 3


def test_other_weights_count(tree: Path) -> None:
    shutil.copytree(tree / WEIGHTS, tree / "elsewhere")
    same = {digest({"INFERENCE_MODEL_DIR": str(tree / "elsewhere")})}
    (tree / "elsewhere/SHA256SUMS").write_text("of other weights")
    same.add(digest({"INFERENCE_MODEL_DIR": str(tree / "elsewhere")}))
    assert len(same) == 2


def test_the_digest_of_this_project_is_quick() -> None:
    digest({})  # the files are in the system's cache
    started = time.process_time()
    assert digest({}) == digest({})
    assert time.process_time() - started < 0.5


# In the database


def _url() -> str:
    given = connection.settings_dict
    return (
        f"postgresql://{given['USER']}:{given['PASSWORD']}@/{given['NAME']}?host={given['HOST']}"
        + (f"&port={given['PORT']}" if given["PORT"] else "")
    )


def _note(wanted: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(prepared.APPLIED)
        StarterLoad.objects.create(digest=wanted, migrations=cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_prepared_is_this_digest_in_this_database_with_these_migrations() -> None:
    assert not is_prepared(_url(), "d")
    _note("d")
    assert is_prepared(_url(), "d")
    assert not is_prepared(_url(), "other")
    assert not is_prepared(_url().replace(connection.settings_dict["NAME"], "postgres"), "d")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('a', 'b', now())"
        )
        assert not is_prepared(_url(), "d")
        cursor.execute("DELETE FROM django_migrations WHERE app = 'a'")
    assert is_prepared(_url(), "d")
    with connection.cursor() as cursor:  # the ledger is append-only: who empties it says so
        cursor.execute("SET session_replication_role = replica")
        call_command("flush", interactive=False, verbosity=0)
        cursor.execute("SET session_replication_role = origin")
    assert not is_prepared(_url(), "d")


def test_a_database_that_is_away_is_not_prepared() -> None:
    assert not is_prepared("postgresql://nobody@127.0.0.1:1/none", "d")
    assert not is_prepared("no address at all", "d")


def test_loading_notes_what_it_loaded(starter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    StarterLoad.objects.all().delete()
    call_command("load_starter", verbosity=0)
    assert StarterLoad.objects.get().digest == digest(dict(load_starter.os.environ))
    call_command("load_starter", verbosity=0)
    assert StarterLoad.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("where", ["starter_load", "variants_sync", "_migrations_missing"])
def test_a_load_that_breaks_off_leaves_no_note(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _note("of an earlier load")
    monkeypatch.setattr(load_starter, "starter_load", lambda **_: Loaded())
    monkeypatch.setattr(load_starter, "variants_sync", list)

    def killed(**_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(load_starter, where, killed)
    with pytest.raises(KeyboardInterrupt):
        call_command("load_starter", verbosity=0)
    assert not StarterLoad.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("why", ["few scenes", "migrations are missing"])
def test_a_load_that_is_not_the_whole_leaves_no_note(why: str, monkeypatch) -> None:
    monkeypatch.setattr(load_starter, "starter_load", lambda **_: Loaded())
    monkeypatch.setattr(load_starter, "variants_sync", list)
    if why == "few scenes":
        call_command("load_starter", "--dev-scenes", "7", verbosity=0)
    else:
        monkeypatch.setattr(load_starter, "_migrations_missing", lambda: True)
        call_command("load_starter", verbosity=0)
    assert not StarterLoad.objects.exists()
