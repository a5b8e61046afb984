"""The console's list and its page of a run: whole without JavaScript, and for its owner alone."""

import json
import re
import zipfile
from datetime import timedelta
from html import unescape
from io import BytesIO

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from inference.tuning.files import private as storage
from inference.tuning.models import StepRecord, TuningRun
from inference.tuning.signals import run_finished
from inference.tuning.who import Who
from playground.tuning import figures, selectors
from tests.playground.tuning.conftest import group, made

pytestmark = pytest.mark.django_db
URL = "/playground/tuning/"


def found(pattern: str, text: str, flags: int = 0) -> re.Match[str]:
    match = re.search(pattern, text, flags)
    assert match, pattern
    return match


def text_of(response) -> str:
    return unescape(response.content.decode())


def test_an_empty_list_says_what_tuning_is_and_offers_one_thing(client: Client, variants):
    text = text_of(client.get(URL))
    assert "No run yet" in text
    assert (
        len(re.findall(r'class="button button--primary" href="/playground/tuning/new/"', text)) == 1
    )


def test_the_list_in_few_queries(ada, user, variants, settings, django_assert_max_num_queries):
    settings.TUNING_MAX_RUNS, settings.TUNING_MAX_S = 100, 60  # a plan's minutes are held by each
    for _ in range(3):
        made(Who(user), steps=6)
    ada.get(URL)
    with django_assert_max_num_queries(8):
        text = text_of(ada.get(URL))
    assert text.count("6 of 20") == 3
    assert text.count("<polyline") == 3
    assert "0.300" in text
    for _ in range(selectors.PAGE):
        made(Who(user), steps=1)
    with django_assert_max_num_queries(8):
        text = text_of(ada.get(URL))
    assert text.count('class="board__model"') == selectors.PAGE
    assert "Page 1 of 2" in text
    assert "6 of 20" in text_of(ada.get(f"{URL}?page=2"))


def test_a_long_run_is_a_short_line(user, variants):
    run = made(Who(user), plan={"steps": 900})
    rows = [
        StepRecord(finetune=run.finetune, step=n, metrics={"reward": n / 900})
        for n in range(1, 901)
    ]
    StepRecord.objects.bulk_create(rows)
    run.finetune.step = 900
    run.finetune.save()
    _, (row,) = selectors.runs_page(Who(user), 1)
    assert 20 <= len(row.spark.split()) <= 60
    assert row.last == 1.0


def test_a_run_is_for_its_owner_alone(ada, user, variants):
    run = made(Who(user), steps=6)
    other = Client()
    other.force_login(get_user_model().objects.create_user("eve", "eve@example.org", "x"))
    picture = re.search(
        r'src="(/playground/tuning/pictures/[^"]+)"', text_of(ada.get(f"{URL}{run.pk}/"))
    )
    assert picture
    for path in ("", "checkpoints/5/", "?step=3"):
        for stranger in (other, Client()):
            assert stranger.get(f"{URL}{run.pk}/{path}").status_code == 404, path
    for name in ("pause", "resume", "cancel", "delete"):
        assert other.post(f"{URL}{run.pk}/{name}/").status_code == 404
    assert "Counting" not in text_of(other.get(URL))
    assert TuningRun.objects.filter(pk=run.pk, status="running").exists()


def test_callers_without_an_account_see_their_own(client, variants):
    from django.test import RequestFactory

    from pricing.callers import caller_of

    mine = made(Who(None, caller_of(RequestFactory().get("/")).digest), steps=1)
    assert client.get(f"{URL}{mine.pk}/").status_code == 200
    assert "whoever shares your network address" in text_of(client.get(URL))
    elsewhere = Client(REMOTE_ADDR="203.0.113.9")
    assert elsewhere.get(f"{URL}{mine.pk}/").status_code == 404
    signed_in = Client()
    signed_in.force_login(get_user_model().objects.create_user("eve", "eve@example.org", "x"))
    assert signed_in.get(f"{URL}{mine.pk}/").status_code == 404


def test_a_runs_page_is_whole_without_javascript(
    ada, user, variants, django_assert_max_num_queries
):
    run = made(Who(user), steps=7)
    run.measured = {"before": {"reward": 0.2, "terms": {"count": 0.4}, "length": 3.0, "count": 60},
                    "after": {"reward": 0.7, "terms": {"count": 0.9}, "length": 1.0, "count": 60}}  # fmt: skip
    run.save()
    with django_assert_max_num_queries(12):
        text = text_of(ada.get(f"{URL}{run.pk}/"))
    assert 'max="20" value="7"' in text
    assert "3 min left" in text
    for chart in selectors.RunView(run).charts:
        assert f'data-figure="{chart.slug}"' in text
    assert text.count("<tbody data-rows>") == 9
    assert "0.3500" in text  # the reward of step 7, in its table
    assert "and that is right: its gradient is not 0" in text
    model = run.finetune.model_name(5)
    assert f'/playground/?variant={model.replace("/", "%2F").replace("@", "%40")}"' in text
    assert re.search(r"Reward</th><td[^>]*>0.200</td><td[^>]*>0.700", text)
    assert "Answers of step 7" in text
    # The best answer first, with each term's value, its reward and its advantage.
    assert text.index(">3</td>") < text.index(">two</td>")
    assert re.search(
        r">two</td><td[^>]*>0.50</td><td[^>]*>0.00</td><td[^>]*>—</td><td[^>]*>0.250</td><td[^>]*>-0.250",
        text,
    )
    data = json.loads(found(r'id="tn-data" type="application/json">(.*?)</script>', text)[1])
    assert [p["step"] for p in data["points"]] == list(range(1, 8))
    assert data["points"][6]["rewards/count/mean"] == 0.5


def test_steps_have_addresses(ada, user, variants):
    run = made(Who(user), steps=3)
    text = text_of(ada.get(f"{URL}{run.pk}/?step=2"))
    assert "Answers of step 2" in text
    assert 'data-before="1" data-after="3"' in text
    partial = ada.get(f"{URL}{run.pk}/?step=1", headers={"X-Partial": "rollouts"})
    assert "<html" not in text_of(partial)
    assert 'data-before="" data-after="2"' in text_of(partial)
    assert "Answers of step 3" in text_of(ada.get(f"{URL}{run.pk}/?step=99"))
    for strange in ("0", "x", "-1", "1.5", "٣", "9999999"):
        assert ada.get(f"{URL}{run.pk}/", {"step": strange}).status_code == 404, strange


def test_the_image_of_a_question_is_shown_and_none_that_was_not_signed(ada, user, variants):
    run = made(Who(user), steps=1)
    page = text_of(ada.get(f"{URL}{run.pk}/"))
    (address,) = set(re.findall(r'src="(/playground/tuning/pictures/[^"]+)"', page))
    answer = ada.get(address)
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/webp")
    assert Image.open(BytesIO(answer.content)).width > 100
    assert "private" in answer["Cache-Control"]
    assert ada.get(address[:-3] + "x/").status_code == 404
    assert ada.get(reverse("playground:tuning_picture", args=["x"])).status_code == 404


def test_pause_resume_cancel_delete(ada, user, variants):
    run = made(Who(user), steps=5)
    address = f"{URL}{run.pk}/"
    assert ada.get(f"{address}pause/").status_code == 405
    assert ada.post(f"{address}resume/").status_code == 302
    assert "Only a paused run can be resumed." in text_of(ada.get(address))
    assert ada.post(f"{address}pause/")["Location"] == address
    text = text_of(ada.get(address))
    assert "Paused" in text
    assert "Resume" in text
    ada.post(f"{address}resume/")
    assert "Waiting" in text_of(ada.get(address))
    ada.post(f"{address}cancel/")
    text = text_of(ada.get(address))
    assert "It was cancelled at step 5" in text
    assert "Resume" not in text
    assert ada.post(f"{address}other/").status_code == 404
    assert ada.post(f"{address}delete/")["Location"] == URL
    assert ada.get(address).status_code == 404
    assert not TuningRun.objects.exists()


@pytest.mark.parametrize(
    ("entropy", "collapsed"),
    [
        ([1, 1, 1, 0.05, 0.05, 0.05], True),
        ([1, 1, 1, 0.2, 0.2, 0.2], False),
        ([1, 1, 1, 0.01], False),
        ([], False),
    ],
)
def test_the_alarm_of_a_collapse(entropy, collapsed):
    assert figures.is_collapsed([{"entropy": value} for value in entropy]) is collapsed


def test_what_a_run_says_at_its_end(ada, user, variants):
    run = made(Who(user), steps=5, status="failed")
    run.error_message = "The disk is full."
    run.save()
    text = text_of(ada.get(f"{URL}{run.pk}/"))
    assert "The disk is full. Its last checkpoint is kept." in text
    assert "left" not in found(r"data-eta>(.*?)</span>", text)[1]


def test_answers_are_shown_as_text(ada, user, variants):
    run = made(Who(user), steps=1)
    record = StepRecord.objects.get()
    record.rollouts = [group()]
    record.rollouts[0]["answers"][0]["output"] = {"answer": "<script>alert(1)</script>"}
    record.save()
    raw = ada.get(f"{URL}{run.pk}/").content.decode()
    assert "<script>alert(1)" not in raw
    assert "&lt;script&gt;alert(1)" in raw


def test_places_are_drawn(ada, user, variants):
    run = made(Who(user), steps=1)
    record = StepRecord.objects.get()
    box = {"x_min": 0.25, "y_min": 0.5, "x_max": 0.75, "y_max": 1.0}
    record.rollouts[0]["answers"][1]["output"] = {"objects": [box]}
    record.save()
    assert '<rect x="25.00" y="50.00" width="50.00" height="50.00"/>' in text_of(
        ada.get(f"{URL}{run.pk}/")
    )


def test_a_checkpoint_is_taken_away(ada, user, variants, private):
    run = made(Who(user), steps=5)
    storage().save(
        f"tuning/{run.finetune_id}/5/adapter_model.safetensors", ContentFile(b"x" * 12345)
    )
    answer = ada.get(f"{URL}{run.pk}/checkpoints/5/")
    assert answer.status_code == 302
    file = b"".join(ada.get(answer["Location"]).streaming_content)
    assert zipfile.ZipFile(BytesIO(file)).namelist() == ["adapter_model.safetensors"]
    assert ada.get(f"{URL}{run.pk}/checkpoints/4/").status_code == 404
    assert ada.get(f"{URL}{run.pk}/checkpoints/99999999999/").status_code == 404


def ended(run, status, *, after_s=600, **more):
    run.created_at = timezone.now() - timedelta(seconds=after_s)
    run.status, run.finished_at = status, timezone.now()
    for name, value in more.items():
        setattr(run, name, value)
    run_finished.send(TuningRun, run=run)


def test_an_account_gets_a_mail_at_the_end(user, variants, settings):
    settings.TUNING_MAX_RUNS = 9
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    run = made(Who(user))
    ended(run, "cancelled")
    ended(run, "succeeded", after_s=10)
    ended(made(Who(None, "k" * 64)), "succeeded")
    assert mail.outbox == []
    ended(run, "succeeded", finish_reason="steps")
    (letter,) = mail.outbox
    assert letter.to == [user.email]
    assert letter.subject == "[Moondream hub] Counting: finished"
    assert f"/playground/tuning/{run.pk}/" in letter.body
    assert "All steps are trained." in letter.body
    ended(run, "failed", error_message="The disk is full.", finish_reason="")
    assert "The disk is full." in mail.outbox[1].body


def test_no_mail_to_an_address_that_is_not_verified(user, variants):
    EmailAddress.objects.create(user=user, email=user.email, verified=False, primary=True)
    ended(made(Who(user)), "succeeded")
    assert mail.outbox == []


def test_who_may_ask_it(ada, user, variants):
    run = made(Who(user), steps=5)
    kept = run.finetune.checkpoints.create(step=7, folder="x", is_kept=True)
    page = ada.get(f"/playground/tuning/{run.pk}/").content.decode()
    assert "Who may ask it" not in page  # nothing is stored that could be asked
    run.finetune.head = kept
    run.finetune.save()
    address = f"/playground/tuning/{run.pk}/share/"
    assert "Who may ask it" in ada.get(f"/playground/tuning/{run.pk}/").content.decode()
    refused = ada.post(address, {"visibility": "public", "card": " "}, follow=True)
    assert "needs a card" in refused.content.decode()
    ada.post(address, {"visibility": "public", "card": "Counts shapes, to six."})
    run.finetune.refresh_from_db()
    assert (run.finetune.visibility, run.finetune.card) == ("public", "Counts shapes, to six.")
    shown = ada.get(f"/playground/tuning/{run.pk}/").content.decode()
    assert 'value="public" checked' in shown
    assert "Counts shapes, to six." in shown


def test_only_its_owner_shares_it(client, user, variants):
    run = made(Who(user), steps=5)
    assert (
        client.post(f"/playground/tuning/{run.pk}/share/", {"visibility": "link"}).status_code
        == 404
    )
