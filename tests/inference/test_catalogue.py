"""Registering checkpoints, fetching them, measuring them."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from inference import selectors, services
from inference.engine.measuring import Cost
from inference.engine.testing import make_tiny_checkpoint
from inference.models import Job, Variant, VariantMeasurement
from inference.world.samples import sample_bytes

pytestmark = pytest.mark.django_db


@pytest.fixture
def published(tmp_path: Path, settings) -> Path:
    """A random checkpoint as it would lie on the hub."""
    settings.MODELS_DIR = tmp_path / "models"
    settings.IMAGE_STORE_DIR = tmp_path / "images"
    return make_tiny_checkpoint(tmp_path / "download")


def _run(*args: str) -> str:
    out = StringIO()
    call_command("models", *args, stdout=out)
    return out.getvalue()


def test_a_checkpoint_is_registered_at_three_precisions_and_answers(published: Path) -> None:
    services.variants_sync()
    out = _run("add", str(published), "--name", "Moondream2", "--revision", "2025-06-21")
    assert "moondream2-2025-06-21-nf4" in out
    made = Variant.objects.filter(slug__startswith="moondream2")
    assert {v.quantization for v in made} == {"", "int8", "nf4"}
    assert {len(v.sha256) for v in made} == {64}
    assert not any(v.is_default for v in made)
    job = services.job_submit(
        skill="query", variant_slug="moondream2-2025-06-21-fp16", params={"question": "What?"},
        image=services.image_store(data=sample_bytes("night")), caller="t",
    )  # fmt: skip
    services.job_run(job_id=job.id, worker="w")
    job.refresh_from_db()
    assert job.status == Job.Status.SUCCEEDED, job.error_message
    assert "moondream2-2025-06-21-fp16" in _run("list")


def test_adding_again_updates(published: Path) -> None:
    for _ in range(2):
        _run("add", str(published), "--revision", "2025-06-21", "--licence", "Apache-2.0")
    assert Variant.objects.count() == 3
    assert set(Variant.objects.values_list("licence", flat=True)) == {"Apache-2.0"}


def test_a_broken_checkpoint_is_named_and_leaves_nothing(published: Path, settings) -> None:
    config = json.loads((published / "config.json").read_text())
    config["text"]["n_layers"] += 1
    (published / "config.json").write_text(json.dumps(config))
    with pytest.raises(CommandError, match="missing"):
        _run("add", str(published), "--revision", "1")
    assert not Variant.objects.exists()
    assert not list(settings.MODELS_DIR.glob("*"))


def test_a_hub_that_cannot_be_reached_names_the_other_ways(monkeypatch) -> None:
    def away(*_, **__) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", away)
    with pytest.raises(CommandError) as caught:
        _run("pull", "moondream2", "--revision", "2025-06-21")
    for way in ("models add PATH", "cloud variant", "embedded model"):
        assert way in str(caught.value)


def test_a_pulled_checkpoint_says_where_it_came_from(published: Path, monkeypatch) -> None:
    asked: dict[str, Any] = {}

    def fetch(repository: str, **options: object) -> str:
        asked.update(options, repository=repository)
        return str(published)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    _run("pull", "moondream2", "--revision", "2025-06-21")
    assert asked["repository"] == "vikhyatk/moondream2"
    assert not [p for p in asked["allow_patterns"] if p.endswith((".py", ".bin", ".pt"))]
    variant = Variant.objects.first()
    assert variant.source == "huggingface.co/vikhyatk/moondream2@2025-06-21"


def test_the_report_measures_and_keeps(published: Path, monkeypatch) -> None:
    _run("add", str(published), "--revision", "2025-06-21")
    out = _run("report", "moondream2-2025-06-21-fp16", "--scenes", "0")
    for figure in (
        "weights, MB", "peak memory, MB", "load, ms", "encode, ms", "first token, ms", "tokens/s",
        "VQA", "detect F1", "point error",
    ):  # fmt: skip
        assert figure in out
    assert "Measured on" in out
    (row,) = selectors.latest_measurements()
    assert row.weight_bytes > 100_000
    assert row.peak_bytes > 0
    assert row.first_token_ms > 0
    assert row.hardware
    # What is measured already is left alone, as the demo's own run in the background does.
    monkeypatch.setattr("os.nice", lambda step: step)
    _run("report", "moondream2-2025-06-21-fp16", "--scenes", "0", "--missing")
    assert VariantMeasurement.objects.count() == 1


def _cost(threads: int, *, wait_ms: float = 20.0) -> Cost:
    """Costs of a model whose first token takes so long; what they are is not the test's point."""
    return Cost(
        weight_bytes=10, peak_bytes=20, load_ms=1.0, encode_ms=wait_ms / 2,
        first_token_ms=wait_ms / 2, tokens_per_s=100.0, dtype="float32", device="cpu",
        hardware="a processor", threads=threads,
    )  # fmt: skip


def test_what_runs_elsewhere_is_not_measured_here(published: Path, settings, monkeypatch) -> None:
    measured = []

    def measure(folder: str, quantization: str, *, threads: int, adapter: None) -> Cost:
        measured.append(folder)
        return _cost(threads)

    monkeypatch.setattr("inference.engine.measuring.measure", measure)
    settings.MOONDREAM_API_KEY = "key"
    settings.INFERENCE_MODEL_DIR = published
    services.variants_sync()
    Variant.objects.exclude(slug__in=["moondream-cloud", "moondream-embedded-fp16"]).delete()
    _run("report", "--scenes", "0")
    (row,) = selectors.latest_measurements()
    assert row.variant.slug == "moondream-embedded-fp16"
    assert measured == [row.variant.folder]
    with pytest.raises(CommandError, match="has no weights here"):
        _run("report", "moondream-cloud")


@pytest.mark.parametrize(
    ("waits", "best"),
    [((100.0, 60.0, 58.0), 2), ((100.0, 99.0, 95.0), 1), ((100.0, 60.0, 40.0), 3)],
    ids=["a tenth more is not worth it", "one is enough", "each pays"],
)
def test_the_number_of_threads_is_measured(
    published: Path, monkeypatch, waits: tuple[float, ...], best: int
) -> None:
    def measure(folder: str, quantization: str, *, threads: int) -> Cost:
        return _cost(threads, wait_ms=waits[threads - 1])

    monkeypatch.setattr("inference.engine.measuring.measure", measure)
    _run("add", str(published), "--revision", "2025-06-21")
    out = _run("threads", "moondream2-2025-06-21-fp16", "--most", "3")
    for count, wait in enumerate(waits, start=1):
        assert f"{count} threads: {wait:7.1f} ms" in out
    assert out.strip().splitlines()[-1] == f"INFERENCE_THREADS={best}"
