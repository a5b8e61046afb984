"""Starts PostgreSQL and Valkey before Django reads its settings; loaded by pytest's `-p`.

Workers of pytest-xdist use the servers that the main process started, each with a database, a Redis
prefix and a data folder of its own.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

# Before anything of the site is imported: its Celery application names the development settings as
# the default, and pytest-django lets a variable that is set win over pyproject.toml.
os.environ["DJANGO_SETTINGS_MODULE"] = "moondream_site.settings.test"

# Test processes share few cores: threads of one that wait for another's would only spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from moondream_site.services.embedded import EmbeddedServices
from tests.templates import MIGRATED, cluster_copy

_state: dict[str, object] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker:
        os.environ["VAR_DIR"] = f"{os.environ['VAR_DIR']}-{worker}"
        os.environ["REDIS_PREFIX"] = f"{worker}:"
        return
    # PostgreSQL runs as a user of its own when started by root: the folder must be passable.
    folder = Path(tempfile.mkdtemp(prefix="hub-test-"))
    folder.chmod(0o755)
    os.environ["VAR_DIR"] = str(folder / "var")
    os.environ["TEST_SHARED_DIR"] = str(folder)
    if not os.environ.get("DATABASE_URL"):
        cluster_copy(folder / "services" / "postgres")
        os.environ["TEST_DATABASE_TEMPLATE"] = MIGRATED
    services = EmbeddedServices(folder / "services")
    services.__enter__()
    os.environ.update(services.environment)
    _state.update(folder=folder, services=services)


def pytest_unconfigure(config: pytest.Config) -> None:
    services = _state.pop("services", None)
    if isinstance(services, EmbeddedServices):
        services.stop()
        shutil.rmtree(str(_state["folder"]), ignore_errors=True)
