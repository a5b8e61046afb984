"""Pages of items: what a page shows is read, and no sealed file or whole prediction file."""

import json
from typing import Any

import pytest
from django.core.files.storage import storages

from leaderboard import selectors, services, vault
from leaderboard.models import PredictionBlock, ReferenceBlock, Score, Split
from leaderboard.models.blocks import SIZE
from leaderboard.services import NewItem
from tests.leaderboard.conftest import COLOURS, person, predictions

pytestmark = pytest.mark.django_db
COUNT = 2 * SIZE + 50


@pytest.fixture
def large(split: Split) -> Split:
    """A public split of more than two blocks."""
    items = [
        NewItem(f"q{n}", {"answers": [f"secret{n}-{COLOURS[n % 4]}"]}, "What colour?",
                image=f"https://images.test/{n // 2}.webp")
        for n in range(COUNT)
    ]  # fmt: skip
    return services.split_fill(benchmark=split.benchmark, name="large", items=items, is_public=True)


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing sealed, and no file of predictions, can be opened from here on."""
    monkeypatch.setattr(vault, "unseal", lambda _: pytest.fail("unsealed in a request"))
    private = storages["private"]
    monkeypatch.setattr(private, "open", lambda *_: pytest.fail("read in a request"))


def test_a_page_reads_what_it_shows(client, send, large, sealed_later, django_assert_max_num_queries) -> None:  # fmt: skip
    made, other = send(300, to=large), send(10, to=large, by=person("bea"))
    sealed_later()
    for path, number, first in (
        (f"/leaderboards/entries/{made.pk}/items/?page=1", 1, 0),
        (f"/leaderboards/entries/{made.pk}/items/?page=11", 11, 200),
        (f"/leaderboards/entries/{made.pk}/items/?page=23", 23, 440),
        (f"/leaderboards/compare/?a={made.pk}&b={other.pk}&page=16", 16, 300),
    ):
        with django_assert_max_num_queries(10 if "compare" not in path else 18):
            html = client.get(path).content.decode()
        shown = range(first, min(first + 20, COUNT))
        assert html.count('class="sample"') == len(shown), (path, number)
        for n in shown:
            assert f"secret{n}-{COLOURS[n % 4]}" in html
        assert f"secret{first + 20}-" not in html
        assert "being prepared" not in html
    page, views = selectors.items_page([made, other], 16)
    assert page.paginator.count == COUNT
    assert views[0].predicted == ["grey", "grey"]
    assert [v.scores for v in views] == [[0.0, 0.0]] * 20
    _, views = selectors.items_page([made, other], 15)
    assert views[-1].predicted == [f"secret299-{COLOURS[299 % 4]}", "grey"]
    assert views[-1].scores == [1.0, 0.0]


@pytest.fixture
def sealed_later(request: pytest.FixtureRequest) -> Any:
    return lambda: request.getfixturevalue("sealed")


def test_everything_else_that_shows_references_opens_nothing(client, split, large, sealed_later) -> None:  # fmt: skip
    sealed_later()
    lines = client.get("/api/leaderboards/colours/splits/large/items").getvalue().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [r["id"] for r in rows] == [f"q{n}" for n in range(COUNT)]
    assert rows[SIZE]["reference"] == {"answers": [f"secret{SIZE}-red"]}
    assert rows[SIZE]["image"] == f"https://images.test/{SIZE // 2}.webp"
    hidden = client.get("/api/leaderboards/colours/splits/test/items").getvalue()
    assert b"secret" not in hidden
    prompt = selectors.prompt_get(f"colours/large/q{SIZE + 1}")
    assert selectors.reference_of(prompt).reference == f"secret{SIZE + 1}-green"
    found = selectors.examples("colours")
    assert found[0].reference["answers"][0].startswith("secret")


def test_what_was_there_before_is_laid_out_by_a_worker(client, send, split, large) -> None:
    made = send(300, to=large)
    ReferenceBlock.objects.all().delete()
    PredictionBlock.objects.all().delete()
    path = f"/leaderboards/entries/{made.pk}/items/"
    html = client.get(path).content.decode()
    assert html.count("being prepared") == 40
    response = client.get("/api/leaderboards/colours/splits/large/items")
    assert (response.status_code, response["Retry-After"]) == (503, "30")
    assert b"references_preparing" in response.content
    assert services.blocks_rescue() >= 3  # both public splits, and the submission
    services.split_open(split_id=large.pk)
    services.submission_open(submission_id=str(made.pk))
    html = client.get(path).content.decode()
    assert "being prepared" not in html
    assert "secret7-yellow" in html


def test_hidden_and_withdrawn_is_not_laid_out(send, split, large) -> None:
    hidden, gone, kept = send(5), send(5, to=large), send(6, to=large)
    assert not PredictionBlock.objects.filter(submission=hidden).exists()
    assert not ReferenceBlock.objects.filter(split=split).exists()
    services.submission_withdraw(submission=gone, actor="ada")
    assert not PredictionBlock.objects.filter(submission=gone).exists()
    services.submission_open(submission_id=str(gone.pk))
    services.submission_open(submission_id=str(hidden.pk))
    services.split_open(split_id=split.pk)
    assert set(PredictionBlock.objects.values_list("submission", flat=True)) == {kept.pk}
    # A split that is closed shows nothing from that moment on.
    Split.objects.filter(pk=large.pk).update(is_public=False)  # by no service: it is not offered
    large.refresh_from_db()
    services.split_saved(large)
    assert not ReferenceBlock.objects.filter(split=large).exists()
    assert not PredictionBlock.objects.exists()
    ReferenceBlock.objects.create(split=split, number=0, data=b"-")
    services.blocks_rescue()
    assert not ReferenceBlock.objects.filter(split=split).exists()


def test_references_of_a_split_closed_without_a_signal_are_not_read(split, large) -> None:
    Split.objects.filter(pk=large.pk).update(is_public=False)
    assert selectors.references_at(large, range(5)) == {}


def test_long_predictions_are_cut_and_places_counted(send, split, large, user) -> None:
    from leaderboard.services.blocks import LONGEST, words

    assert words([1, 2]) == "2 places"
    assert words([1]) == "1 place"
    file = predictions(0, COUNT)
    lines = [json.loads(line) for line in file.read().splitlines()]
    lines[3]["answer"] = "x" * 1000
    import io

    made = services.submission_make(
        split=large, user=user, card=services.Card("Long"),
        file=io.BytesIO("\n".join(json.dumps(row) for row in lines).encode()),
    )  # fmt: skip
    services.submission_score(submission_id=made.pk)
    made.refresh_from_db()
    _, views = selectors.items_page([made], 1)
    assert views[3].predicted == ["x" * LONGEST]


def test_a_large_split_is_compared_by_what_is_kept(client, send, split, large, monkeypatch) -> None:
    from leaderboard.selectors import items

    first, second = send(300, to=large), send(200, to=large, by=person("bea"))
    ranked, other = send(38, by=person("cyd")), send(20, by=person("dee"))
    monkeypatch.setattr(items, "COUNTED", 10)
    for name in ("items", "by_unit"):
        monkeypatch.setattr(Score, name, lambda *_: pytest.fail("all items read"))
    html = client.get(f"/leaderboards/compare/?a={ranked.pk}&b={other.pk}").content.decode()
    assert "The difference is significant" in html
    assert "45.0" in html
    assert "<dt>95 % interval" not in html
    html = client.get(f"/leaderboards/compare/?a={first.pk}&b={second.pk}").content.decode()
    assert "No paired test of these two was made" in html
    assert html.count('class="sample"') == 20
