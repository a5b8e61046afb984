"""Comparisons without names, what is preferred, and links to comparisons."""

import io
import re
from typing import Any

import pytest
from django.test import Client
from PIL import Image

from inference.models import Job
from playground.models import Comparison, Preference, Run, Share
from tests.playground.comparison.test_comparison import compare, models
from tests.playground.sessions.conftest import finish

pytestmark = pytest.mark.django_db
VOTES = "/playground/compare/votes/"


@pytest.fixture(autouse=True)
def _store(settings, tmp_path, starter) -> None:
    settings.IMAGE_STORE_DIR = tmp_path


def asked(client: Client, **form: Any) -> str:
    """A comparison that is answered; its address."""
    address = compare(client, **form)["Location"]
    for job in Job.objects.filter(status="queued"):
        finish(job)
    return address


def page_of(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def test_names_are_hidden_until_one_is_preferred(client: Client) -> None:
    address = asked(client, blind="1", model=models(2))
    main = page_of(client, address).split("<main")[1]
    assert not any(slug in main for slug in models(2))
    assert "Model A is better" in main
    assert "40 ms" not in main, "its time would tell"
    for kind in ("json", "csv", "png"):
        assert client.get(f"{address.rstrip('/')}.{kind}").status_code == 404
    assert client.get(f"{address}code/python/").status_code == 404
    client.post(f"{address}share/")
    assert not Share.objects.exists()
    (left, right) = sorted(models(2))
    chosen = Run.objects.get(job__variant__slug=right)
    assert client.post(f"{address}prefer/", {"run": chosen.pk}).status_code == 302
    kept = Preference.objects.get()
    assert (kept.left, kept.right, kept.outcome) == (left, right, "right")
    main = page_of(client, address).split("<main")[1]
    assert all(slug in main for slug in models(2))
    assert "is better</button>" not in main
    # It is said once.
    client.post(f"{address}prefer/", {"run": "alike"})
    assert Preference.objects.get().outcome == "right"


def test_the_order_is_by_lot_and_stays(client: Client) -> None:
    orders = set()
    for number in range(8):
        address = asked(client, blind="1", skill="query", question=f"Number {number}?")
        found = re.findall(r'name="run" value="(\d+)"', page_of(client, address))
        assert found == re.findall(r'name="run" value="(\d+)"', page_of(client, address))
        first = min(Run.objects.filter(comparison=Comparison.objects.latest("created_at")).values_list("pk", flat=True))  # fmt: skip
        orders.add(int(found[1]) - first)
    assert len(orders) > 1


def test_one_visitors_word_about_one_question_counts_once(client: Client) -> None:
    for _ in range(3):
        address = asked(client, blind="1", model=models(2))
        client.post(f"{address}prefer/", {"run": "alike"})
    assert Preference.objects.count() == 1
    other = Client()
    address = asked(other, blind="1", model=models(2))
    other.post(f"{address}prefer/", {"run": "alike"})
    address = asked(client, blind="1", model=models(2), skill="query", question="Another?")
    client.post(f"{address}prefer/", {"run": "alike"})
    assert Preference.objects.count() == 3


def test_of_three_the_preferred_beats_each(client: Client) -> None:
    address = asked(client, blind="1")
    best = models(3)[1]
    client.post(f"{address}prefer/", {"run": Run.objects.get(job__variant__slug=best).pk})
    rows = Preference.objects.all()
    assert len(rows) == 2
    assert all((row.left if row.outcome == "left" else row.right) == best for row in rows)


@pytest.mark.parametrize("run", ["", "x", "-1", "9" * 30, "another"])
def test_what_cannot_be_preferred(client: Client, run: str) -> None:
    other = asked(client, model=models(2))
    if run == "another":
        run = str(Run.objects.first().pk)  # type: ignore[union-attr]
    address = asked(client, blind="1", model=models(2))
    assert client.post(f"{address}prefer/", {"run": run}).status_code == 404
    assert not Preference.objects.exists()
    # With the names in view, or before the answers, nothing counts; nor a stranger's.
    for place in (other, compare(client, blind="1", model=models(2))["Location"]):
        client.post(f"{place}prefer/", {"run": "alike"})
    assert Client().post(f"{address}prefer/", {"run": "alike"}).status_code == 404
    client.post(f"{address}names/")
    client.post(f"{address}prefer/", {"run": "alike"})
    assert not Preference.objects.exists()


def test_tuned_models_are_not_counted(client: Client) -> None:
    address = asked(client, blind="1", model=models(2))
    Job.objects.filter(variant__slug=models(1)[0]).update(adapter="01ARZ3NDEKTSV4RRFFQ69G5FAV@3")
    client.post(f"{address}prefer/", {"run": "alike"})
    assert not Preference.objects.exists()
    assert Comparison.objects.get().named_at


def test_pairs_have_shares_with_intervals(client: Client, django_assert_max_num_queries) -> None:
    assert "No preference yet" in page_of(client, VOTES)
    left, right = sorted(models(2))
    outcomes = ["left"] * 6 + ["right"] * 2 + ["tie"] * 2
    Preference.objects.bulk_create(
        Preference(left=left, right=right, outcome=outcome, voter=str(number), question="q")
        for number, outcome in enumerate(outcomes)
    )
    with django_assert_max_num_queries(9):
        text = page_of(client, VOTES)
    cells = re.findall(r'class="num mono">([^<]+)<', text)
    assert cells[:4] == ["6", "2", "2", "0.70"]
    low, high = map(float, cells[4].split("–"))
    assert 0.3 < low < 0.5
    assert 0.85 < high < 0.95


def test_a_link_shows_all_of_a_comparison(client: Client) -> None:
    address = asked(client, reference="Three moons.")
    client.post(f"{address}share/", {"days": "7"})
    share = Share.objects.get()
    assert f"/playground/shared/{share.token}/" in page_of(client, address)
    stranger = Client()
    shared = f"/playground/shared/{share.token}/"
    text = page_of(stranger, shared)
    assert all(slug in text for slug in models(3))
    assert text.count("Three moons.") >= 4
    assert "noindex" in text
    assert "<ins>" in page_of(stranger, shared) or "The same words" in text
    assert all(slug in page_of(stranger, f"{shared}embed/") for slug in models(3))
    picture = Image.open(io.BytesIO(stranger.get(f"{shared}card.png").content))
    assert picture.width == 1200
    form = page_of(stranger, f"/playground/compare/?link={share.token}")
    assert f"{shared}image/" in form
    again = compare(stranger, link=share.token, sample="", model=models(2))
    assert again.status_code == 302
    assert len(set(Job.objects.values_list("image_sha256", flat=True))) == 1
    # Nothing else of the session: neither its address nor its runs'.
    assert share.run.session_id not in text
    assert "/v1/jobs/" not in text
    client.post(f"{shared}revoke/")
    assert stranger.get(shared).status_code == 404
    assert f"{shared}image/" not in page_of(stranger, f"/playground/compare/?link={share.token}")


def test_answers_on_their_way_are_followed_by_the_link(client: Client) -> None:
    address = compare(client)["Location"]
    client.post(f"{address}share/")
    text = page_of(Client(), f"/playground/shared/{Share.objects.get().token}/")
    assert re.findall(r"events/\?column=(\d)", text) == ["1", "2", "3"]
    assert "/v1/jobs/" not in text


def test_a_picture_and_code_are_taken_away(client: Client) -> None:
    for skill, form in (("caption", {}), ("detect", {"object": "star"})):
        address = asked(client, skill=skill, **form)
        file = client.get(f"{address.rstrip('/')}.png")
        assert Image.open(io.BytesIO(file.content)).width == 1200
    for language in ("python", "javascript", "curl", "notebook"):
        text = client.get(f"{address}code/{language}/").content.decode()
        assert all(slug in text for slug in models(3)), language
    assert client.get(f"{address}code/fortran/").status_code == 404
    assert Client().get(f"{address}code/python/").status_code == 404


def test_maps_are_asked_for(client: Client) -> None:
    address = compare(client, attention="1")["Location"]
    assert all(job.params["attention"] is True for job in Job.objects.all())
    maps = {"pieces": ["a", "</script>"], "grid": 2, "maps": "AAECAwQFBgc=", "peaks": [0.5, 0.5], "image_share": [0.2, 0.3]}  # fmt: skip
    for job in Job.objects.all():
        finish(job)
    Job.objects.update(result={"caption": "a", "attention": maps})
    text = page_of(client, address)
    assert text.count("data-attention=") == 3
    assert '"</script>"' not in text
    assert compare(client, skill="detect", object="x", attention="1").status_code == 302
