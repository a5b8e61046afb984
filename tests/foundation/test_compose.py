"""The production profile, as far as a machine without Docker can run it."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from moondream_site.services import free_port

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
GIVEN = {
    "SECRET_KEY": "s" * 60, "REFERENCES_KEY": "r" * 60, "POSTGRES_PASSWORD": "p", "VALKEY_PASSWORD": "v",
    "SITE_URL": "https://hub.example.org", "ALLOWED_HOSTS": "hub.example.org",
}  # fmt: skip
ONCE = ("migrate", "restore")
"""Services that end by themselves."""
_VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::([-?])([^}]*))?\}")


def compose(given: dict[str, str]) -> dict[str, Any]:
    """The file as Compose reads it with these variables."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if not given.get(name) and kind == "?":
            raise KeyError(name)
        return given.get(name) or (rest if kind == "-" else "") or ""

    return dict(yaml.safe_load(_VARIABLE.sub(value, COMPOSE.read_text())))


def environment(service: dict[str, Any]) -> dict[str, str]:
    """A service's variables as its process gets them; one without a value is not set."""
    given = {name: value for name, value in service["environment"].items() if value is not None}
    return {name: json.dumps(value).strip('"') for name, value in given.items()}


def test_compose_is_what_its_schema_allows(tmp_path: Path) -> None:
    filled = tmp_path / "compose.yml"
    filled.write_text(yaml.safe_dump(compose(GIVEN)))
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    done = subprocess.run(
        [*checker, "vendor.compose-spec", str(filled)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", [n for n in GIVEN if n.endswith(("KEY", "PASSWORD"))])
def test_no_secret_has_a_default(name: str) -> None:
    with pytest.raises(KeyError, match=name):
        compose({**GIVEN, name: ""})


def test_every_service_is_bounded_and_comes_back() -> None:
    services = compose(GIVEN)["services"]
    for name, service in services.items():
        if name in ONCE:
            continue
        assert service["mem_limit"], name
        assert service["restart"] == "unless-stopped", name
        is_image = service.get("build") == "."  # whose own check asks the web server
        assert "test" in service.get("healthcheck", {}) or (is_image and name == "web"), name
    for name in ("redis", "cache"):
        command = services[name]["command"]
        assert command[command.index("--requirepass") + 1] == "v"
        assert services[name]["environment"]["REDISCLI_AUTH"] == "v"
    # Only the proxy on this machine reaches the process that believes its headers.
    assert services["web"]["ports"] == ["127.0.0.1:8000:8000"]
    assert environment(services["web"])["TRUSTED_PROXIES"] == "1"
    # Whatever the settings read is known to every process that reads them.
    assert services["worker-cpu"]["environment"].items() >= services["web"]["environment"].items()


def test_every_setting_can_be_made_in_env() -> None:
    """What .env.example lists reaches web, worker, beat and migrate, but for what the images decide."""
    listed = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    fixed = {
        "DEBUG", "VAR_DIR", "STATIC_ROOT", "PRIVATE_DIR", "IMAGE_STORE_DIR", "MODELS_DIR", "INFERENCE_MODEL_DIR",
        "REDIS_PREFIX",
    }  # fmt: skip
    for name in ("web", "worker-cpu", "worker-gpu", "beat", "migrate"):
        assert listed - fixed == set(compose(GIVEN)["services"][name]["environment"]) & listed, name


def test_static_files_are_no_data_and_secrets_no_part_of_the_image() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", ".env", "var"} <= set(ignored)
    built = dict(re.findall(r"(\w+)=(\S+)", DOCKERFILE))
    volumes = [v.split(":")[1] for v in compose(GIVEN)["services"]["web"]["volumes"]]
    assert not any(built["STATIC_ROOT"].startswith(f"{volume}/") for volume in volumes)
    assert built["VAR_DIR"] in volumes


@pytest.mark.live
def test_the_web_service_runs_and_its_own_healthcheck_finds_it_well(tmp_path: Path) -> None:
    """Its command and its probe natively, under its own variables but for where the servers are."""
    port = str(free_port())
    found = re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    probe = re.search(r"^HEALTHCHECK .*? CMD (.*?) \|\|", DOCKERFILE, re.MULTILINE)
    assert found is not None
    assert probe is not None
    servers = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL", "CACHE_URL")}
    own = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
        # Production's, but that no static files have to be collected first.
        "DJANGO_SETTINGS_MODULE": "bench.settings",
        **environment(compose(GIVEN)["services"]["web"]), **servers, "VAR_DIR": str(tmp_path),
    }  # fmt: skip
    command = [port if word == "8000" else word for word in json.loads(found.group(1))]
    web = subprocess.Popen(command, cwd=ROOT, env=own, stderr=subprocess.PIPE)
    try:
        asked = shlex.split(probe.group(1).replace(":8000/", f":{port}/"))
        deadline = time.monotonic() + 60
        while subprocess.run(asked, env=own, capture_output=True, check=False).returncode:
            assert web.poll() is None, web.communicate()[1].decode()[-800:]
            assert time.monotonic() < deadline
            time.sleep(0.3)  # polling a process that is starting
        ready = [word.replace("/healthz", "/readyz") for word in asked]
        done = subprocess.run(ready, env=own, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        page = [word.replace("/healthz", "/") for word in asked]
        refused = subprocess.run(page, env=own, capture_output=True, text=True, check=False)
        assert "HTTP Error 400" in refused.stderr, "no page is served under another host's name"
    finally:
        web.terminate()
        web.communicate(timeout=20)
