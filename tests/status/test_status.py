"""The status page tells what the checks found, and nothing else."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from inference import services as inference
from status import checks, selectors, services
from status.models import CheckResult

pytestmark = pytest.mark.django_db
State = CheckResult.State


@pytest.fixture(autouse=True)
def _no_web(monkeypatch, settings, tmp_path) -> None:
    """There is no web server in this process to be asked."""
    settings.IMAGE_STORE_DIR = tmp_path / "images"
    monkeypatch.setattr(checks, "_fetch", lambda _: 200)


def _states() -> dict[str, str]:
    return {r.component: r.state for r in services.checks_run()}


def test_before_the_first_check(client: Client) -> None:
    assert "Not checked yet." in client.get("/status/").content.decode()
    assert client.get("/status/summary.json").json()["status"]["indicator"] == "unknown"


def test_all_is_well(client: Client) -> None:
    inference.variants_sync()
    inference.worker_beat("w@here", ["cpu", "default"])
    inference.worker_beat("train@here", ["train"])
    assert set(_states().values()) == {State.UP}
    body = client.get("/status/summary.json").json()
    assert body["status"] == {"indicator": "up", "description": "All systems operational."}
    assert len(body["components"]) == 10


def test_who_trains_answers_no_questions() -> None:
    inference.worker_beat("train@here", ["train"])
    assert _states()["queue-cpu"] == State.DOWN
    assert _states()["queue-train"] == State.UP


def test_no_worker() -> None:
    inference.variants_sync()
    inference.worker_beat("train@here", ["train"])
    assert _states()["queue-cpu"] == State.DOWN
    assert selectors.summary().sentence == "Not working: Workers, CPU queue."


def test_a_worker_that_shut_down_is_gone() -> None:
    inference.worker_beat("w@here")
    inference.worker_gone("w@here")
    assert _states()["queue-cpu"] == State.DOWN


def test_a_full_queue_is_degraded(settings) -> None:
    inference.worker_beat("w@here")
    settings.INFERENCE_MAX_QUEUE_DEPTH = 0
    assert _states()["queue-cpu"] == State.DEGRADED


def test_what_breaks_is_found_without_telling_secrets(monkeypatch, settings) -> None:
    from inference import stream

    class Away:
        def ping(self) -> None:
            raise ConnectionError("redis://user:secret@10.0.0.1")

    monkeypatch.setattr(stream, "client", Away)
    monkeypatch.setattr(checks, "_fetch", lambda _: 503)
    found = {r.component: r for r in services.checks_run()}
    assert found["broker"].state == found["web"].state == State.DOWN
    assert "secret" not in found["broker"].note
    assert found["database"].state == State.UP


def test_missing_weights(settings, tmp_path) -> None:
    variant = inference.variants_sync()[0]
    variant.folder = str(tmp_path)
    variant.save()
    assert _states()[f"variant-{variant.slug}"] == State.DOWN


def test_an_old_check_is_not_believed(client: Client) -> None:
    services.checks_run()
    CheckResult.objects.update(checked_at=timezone.now() - timedelta(minutes=6))
    assert "too old to rely on" in client.get("/status/").content.decode()


def test_results_are_kept_for_ninety_days() -> None:
    services.checks_run()
    CheckResult.objects.update(checked_at=timezone.now() - timedelta(days=91))
    services.checks_run()
    assert (
        CheckResult.objects.filter(checked_at__lt=timezone.now() - timedelta(days=90)).count() == 0
    )


def test_the_page_is_cheap_and_refreshes_its_part(
    client: Client, starter, django_assert_max_num_queries
) -> None:
    services.checks_run()
    client.get("/status/")
    with django_assert_max_num_queries(9):
        whole = client.get("/status/").content.decode()
    part = client.get("/status/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" in whole
    assert "<html" not in part
    assert "Job broker" in part
