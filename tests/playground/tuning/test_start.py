"""The form that starts a run: it refuses what cannot work, shows sampled answers first, and loses nothing."""

import io
import json
import re
import zipfile
from html import unescape
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from inference.engine.rewards import PRESETS
from inference.engine.tuning.plan import Plan
from inference.models import VariantMeasurement
from inference.tuning.models import StepRecord, TuningRun, TuningUpload
from inference.tuning.services import trials
from inference.tuning.who import Who
from playground.tuning import links, selectors
from playground.tuning.forms import ADVANCED, MAIN
from pricing.models import MachinePrice
from tests.images import plain
from tests.inference.tuning.conftest import COUNT_RIGHT
from tests.inference.tuning.test_trials import FLAT
from tests.playground.test_rewards import fields
from tests.playground.tuning.conftest import group, made

pytestmark = pytest.mark.django_db
URL = "/playground/tuning/new/"
FORM = {
    "base": "moondream-embedded-fp16", "method": "rl", "source": "world", "preset": "counts",
    "domain": "shapes", "count": "50", "reward": "count-right", "steps": "4",
}  # fmt: skip


@pytest.fixture(autouse=True)
def worker(monkeypatch) -> dict[str, Any]:
    """Stands for a worker: it samples at once, one flat group and others that are not."""
    state: dict[str, Any] = {"flat": [True, False, False], "is_away": False}

    def send(task, name, mine, *args, lost, **options):
        if not state["is_away"]:
            told = {"groups": [group()] * 3, "flat": state["flat"], "seconds": 2.0}
            trials.stream.publish(name, "result", told)
            trials.stream.client().delete(mine)

    monkeypatch.setattr(trials, "send_on_commit", send)
    return state


def found(pattern: str, text: str, flags: int = 0) -> re.Match[str]:
    match = re.search(pattern, text, flags)
    assert match, pattern
    return match


def text_of(response) -> str:
    return unescape(response.content.decode())


def errors_of(text: str) -> dict[str, str]:
    found = re.findall(r'id="(\w+)-error">(.*?)</div>', text, re.DOTALL)
    return {name: re.sub("<[^>]+>", "", said) for name, said in found if said.strip()}


def test_the_form_has_the_plans_defaults_and_explains_them(client: Client, starter):
    text = text_of(client.get(URL))
    for name in (*MAIN, *ADVANCED):
        default = getattr(Plan(), name)
        if name not in ("loss", "scaling", "combination", "rank", "layers", "kl_limit"):
            assert re.search(rf'name="{name}" value="{default}"', text), name
        assert f'id="{name}-about"' in text
    for preset in PRESETS.values():
        assert preset.reward.name in text
    assert "for three minutes at most, one run at a time" in text
    assert "Moondream embedded, 4-bit" not in text  # without an account, the embedded model alone


def test_an_account_may_tune_every_base(ada, starter):
    text = text_of(ada.get(URL))
    assert "Moondream embedded, 4-bit" in text
    assert "three minutes" not in text
    assert "World captions, dev" in text


def test_a_check_shows_answers_and_queues_nothing(ada, variants):
    answer = ada.post(URL, FORM | {"do": "check", "title": "My run"})
    text = text_of(answer)
    assert errors_of(text) == {}
    assert answer.status_code == 200
    assert "The reward tells answers apart." in text
    assert text.count('class="tn-group"') == 3
    assert "192" in text  # 4 steps, 6 questions, 8 answers
    assert "no run on this base was measured yet" in text
    assert 'value="start">Start the run' in text
    assert 'name="title" value="My run"' in text
    assert not TuningRun.objects.exists()


def test_the_time_is_that_of_measured_steps(ada, user, variants):
    made(Who(user), steps=6, status="succeeded")
    text = text_of(ada.post(URL, FORM | {"do": "check", "steps": "100"}))
    assert "about 2 min, by runs measured here" in text  # 100 steps of 1.5 s
    assert "end at its time limit" not in text
    text = text_of(Client().post(URL, FORM | {"do": "check", "steps": "1000"}))
    assert "end at its time limit" in text


def test_start_after_the_check(ada, user, variants):
    ada.post(URL, FORM | {"do": "check"})
    answer = ada.post(URL, FORM | {"do": "start", "title": "Counting"})
    run = TuningRun.objects.get()
    assert answer["Location"] == f"/playground/tuning/{run.pk}/"
    assert (run.title, run.plan["steps"], run.finetune.owner) == ("Counting", 4, user)
    assert run.data == {
        "source": "world",
        "preset": "counts",
        "domain": "shapes",
        "count": 50,
        "seed": 0,
    }
    assert run.reward == COUNT_RIGHT


def test_nothing_starts_before_its_reward_was_tried(ada, variants, worker):
    worker["is_away"] = True
    answer = ada.post(URL, FORM | {"do": "start"})
    text = text_of(answer)
    assert answer.status_code == 200
    assert "A worker samples some answers." in text
    assert 'value="start"' not in text
    assert not TuningRun.objects.exists()


def test_a_flat_reward_is_refused(ada, variants, worker):
    worker["flat"] = [True, True, True]
    text = text_of(ada.post(URL, FORM | {"do": "check"}))
    assert "The reward is flat." in text
    assert 'value="start"' not in text
    answer = ada.post(URL, FORM | {"do": "start"})
    assert answer.status_code == 422
    assert "there is nothing to learn" in text_of(answer)
    assert not TuningRun.objects.exists()
    # Taught steps may bring a difference.
    answer = ada.post(URL, FORM | {"do": "start", "warmup_steps": "2"})
    assert answer.status_code == 302


def test_every_field_that_is_wrong_is_marked_at_once(ada, variants):
    wrong = {"do": "check", "steps": "0", "lr": "x", "temperature": "9", "rank": "7"}
    answer = ada.post(URL, FORM | wrong)
    assert answer.status_code == 422
    assert set(errors_of(text_of(answer))) == {"steps", "lr", "temperature", "rank"}
    wrong = {
        "do": "check",
        "steps": "5000",
        "groups": "64",
        "group_size": "32",
        "domain": "phantom",
        "preset": "reading",
    }
    found = errors_of(text_of(ada.post(URL, FORM | wrong)))
    assert "512" in found["group_size"]
    assert "Reading has no scenes" in found["domain"]
    found = errors_of(
        text_of(ada.post(URL, FORM | {"do": "check", "steps": "5000", "reward": "boxes-overlap"}))
    )
    assert "at most" in found["steps"]
    assert "judges boxes" in found["reward"]


def test_supervised_runs_need_no_reward_and_no_trial(ada, variants):
    text = text_of(ada.post(URL, FORM | {"do": "check", "method": "sft", "reward": ""}))
    assert "Everything fits together." in text
    assert ada.post(URL, FORM | {"do": "start", "method": "sft"}).status_code == 302
    assert TuningRun.objects.get().reward is None


def test_train_with_this_reward(ada, variants):
    """From the builder: its whole form comes, and the reward is in the run's form."""
    reward = PRESETS["short-captions"].reward
    text = text_of(ada.post(URL, fields(reward, do="train")))
    assert '<option value="own" selected>' in text
    document = json.loads(
        found(r'<textarea name="document"[^>]*>(.*?)</textarea>', text, re.DOTALL)[1]
    )
    assert document == reward.to_dict()
    assert '<option value="captions-normal" selected>' in text
    given = FORM | {"reward": "own", "document": json.dumps(document), "preset": "captions-normal"}
    ada.post(URL, given | {"do": "check"})
    assert ada.post(URL, given | {"do": "start"}).status_code == 302
    assert TuningRun.objects.get().reward == document


def test_a_benchmarks_set_of_the_builder_becomes_the_data(ada, starter):
    text = text_of(
        ada.post(URL, fields(PRESETS["short-captions"].reward, do="train", set="world-captions"))
    )
    assert '<option value="benchmark" selected>' in text
    assert '<option value="world-captions/dev" selected>' in text


@pytest.mark.parametrize(
    "document", ["", "{", '{"format": "x"}', "[" * 3000, json.dumps(FLAT)[:-1]]
)
def test_a_reward_that_cannot_be_read_is_said_beside_it(ada, variants, document):
    answer = ada.post(URL, FORM | {"do": "check", "reward": "own", "document": document})
    assert answer.status_code == 422
    assert "document" in errors_of(text_of(answer))


def archive(*rows: str) -> SimpleUploadedFile:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a.png", plain())
        made.writestr("rows.jsonl", "\n".join(rows))
    return SimpleUploadedFile("mine.zip", file.getvalue())


GOOD = '{"image": "a.png", "question": "How many?", "answer": "3"}'


def test_all_faults_of_a_file_are_shown_at_once(ada, variants):
    file = archive(
        GOOD, "{", '{"image": "b.png", "question": "x", "answer": "y"}', '{"image": "a.png"}'
    )
    answer = ada.post(URL, FORM | {"do": "check", "source": "upload", "file": file})
    text = text_of(answer)
    assert answer.status_code == 422
    table = found(r"Faults of the file.*?</table>", text, re.DOTALL)[0]
    assert re.findall(r'num mono">(\d+)</td>', table) == ["2", "3", "4"]
    assert "is not in the zip file" in table
    assert not TuningUpload.objects.exists()


def test_an_upload_is_kept_and_chosen(ada, user, variants):
    given = FORM | {"source": "upload"}
    text = text_of(ada.post(URL, given | {"do": "check", "file": archive(GOOD, GOOD)}))
    upload = TuningUpload.objects.get(owner=user)
    assert f'<option value="{upload.pk}" selected>mine.zip (2 rows)' in text
    assert "The reward tells answers apart." in text
    assert ada.post(URL, given | {"do": "start", "upload": str(upload.pk)}).status_code == 302
    run = TuningRun.objects.get()
    assert (run.upload, run.data) == (upload, {"source": "upload", "upload": str(upload.pk)})


def test_anothers_upload_is_no_choice(ada, user, variants):
    theirs = TuningUpload.objects.create(
        name="x", file="f", size_bytes=1, rows=1, images=1, skills={"query": 1}, has_references=True
    )
    answer = ada.post(URL, FORM | {"do": "check", "source": "upload", "upload": str(theirs.pk)})
    assert "upload" in errors_of(text_of(answer))
    answer = ada.post(URL, FORM | {"do": "check", "source": "upload"})
    assert "upload" in errors_of(text_of(answer))


def test_without_an_account_one_small_run_at_a_time(client, variants):
    assert client.post(URL, FORM | {"do": "start"}).status_code == 302
    run = TuningRun.objects.get()
    assert (run.limit_s, run.finetune.owner) == (180, None)
    answer = client.post(URL, FORM | {"do": "start"})
    assert answer.status_code == 429
    assert "1 at a time." in text_of(answer)
    assert "Retry-After" in answer
    assert Client(REMOTE_ADDR="203.0.113.9").post(URL, FORM | {"do": "start"}).status_code == 302
    answer = Client(REMOTE_ADDR="203.0.113.7").post(
        URL, FORM | {"do": "check", "base": "moondream-embedded-nf4"}
    )
    assert "base" in errors_of(text_of(answer))


def test_the_form_in_few_queries(ada, starter, django_assert_max_num_queries):
    ada.get(URL)
    with django_assert_max_num_queries(10):
        ada.get(URL)


def test_an_estimate_reads_no_answers(user, variants, django_assert_num_queries):
    run = made(Who(user), steps=3)
    assert StepRecord.objects.count() == 3
    # Two of them for what the account's plan allows, two for the machine and its price, which are
    # remembered outside of a transaction.
    with django_assert_num_queries(5):
        found = selectors.estimate(Plan(steps=10), run.finetune.variant, Who(user), None)
    assert (found.answers, found.seconds_text) == (480, "15 s")
    assert found.cost_text == "", "no variant was measured on a machine of a known price"
    VariantMeasurement.objects.create(
        variant=run.finetune.variant, revision="1", hardware="h", device="cpu", threads=1,
        dtype="float32", weight_bytes=1, peak_bytes=1, load_ms=1, encode_ms=1, first_token_ms=1,
        tokens_per_s=1,
    )  # fmt: skip
    MachinePrice.objects.all().delete()
    MachinePrice.objects.create(name="m", device="cpu", dollars_an_hour=72, source="s", checked_on="2026-12-01")  # fmt: skip
    found = selectors.estimate(Plan(steps=10), run.finetune.variant, Who(user), None)
    assert found.cost_text == "about $0.30"
    found = selectors.estimate(Plan(steps=10, groups=12), run.finetune.variant, Who(user), None)
    assert (found.answers, found.seconds_text) == (960, "30 s")  # twice the answers
    found = selectors.estimate(Plan(method="sft"), run.finetune.variant, Who(user), None)
    assert (found.answers, found.seconds_text) == (360, "")  # no taught run was measured


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 s"), (89, "89 s"), (90, "2 min"), (3600, "1 h"), (None, "")],
)
def test_times_in_words(seconds, said):
    assert selectors.duration(seconds) == said


def test_links_lead_somewhere(client, starter):
    """Each ⓘ: the page is there, and has the section."""
    pages: dict[str, str] = {}
    for link in {*links.LINKS.values()}:
        path, _, anchor = link.url.partition("#")
        if path not in pages:
            answer = client.get(path)
            assert answer.status_code == 200, path
            pages[path] = text_of(answer)
        assert f'id="{anchor}"' in pages[path], link


def test_settings_start_from_the_base(ada, variants):
    """The embedded model's were measured; those of another size were not, and the page says so."""
    other = next(v for v in variants if v.quantization == "nf4")
    type(other).objects.filter(pk=other.pk).update(folder="elsewhere", parameters=1_900_000_000)
    text = text_of(ada.get(URL))
    assert 'name="lr" value="0.001"' in text
    assert "were measured on this base model" in text
    by_base = json.loads(found(r'id="settings-by-base" type="application/json">(.*?)</script>', text)[1])  # fmt: skip
    assert set(by_base) == {v.slug for v in variants if v.backend == "engine"}
    assert by_base[variants[0].slug]["settings"] == {"lr": 1e-3, "temperature": 1.3, "groups": 6}
    assert by_base[other.slug]["settings"] == {"lr": 2e-4, "temperature": 1.0, "groups": 4}
    assert "not measured here" in by_base[other.slug]["about"]
    # What is left empty is the base's.
    ada.post(URL, FORM | {"do": "check", "base": other.slug, "lr": "", "groups": "3"})
    ada.post(URL, FORM | {"do": "start", "base": other.slug, "lr": "", "groups": "3"})
    plan = TuningRun.objects.get().plan
    assert (plan["lr"], plan["groups"]) == (2e-4, 3)
