"""The embedded services, after a power cut too."""

import threading
from pathlib import Path

import redis

from moondream_site.services.embedded import Valkey


def test_a_server_that_a_killed_run_left_behind_is_stopped(tmp_path: Path) -> None:
    left = Valkey(tmp_path)
    redis.Redis.from_url(left.start()).set("kept", "yes")
    assert left.process is not None
    # Whoever started it is gone, and somebody else reaps it.
    reaped = threading.Thread(target=left.process.wait, daemon=True)
    reaped.start()
    again = Valkey(tmp_path)
    url = again.start()
    try:
        reaped.join(10)
        assert not reaped.is_alive(), "the first server still runs"
        assert redis.Redis.from_url(url).get("kept") == b"yes"
    finally:
        again.stop()
        left.process.kill()


def test_another_process_with_the_same_number_is_left_alone(tmp_path: Path) -> None:
    other = Valkey(tmp_path / "other")
    other.start()
    assert other.process is not None
    try:
        own = Valkey(tmp_path / "own")
        own.folder.mkdir()
        own.pid_file.write_text(f"{other.process.pid} 1")
        own.start()
        own.stop()
        assert other.process.poll() is None
    finally:
        other.stop()
