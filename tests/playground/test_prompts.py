"""Benchmarks' prompts: to choose, to repeat an item with, to propose, to approve."""

import json
import re
from html import unescape
from io import BytesIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse

from inference import services as inference
from inference.errors import Conflict, InvalidInput, NotFound
from inference.models import Job
from leaderboard import selectors, services, vault
from leaderboard.models import Benchmark, BenchmarkItem, BenchmarkPrompt, ReportedFigure, Split
from leaderboard.services.prompts import MOST_WAITING
from pricing import throttling

pytestmark = pytest.mark.django_db
LIST = "/playground/prompts/"
PROPOSE = "/playground/prompts/propose/"
FORM = {
    "benchmark": "name:TextVQA", "name": "", "skill": "query", "text": "{question} In one word.",
    "source": "A paper", "source_url": "https://example.org/paper", "note": "", "figure": "",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _store(settings, tmp_path) -> None:
    settings.IMAGE_STORE_DIR = tmp_path


@pytest.fixture
def user(db: None) -> Any:
    return get_user_model().objects.create_user("ada", "ada@example.org", "correct horse")


@pytest.fixture
def ada(client: Client, user: Any) -> Client:
    client.force_login(user)
    return client


def item_of(slug: str, split: str = "dev") -> BenchmarkItem:
    items = BenchmarkItem.objects.select_related("split__benchmark")
    return items.filter(split__benchmark__slug=slug, split__name=split)[3]


def ref_of(item: BenchmarkItem) -> str:
    return f"{item.split.benchmark.slug}/{item.split.name}/{item.key}"


def proposed(user: Any, **more: Any) -> BenchmarkPrompt:
    fields = {"benchmark": None, "name": "TextVQA", "skill": "query", "text": "{question} In a word.",
              "source": "A paper", "source_url": "https://example.org/p"}  # fmt: skip
    return services.prompt_propose(user=user, **{**fields, **more})


def ask(client: Client, item: BenchmarkItem, skill: str, **more: str) -> Any:
    field = {"caption": "length", "query": "question", "detect": "object"}[skill]
    sent = {"skill": skill, field: item.prompt, "item": ref_of(item), **more}
    answer: Any = client.post("/playground/", sent)
    assert answer.status_code == 302, answer.content.decode()
    job = Job.objects.latest("created_at")
    inference.job_run(job_id=job.pk, worker="w")
    return answer.url, job


# Choosing


def test_the_starter_loads_once_and_leaves_edits(starter) -> None:
    before = BenchmarkPrompt.objects.count()
    assert before >= 10
    edited = BenchmarkPrompt.objects.get(name="POPE")
    edited.text, edited.state = "{question} Yes or no?", "declined"
    edited.save()
    assert services.prompts_load() == 0
    assert BenchmarkPrompt.objects.count() == before
    edited.refresh_from_db()
    assert (edited.text, edited.state) == ("{question} Yes or no?", "declined")


def test_every_starter_prompt_has_a_place_for_the_question_and_a_source(starter) -> None:
    for prompt in BenchmarkPrompt.objects.all():
        assert selectors.PLACE.search(prompt.text), prompt
        assert prompt.source_url.startswith("https://github.com/vikhyat/moondream/blob/")
    figure = BenchmarkPrompt.objects.get(name="TextVQA").figure
    assert figure is not None
    assert (figure.model, figure.value) == ("moondream2 2025-04-14", 76.3)


def test_the_menu_has_curated_prompts_and_a_spread_of_public_items(client, starter) -> None:
    text = unescape(client.get("/playground/").content.decode())
    menu = text[text.index("data-prompt-menu") : text.index("</select>", text.index("data-prompt-menu"))]  # fmt: skip
    groups = re.findall(r'<optgroup label="([^"]+)"', menu)
    assert {"World VQA · query", "World captions · caption", "TextVQA · query", "COCO detection · detect"} <= set(groups)  # fmt: skip
    refs = [r for r in re.findall(r'<option value="([^"]+)"', menu) if r.startswith("world-vqa/")]
    assert len(refs) == 6
    assert len({selectors.prompt_get(r).item.category for r in refs}) >= 3
    assert "/test/" not in menu


def test_a_link_opens_the_playground_filled(client, starter) -> None:
    pope = BenchmarkPrompt.objects.get(name="POPE")
    text = unescape(client.get(f"/playground/?prompt={pope.pk}").content.decode())
    assert ">{question}\nAnswer yes or no.</textarea>" in text
    assert pope.source_url in text
    assert '<option value="query" selected>' in text
    item = item_of("world-detection")
    text = unescape(client.get(f"/playground/?prompt={ref_of(item)}").content.decode())
    assert f'value="{item.prompt}"' in text
    assert f'name="item" value="{ref_of(item)}" checked' in text
    assert default_storage.url(item.image) in text
    caption = item_of("world-captions")
    text = client.get(f"/playground/?prompt={ref_of(caption)}").content.decode()
    assert '<option value="normal" selected>' in text


def test_text_in_the_address_is_still_text(client, starter) -> None:
    for query in ("skill=query&prompt=12", "prompt=red circle", "prompt=a/b"):
        answer = client.get(f"/playground/?{query}")
        assert answer.status_code == 200, query
        assert b"data-prompt-line" not in answer.content
    kept = BenchmarkPrompt.objects.get(name="POPE").pk
    answer = client.get(f"/playground/?skill=query&prompt=Is+it+red%3F&from={kept}")
    assert b"data-prompt-line" in answer.content


@pytest.mark.parametrize("ref", ["999999", "9" * 30, "world-vqa/dev/none", "none/dev/x", "a/b/c/d"])  # fmt: skip
def test_a_prompt_that_is_not_there_says_so(client, starter, ref) -> None:
    answer = client.get(f"/playground/?prompt={ref}")
    assert answer.status_code == 404
    assert "There is no such prompt." in answer.content.decode()
    assert client.get(f"/playground/prompts/line/?prompt={ref}").status_code == 404
    assert client.get(f"/playground/prompts/image/?prompt={ref}").status_code == 404


@pytest.mark.parametrize("path", ["", "prompts/line/", "prompts/image/"])
def test_a_prompt_that_cannot_be_read_is_refused(client, path) -> None:
    assert client.get(f"/playground/{path}?prompt=1/2/%00").status_code == 400


# The list


def test_the_list_is_searched_filtered_and_paged(client, starter) -> None:
    first = client.get(LIST).content.decode()
    public = BenchmarkItem.objects.filter(split__is_public=True).count()
    total = public + BenchmarkPrompt.objects.count()
    assert f"{total} prompts" in first
    seen: list[str] = []
    for number in range(1, total // 20 + 2):
        page = client.get(f"{LIST}?page={number}").content.decode()
        seen += re.findall(r'href="/playground/\?prompt=([^"]+)">Try', page)
    assert len(seen) == len(set(seen)) == total
    only = unescape(client.get(f"{LIST}?benchmark=TextVQA").content.decode())
    assert "1 prompt ·" in only
    assert "76.3" in only
    board = client.get(f"{LIST}?benchmark=world-counting&skill=query").content.decode()
    assert "Item 1 of the public split of World counting" in board
    assert "textvqa.py" not in board
    assert "No prompt is like that" in client.get(f"{LIST}?q=zzzz").content.decode()
    assert "yes or no" in client.get(f"{LIST}?q=POPE").content.decode()
    assert client.get(f"{LIST}?page=x&skill=y&benchmark=none").status_code == 200
    assert client.get(f"{LIST}?benchmark=%00").status_code == 400


def test_pages_are_few_queries_however_many_prompts(
    client, starter, user, django_assert_max_num_queries
) -> None:
    BenchmarkPrompt.objects.bulk_create(
        BenchmarkPrompt(
            name=f"Bench {n % 7}", skill="query", text=f"{{question}} {n}", source="s",
            source_url="https://example.org", state="approved",
        )
        for n in range(300)
    )  # fmt: skip
    pages = (("/playground/", 8), ("/playground/panel/", 5), (LIST, 9), (f"{LIST}?page=17", 9))
    for path, most in pages:
        client.get(path)
        with django_assert_max_num_queries(most):
            client.get(path)


# Repeating an item


@pytest.mark.parametrize(
    ("slug", "skill", "metric"),
    [("world-vqa", "query", "Exact match"), ("world-counting", "query", "Accuracy"),
     ("world-existence", "query", "Accuracy"), ("world-captions", "caption", "ROUGE-L"),
     ("world-detection", "detect", "F1 @ 0.5")],
)  # fmt: skip
def test_an_item_is_asked_with_its_image_and_compared(client, starter, slug, skill, metric) -> None:
    item = item_of(slug)
    url, job = ask(client, item, skill)
    page = client.get(url).content.decode()
    assert "pg-reference" in page
    assert metric in page
    fragment = client.get(f"{LIST}reference/?prompt={ref_of(item)}&job={job.pk}").content.decode()
    reference = next(i for i in vault.unseal(item.split) if i.key == item.key).reference
    assert selectors.prompt_get(ref_of(item)).item == item
    if skill == "detect":
        drawn = json.loads(unescape(re.search(r'data-regions="([^"]+)"', fragment)[1]))  # type: ignore[index]
        assert [list(r.values()) for r in drawn] == [o["box"] for o in reference["objects"]]
    assert metric in fragment


def test_the_verdict_follows_the_answer(client, starter) -> None:
    item = item_of("world-counting")
    _, job = ask(client, item, "query")
    reference = next(i for i in vault.unseal(item.split) if i.key == item.key).reference
    for answer, verdict, figure in ((str(reference["count"]), "Right.", "100.0"), ("ninety", "Not the reference.", "0.0")):  # fmt: skip
        Job.objects.filter(pk=job.pk).update(result={"answer": answer})
        text = client.get(f"{LIST}reference/?prompt={ref_of(item)}&job={job.pk}").content.decode()
        assert verdict in text
        assert f'"mono">{figure} %' in text


def test_another_question_or_image_is_not_compared(client, starter) -> None:
    item = item_of("world-vqa")
    _, job = ask(client, item, "query", question="What is it?")
    answer = client.get(f"{LIST}reference/?prompt={ref_of(item)}&job={job.pk}")
    assert answer.status_code == 404
    assert "nothing to compare" in answer.content.decode()
    sent = {"skill": "query", "question": item.prompt, "sample": "night"}
    client.post("/playground/", sent)
    job = Job.objects.latest("created_at")
    waiting = client.get(f"{LIST}reference/?prompt={ref_of(item)}&job={job.pk}")
    assert "no answer to compare" in waiting.content.decode()
    inference.job_run(job_id=job.pk, worker="w")
    other = client.get(f"{LIST}reference/?prompt={ref_of(item)}&job={job.pk}")
    assert "nothing to compare" in other.content.decode()
    assert client.get(f"{LIST}reference/?prompt={ref_of(item)}&job=x").status_code == 404


def test_what_is_wrong_with_an_item_is_told(client, starter) -> None:
    gone = {"skill": "query", "question": "x", "item": "world-vqa/dev/none"}
    answer = client.post("/playground/", gone)
    assert answer.status_code == 404
    assert "There is no such prompt." in answer.content.decode()
    unfilled = {"skill": "query", "question": "{question} Answer yes or no.", "sample": "night"}
    answer = client.post("/playground/", unfilled)
    assert answer.status_code == 400
    assert "Write what you ask in its place." in answer.content.decode()
    assert not Job.objects.exists()


# Nothing of a hidden split


def test_no_hidden_item_image_or_reference_can_be_reached(client, starter) -> None:
    hidden = Split.objects.get(benchmark__slug="world-vqa", is_public=False)
    items = list(hidden.items.all())
    assert items
    for item in items[:5]:
        ref = f"world-vqa/{hidden.name}/{item.key}"
        for path in ("/playground/", f"{LIST}line/", f"{LIST}image/", f"{LIST}reference/"):
            assert client.get(f"{path}?prompt={ref}").status_code == 404, path
        refused = client.post("/playground/", {"skill": "query", "question": "x", "item": ref})
        assert refused.status_code == 404
        with pytest.raises(NotFound):
            selectors.prompt_get(ref)
    keys = {i.key for s in Split.objects.filter(is_public=False) for i in s.items.all()}
    pages = [client.get("/playground/"), client.get("/playground/panel/")]
    pages += [client.get(f"{LIST}?page={n}") for n in range(1, 16)]
    text = "".join(p.content.decode() for p in pages)
    assert not [key for key in keys if key in text]


def test_a_split_that_is_hidden_later_is_hidden_at_once(client, starter) -> None:
    item = item_of("world-vqa")
    prompt = selectors.prompt_get(ref_of(item))
    Split.objects.filter(pk=item.split_id).update(is_public=False)
    assert client.get(f"/playground/?prompt={ref_of(item)}").status_code == 404
    assert prompt.item is not None
    prompt.item.split.is_public = False
    with pytest.raises(NotFound):
        selectors.reference_of(prompt)
    Split.objects.filter(pk=item.split_id).update(is_public=True)
    Benchmark.objects.filter(slug="world-vqa").update(is_shown=False)
    assert client.get(f"/playground/?prompt={ref_of(item)}").status_code == 404


# Proposing


def test_a_proposal_is_seen_by_its_proposer_alone_until_it_is_approved(ada, starter, user) -> None:
    assert ada.post(PROPOSE, FORM).status_code == 302
    made = BenchmarkPrompt.objects.get(proposed_by=user)
    assert (made.state, made.name, made.text) == ("proposed", "TextVQA", FORM["text"])
    assert "Waiting for an editor" in ada.get(PROPOSE).content.decode()
    stranger = Client()
    for path in ("/playground/", LIST, "/playground/panel/"):
        assert "In one word" not in stranger.get(path).content.decode()
    assert stranger.get(f"/playground/?prompt={made.pk}").status_code == 404
    services.prompt_decide(prompt_id=made.pk, by=user, approve=False, reason="The paper says else.")
    assert "Declined: The paper says else." in ada.get(PROPOSE).content.decode()
    assert stranger.get(f"/playground/?prompt={made.pk}").status_code == 404
    services.prompt_decide(prompt_id=made.pk, by=user, approve=True)
    assert stranger.get(f"/playground/?prompt={made.pk}").status_code == 200
    assert "In one word" in stranger.get(LIST).content.decode()


def test_strangers_sign_in_first(client, starter) -> None:
    assert "Sign in" in client.get(PROPOSE).content.decode()
    assert client.post(PROPOSE, FORM).url == f"/account/login/?next={PROPOSE}"
    assert not BenchmarkPrompt.objects.filter(state="proposed").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": ""}, "This field is required."),
        ({"text": "x" * 501}, "at most 500 characters"),
        ({"source_url": "nonsense"}, "Enter a valid URL."),
        ({"source_url": "javascript:alert(1)"}, "Enter a valid URL."),
        ({"source": ""}, "This field is required."),
        ({"benchmark": ""}, "Name the benchmark."),
        ({"name": "Mine"}, "not both"),
        ({"benchmark": "board:none"}, "Select a valid choice."),
        ({"skill": "segment"}, "Select a valid choice."),
        ({"skill": "caption"}, "write short, normal or long"),
        ({"skill": "detect"}, "stands as {object}"),
        ({"figure": "999999"}, "Select a valid choice."),
    ],
)
def test_fields_say_what_is_wrong(ada, starter, change, message) -> None:
    answer = ada.post(PROPOSE, {**FORM, **change})
    assert answer.status_code in (400, 422)
    assert message in unescape(answer.content.decode())
    assert not BenchmarkPrompt.objects.filter(state="proposed").exists()


def test_a_figure_must_be_of_the_benchmark(ada, starter) -> None:
    right = ReportedFigure.objects.filter(benchmark="TextVQA by release").first()
    wrong = ReportedFigure.objects.filter(benchmark="DocVQA").first()
    answer = ada.post(PROPOSE, {**FORM, "figure": wrong.pk})
    assert "This figure is of DocVQA, not of TextVQA." in answer.content.decode()
    assert ada.post(PROPOSE, {**FORM, "figure": right.pk}).status_code == 302


def test_duplicates_are_refused_with_a_link(ada, starter, user) -> None:
    there = BenchmarkPrompt.objects.get(name="POPE")
    same = {**FORM, "benchmark": "name:POPE", "text": there.text.upper().replace("QUESTION", "question")}  # fmt: skip
    answer = ada.post(PROPOSE, same)
    assert answer.status_code == 409
    text = answer.content.decode()
    assert "This prompt is there already." in text
    assert f'href="/playground/?prompt={there.pk}"' in text
    proposed(user)
    with pytest.raises(Conflict):
        proposed(user, text=" {question} in a word.\r\n")
    waiting = ada.post(PROPOSE, {**FORM, "text": "{question} In a word."}).content.decode()
    assert "It waits for an editor already." in waiting
    # What was declined may come again.
    mine = BenchmarkPrompt.objects.get(proposed_by=user)
    services.prompt_decide(prompt_id=mine.pk, by=user, approve=False, reason="No.")
    proposed(user)
    with pytest.raises(Conflict):
        services.prompt_decide(prompt_id=mine.pk, by=user, approve=True)


def test_proposals_are_limited(ada, starter, user, monkeypatch) -> None:
    for n in range(MOST_WAITING):
        proposed(user, text=f"{{question}} {n}")
    with pytest.raises(InvalidInput, match="wait for an editor"):
        proposed(user, text="{question} more")
    assert "wait for an editor" in ada.post(PROPOSE, FORM).content.decode()
    monkeypatch.setattr(throttling, "hit", lambda *_, **__: 5)
    answer = ada.post(PROPOSE, FORM)
    assert answer.status_code == 429
    assert "Too many requests" in answer.content.decode()


# Deciding


def editor(group: str = "Editors") -> Any:
    made = get_user_model().objects.create_user(group.lower(), f"{group}@example.org", "pw")
    made.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(made)
    return client


def test_moderators_decide_in_the_admin(starter, user) -> None:
    made = proposed(user, text="<b>{question}</b>")
    boss, group = editor("Moderators"), "Moderators"
    address = reverse("decide_prompt", args=[made.pk])
    listing = reverse(BenchmarkPrompt.snippet_viewset.get_url_name("list"))  # type: ignore[attr-defined]
    assert address in boss.get(listing).content.decode()
    shown = boss.get(address).content.decode()
    assert "&lt;b&gt;{question}&lt;/b&gt;" in shown
    refused = boss.post(address, {"decline": "1", "reason": " "})
    assert refused.status_code == 400
    assert "Say why, for its proposer." in refused.content.decode()
    made.refresh_from_db()
    assert made.state == "proposed"
    assert boss.post(address, {"decline": "1", "reason": "No source."}).url == listing
    made.refresh_from_db()
    assert (made.state, made.reason, made.decided_by.username) == ("declined", "No source.", group.lower())  # fmt: skip
    assert boss.post(address, {"approve": "1"}).url == listing
    made.refresh_from_db()
    assert made.state == "approved"
    assert boss.get(reverse("decide_prompt", args=[999999])).status_code == 404


def test_editors_do_not_decide(starter, user) -> None:
    made, writer = proposed(user, text="{question}"), editor()
    address = reverse("decide_prompt", args=[made.pk])
    listing = reverse(BenchmarkPrompt.snippet_viewset.get_url_name("list"))  # type: ignore[attr-defined]
    assert address not in writer.get(listing).content.decode()
    for answer in (writer.get(address), writer.post(address, {"approve": "1"})):
        assert answer.status_code in (302, 403)
    made.refresh_from_db()
    assert made.state == "proposed"


def test_an_editor_writes_one_that_still_waits(starter) -> None:
    boss = editor()
    url = reverse(BenchmarkPrompt.snippet_viewset.get_url_name("add"))  # type: ignore[attr-defined]
    fields = {"benchmark": "", "name": "MMStar", "skill": "query", "text": "{question} Say A or B.",
              "note": "", "source": "A paper", "source_url": "https://example.org/a", "figure": ""}  # fmt: skip
    neither = boss.post(url, {**fields, "name": ""})
    assert "one of them" in neither.content.decode()
    assert boss.post(url, fields).status_code == 302
    assert BenchmarkPrompt.objects.get(text__contains="Say A or B").state == "proposed"


def test_nobody_else_decides(ada, starter, user) -> None:
    made = proposed(user)
    address = reverse("decide_prompt", args=[made.pk])
    for caller in (Client(), ada):
        assert caller.post(address, {"approve": "1"}).status_code in (302, 403)
    made.refresh_from_db()
    assert made.state == "proposed"


# Ways in


def test_leaderboards_lead_to_their_prompts(client, starter, user) -> None:
    board = client.get("/leaderboards/world-vqa/").content.decode()
    assert 'href="/playground/prompts/?benchmark=world-vqa"' in board


def test_an_entrys_items_lead_to_the_playground(client, starter, user) -> None:
    split = Split.objects.get(benchmark__slug="world-existence", name="dev")
    lines = "".join(json.dumps({"id": i.key, "answer": "yes"}) + "\n" for i in split.items.all())
    made = services.submission_make(
        split=split, user=user, card=services.Card("Model"), file=BytesIO(lines.encode())
    )
    services.submission_score(submission_id=made.pk)
    page = unescape(client.get(f"/leaderboards/entries/{made.pk}/items/").content.decode())
    links = re.findall(r'href="(/playground/\?prompt=[^"]+)"', page)
    assert len(links) == min(20, split.item_count)
    assert client.get(links[0]).status_code == 200
