"""What holds for the whole project."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

ROOT = Path(__file__).parents[2]


def _tracked() -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    return [ROOT / name for name in names.splitlines()]


def test_the_example_environment_lists_every_variable_that_is_read() -> None:
    settings = "".join(p.read_text() for p in (ROOT / "moondream_site" / "settings").glob("*.py"))
    read = set(re.findall(r'env(?:\.\w+)?\(\s*"([A-Z_]+)"', settings))
    example = (ROOT / ".env.example").read_text()
    assert read == set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_the_web_process_starts_without_what_computes() -> None:
    heavy = ("torch", "transformers", "bitsandbytes", "numpy", "scipy", "tifffile", "matplotlib")
    code = (
        f"import sys, moondream_site.asgi; print([m for m in {heavy} if m in sys.modules])\n"
        "import gc; print(gc.isenabled())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["[]", "True"]


def test_vendored_assets_keep_their_licences() -> None:
    folder = ROOT / "static" / "vendor"
    for package in folder.iterdir():
        if package.is_dir():
            assert [f for f in package.rglob("*") if "LICENSE" in f.name.upper()], package


def test_static_files_can_be_collected(settings, tmp_path: Path) -> None:
    """Every file that a stylesheet or script names is there; production hashes them all."""
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}
    }
    call_command("collectstatic", interactive=False, verbosity=0)
    assert (tmp_path / "staticfiles.json").exists()


def test_no_page_loads_anything_from_elsewhere() -> None:
    pattern = re.compile(
        r"""(?:src|href)=["']https?://[^"']+\.(?:js|css|woff2?)["']|@import\s+url\(["']?http"""
    )
    for folder in ("templates", "static/css", "static/js"):
        for file in (ROOT / folder).rglob("*"):
            if file.is_file():
                assert not pattern.search(file.read_text()), file


def test_setup_is_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "bin/demo" in readme
    assert "bin/test" in readme
    for script in ("bin/demo", "bin/test", ".ci/run"):
        subprocess.run(["sh", "-n", str(ROOT / script)], check=True)
        assert (ROOT / script).stat().st_mode & 0o111
