"""`bin/manage`: any management command with the demo's services, while it runs or not.

A running demo notes the variables of its processes, for this user's eyes alone. Where none runs, its
services are started for the command and stopped after it.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from moondream_site.services import EmbeddedServices, ServiceError, command_of

ROOT = Path(__file__).parents[1]
_OWN = (
    "DATABASE_URL", "REDIS_URL", "CACHE_URL", "VAR_DIR", "SITE_URL", "DJANGO_SETTINGS_MODULE",
    "ALLOWED_HOSTS", "DEBUG",
)  # fmt: skip


def environment(services: EmbeddedServices, var: Path, **own: str) -> dict[str, str]:
    """Variables of the demo's processes: what this process was given wins over the defaults, what the
    services are over both."""
    return {
        "DJANGO_SETTINGS_MODULE": "moondream_site.settings.development",
        "DEBUG": "false",  # a visitor gets the site's own error pages
        **own, **os.environ, **services.environment, "VAR_DIR": str(var),
    }  # fmt: skip


def note(var: Path, variables: Mapping[str, str]) -> None:
    """Write down what a demo's commands need to know, and that this process runs it."""
    file = _file(var)
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    known = {name: variables[name] for name in _OWN if name in variables}
    file.write_text(json.dumps({"pid": os.getpid(), "environment": known}))


def gone(var: Path) -> None:
    """It runs no more."""
    _file(var).unlink(missing_ok=True)


def environment_of(var: Path) -> dict[str, str] | None:
    """The variables of the demo that runs on a folder; None where none does."""
    try:
        noted = json.loads(_file(var).read_text())
        is_running = "moondream_site.demo" in command_of(int(noted["pid"]))
        return dict(noted["environment"]) if is_running else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file(var: Path) -> Path:
    return var / "run" / "demo.json"


def main() -> int:
    """Run the command that the arguments name; its exit status."""
    var = Path(os.environ.get("VAR_DIR", ROOT / "var")).resolve()
    found = environment_of(var)
    if found is not None:
        return _run(os.environ | found)
    if not (var / "postgres").exists() and "DATABASE_URL" not in os.environ:
        print(f"✗ There is nothing in {var} yet: start bin/demo once.", file=sys.stderr)
        return 1
    with contextlib.ExitStack() as stack:
        try:
            services = stack.enter_context(EmbeddedServices(var))
        except ServiceError as error:
            print(f"✗ {error}", file=sys.stderr)
            return 1
        return _run(environment(services, var))


def _run(variables: Mapping[str, str]) -> int:
    command = [sys.executable, "manage.py", *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
