"""One question about several images, to several models."""

import csv
import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from inference.models import Job
from playground.models import Comparison, Session, Share
from tests.images import plain
from tests.playground.comparison.test_comparison import models
from tests.playground.sessions.conftest import finish

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _store(settings, tmp_path, starter) -> None:
    settings.IMAGE_STORE_DIR = tmp_path
    settings.INFERENCE_MAX_WAITING_PER_CALLER = 1000


def one_more(client: Client, number: int, group: str = "", **form: Any) -> Any:
    """As the form's script sends one image after the other."""
    file = SimpleUploadedFile(f"image-{number}.png", plain(40 + number, 30))
    return client.post(
        "/playground/compare/", {"skill": "caption", "model": models(2), "image": file, "grid": "1", "blind": "1",
        "group": group, **form}, headers={"Accept": "application/json"},
    )  # fmt: skip


def grid(client: Client, count: int) -> str:
    first = one_more(client, 0)
    assert first.status_code == 201
    for number in range(1, count):
        assert one_more(client, number, first.json()["id"]).json()["grid"] == first.json()["grid"]
    return str(first.json()["grid"])


def test_answers_stand_by_image_and_model(client: Client, django_assert_max_num_queries) -> None:
    address = grid(client, 3)
    assert Session.objects.count() == 1
    assert not Comparison.objects.filter(is_blind=True).exists()
    assert "data-reload" in client.get(address).content.decode()
    for job in Job.objects.all():
        finish(job)
    Job.objects.filter(pk=Job.objects.latest("created_at").pk).update(result={"caption": "=cmd"})
    with django_assert_max_num_queries(9):
        text = client.get(address).content.decode()
    assert text.count("As the first.") == 2
    assert "as the first model: 67%" in text
    assert all(f"image-{number}.png" in text for number in range(3))
    rows = list(csv.DictReader(io.StringIO(client.get(f"{address[:-1]}.csv").content.decode())))
    assert len(rows) == 6
    assert [row["image"] for row in rows] == [f"image-{n}.png" for n in range(3) for _ in range(2)]
    assert rows[-1]["answer"] == "'=cmd"
    assert len(client.get(f"{address[:-1]}.json").json()["answers"]) == 6
    for place in (address, f"{address[:-1]}.csv"):
        assert Client().get(place).status_code == 404


def test_twenty_are_the_most(client: Client) -> None:
    address = grid(client, 20)
    group = address.split("/")[3]
    refused = one_more(client, 20, group)
    assert refused.status_code == 422
    assert refused.json()["error"]["code"] == "grid_full"
    assert Job.objects.count() == 40


def test_nobody_adds_to_anothers(client: Client) -> None:
    group = grid(client, 1).split("/")[3]
    for stranger, name in ((Client(), group), (client, "no-such"), (client, "x" * 300)):
        assert one_more(stranger, 1, name).status_code == 404
    assert Job.objects.count() == 2


def test_a_refusal_says_when_to_come_again(client: Client, settings) -> None:
    settings.INFERENCE_MAX_WAITING_PER_CALLER = 2
    first = one_more(client, 0).json()
    refused = one_more(client, 1, first["id"])
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) > 0
    assert refused.json()["error"]["hint"]
    for job in Job.objects.all():
        finish(job)
    assert one_more(client, 1, first["id"]).status_code == 201


def test_a_run_that_was_deleted_leaves_its_place_empty(client: Client) -> None:
    address = grid(client, 2)
    for job in Job.objects.all():
        finish(job)
    run = Comparison.objects.earliest("pk").runs.all()[0]
    client.post(f"/playground/runs/{run.pk}/delete/")
    text = client.get(address).content.decode()
    assert "Deleted" in text
    assert client.get(f"{address[:-1]}.csv").status_code == 200


def test_a_link_shows_the_whole_grid_and_nothing_else(client: Client) -> None:
    address = grid(client, 2)
    for job in Job.objects.all():
        finish(job)
    other = Client()
    share_address = f"{address}share/"
    assert other.post(share_address, {}).status_code == 404
    assert client.post(share_address, {"days": "3"}, follow=True).content.decode().count("class=\"ss-link\"") == 0  # fmt: skip
    page = client.post(share_address, {"days": "7"}, follow=True).content.decode()
    share = Share.objects.get()
    assert f"/playground/shared/{share.token}/" in page
    assert share.is_grid
    shown = other.get(f"/playground/shared/{share.token}/")
    assert shown["X-Robots-Tag"].startswith("noindex")
    text = shown.content.decode()
    assert all(f"image-{number}.png" in text for number in range(2))
    assert "/playground/compare/" not in text.replace("/playground/compare/?link", ""), "its rows lead nowhere"  # fmt: skip
    assert str(Job.objects.first().pk) not in text
    sizes = set()
    for row in (1, 2):
        image = other.get(f"/playground/shared/{share.token}/image/?row={row}")
        assert image.status_code == 200
        sizes.add(image.content)
    assert len(sizes) == 2
    for wrong in ("0", "3", "x", ""):
        assert other.get(f"/playground/shared/{share.token}/image/?row={wrong}").status_code == 404
    framed = other.get(f"/playground/shared/{share.token}/embed/")
    assert "frame-ancestors *" in framed["Content-Security-Policy"]
    assert "cm-grid" in framed.content.decode()
    assert other.get(f"/playground/shared/{share.token}/card.png").status_code == 200
    first = Comparison.objects.get(group=None)
    assert share.token not in client.get(f"/playground/compare/{first.pk}/").content.decode()
    gone = client.post(f"/playground/shared/{share.token}/revoke/")
    assert gone.url == address
    assert other.get(f"/playground/shared/{share.token}/").status_code == 404
    assert other.get(f"/playground/shared/{share.token}/image/?row=1").status_code == 404
