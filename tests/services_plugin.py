"""Starts PostgreSQL and Valkey before Django reads its settings; loaded by pytest's `-p`."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from moondream_site.services.embedded import EmbeddedServices

_state: dict[str, object] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    # PostgreSQL runs as a user of its own when started by root: the folder must be passable.
    folder = Path(tempfile.mkdtemp(prefix="hub-test-"))
    folder.chmod(0o755)
    os.environ["VAR_DIR"] = str(folder / "var")
    services = EmbeddedServices(folder / "services")
    services.__enter__()
    os.environ.update(services.environment)
    _state.update(folder=folder, services=services)


def pytest_unconfigure(config: pytest.Config) -> None:
    services = _state.pop("services", None)
    if isinstance(services, EmbeddedServices):
        services.stop()
        shutil.rmtree(str(_state["folder"]), ignore_errors=True)
