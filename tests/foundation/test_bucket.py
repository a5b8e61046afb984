"""A web process and a worker that share a bucket and no disk."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.site import ROOT, Site, end_group
from inference.world.samples import sample_bytes
from tests.bucket import KEYS, client_of, s3_server
from tests.images import data_url
from tests.live import LiveStack

pytestmark = pytest.mark.live
_PATIENCE_S = 120


@pytest.fixture
def address() -> Iterator[str]:
    with s3_server() as found:
        client_of(found).create_bucket(Bucket="hub")
        yield found


def _files(folder: Path) -> set[str]:
    """What lies in a data folder, but for logs and what is made anew where it is needed."""
    found = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file() and p.suffix != ".log")
    return {str(p) for p in found if not str(p).startswith("images/encoded/")}


def _ask(url: str, body: Any) -> Any:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:
        return json.load(answer)


def test_a_question_is_answered_without_a_shared_disk(
    live_stack: LiveStack, address: str, tmp_path: Path
) -> None:
    env = {
        **{name: os.environ[name] for name in ("REDIS_URL", "CACHE_URL") if name in os.environ},
        "DATABASE_URL": live_stack.env["DATABASE_URL"], "REDIS_PREFIX": f"bucket:{os.getpid()}:",
        "STORAGE_BUCKET": "hub", "STORAGE_ENDPOINT_URL": address, "STORAGE_REGION": KEYS["region_name"],
        "STORAGE_ACCESS_KEY": KEYS["access_key"], "STORAGE_SECRET_KEY": KEYS["secret_key"],
        "INFERENCE_JOB_TIME_LIMIT_S": "60", "INFERENCE_MAX_QUEUE_AGE_S": "1000000",
    }  # fmt: skip
    site = Site(tmp_path / "web", env)
    own = {**site.env, "VAR_DIR": str(tmp_path / "worker"), "C_FORCE_ROOT": "1"}
    (tmp_path / "worker").mkdir()
    with site, (tmp_path / "worker" / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "moondream_site", "worker", "-Q", "cpu,default", "-c", "1"],
            cwd=ROOT, env=own, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            image = data_url(sample_bytes("night"), "image/webp")
            answer = _ask(f"{site.url}/v1/caption", {"image_url": image})
            assert answer["caption"]
            assert not _files(tmp_path / "worker")
            assert not _files(tmp_path / "web")
            found = client_of(address).list_objects_v2(Bucket="hub")["Contents"]
            assert any(item["Key"].startswith("images/") for item in found)
        finally:
            end_group(worker)
