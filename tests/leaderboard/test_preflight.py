"""What is told of a file before it costs a submission, and what no field may hold."""

import io
import json
from typing import Any

import pytest
from django.test import Client

from inference.errors import InvalidInput
from leaderboard import services
from leaderboard.models import Split, Submission
from leaderboard.scoring import TASKS, Context, read_predictions
from leaderboard.services import NewItem
from leaderboard.services.runs import _prediction
from tests.leaderboard.conftest import predictions
from tests.leaderboard.test_pages import _key, _post

Said = list[tuple[str, str]]


def warned(task: str, field: str, values: list[Any], **known: Any) -> Said:
    rows = [{"id": str(n), field: value} for n, value in enumerate(values)]
    file = io.BytesIO("".join(json.dumps(r) + "\n" for r in rows).encode())
    checked = read_predictions(
        TASKS[task], {r["id"] for r in rows}, file, context=Context(**known), keep=False
    )
    assert not checked.problems, checked.problems
    return [(w.code, w.message) for w in checked.warnings]


@pytest.mark.parametrize(
    ("task", "field", "values", "codes", "said"),
    [
        ("vqa", "answer", ["", " ", "…"], ["all_empty"], "will score 0"),
        ("vqa", "answer", ["red", "red "], ["all_same"], "“red”"),
        ("vqa", "answer", ["red", ""], ["some_empty"], "1 of 2"),
        ("vqa", "answer", ["red", "blue"], [], ""),
        ("vqa", "answer", ["red"], [], ""),
        ("caption", "caption", ["", "\n"], ["all_empty"], "Every caption is empty"),
        ("caption", "caption", ["A dog.\u202e", "A dog.\u202e"], ["all_same"], "“A dog. ”"),
        ("caption", "caption", ["A dog.", "A cat."], [], ""),
        ("counting", "answer", ["10 cups", "about 3"], ["unreadable_counts"], "No answer is a number, such as “10 cups”"),
        ("counting", "answer", ["ten", "3.", 4], ["unreadable_counts"], "1 of 3 answers are not a number, such as “3.”"),
        ("counting", "answer", ["", ""], ["all_empty", "unreadable_counts"], "will score 0"),
        ("counting", "answer", ["3", "none"], [], ""),
        ("hallucination", "answer", ["yes", "Yes, it is"], ["one_value"], "read as yes"),
        ("hallucination", "answer", ["no", "No."], ["one_value"], "read as no"),
        ("hallucination", "answer", ["NO", "yes", "no"], ["read_as_yes"], "1 of 3 answers do not say yes and are read as yes, such as “NO”"),
        ("hallucination", "answer", ["yes", "no"], [], ""),
        ("pointing", "points", [[], []], ["no_points"], "find nothing"),
        ("pointing", "points", [[], [{"x": 0.1, "y": 0.1}]], [], ""),
    ],
)  # fmt: skip
def test_each_task_warns_of_a_file_that_must_score_nothing(
    task: str, field: str, values: list[Any], codes: list[str], said: str
) -> None:
    found = warned(task, field, values)
    assert [code for code, _ in found] == codes
    assert said in " ".join(message for _, message in found)


BOX = {"x_min": 0.1, "y_min": 0.1, "x_max": 0.4, "y_max": 0.4}


@pytest.fixture
def animals(db: None) -> Split:
    """Four hidden images of a cat or a dog; mAP ranks."""
    benchmark = services.benchmark_make(
        slug="animals", title="Animals", summary="Find them.", task="detection",
        primary_metric="map", licence="CC0-1.0", source="test",
    )  # fmt: skip
    items = [
        NewItem(f"q{n}", {"objects": [{"box": [0.1, 0.1, 0.4, 0.4], "label": "cat" if n % 2 else "secretdog"}],
                          "size": [100, 100]}, "object", "", f"https://images.test/{n}.webp")
        for n in range(4)
    ]  # fmt: skip
    return services.split_fill(
        benchmark=benchmark, name="test", items=items, is_public=False, ranks=True
    )


def _file(**box: Any) -> io.BytesIO:
    rows = [{"id": f"q{n}", "objects": [BOX | box]} for n in range(4)]
    file = io.BytesIO("".join(json.dumps(r) + "\n" for r in rows).encode())
    file.name = "p.jsonl"
    return file


def test_the_api_and_the_form_tell_before_a_submission_is_spent(
    client: Client, animals: Split, user: Any
) -> None:
    secret = _key(user)
    assert animals.labels == ["cat", "secretdog"]
    right = _post(client, "animals/check", secret, file=_file(label="cat", confidence=0.5)).json()
    assert "warnings" not in right
    told = _post(client, "animals/check", secret, file=_file(label="emu")).json()["warnings"]
    assert [w["code"] for w in told] == ["no_scores", "unknown_labels"]
    assert "secretdog" not in json.dumps(told)
    client.force_login(user)
    fields = {"split": "test", "model_name": "My model", "file": _file(score=1), "check": "1"}
    page = client.post("/leaderboards/animals/submit/", fields, follow=True).content.decode()
    assert "No box has a `label`" in page
    assert "The file can be read" in page
    assert "The file is right" not in page
    page = client.get("/leaderboards/animals/submit/").content.decode()
    about = client.get("/api/leaderboards/animals").json()
    assert about["prediction"]["objects"][0].keys() == {"x_min", "y_min", "x_max", "y_max", "label", "score"}  # fmt: skip
    for text in (page, about["guide"]):
        assert "`label` is the class" in text
        assert "`confidence`" in text
    assert "secretdog" not in page + json.dumps(about)
    assert not Submission.objects.exists()


def test_an_empty_file_is_on_the_table_with_nothing_and_last(animals: Split, user: Any) -> None:
    def send(name: str, file: io.BytesIO) -> Submission:
        made = services.submission_make(
            split=animals, user=user, card=services.Card(name), file=file
        )
        services.submission_score(submission_id=made.pk)
        return made

    animals.benchmark.entry_rule = "all"
    animals.benchmark.save()
    rows = "".join(json.dumps({"id": f"q{n}", "objects": []}) + "\n" for n in range(4))
    empty = send("Empty", io.BytesIO(rows.encode()))
    good = send("Good", _file(label="cat", score=1))
    score = empty.scores.get(metric="map", is_current=True)
    assert (score.value, score.low) == (0, 0)
    assert 0 < score.high < 1  # four items are few to be certain by
    entries = list(animals.benchmark.entries.order_by("rank").values_list("submission_id", "rank"))
    assert entries == [(good.pk, 1), (empty.pk, 2)]


def test_a_split_that_kept_no_labels_gets_them_when_it_is_scored(animals: Split, user: Any) -> None:
    Split.objects.filter(pk=animals.pk).update(labels=None)
    animals.refresh_from_db()
    assert not services.predictions_check(split=animals, file=_file(score=1)).warnings
    made = services.submission_make(
        split=animals, user=user, card=services.Card("M"), file=_file(score=1)
    )
    services.submission_score(submission_id=made.pk)
    animals.refresh_from_db()
    assert animals.labels == ["cat", "secretdog"]


def test_our_own_runs_cut_boxes_to_the_image() -> None:
    box = {"x_min": -0.2, "y_min": 0.1, "x_max": 0.5, "y_max": 1.3, "confidence": 1.5}
    assert _prediction("detect", {"objects": [box]}) == {
        "objects": [box | {"x_min": 0.0, "y_max": 1.0}]
    }
    assert _prediction("caption", {"caption": "a"}) == {"caption": "a"}


FIELDS = ("model_name", "parameters", "precision", "revision", "link", "contact", "note", "hardware", "latency_ms", "team", "split", "challenge")  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", ["a\x00b", "x" * 5000, "a\u202eb\x07"])
def test_no_field_of_a_submission_fails_the_server(
    client: Client, split: Split, user: Any, name: str, value: str
) -> None:
    client.raise_request_exception = False
    fields: dict[str, Any] = {"model_name": "My model", "file": predictions(3)} | {name: value}
    fields["file"].name = "p.jsonl"
    answer = _post(client, "colours/submissions", _key(user), **fields)
    assert answer.status_code in (400, 404, 422), answer.content
    assert answer["Content-Type"] == "application/problem+json"
    client.force_login(user)
    fields["file"].seek(0)
    page = client.post("/leaderboards/colours/submit/", {"split": "test", **fields, "submit": "1"})
    if "\x00" in value:
        assert page.status_code == 400
    else:
        assert page.status_code == (302 if name in ("challenge", "team") else 200)


def test_what_a_card_says_is_kept_whole_or_refused() -> None:
    assert services.card_read({"model_name": "My model", "note": "a" * 500}).note == "a" * 500
    for field, most in (("revision", 80), ("note", 500), ("hardware", 200), ("link", 200)):
        with pytest.raises(InvalidInput, match=f"At most {most} characters") as refused:
            services.card_read({"model_name": "My model", field: "x" * (most + 1)})
        assert refused.value.extra["field"] == field
