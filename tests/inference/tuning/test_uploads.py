"""Data sets that people send: judged at once, private to who sent them, and gone with what needs them."""

import io
import json
import zipfile
from datetime import timedelta

import pytest
from django.utils import timezone
from PIL import Image

from inference.errors import DomainError
from inference.tuning import selectors, services
from inference.tuning.models import TuningRun, TuningUpload
from tests.bombs import jpeg_header
from tests.images import data_url
from tests.inference.tuning.conftest import COUNT_RIGHT, QUICK, stored, work

pytestmark = pytest.mark.django_db(transaction=True)


def png(colour="red", size=(32, 24)):
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def zipped(rows, **images):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("rows.jsonl", "\n".join(map(json.dumps, rows)))
        for name, data in images.items():
            archive.writestr(f"{name}.png", data)
    out.seek(0)
    return out


COUNTED = [{"image": f"{c}.png", "question": "How many?", "count": 1} for c in ("red", "blue")]


@pytest.fixture
def upload(who):
    def made(file=None, by=None, **more):
        file = file or zipped(COUNTED, red=png(), blue=png("blue"))
        return services.upload_make(file=file, name="counts.zip", who=by or who)

    return made


def train_on(made, who, **plan):
    data = {"source": "upload", "upload": str(made.pk)}
    return services.run_make(who=who, data=data, plan=QUICK | plan, reward=COUNT_RIGHT)


def test_a_run_on_data_of_ones_own(upload, who, variants, private):
    made = upload()
    assert (made.rows, made.images, made.skills) == (2, 2, {"query": 2})
    assert made.has_targets
    assert made.has_references
    run = work(train_on(made, who, steps=1))
    assert run.status == "succeeded", run.error_message
    assert run.measured == {}  # too few to hold some out
    group, _ = selectors.rollouts_at(run.finetune, 1)
    assert group["reference"] == {"count": 1}
    services.run_delete(run=run)
    assert stored(private) == []
    assert not TuningUpload.objects.exists()


def test_what_two_runs_have_stays_with_the_other(upload, who, variants):
    made = upload()
    first, second = train_on(made, who), train_on(made, who)
    with pytest.raises(DomainError) as refused:
        services.upload_delete(upload_id=str(made.pk), who=who)
    assert refused.value.code == "tuning_run_state"
    services.run_delete(run=first)
    assert TuningUpload.objects.get() == made
    services.run_delete(run=second)
    assert not TuningUpload.objects.exists()


def test_nobody_else_has_it(upload, stranger, who, variants):
    made = upload()
    with pytest.raises(DomainError) as refused:
        train_on(made, stranger)
    assert refused.value.code == "tuning_upload_not_found"
    with pytest.raises(DomainError) as refused:
        services.upload_delete(upload_id=str(made.pk), who=stranger)
    assert refused.value.code == "tuning_upload_not_found"
    for odd in ("x", "../x", "0" * 40, str(made.pk) + "\x00"):
        with pytest.raises(DomainError) as refused:
            services.upload_delete(upload_id=odd, who=who)
        assert refused.value.code == "tuning_upload_not_found"


def test_all_faults_are_named_with_file_and_line(upload, private):
    rows = [*COUNTED, {"image": "gone.png", "question": "a"}, {"image": "red.png"},
            {"image": "bomb.png", "question": "a"}, {"image": "text.png", "question": "a"}]  # fmt: skip
    file = zipped(
        rows, red=png(), blue=png("blue"), bomb=jpeg_header(60_000, 60_000), text=b"no image"
    )
    with pytest.raises(DomainError) as refused:
        upload(file)
    error = refused.value
    assert (error.code, error.status, error.extra["faulty"]) == ("bad_tuning_data", 422, 4)
    lines = error.extra["lines"]
    assert [(f["file"], f["line"]) for f in lines] == [("rows.jsonl", n) for n in (3, 4, 5, 6)]
    assert "not in the zip" in lines[0]["problem"]
    assert "million pixels" in lines[2]["problem"]
    assert stored(private) == []
    assert not TuningUpload.objects.exists()


def test_an_image_that_breaks_when_it_is_decoded_ends_the_run_with_its_line(upload, who, variants):
    whole = png(size=(200, 200))
    noisy = io.BytesIO()
    Image.effect_noise((200, 200), 80).save(noisy, "PNG")
    cut = noisy.getvalue()[: len(noisy.getvalue()) // 2]
    made = upload(zipped(COUNTED, red=whole, blue=cut))
    run = work(train_on(made, who))
    assert (run.status, run.error_code) == ("failed", "bad_tuning_data")
    assert "rows.jsonl line 2" in run.error_message


def test_lines_with_images_in_them(upload):
    row = {"image": data_url(png()), "question": "How many?", "answer": "1"}
    made = upload(io.BytesIO(json.dumps(row).encode()))
    assert (made.rows, made.images) == (1, 1)


def test_size_and_room_are_limited(upload, settings, who):
    settings.TUNING_MAX_UPLOAD_MB = 0
    with pytest.raises(DomainError) as refused:
        upload()
    assert refused.value.status == 413
    settings.TUNING_MAX_UPLOAD_MB, settings.TUNING_STORAGE_MB = 50, 0
    with pytest.raises(DomainError) as refused:
        upload()
    assert refused.value.code == "tuning_storage_full"


def test_questions_without_an_image_need_a_base_that_answers_them(upload, who, variants):
    row = {"question": "2 + 2?", "answer": "4"}
    made = upload(io.BytesIO(json.dumps(row).encode()))
    assert made.text_only == 1
    with pytest.raises(DomainError) as refused:
        train_on(made, who)
    assert "without an image" in refused.value.message


def test_what_no_run_needs_is_deleted_in_time(upload, who, variants, private):
    old, needed, new = upload(), upload(), upload()
    run = train_on(needed, who)
    stray = private / "tuning" / "uploads" / "stray"
    stray.write_text("left by a worker that was lost")
    import os

    long_ago = timezone.now() - timedelta(days=30)
    os.utime(stray, (long_ago.timestamp(),) * 2)
    TuningUpload.objects.exclude(pk=new.pk).update(created_at=long_ago)
    services.tuning_purge()
    assert set(TuningUpload.objects.all()) == {needed, new}
    assert stored(private) == sorted([needed.file, new.file])
    assert TuningRun.objects.get() == run
    assert old.file not in stored(private)
