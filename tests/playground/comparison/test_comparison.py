"""One question to several models."""

import csv
import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from inference.models import Job, Variant
from leaderboard.selectors import text_scores
from playground.comparison.selectors import difference
from playground.models import Comparison, Session
from tests.images import plain
from tests.playground.sessions.conftest import ANSWERS, finish

pytestmark = pytest.mark.django_db
URL = "/playground/compare/"


@pytest.fixture(autouse=True)
def _store(settings, tmp_path, starter) -> None:
    settings.IMAGE_STORE_DIR = tmp_path


def models(count: int) -> list[str]:
    return list(Variant.objects.filter(backend="engine").values_list("slug", flat=True))[:count]


def compare(client: Client, **form: Any) -> Any:
    sent = {"skill": "caption", "sample": "night", "model": models(3), **form}
    return client.post(URL, sent)


def test_each_model_is_asked_the_same_once(client: Client) -> None:
    file = SimpleUploadedFile("mine.png", plain(40, 30))
    answer = compare(client, skill="query", question="How many?", image=file, reference="two")
    assert answer.status_code == 302
    jobs = list(Job.objects.order_by("created_at"))
    assert [job.variant.slug for job in jobs] == models(3)
    assert len({job.image_sha256 for job in jobs}) == 1
    assert {job.params["question"] for job in jobs} == {"How many?"}
    page = client.get(answer["Location"]).content.decode()
    assert page.count("Waiting for a worker") == 3
    assert page.count("data-follow") == 3
    for job in jobs:
        finish(job)
    Job.objects.filter(pk=jobs[1].pk).update(result={"answer": "two or three"})
    page = client.get(answer["Location"]).content.decode()
    assert "data-follow" not in page
    assert "<ins>or three</ins>" in page
    assert "Exact match" in page
    assert "mine.png" in page
    assert all(slug in page for slug in models(3))
    stranger = Client()
    for address in (answer["Location"], answer["Location"].rstrip("/") + ".json", answer["Location"].rstrip("/") + ".csv"):  # fmt: skip
        assert client.get(address).status_code == 200
        assert stranger.get(address).status_code == 404


def test_places_are_drawn_in_one_picture(client: Client) -> None:
    address = compare(client, skill="detect", object="star")["Location"]
    for job in Job.objects.all():
        finish(job)
    page = client.get(address).content.decode()
    assert page.count('class="overlay-box"') == 3
    assert page.count("data-layer=") == 3
    assert "1 box for" in page


@pytest.mark.parametrize("chosen", [0, 1, 5])
def test_two_to_four_are_compared(client: Client, chosen: int) -> None:
    names = [*models(3), "another", "one more"][:chosen]
    answer = compare(client, model=names)
    assert answer.status_code == 422
    assert "Two to four models" in answer.content.decode()
    assert compare(client, model=[models(1)[0]] * 2).status_code == 422
    assert not Job.objects.exists()


def test_all_are_asked_or_none(client: Client) -> None:
    answer = compare(client, model=[*models(2), "no-such-model"])
    assert answer.status_code == 404
    assert not Comparison.objects.exists()
    assert not Session.objects.exists()
    assert set(Job.objects.values_list("status", flat=True)) == {"cancelled"}
    # What was entered is still there.
    text = compare(client, skill="query", question="", reference="a & b").content.decode()
    assert "a &amp; b" in text


def test_a_saved_run_is_compared(client: Client, settings) -> None:
    first = compare(client, skill="point", object="star", model=models(2))["Location"]
    run = Comparison.objects.get().runs.all()[0]
    page = client.get(f"{URL}?run={run.pk}").content.decode()
    assert f"/playground/runs/{run.pk}/image/" in page
    assert 'value="star"' in page
    again = compare(
        client, run=str(run.pk), sample="", skill="point", object="moon", model=models(2)
    )
    assert again["Location"] != first
    assert len(set(Job.objects.values_list("image_sha256", flat=True))) == 1
    # Another's run is as none.
    assert f"/playground/runs/{run.pk}/image/" not in Client().get(f"{URL}?run={run.pk}").content.decode()  # fmt: skip
    assert compare(Client(), run=str(run.pk), sample="").status_code == 400
    for odd in ("x", "-1", "9" * 40, "²"):
        assert client.get(URL, {"run": odd}).status_code == 200


def test_the_table_to_take_away_holds_no_formula(client: Client) -> None:
    address = compare(client, reference="Three moons.")["Location"].rstrip("/")
    for job in Job.objects.all():
        finish(job)
    Job.objects.filter(variant__slug=models(1)[0]).update(result={"caption": "=1+1"})
    rows = list(csv.DictReader(io.StringIO(client.get(f"{address}.csv").content.decode())))
    assert [row["answer"] for row in rows] == ["'=1+1", "Three moons.", "Three moons."]
    assert float(rows[1]["ROUGE-L"]) == pytest.approx(1)
    data = client.get(f"{address}.json").json()
    assert data["answers"][0]["answer"] == "=1+1"
    assert data["answers"][1]["scores"]["BLEU-1"] == pytest.approx(1, abs=1e-6)


def test_the_page_asks_little(client: Client, django_assert_max_num_queries) -> None:
    address = compare(client, model=models(3))["Location"]
    client.get(address)
    with django_assert_max_num_queries(8):
        client.get(address)
    with django_assert_max_num_queries(8):
        client.get(URL)


def test_a_deleted_session_takes_its_comparison_along(client: Client) -> None:
    address = compare(client)["Location"]
    session = Session.objects.get()
    client.post(f"/playground/sessions/{session.pk}/delete/")
    assert client.get(address).status_code == 404
    assert not Comparison.objects.exists()


def test_one_that_failed_stands_beside_the_others(client: Client) -> None:
    address = compare(client, model=models(2))["Location"]
    first, second = Job.objects.order_by("created_at")
    finish(second)
    Job.objects.filter(pk=first.pk).update(status="failed", error_message="It took too long.")
    page = client.get(address).content.decode()
    assert "It took too long." in page
    assert ANSWERS["caption"]["caption"] in page


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ("a b c", "a b c", ["same"]),
        ("a b c", "a x c", ["same", "removed", "added", "same"]),
        ("a", "a b", ["same", "added"]),
        ("", "a", ["added"]),
        ("a\nb", "a b", ["same"]),
        ("one", "two", ["removed", "added"]),
    ],
)
def test_differences_by_words(before: str, after: str, kinds: list[str]) -> None:
    pieces = difference(before, after)
    assert [piece.kind for piece in pieces] == kinds
    assert "".join(p.text for p in pieces if p.kind != "removed").split() == after.split()


def test_scores_beside_a_reference() -> None:
    assert text_scores("caption", "a red star", "") == []
    assert text_scores("detect", "", "a red star") == []
    caption = {s.name: s.value for s in text_scores("caption", "A red star.", "a red star")}
    assert caption["ROUGE-L"] == pytest.approx(1)
    assert caption["BLEU-1"] == pytest.approx(1, abs=1e-6)
    query = {s.name: s.value for s in text_scores("query", "Red", "red")}
    assert query == {"Exact match": 1.0, "ANLS": 1.0}
    assert {s.value for s in text_scores("query", "blue", "red")} == {0.0}
