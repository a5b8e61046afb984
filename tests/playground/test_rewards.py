"""The reward builder's page: it scores without JavaScript, loses nothing, and gives back what it made."""

import json
import re
from html import unescape
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from inference.engine.rewards import FORMAT, MOST_TERMS, PRESETS, TERMS, Reward, read
from inference.errors import NotFound
from inference.world.samples import SAMPLES
from leaderboard import selectors as leaderboard
from leaderboard.models import Run, RunAnswer, Split
from playground.rewards import samples
from playground.rewards.links import PARAMETER_LINKS, TERM_LINKS, all_links
from playground.rewards.page import plain
from playground.rewards.work import Work, read_form
from pricing import throttling

pytestmark = pytest.mark.django_db
URL = "/playground/rewards/"


def fields(reward: Reward, **more: str) -> dict[str, str]:
    """What the page's form holds for a reward."""
    data = {"name": reward.name, "normalise": reward.normalise, "set": "scenes-caption"}
    for n, term in enumerate(reward.terms):
        data[f"t{n}-type"], data[f"t{n}-weight"] = term.type.slug, str(term.weight)
        for name, value in term.parameters.items():
            if value is not False:
                data[f"t{n}-p-{name}"] = str(value)
    return data | more


def state(text: str) -> dict[str, Any]:
    found = re.search(r'data-state="([^"]*)"', text)
    assert found
    made: dict[str, Any] = json.loads(unescape(found[1]))
    return made


def rows(text: str) -> list[tuple[float, str]]:
    """(total, answer) of each row, as they stand."""
    said = re.findall(r"data-said>(.*?)</span>", text)
    totals = re.findall(r'data-label="Total">([^<]*)<', text)
    return [(float(t), unescape(s)) for t, s in zip(totals, said, strict=True)]


SHORT = PRESETS["short-captions"].reward


def test_the_first_page_scores_real_answers_best_first(client: Client, starter) -> None:
    text = client.get(URL).content.decode()
    found = rows(text)
    assert len(found) == 3 * len(SAMPLES)
    assert [t for t, _ in found] == sorted((t for t, _ in found), reverse=True)
    for total, said in found[:5]:
        item = next(i for i in samples.sample_items(samples.SampleSet("scenes-caption", "", "caption"))
                    if said in [a.text for a in i.answers])  # fmt: skip
        assert total == pytest.approx(SHORT.score(said, item.reference).total, abs=6e-4)
    for slug in TERMS:
        assert f'value="{slug}"' in text


def test_it_is_cheap(client: Client, starter, django_assert_max_num_queries) -> None:
    client.get(URL)
    with django_assert_max_num_queries(9):
        client.get(URL)
    with django_assert_max_num_queries(9):
        client.post(URL, fields(SHORT, set="world-captions"), headers={"X-Partial": "1"})


def test_a_weight_turns_the_order(client: Client, starter) -> None:
    first = rows(client.get(URL).content.decode())
    data = fields(SHORT) | {"t0-weight": "0", "t1-weight": "-2", "t2-weight": "0"}
    turned = rows(client.post(URL, data).content.decode())
    assert turned[0][1] != first[0][1]
    assert len(turned[0][1].split()) > len(first[0][1].split())


@pytest.mark.parametrize("slug", sorted(PRESETS))
def test_the_form_is_the_reward(client: Client, starter, slug: str) -> None:
    reward = PRESETS[slug].reward
    assert read_form(fields(reward)).document == reward.to_dict()
    text = client.post(URL, {"do": f"preset-{slug}", "set": "scenes-query"}).content.decode()
    assert state(text)["reward"] == reward.to_dict()
    assert state(text)["set"] == "scenes-query"


@pytest.mark.parametrize(("kind", "mime"), [("json", "application/json"), ("py", "text/x-python")])
def test_what_is_exported_comes_back(client: Client, starter, kind: str, mime: str) -> None:
    reward = PRESETS["boxes-overlap"].reward
    file = client.post(URL, fields(reward, do=f"export-{kind}"))
    assert file["Content-Type"].startswith(mime)
    name = {"json": "boxes-overlap.json", "py": "boxes_overlap.py"}[kind]
    assert file["Content-Disposition"] == f'attachment; filename="{name}"'
    assert read(file.content.decode()) == reward
    for sent in (
        {"import": file.content.decode()},
        {"file": SimpleUploadedFile(name, file.content)},
    ):
        back = client.post(URL, {"do": "import", **sent}).content.decode()
        assert state(back)["reward"] == reward.to_dict()


def test_a_wrong_import_is_named_and_loses_nothing(client: Client, starter) -> None:
    wrong = json.dumps(
        {"format": FORMAT, "terms": [{"type": "bleu", "weight": 99}, {"type": "<b>"}]}
    )
    text = client.post(URL, fields(SHORT, do="import", **{"import": wrong})).content.decode()
    assert state(text)["reward"] == SHORT.to_dict()
    assert "<code>terms[0].weight</code> must lie between -10 and 10" in text
    assert "<code>terms[1].type</code>" in text
    assert wrong in unescape(text)
    assert rows(text)


def test_terms_are_added_moved_and_removed(client: Client, starter) -> None:
    def kinds(**data: str) -> list[str]:
        made = state(client.post(URL, fields(SHORT) | data).content.decode())
        return [t["type"] for t in made["reward"]["terms"]]

    assert kinds() == ["cider", "brevity", "repetition"]
    assert kinds(do="add", new="iou") == ["cider", "brevity", "repetition", "iou"]
    assert kinds(do="up-2") == ["cider", "repetition", "brevity"]
    assert kinds(do="up-0") == ["cider", "brevity", "repetition"]
    assert kinds(do="down-0") == ["brevity", "cider", "repetition"]
    assert kinds(do="remove-1") == ["cider", "repetition"]
    assert kinds(do="remove-77") == kinds(do="nonsense") == ["cider", "brevity", "repetition"]
    assert kinds(do="reset", name="x") == ["cider", "brevity", "repetition"]


def test_without_terms_it_teaches(client: Client, starter) -> None:
    text = client.post(URL, {"name": "x"}).content.decode()
    assert "A reward needs a term." in text
    assert "Download JSON" not in text


def test_every_kind_of_term_can_be_edited(client: Client, starter) -> None:
    slugs = sorted(TERMS)[:MOST_TERMS]
    document = {"format": FORMAT, "terms": [{"type": slug} for slug in slugs]}
    text = client.post(URL, fields(Reward.from_dict(document))).content.decode()
    assert 'aria-invalid="true"' not in text
    for n, slug in enumerate(slugs):
        for parameter in TERMS[slug].parameters:
            assert f'name="t{n}-p-{parameter.name}"' in text


def test_wrong_fields_are_marked_and_kept(client: Client, starter) -> None:
    data = fields(SHORT) | {"t0-weight": "much", "t1-p-wish": "50", "t2-p-n": "<9>", "name": ""}
    text = client.post(URL, data).content.decode()
    assert "Weight must be a number, not a string." in text
    assert 'value="&lt;9&gt;"' in text
    assert "Tokens in a row must be a whole number, not a string." in text
    assert 'id="rb-name-error"' in text
    assert "Nothing you wrote is lost." in text
    assert len(re.findall("data-said", text)) == 3 * len(SAMPLES)
    # With these mended, the one that two fields make together is named.
    text = client.post(URL, data | {"t0-weight": "1", "t2-p-n": "2", "name": "x"}).content.decode()
    assert "Limit must not be below wish." in text


def test_own_answers_and_references_count(client: Client, starter) -> None:
    exact = Reward.from_dict({"format": FORMAT, "terms": [{"type": "exact", "weight": 1.0}]})
    own = {"own0-text": "Moonlit <i>", "own0-item": "moon", "own1-text": " ", "own1-item": "moon"}
    text = client.post(URL, fields(exact, set="scenes-query", **own)).content.decode()
    assert (0.0, "Moonlit <i>") in rows(text)
    own |= {"ref-moon": "moonlit <i>", "was-moon": "MOON"}
    text = client.post(URL, fields(exact, set="scenes-query", **own)).content.decode()
    assert (1.0, "Moonlit <i>") in rows(text)
    assert (0.0, "MOON") in rows(text)
    assert state(text)["references"] == {"moon": "moonlit <i>"}
    assert "<i>" not in text
    text = client.post(URL, fields(exact, set="scenes-query", do="drop-0", **own)).content.decode()
    assert state(text)["own"] == []


def test_a_link_brings_the_bench_back(client: Client, starter) -> None:
    work = Work(PRESETS["count-right"].reward.to_dict(), "scenes-point")
    text = client.post(URL, {"do": "load", "state": work.state}).content.decode()
    assert state(text) == json.loads(work.state)
    for broken in ("", "[]", "{", '{"reward": {"terms": [{"type": "x"}]}}', '{"reward": 1}', "[" * 9000,
                   '{"reward": {"terms": []}, "own": 3}', "x" * 300_000):  # fmt: skip
        text = client.post(URL, {"do": "load", "state": broken}).content.decode()
        assert "cannot be read" in text
        assert state(text)["reward"] == SHORT.to_dict()


def test_a_foreign_link_cannot_write_into_the_page(client: Client, starter) -> None:
    evil = {"reward": {"format": FORMAT, "name": "<script>", "terms": [{"type": "length", "weight": {"<b>": 1},
            "parameters": {"least": ["<script>"], "most": None}}]}, "set": "<script>",
            "own": [{"item": "moon", "text": "<script>", "by": "<script>"}]}  # fmt: skip
    answer = client.post(URL, {"do": "load", "state": json.dumps(evil)})
    assert answer.status_code == 200
    assert "<script>" not in answer.content.decode()


def test_only_the_bench_is_sent_to_a_script(client: Client, starter) -> None:
    text = client.post(URL, fields(SHORT), headers={"X-Partial": "1"}).content.decode()
    assert "<html" not in text
    assert "data-bench" in text


def test_too_many_and_too_much_are_told(client: Client, starter, monkeypatch) -> None:
    much = client.post(URL, fields(SHORT, own="x" * 700_000))
    assert much.status_code == 413
    monkeypatch.setattr(throttling, "hit", lambda *_, **__: 5)
    many = client.post(URL, fields(SHORT))
    assert many.status_code == 429
    assert many["Retry-After"] == "5"
    assert "Try again in 5 s." in many.content.decode()


def test_it_is_counted_apart_from_questions(client: Client, starter, settings) -> None:
    settings.ANON_RATE = "1/m"
    assert [client.post(URL, fields(SHORT)).status_code for _ in range(3)] == [200] * 3


def test_a_forged_form_is_refused(starter) -> None:
    assert Client(enforce_csrf_checks=True).post(URL, fields(SHORT)).status_code == 403


def test_every_skill_has_scenes_with_what_is_right(starter) -> None:
    for one in samples.sample_sets()[:4]:
        items = samples.sample_items(one)
        assert len(items) == len(SAMPLES)
        assert all(item.reference and item.answers for item in items), one


def test_answers_of_our_runs_are_shown(client: Client, starter) -> None:
    split = Split.objects.get(benchmark__slug="world-captions", is_public=True)
    run = Run.objects.create(
        split=split, variant=starter[0], revision="r", data_hash=split.data_hash, status="done"
    )
    other = Run.objects.create(
        split=split, variant=starter[1], revision="r", data_hash=split.data_hash, status="done"
    )
    example = leaderboard.examples("world-captions")[0]
    right = example.reference["captions"][0]
    for one in (run, other):
        RunAnswer.objects.create(run=one, key=example.item.key, prediction={"caption": right}, total_ms=1)  # fmt: skip
    text = client.post(URL, fields(SHORT, set="world-captions")).content.decode()
    assert [said for _, said in rows(text)] == [right]  # said alike: one row
    assert f"{starter[0].name}, {starter[1].name}" in unescape(text)
    empty = client.post(URL, fields(SHORT, set="world-counting")).content.decode()
    assert "No answers here yet" in empty


def test_no_reference_of_a_hidden_split_gets_out(starter) -> None:
    Split.objects.filter(benchmark__slug="world-captions", is_public=True).update(is_public=False)
    assert "world-captions" not in [s.slug for s in samples.sample_sets()]
    with pytest.raises(NotFound):
        leaderboard.examples("world-captions")


def test_references_are_edited_as_they_are_easiest_to_read() -> None:
    assert plain({"captions": ["A star."]}) == "A star."
    assert plain({"answers": ["a", "b"]}) == '["a", "b"]'
    assert plain({"count": 3}) == "3"
    assert plain({"objects": [], "size": [1, 1]}) == '{"objects": []}'
    assert plain(None) == ""


def test_every_term_says_where_it_is_defined(client: Client, starter) -> None:
    """Each ⓘ: the page is there, and has the section."""
    assert set(TERM_LINKS) == set(TERMS)
    assert all(name in TERMS[slug].defaults for slug, name in PARAMETER_LINKS)
    pages: dict[str, str] = {}
    for link in all_links():
        path, _, anchor = link.partition("#")
        if path not in pages:
            answer = client.get(path)
            assert answer.status_code == 200, path
            pages[path] = answer.content.decode()
        assert f'id="{anchor}"' in pages[path], link


@pytest.mark.parametrize("depth", [30, 300, 800, 860, 900, 940, 20_000])
def test_a_bench_nested_too_deeply_is_a_new_one(client, starter, depth: int) -> None:
    deep = '{"reward": {"terms": [], "x": ' + "[" * depth + "]" * depth + "}}"
    text = client.post(URL, {"do": "load", "state": deep}).content.decode()
    assert "nested too deeply" in text or "cannot be read" in text
    assert state(text)["reward"] == SHORT.to_dict()
