"""`manage.py notebooks run`: run the project's notebooks against a live server and note the result."""

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from research.services import Execution, notebook_run_record


class Command(BaseCommand):
    help = "Run notebooks from top to bottom; with --write also keep their outputs in the files."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["run"])
        parser.add_argument("files", nargs="*", type=Path, help="By default all in notebooks/.")
        parser.add_argument("--site", default=settings.WAGTAILADMIN_BASE_URL)
        parser.add_argument("--write", action="store_true", help="Write the outputs to the files.")

    def handle(self, *args: Any, **options: Any) -> None:
        files = options["files"] or sorted((settings.BASE_DIR / "notebooks").glob("*.ipynb"))
        failed = 0
        for file in files:
            execution = run(file, options["site"], write=options["write"])
            noted = notebook_run_record(execution)
            failed += bool(execution.error)
            self.stdout.write(
                f"{file.name}: {'failed' if execution.error else 'passed'} in {execution.seconds:.1f} s"
                f"{'' if noted else ' (no page lists it)'}"
            )
            if execution.error:
                self.stderr.write(execution.error[-1500:])
        if failed:
            raise CommandError(f"{failed} of {len(files)} notebooks failed.")


def run(file: Path, site: str, *, write: bool = False) -> Execution:
    """Execute one notebook in a fresh kernel and an empty folder."""
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
    except ImportError as error:
        raise CommandError("Running notebooks needs nbclient and ipykernel.") from error
    source = file.read_bytes()
    book = nbformat.reads(source.decode(), as_version=4)
    started, problem = time.monotonic(), ""
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(book, timeout=300, resources={"metadata": {"path": folder}})
        os.environ["MOONDREAM_SITE"] = site
        try:
            client.execute()
        except CellExecutionError as error:
            problem = str(error)
    if write and not problem:
        for cell in book.cells:
            cell.metadata.pop("execution", None)  # times differ from run to run
        file.write_text(nbformat.writes(book) + "\n")
    path = file.resolve()
    base = settings.BASE_DIR
    name = str(path.relative_to(base)) if path.is_relative_to(base) else file.name
    return Execution(name, source, time.monotonic() - started, problem, _commit())


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"],  # noqa: S607
        cwd=settings.BASE_DIR, capture_output=True, text=True, check=False
    )  # fmt: skip
    return done.stdout.strip() if done.returncode == 0 else ""
