"""The guided way: each step, what is refused, and that nothing is lost or told to others."""

import json
from html import unescape
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from inference import services as inference
from inference.errors import DomainError
from inference.models import Job, StoredImage
from inference.tuning import services as tuning
from inference.tuning.models import Checkpoint, Finetune, TuningRun
from inference.tuning.who import Who
from inference.world import caption
from inference.world.samples import SAMPLES
from playground import modes
from playground.guided.aims import AIMS
from playground.guided.path import STEPS
from playground.models import GuidedProject, HeldOutScene, Run, Session
from tests.images import plain
from tests.playground.guided.conftest import REWARD, URL, Go, answer_all, at, train

pytestmark = pytest.mark.django_db


def text(client: Client, address: str, status: int = 200, **query: str) -> str:
    answer = client.get(address, query, follow=True)
    assert answer.status_code == status, answer.content
    return unescape(answer.content.decode())


# The way through.


def test_from_an_image_to_a_summary(client: Client, go: Go) -> None:
    page = text(client, URL)
    assert "no run was measured on this machine yet" in page
    project = go(client, "ask")
    assert project.session.visitor
    assert f"{URL}{project.pk}/ask/" in client.get(f"{URL}{project.pk}/")["Location"]

    assert client.post(at(project, "ask"), {"skill": "caption"}).status_code == 302
    page = text(client, at(project, "ask"))
    assert "data-follow" in page
    assert 'http-equiv="refresh"' in page
    assert "Next: what is good" not in page
    answer_all()
    page = text(client, at(project, "ask"))
    assert "Two stars and a heart on black." in page
    assert "Next: what is good" in page

    page = text(client, at(project, "reward"))
    night = next(s for s in SAMPLES if s.slug == "night")
    assert caption(night.scene(), "short") in page
    assert "Reward of its answer" in page
    client.post(at(project, "reward"), {**REWARD, "do": "save"})
    project.refresh_from_db()
    assert project.reward is not None
    assert [t["weight"] for t in project.reward["terms"]] == [1.0, 0.5]
    assert project.reference == "Two stars and a heart."

    page = text(client, at(project, "train"))
    assert "The reward tells answers apart" in page
    assert "At least" in page
    assert not TuningRun.objects.exists()
    client.post(at(project, "train"), {"do": "start", "steps": "8"})
    run = TuningRun.objects.get()
    assert run.reward == project.reward
    assert run.plan["steps"] == 8
    assert run.limit_s == 180
    assert "data-training" in text(client, at(project, "train"))
    train(run)
    page = text(client, at(project, "train"))
    assert "It is trained." in page
    assert "Next: compare before and after" in page

    client.post(at(project, "evaluate"), {"do": "ask"})
    page = text(client, at(project, "evaluate"))
    assert "0 of 9 answers are there." in page
    assert "data-poll" in page
    answer_all()
    page = text(client, at(project, "evaluate"))
    assert "data-poll" not in page
    for name in ("CIDEr", "Brevity", "BLEU-4", "ROUGE-L", "Length, tokens", "+0.350"):
        assert name in page
    assert HeldOutScene.objects.count() == 4
    assert page.count('class="gd-scene"') == 4

    page = text(client, f"{URL}{project.pk}/")
    assert "Download the adapter" in page
    assert page.index("Base") < page.index("Two stars and a heart on black.")
    assert "@8" in page
    assert "Finished" in text(client, URL)


def test_each_step_can_be_left_and_later_ones_wait(client: Client, go: Go) -> None:
    project = go(client, "reward")
    for step in ("train", "evaluate", "summary"):
        answer = client.get(at(project, step))
        assert answer["Location"] == at(project, "reward")
    assert client.get(at(project, "nothing")).status_code == 404
    page = text(client, URL)
    assert "Step 3 of 5: say what a good answer is" in page
    assert f"{URL}{project.pk}/" in page


def test_another_image_keeps_the_reward_and_what_was_trained(client: Client, go: Go) -> None:
    project = go(client, "summary")
    file = SimpleUploadedFile("mine.png", plain(40, 30))
    client.post(at(project, "image"), {"image": file, "sample": "night"})
    project.refresh_from_db()
    assert (project.image_name, project.sample, project.reference) == ("mine.png", "", "")
    assert (project.base_run, project.tuned_run) == (None, None)
    assert project.reward is not None
    assert project.training is not None
    assert not HeldOutScene.objects.exists()
    client.post(at(project, "ask"), {"skill": "caption"})
    answer_all()
    assert "It is a model of drawn scenes." in text(client, at(project, "ask"))
    assert "Nothing was compared yet." in text(client, at(project, "evaluate"))


def test_counting_is_trained_on_a_shelf(client: Client, go: Go) -> None:
    project = go(client, "ask", sample="shelf")
    client.post(at(project, "ask"), {"skill": "query", "question": "How many bananas are there?"})
    answer_all("3")
    page = text(client, at(project, "reward"))
    assert "Counting on a shelf" in page
    client.post(at(project, "reward"), {
        "aim": "count-right", "name": "Right", "normalise": "weights", "t0-type": "exact", "t0-weight": "1",
        "reference": "3", "do": "save",
    })  # fmt: skip
    client.post(at(project, "train"), {"do": "start", "steps": "8"})
    run = TuningRun.objects.get()
    assert (run.data["preset"], run.data["domain"]) == ("counts", "shelf")
    train(run)
    client.post(at(project, "evaluate"), {"do": "ask"})
    answer_all("3")
    page = text(client, at(project, "evaluate"))
    assert "Exact match" in page
    assert "ANLS" in page


def test_asking_for_another_skill_begins_anew(client: Client, go: Go) -> None:
    project = go(client, "train")
    client.post(at(project, "ask"), {"skill": "query", "question": "How many stars are there?"})
    project.refresh_from_db()
    assert (project.aim, project.reward, project.reference) == ("", None, "")


# What is refused, and what fails.


@pytest.mark.parametrize(
    ("form", "status", "message"),
    [
        ({"sample": "none"}, 400, "Choose a file or a sample."),
        ({}, 400, "Choose a file or a sample."),
    ],
)
def test_without_an_image_nothing_begins(client: Client, form: dict[str, str], status: int, message: str) -> None:  # fmt: skip
    answer = client.post(URL, form)
    assert answer.status_code == status
    assert message in answer.content.decode()
    assert not Session.objects.exists()


def test_a_file_that_is_no_image(client: Client) -> None:
    answer = client.post(URL, {"image": SimpleUploadedFile("a.txt", b"hello")})
    assert answer.status_code >= 400
    assert 'role="alert"' in answer.content.decode()
    assert not GuidedProject.objects.exists()


def test_a_reward_with_faults_is_not_taken_and_nothing_is_lost(client: Client, go: Go) -> None:
    project = go(client, "reward")
    answer = client.post(at(project, "reward"), {**REWARD, "t0-weight": "heavy", "reference": "Kept words.", "do": "save"})  # fmt: skip
    assert answer.status_code == 422
    page = unescape(answer.content.decode())
    assert 'value="heavy"' in page
    assert "Kept words." in page
    assert "Nothing is scored until" in page
    project.refresh_from_db()
    assert project.reward is None


def test_scoring_saves_nothing(client: Client, go: Go) -> None:
    project = go(client, "reward")
    answer = client.post(at(project, "reward"), {**REWARD, "do": "score"})
    assert "Reward of its answer" in answer.content.decode()
    answer = client.post(at(project, "reward"), {**REWARD, "do": "aim-short-captions"})
    assert answer.status_code == 200
    project.refresh_from_db()
    assert project.reward is None


def test_a_flat_reward_is_not_trained(client: Client, go: Go, sampler: dict[str, Any]) -> None:
    sampler["flat"] = [True, True, True]
    project = go(client, "train")
    page = text(client, at(project, "train"))
    assert "The reward is flat." in page
    assert "Start training" not in page
    answer = client.post(at(project, "train"), {"do": "start", "steps": "8"})
    assert answer.status_code == 422
    assert not TuningRun.objects.exists()


def test_while_the_check_waits(client: Client, go: Go, sampler: dict[str, Any]) -> None:
    sampler["is_away"] = True
    project = go(client, "train")
    page = text(client, at(project, "train"))
    assert "A worker tries the reward" in page
    assert "No worker that trains has been seen" in page
    answer = client.post(at(project, "train"), {"do": "start", "steps": "8"})
    assert answer.status_code == 409


@pytest.mark.parametrize("steps", ["", "0", "9", "-1", "100000000000", "x"])
def test_a_length_that_is_none(client: Client, go: Go, steps: str) -> None:
    project = go(client, "train")
    assert client.post(at(project, "train"), {"do": "start", "steps": steps}).status_code == 422
    assert not TuningRun.objects.exists()


def test_one_training_at_a_time_without_an_account(client: Client, go: Go) -> None:
    first, second = go(client, "train"), go(client, "train")
    client.post(at(first, "train"), {"do": "start", "steps": "8"})
    answer = client.post(at(second, "train"), {"do": "start", "steps": "8"})
    assert answer.status_code == 429
    assert "Retry-After" in answer
    assert "/playground/tuning/" in answer.content.decode()


def test_a_training_that_is_cancelled_fails_or_rests(client: Client, go: Go) -> None:
    project = go(client, "train")
    client.post(at(project, "train"), {"do": "start", "steps": "8"})
    client.post(at(project, "train"), {"do": "cancel"})
    page = text(client, at(project, "train"))
    assert "It was cancelled before anything was trained." in page
    assert "again=1" in page
    assert client.get(at(project, "evaluate"))["Location"] == at(project, "train")
    page = text(client, at(project, "train"), again="1")
    assert "Start training" in page
    client.post(at(project, "train"), {"do": "start", "steps": "40"})
    run = TuningRun.objects.latest("created_at")
    TuningRun.objects.filter(pk=run.pk).update(status="paused")
    assert "It was paused" in text(client, at(project, "train"))
    client.post(at(project, "train"), {"do": "resume"})
    run.refresh_from_db()
    assert run.status == "queued"
    assert "No worker that trains has been seen" in text(client, at(project, "train"))
    train(run, status="failed")
    TuningRun.objects.filter(pk=run.pk).update(error_message="The disk is full.")
    page = text(client, at(project, "train"))
    assert "The disk is full." in page
    assert "Step 8 is kept" in page


def test_a_checkpoint_that_is_deleted_meanwhile(client: Client, go: Go) -> None:
    project = go(client, "evaluate")
    Checkpoint.objects.all().delete()
    page = text(client, at(project, "train"))
    assert "Its checkpoints were deleted." in page
    answer = client.post(at(project, "evaluate"), {"do": "ask"})
    assert answer.status_code == 409
    assert "There is no tuned model any more." in answer.content.decode()
    assert not Run.objects.filter(is_measurement=True).exists()


def test_a_training_that_is_deleted_leaves_what_was_compared(client: Client, go: Go) -> None:
    project = go(client, "summary")
    tuning.run_delete(run=TuningRun.objects.get())
    page = text(client, at(project, "summary"))
    assert "The tuned model is not here any more" in page
    assert "Two stars." in page
    assert client.get(f"{URL}{project.pk}/files/notebook/").status_code == 404
    assert client.get(f"{URL}{project.pk}/files/adapter/").status_code == 404


def test_answers_that_fail_can_be_asked_again(client: Client, go: Go) -> None:
    project = go(client, "evaluate")
    client.post(at(project, "evaluate"), {"do": "ask"})
    job = Job.objects.filter(status="queued").latest("created_at")
    Job.objects.filter(pk=job.pk).update(
        status="failed", error_code="timeout", error_message="It took too long."
    )
    answer_all()
    page = text(client, at(project, "evaluate"))
    assert "Some answers are missing." in page
    assert "It took too long." in page
    client.post(at(project, "evaluate"), {"do": "ask"})
    answer_all()
    assert "Some answers are missing." not in text(client, at(project, "evaluate"))


def test_all_answers_are_asked_or_none(client: Client, go: Go, settings) -> None:
    project = go(client, "evaluate")
    before = Job.objects.count()
    settings.INFERENCE_MAX_WAITING_PER_CALLER = 4
    answer = client.post(at(project, "evaluate"), {"do": "ask"})
    assert answer.status_code == 429
    assert Job.objects.count() == before
    assert Run.objects.filter(is_measurement=True).count() == 0


def test_an_image_that_was_not_asked_about_in_time(client: Client, go: Go) -> None:
    project = go(client, "ask")
    StoredImage.objects.all().delete()
    answer = client.post(at(project, "ask"), {"skill": "caption"})
    assert answer.status_code in (302, 400, 404, 410)
    assert "image" in text(client, f"{URL}{project.pk}/").lower()


# Whose it is.


def test_nobody_else_gets_to_it(client: Client, go: Go) -> None:
    project = go(client, "summary")
    stranger = Client()
    parts = [f"{step.slug}/" for step in STEPS] + ["", "events/", "files/image/", "files/notebook/", "files/adapter/"]  # fmt: skip
    for part in parts:
        assert stranger.get(f"{URL}{project.pk}/{part}").status_code == 404, part
    assert stranger.post(at(project, "summary"), {"do": "share"}).status_code == 404
    assert "Go on where you were" not in text(stranger, URL)


def test_after_signing_in_it_is_the_accounts_with_its_model(client: Client, go: Go, django_user_model) -> None:  # fmt: skip
    project = go(client, "evaluate")
    ada = django_user_model.objects.create_user("ada", "ada@example.org", "a-good-password-1")
    EmailAddress.objects.create(user=ada, email=ada.email, verified=True, primary=True)
    sent = {"login": ada.email, "password": "a-good-password-1"}
    assert client.post("/account/login/", sent).status_code == 302
    project.session.refresh_from_db()
    finetune = Finetune.objects.get()
    assert project.session.owner == ada
    assert (finetune.owner, finetune.owner_key) == (ada, "")
    client.post(at(project, "evaluate"), {"do": "ask"})
    answer_all()
    assert "Two stars." in text(client, at(project, "evaluate"))
    with pytest.raises(DomainError):  # no longer the network's
        inference.job_submit(
            skill="caption", variant_slug=finetune.model_name(8), image=StoredImage.objects.first(),
            params={"length": "short"}, caller="api", owner_key=project.base_run.job.owner_key,
        )  # fmt: skip


def test_what_is_measured_is_no_part_of_the_session(client: Client, go: Go) -> None:
    project = go(client, "summary")
    address = f"/playground/sessions/{project.session_id}/"
    page = text(client, address)
    assert page.count('<article class="run"') == 2
    assert f"{URL}{project.pk}/" in page
    assert len(client.get(f"{address}runs/").json()["runs"]) == 2
    assert "2 runs" in text(client, "/playground/sessions/")
    client.post(f"{address}fork/")
    assert Session.objects.latest("created_at").runs.count() == 2


def test_deleted_for_good(client: Client, go: Go) -> None:
    project = go(client, "summary")
    client.post(at(project, "summary"), {"do": "delete"})
    assert not GuidedProject.objects.exists()
    assert not Job.objects.filter(is_kept=True).exists()
    assert TuningRun.objects.count() == 1


def test_the_list_is_cheap(client: Client, go: Go, django_assert_max_num_queries) -> None:
    for _ in range(3):
        go(client, "train")
    client.get(URL)
    with django_assert_max_num_queries(8):
        client.get(URL)


def test_the_comparison_is_cheap(client: Client, go: Go, django_assert_max_num_queries) -> None:
    project = go(client, "summary")
    client.get(at(project, "summary"))
    with django_assert_max_num_queries(16):
        client.get(at(project, "summary"))


# The summary and what is taken away.


def test_a_link_shows_the_summary_until_it_is_revoked(client: Client, go: Go) -> None:
    project = go(client, "summary")
    client.post(at(project, "summary"), {"do": "share", "with_model": "1"})
    project.refresh_from_db()
    assert project.share_token is not None
    assert len(project.share_token) >= 24
    address = f"{URL}shared/{project.share_token}/"
    assert address in text(client, at(project, "summary"))
    stranger = Client(REMOTE_ADDR="10.9.9.9")
    answer = stranger.get(address)
    page = unescape(answer.content.decode())
    assert answer["X-Robots-Tag"] == "noindex, nofollow"
    assert answer["Referrer-Policy"] == "no-referrer"
    assert "Two stars." in page
    assert "<form" not in page.split("<main")[1].split("</main")[0]
    assert str(project.base_run.job_id) not in page
    assert stranger.get(f"{address}image/").status_code == 200
    assert stranger.get(f"{address}notebook/").status_code == 200
    assert "/adapter_file" in stranger.get(f"{address}adapter/")["Location"] or stranger.get(f"{address}adapter/").status_code == 302  # fmt: skip
    assert Finetune.objects.get().visibility == "link"

    client.post(at(project, "summary"), {"do": "share"})
    assert stranger.get(f"{address}adapter/").status_code == 404
    assert Finetune.objects.get().visibility == "private"

    client.post(at(project, "summary"), {"do": "unshare"})
    for part in ("", "image/", "notebook/", "adapter/"):
        assert stranger.get(f"{address}{part}").status_code == 404
    client.post(at(project, "summary"), {"do": "share"})
    project.refresh_from_db()
    assert project.share_token not in address


def test_what_the_owner_published_stays_published(client: Client, go: Go) -> None:
    project = go(client, "summary")
    Finetune.objects.update(visibility="public", card="What it is.")
    client.post(at(project, "summary"), {"do": "share"})
    client.post(at(project, "summary"), {"do": "unshare"})
    assert Finetune.objects.get().visibility == "public"


def test_the_notebook_holds_only_literals_of_what_was_written(client: Client, go: Go) -> None:
    project = go(client, "ask", sample="shelf")
    question = "How many \"stars\"\n'''? {MODEL} </script>"
    client.post(at(project, "ask"), {"skill": "query", "question": question})
    answer_all("3")
    nasty = {"aim": "count-right", "name": 'x"""); boom(', "normalise": "weights", "t0-type": "exact", "t0-weight": "1"}  # fmt: skip
    client.post(at(project, "reward"), {**nasty, "do": "save"})
    client.post(at(project, "train"), {"do": "start", "steps": "8"})
    train(TuningRun.objects.get())
    answer = client.get(f"{URL}{project.pk}/files/notebook/")
    made = json.loads(answer.content)
    code = ["".join(c["source"]) for c in made["cells"] if c["cell_type"] == "code"]
    for source in code:
        compile(source, "cell", "exec")
    assert repr(question.strip()) in "\n".join(code) or ascii(question.strip()) in "\n".join(code)
    assert "boom(" not in "\n".join(c for c in code if "RUN =" not in c)


def test_a_reward_comes_back_from_the_builder(client: Client, go: Go) -> None:
    assert client.post(f"{URL}reward/", REWARD)["Location"] == URL
    project = go(client, "reward")
    answer = client.post(f"{URL}reward/", {**REWARD, "name": "Built"})
    assert answer["Location"] == at(project, "reward")
    project.refresh_from_db()
    assert project.reward is not None
    assert project.reward["name"] == "Built"
    answer = client.post(f"{URL}reward/", {**REWARD, "t0-weight": "x"})
    assert answer["Location"] == "/playground/rewards/"


# Free or guided.


def test_the_choice_between_free_and_guided_is_remembered(client: Client) -> None:
    page = text(client, "/playground/")
    assert 'href="/playground/guided/"' in page
    assert client.get(URL).cookies[modes.COOKIE].value == modes.GUIDED
    assert client.get("/playground/")["Location"] == URL
    assert client.get("/playground/?skill=caption").status_code == 200  # a link says what it shows
    assert client.get("/playground/?mode=free").cookies[modes.COOKIE].value == modes.FREE
    assert client.get("/playground/").status_code == 200


def test_aims_can_be_trained(django_user_model) -> None:
    """What the pages offer passes every check of a run, on each base."""
    variant = inference.variants_sync()[0]
    who = Who(None, "somebody")
    for aim in AIMS.values():
        for length in aim.lengths:
            checked = tuning.run_check(
                who=who, variant=variant, data=aim.data, plan=aim.plan(variant, length.steps),
                reward=aim.reward.to_dict(),
            )  # fmt: skip
            assert checked.plan.steps == length.steps
