"""Each way that docs/integrity.md names to get at hidden references, tried. A number in brackets is the
row of its table."""

import hashlib
import importlib
import io
import itertools
import json
import logging
import random
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage, storages
from django.core.management import CommandError, call_command
from django.urls import reverse
from PIL import Image

from inference.errors import Conflict, DomainError, Forbidden, InvalidInput
from inference.world import DOMAINS
from inference.world.evaluation import held_out
from inference.world.language import question
from leaderboard import disclosure, importers, selectors, services, vault
from leaderboard.metrics.statistics import Interval
from leaderboard.models import (
    Benchmark,
    BenchmarkItem,
    Challenge,
    Entry,
    LogLine,
    Phase,
    Score,
    Split,
)
from leaderboard.scoring import TASKS, Item, data_hash
from leaderboard.services import NewItem
from leaderboard.services.bare_images import bare
from leaderboard.services.world import BENCHMARKS, world_load
from notifications import kinds
from notifications.models import Event
from tests.leaderboard.conftest import NOW, in_last_phase, join, over, person, submit

pytestmark = pytest.mark.django_db
HEX12 = re.compile(r"[0-9a-f]{12,64}")


@pytest.fixture
def no_starter(db: None) -> None:
    """The starter's benchmarks, which other tests may have committed, have their files elsewhere."""
    Challenge.objects.all().delete()
    Benchmark.objects.all().delete()


@pytest.fixture
def split(no_starter: None, split: Split) -> Split:
    return split


@pytest.fixture
def yes_no(db: None) -> Split:
    """Twelve hidden yes/no items: 4096 guesses."""
    benchmark = services.benchmark_make(
        slug="yes-no", title="Yes or no", summary="-", task="hallucination", licence="-", source="-"
    )
    rng = random.Random(3)
    items = [
        NewItem(f"i{n}", {"answer": rng.choice(("yes", "no"))}, "Is it?", "", f"https://x.test/{n}.png")
        for n in range(12)
    ]  # fmt: skip
    return services.split_fill(
        benchmark=benchmark, name="test", items=items, is_public=False, ranks=True
    )


def _public_texts(client: Any, benchmark: Benchmark) -> str:
    """All that anybody can read about a leaderboard by its API, its pages, its export and its log."""
    slug = benchmark.slug
    splits = [f"/api/leaderboards/{slug}/splits/{s.name}/items" for s in benchmark.splits.all()]
    paths = [
        "/api/leaderboards", f"/api/leaderboards/{slug}", "/api/leaderboards/export.jsonl",
        f"/api/leaderboards/{slug}/entries", f"/api/leaderboards/{slug}/entries?format=csv",
        f"/api/leaderboards/{slug}/log", f"/leaderboards/{slug}/", f"/leaderboards/{slug}/log/",
        f"/leaderboards/{slug}/submit/", f"/leaderboards/{slug}/public/", "/leaderboards/", *splits,
        *(e.get_absolute_url() for e in Entry.objects.filter(benchmark=benchmark)),
    ]  # fmt: skip
    return "\n".join(client.get(path).getvalue().decode() for path in paths)


# Hashes


def test_no_published_hash_tells_a_right_guess(client, yes_no, user) -> None:
    """[1] The plain hash of every possible set of answers, against all hexadecimal texts there are."""
    file = "".join(json.dumps({"id": f"i{n}", "answer": "no"}) + "\n" for n in range(12))
    made = services.submission_make(
        split=yes_no, user=user, card=services.Card("Probe"), file=io.BytesIO(file.encode())
    )
    services.submission_score(submission_id=made.pk)
    found = set(HEX12.findall(_public_texts(client, yes_no.benchmark)))
    assert vault.fingerprint(yes_no, vault.unseal(yes_no), vault.hash_key(yes_no)) in found
    starts = {text[:12] for text in found}
    for answers in itertools.product(("yes", "no"), repeat=12):
        items = [
            Item(f"i{n}", {"answer": a}, "", f"https://x.test/{n}.png")
            for n, a in enumerate(answers)
        ]
        assert data_hash(items)[:12] not in starts


def test_the_split_alone_decides_which_hash_is_published(yes_no) -> None:
    """[1] Plain where public, keyed where hidden; no caller chooses."""
    items = vault.unseal(yes_no)
    hidden = vault.fingerprint(yes_no, items, vault.hash_key(yes_no))
    assert hidden != data_hash(items)
    shown = Split(benchmark=yes_no.benchmark, name="dev", is_public=True)
    assert vault.fingerprint(shown, items, b"any") == data_hash(items)
    twin = services.split_fill(
        benchmark=yes_no.benchmark, name="twin", is_public=False,
        items=[NewItem(i.key, i.reference, "Is it?", i.category, i.image) for i in items],
    )  # fmt: skip
    assert twin.data_hash != hidden  # the same references elsewhere cannot be told to be the same


# What rows show


def _swapped(form: str, data: Any) -> Any:
    """The same file with other references."""
    text = json.dumps(data)
    pairs = {"pope": ('"yes"', '"no"'), "countbench": ('"number": "10"', '"number": "3"'),
             "textvqa": ("nokia", "sony"), "docvqa": ("1/8/93", "2/9/94"), "coco-captions": ("cake", "pie"),
             "coco-detection": ("motorcycle", "bus"), "vqav2": ('"other"', '"yes/no"')}  # fmt: skip
    before, after = pairs[form]
    assert before in text
    return json.loads(text.replace(before, after))


@pytest.mark.parametrize("form", list(importers.FORMATS))
def test_nothing_of_a_reference_is_in_a_hidden_row(tmp_path: Path, form: str) -> None:
    """[2] Other references, the same rows: for each format there is."""
    from tests.leaderboard import test_importers as files

    data: Any = {
        "pope": [json.loads(files.POPE)], "countbench": files.COUNT, "textvqa": files.TEXT, "docvqa": files.DOC,
        "coco-captions": files.CAPTIONS, "coco-detection": files.INSTANCES, "vqav2": files.ANNOTATIONS,
    }[form]  # fmt: skip
    asked = tmp_path / "q.json"
    asked.write_text(json.dumps(files.QUESTIONS))

    def rows(content: Any) -> list[Any]:
        file = tmp_path / "a.json"
        file.write_text(json.dumps(content))
        task, metric, items = importers.read(form, file, questions=asked)
        benchmark = services.benchmark_make(
            slug="b", title="B", summary="-", task=task, primary_metric=metric, licence="-", source="-"
        )  # fmt: skip
        split = services.split_import(
            benchmark=benchmark, name="test", items=items, is_public=False
        )
        shown = list(split.items.values("key", "position", "prompt", "category", "image"))
        benchmark.delete()
        return shown

    assert rows(data) == rows(_swapped(form, data))


def test_an_importer_that_says_nothing_shows_nothing(tmp_path: Path) -> None:
    """[2] A format of the future: its author thought of no side."""
    benchmark = services.benchmark_make(
        slug="b", title="B", summary="-", task="counting", licence="-", source="-"
    )
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, "PNG")
    items = [
        NewItem(f"row-{n}-has-{n % 7}", {"count": n % 7}, "How many?", f"{n % 7} things", f"pic_{n % 7}_{n}",
                data=out.getvalue, extension="png")
        for n in sorted(range(60), key=lambda n: n % 7)
    ]  # fmt: skip
    split = services.split_import(benchmark=benchmark, name="test", items=items, is_public=False)
    rows = list(split.items.all())
    assert {row.category for row in rows} == {""}
    shown = " ".join(f"{row.key} {row.image}" for row in rows)
    assert not re.search(r"has-|pic_|things", shown)
    right = {i.key: i.reference["count"] for i in vault.unseal(split)}
    in_order = [right[row.key] for row in rows]
    assert in_order != sorted(in_order)
    assert split.slices["3 things"] == 9  # known where it is scored
    again = services.split_import(benchmark=benchmark, name="test", items=items, is_public=False)
    assert again.data_hash == split.data_hash


def test_an_image_brings_nothing_but_its_pixels() -> None:
    """[2] Comments, EXIF, text chunks and what follows the image's end."""
    image = Image.effect_noise((40, 30), 60).convert("RGB")

    def saved(form: str, **options: Any) -> bytes:
        out = io.BytesIO()
        image.save(out, form, **options)
        return out.getvalue()

    exif = Image.Exif()
    exif[0x010E] = "three dogs"
    plain = saved("JPEG", quality=90)
    assert bare(plain, "jpg") == (plain, "jpg")
    web = saved("WEBP", quality=90)
    assert bare(web, "webp") == (web, "webp")
    for form, dirty in (
        ("jpg", saved("JPEG", comment=b"three dogs")), ("jpg", saved("JPEG", exif=exif)),
        ("png", saved("PNG", exif=exif)), ("webp", saved("WEBP", exif=exif)), ("jpg", plain + b"three dogs"),
        ("webp", web + b"three dogs"),
    ):  # fmt: skip
        clean, extension = bare(dirty, form)
        assert (extension, b"three dogs" in clean) == ("png", False)
        before = Image.open(io.BytesIO(dirty)).convert("RGB").tobytes()
        assert Image.open(io.BytesIO(clean)).tobytes() == before
    assert bare(b"no image", "jpg") == (b"no image", "jpg")


# The world


@pytest.fixture
def world(no_starter: None) -> list[Benchmark]:
    return world_load(dev=3, test=3)


def test_hidden_scenes_cannot_be_drawn_again_without_the_key(world) -> None:
    """[3] Seeds of up to 48 bits, of the old derivation too, do not lead to an id, and ids lead to no
    question: with the code and an id one knew every yes or no."""
    split = next(b for b in world if b.slug == "world-existence").splits.get(name="test")
    right = {i.key: i.reference["answer"] for i in vault.unseal(split)}
    keys = {row.key for row in split.items.all()}
    old = hashlib.sha256(b"test:0:shapes:0").hexdigest()[:12]
    assert all(len(key) == 20 and key != old for key in keys)
    prompts = {row.key: row.prompt for row in split.items.all()}
    guessed = 0
    for domain in DOMAINS:  # what one could do before: the id seeds what is asked
        for scene in held_out(20, seed=1, domain=domain):
            for key in keys:
                qa = question(scene.scene, "existence", random.Random(f"world-existence:{key}"))
                guessed += qa is not None and qa.question == prompts[key]
    chance = sum(
        qa is not None and qa.question in prompts.values()
        for domain in DOMAINS
        for scene in held_out(20, seed=1, domain=domain)
        for qa in [question(scene.scene, "existence", random.Random("any"))]
    )
    assert guessed <= 40 + 3 * chance
    assert len(right) == len(keys)


def test_the_worlds_secrets_have_the_keys_bits(settings) -> None:
    """[3] Seeds are 256 bits of an HMAC, apart from those of ids, and change with the key."""
    seed, name = (vault.keyed(purpose, "world-vqa/1/shapes") for purpose in ("world scenes", "world ids"))  # fmt: skip
    assert len(seed) == len(name) == 64
    assert seed != name
    settings.REFERENCES_KEY = "another installation"
    assert vault.keyed("world scenes", "world-vqa/1/shapes") != seed


def test_hidden_scenes_are_nowhere_else(world) -> None:
    """[3] No picture of a hidden split is one of a public split, of a sample or of another board: what
    one board asks about a scene answers another's question."""
    seen: dict[str, str] = {}
    for split in Split.objects.filter(benchmark__in=world).select_related("benchmark"):
        where = "dev" if split.is_public else f"{split.benchmark.slug}/{split.name}"
        for name in set(split.items.values_list("image", flat=True)):
            digest = hashlib.sha256(default_storage.open(name).read()).hexdigest()
            assert seen.setdefault(digest, where) == where
    assert len(set(seen.values())) == 1 + len(BENCHMARKS)


def test_ids_and_order_of_hidden_scenes_tell_nothing(world) -> None:
    """[2] They are in the order of their ids, without their domain, which some questions ask for."""
    for benchmark in world:
        rows = list(benchmark.splits.get(name="test").items.all())
        keys = [row.key.partition("-")[0] for row in rows]
        assert keys == sorted(keys)
        assert {row.category for row in rows} == {""}


def test_rotating_keeps_what_was_scored_and_draws_all_anew(world, user) -> None:
    """[3] For installations whose scenes could be drawn again."""
    benchmark = next(b for b in world if b.slug == "world-counting")
    before = benchmark.splits.get(name="test")
    keys = set(before.items.values_list("key", flat=True))
    file = "".join(json.dumps({"id": key, "answer": "2"}) + "\n" for key in keys)
    made = services.submission_make(
        split=before, user=user, card=services.Card("Old"), file=io.BytesIO(file.encode())
    )
    services.submission_score(submission_id=made.pk)
    value = made.scores.first().value
    call_command("benchmarks", "rotate", "world-counting", scenes=3)
    new = benchmark.splits.get(ranks=True)
    assert (new.name, new.is_public, new.daily_limit) == ("test", False, before.daily_limit)
    assert not keys & set(new.items.values_list("key", flat=True))
    made.refresh_from_db()
    assert (made.split.name, made.status, made.scores.first().value) == ("test-1", "scored", value)
    assert made.split.retired_at
    assert vault.unseal(made.split)
    with pytest.raises(Forbidden) as caught:
        services.submission_make(
            split=made.split, user=user, card=services.Card("Old"), file=io.BytesIO(file.encode())
        )
    assert caught.value.code == "split_retired"
    call_command("benchmarks", "rotate", "world-counting", scenes=3)
    assert set(benchmark.splits.values_list("name", flat=True)) == {"dev", "test", "test-1", "test-2"}  # fmt: skip
    assert made.split.data_hash == before.data_hash


def test_rotating_goes_with_a_challenge_that_has_not_begun_on_it(world, user) -> None:
    """[3] The starter's sample must not keep a guessable split; one with submissions must."""
    benchmark = next(b for b in world if b.slug == "world-counting")
    split, now = benchmark.splits.get(name="test"), NOW()
    challenge = services.challenge_make(
        slug="c", title="C", summary="-", benchmark=benchmark, opens_at=now, closes_at=now + timedelta(days=1),
        phases=[{"name": "final", "split": split, "starts_at": now, "ends_at": now + timedelta(days=1)}],
    )  # fmt: skip
    call_command("benchmarks", "rotate", scenes=2)
    phase = challenge.phases.get()
    assert phase.split == benchmark.splits.get(ranks=True) != split
    join(challenge, user)
    keys = phase.split.items.values_list("key", flat=True)
    file = "".join(json.dumps({"id": key, "answer": "2"}) + "\n" for key in keys)
    services.challenge_submit(
        challenge=challenge, user=user, card=services.Card("M"), file=io.BytesIO(file.encode()),
        received_at=NOW(),
    )  # fmt: skip
    with pytest.raises(CommandError, match="1 not drawn anew"):
        call_command("benchmarks", "rotate", scenes=2)
    assert benchmark.splits.get(ranks=True) == phase.split
    assert {b.splits.filter(retired_at=None, ranks=True).count() for b in world} == {1}


# A sealed phase


@pytest.fixture
def sealed(challenge: Challenge) -> Challenge:
    """In its last phase, which tells nothing."""
    in_last_phase(challenge)
    Phase.objects.filter(name="final").update(feedback=Phase.Feedback.SEALED)
    return challenge


def test_a_sealed_phases_split_has_no_other_door(sealed, user, send, client) -> None:
    """[4] No ordinary submission, no run of ours, and no score of an earlier one, until the final
    ranking."""
    Phase.objects.filter(name="final").update(feedback=Phase.Feedback.LIVE)
    earlier = send(30, name="Earlier")
    Phase.objects.filter(name="final").update(feedback=Phase.Feedback.SEALED)
    join(sealed, user)
    with pytest.raises(Forbidden) as caught:
        send(31)
    assert (caught.value.code, caught.value.extra["challenge"]) == ("split_sealed", "hues")
    assert services.entries_seal() == 1
    assert services.entries_seal() == 0
    text = _public_texts(client, sealed.benchmark)
    assert "Earlier" not in re.sub(r'"kind":"log".*|<td>.*?</td>|"text".*', "", text)
    assert client.get(f"/leaderboards/entries/{earlier.pk}/").status_code == 404
    own = services.submission_own(submission_id=earlier.pk, user=user)
    assert selectors.own_detail(own).scores == []
    assert "until its final ranking" in client.get("/leaderboards/colours/").content.decode()
    submit(sealed, user, 12, name="Sealed")
    over(sealed)
    services.final_publish(challenge=sealed, by=None)
    assert {e.model_name for e in Entry.objects.all()} == {"Earlier"}  # the team's best, again
    assert send(32).status == "scored"


def test_a_table_rests_while_a_second_challenge_keeps_its_split(sealed, user, send) -> None:
    """[4] Entries of a challenge that is over leave once, and come back with the second one's end."""
    join(sealed, user)
    submit(sealed, user, 30, name="First")
    over(sealed)
    services.final_publish(challenge=sealed, by=None)
    assert {e.model_name for e in Entry.objects.all()} == {"First"}
    now = NOW()
    second = services.challenge_make(
        slug="second", title="Second", summary="-", benchmark=sealed.benchmark, opens_at=now,
        closes_at=now + timedelta(days=9),
        phases=[{"name": "final", "split": sealed.phases.last().split, "starts_at": now,
                 "ends_at": now + timedelta(days=9), "feedback": Phase.Feedback.SEALED}],
    )  # fmt: skip
    assert services.entries_seal() == 1
    assert not Entry.objects.exists()
    assert services.entries_seal() == 0
    second.delete()  # nobody joined
    assert {e.model_name for e in Entry.objects.all()} == {"First"}


def test_rows_are_not_read_before_they_are_taken_away(sealed, user, send, client) -> None:
    """[4] The moment a challenge opens, whatever the sweeper does."""
    Challenge.objects.update(opens_at=NOW().replace(year=NOW().year + 1))
    send(30, name="Earlier")
    event = Event.objects.get(kind="leaderboard.entry_added")
    assert len(client.get("/api/leaderboards/colours/entries").json()) == 1
    assert client.get("/feeds/leaderboards.json").content.decode().count("Earlier") == 2, "it leads"
    assert kinds.ENTRY_ADDED.still_holds(event)
    Challenge.objects.update(opens_at=NOW())
    assert client.get("/api/leaderboards/colours/entries").json() == []
    assert "Earlier" not in client.get("/feeds/leaderboards.json").content.decode()
    assert not kinds.ENTRY_ADDED.still_holds(event), "nobody is told while it is sealed"


def test_another_challenge_is_no_door_either(sealed, user, split) -> None:
    """[4]"""
    now = NOW()
    other = services.challenge_make(
        slug="other", title="Other", summary="-", benchmark=split.benchmark, opens_at=sealed.opens_at,
        closes_at=sealed.closes_at,
        phases=[{"name": "final", "split": split, "starts_at": sealed.opens_at, "ends_at": sealed.closes_at}],
    )  # fmt: skip
    join(other, user)
    with pytest.raises(Forbidden) as caught:
        submit(other, user, 5, when=now)
    assert caught.value.code == "split_sealed"


def test_who_submits_what_to_a_sealed_phase_is_not_told(sealed, user, client) -> None:
    """[5] Neither the log, nor the export, nor a page names model or team."""
    join(sealed, user)
    team = services.team_of(user)
    services.team_rename(team=team, name="Quiet cats")
    sent = submit(sealed, user, 30, name="Velvet")
    text = (
        _public_texts(client, sealed.benchmark)
        + client.get(sealed.get_absolute_url()).content.decode()
    )
    assert "Velvet" not in text
    assert not LogLine.objects.filter(submission_id=sent.pk, is_public=True).exists()
    assert LogLine.objects.filter(submission_id=sent.pk).count() == 2  # for disputes


# Publishing references


def test_references_become_public_by_one_way_alone(split, user, send, client, admin_client) -> None:
    """[6] Not by a tick, not in passing, not by importing them again."""
    send(20)
    split.is_public = True
    for call in (split.save, split.full_clean):
        with pytest.raises((Conflict, ValidationError)):
            call()
    split.refresh_from_db()
    assert not split.is_public
    items = [NewItem("q1", {"answers": ["x"]})]
    with pytest.raises(Conflict):
        services.split_fill(benchmark=split.benchmark, name="test", items=items, is_public=True)
    with pytest.raises(Conflict) as caught:
        services.split_import(benchmark=split.benchmark, name="new", items=items, is_public=True)
    assert caught.value.code == "split_visibility"
    page = reverse("wagtailsnippets_leaderboard_split:edit", args=[split.pk])
    assert 'name="is_public"' not in admin_client.get(page).content.decode()
    action = reverse("wagtail_bulk_action", args=["leaderboard", "split", "publish_references"])
    address = f"{action}?id={split.pk}&next={reverse('wagtailsnippets_leaderboard_split:list')}"
    assert "test" in admin_client.get(address).content.decode()
    assert client.get(address).status_code == 302
    refused = admin_client.post(address, {"confirm": "test"}, follow=True)
    assert "Write colours/test" in refused.content.decode()
    with pytest.raises(CommandError, match="public for good"):
        call_command("benchmarks", "publish", "colours/test")
    assert admin_client.post(address, {"confirm": "colours/test"}).status_code == 302
    split.refresh_from_db()
    assert split.is_public
    assert split.data_hash == data_hash(vault.unseal(split))
    line = LogLine.objects.filter(action="references published", is_public=True).get()
    assert "40 references of test" in line.text
    signature = Score.objects.filter(submission__split=split).first().signature
    assert f"data:{split.data_hash[:12]}" in signature
    with pytest.raises(Forbidden) as closed:
        send(21)
    assert closed.value.code == "split_published"
    with pytest.raises(Conflict):
        services.split_publish(split=split, by=None, confirm="colours/test")
    split.is_public = False
    with pytest.raises(Conflict):
        split.save()


def test_a_challenges_references_stay_hidden_to_its_end(challenge, split) -> None:
    """[6]"""
    with pytest.raises(Conflict, match="no final ranking"):
        services.split_publish(split=split, by=None, confirm="colours/test")


# Scores


def test_a_score_has_no_more_digits_than_it_supports() -> None:
    """[7] One changed answer of many does not show; where one always shows, nothing is changed."""
    assert disclosure.step(40) == disclosure.step(100) == 0
    for items in (400, 1000, 3000, 10_000, 100_000):
        to = disclosure.step(items)
        assert to * items > 1
        assert 0.05 / items**0.5 < to <= 0.1 / items**0.5 * (1 + 1e-9)
    split = Split(is_public=False, item_count=1000)
    metric = TASKS["hallucination"].metrics[0]
    told = {disclosure.interval(split, metric, Interval(n / 1000, 0.7, 0.9)).value for n in range(795, 806)}  # fmt: skip
    assert len(told) < 8
    split.is_public = True
    assert disclosure.interval(split, metric, Interval(0.7954321, 0.7, 0.9)).value == 0.7954321


def test_small_slices_of_a_hidden_split_are_not_told() -> None:
    """[7] Nor by taking the others from the whole."""
    sizes = {"one": 1, "few": 20, "some": 60, "many": 400}
    score = Score(by_category=dict.fromkeys(sizes, 0.123456))
    split = Split(is_public=False, item_count=sum(sizes.values()), slices=sizes)
    assert disclosure.slices(split, score) == {"many": 0.12}  # 21 + 60 is what the rest has
    split.item_count, split.slices = 460, {"some": 60, "many": 400}
    assert disclosure.slices(split, score) == {"some": 0.1, "many": 0.12}
    split.slices = {}  # sealed before sizes were kept
    assert disclosure.slices(split, score) == {}
    split.is_public = True
    assert disclosure.slices(split, score) == score.by_category


def test_a_comparison_on_a_hidden_split_counts_no_items(send, split, client) -> None:
    """[7] With one's own entries on both sides, one item's difference would tell its answer."""
    split.benchmark.entry_rule = Benchmark.EntryRule.ALL
    split.benchmark.save()
    one, two = send(20), send(21)
    page = client.get(f"/leaderboards/compare/?a={one.pk}&b={two.pk}").content.decode()
    assert "A better" not in page
    assert not re.search(r"p = ", page)
    dev = split.benchmark.splits.get(name="dev")
    one, two = send(2, to=dev, by=person("bea")), send(3, to=dev, by=person("cyd"))
    assert (
        "A better" in client.get(f"/leaderboards/compare/?a={one.pk}&b={two.pk}").content.decode()
    )


def test_all_scores_of_a_team_do_not_amount_to_the_references(world) -> None:
    """[7] Fewer submissions than it takes to find every answer from totals."""
    for split in Split.objects.filter(benchmark__in=world, is_public=False):
        assert split.total_limit == services.total_limit(split.item_count)
    assert [services.total_limit(n) for n in (20, 100, 300, 5000)] == [10, 20, 60, 100]


# Errors, logs, files


def test_a_fault_while_scoring_quotes_nothing(send, split, monkeypatch, caplog) -> None:
    """[8] An exception's text may hold a reference: log, answer and database do not."""
    from leaderboard.services import scoring

    def broken(task: Any, items: Any, *args: Any, **kwargs: Any) -> Any:
        raise ValueError(f"cannot read {items[7].reference}")

    monkeypatch.setattr(scoring, "score", broken)
    with caplog.at_level(logging.DEBUG):
        made = send(5)
    assert made.status == "failed"
    assert "ValueError" in caplog.text
    assert "secret7" not in caplog.text + made.error_message


def test_a_check_says_the_same_whatever_is_right(split) -> None:
    """[8] The pre-flight reads the file, not the references."""
    file = io.BytesIO(b'{"id": "q0", "answer": "secret0-red"}\n{"id": "q1", "answer": "grey"}\n')
    before = services.predictions_check(split=split, file=file)
    storages["private"].delete(split.sealed_as)
    after = services.predictions_check(split=split, file=file)
    assert (before.problems.lines, before.lines) == (after.problems.lines, after.lines)


def test_a_sealed_file_tells_nothing_by_its_name_or_text(split) -> None:
    """[9]"""
    data = storages["private"].open(split.sealed_as).read()
    assert split.data_hash[:8] not in split.sealed_as
    assert data.startswith(b"moondream-references 1 ")
    assert not any(word in data for word in (b"secret", b"yellow", b"answers"))


# Keys


def test_references_are_sealed_with_a_key_of_their_own(split, settings) -> None:
    """[10] Never SECRET_KEY, which signs sessions and is known in more places."""
    settings.SECRET_KEY = "changed"
    assert len(vault.unseal(split)) == 40
    settings.REFERENCES_KEY = ""
    settings.REFERENCES_KEYS = []
    with pytest.raises(Exception, match="Set REFERENCES_KEY"):
        vault.unseal(split)


def test_a_new_key_seals_anew_and_changes_nothing_published(send, split, settings) -> None:
    """[10] Old and new together, then `reseal`, then the new one alone."""
    made = send(20)
    signature, published, old = made.scores.first().signature, split.data_hash, split.sealed_as
    before = settings.REFERENCES_KEY
    settings.REFERENCES_KEYS = ["2026b:the new one", f"2026a:{before}"]
    settings.REFERENCES_KEY = ""
    assert len(vault.unseal(split)) == 40
    call_command("benchmarks", "reseal")
    split.refresh_from_db()
    assert split.sealed_as != old
    assert vault.opened(split).key_id == "2026b"
    assert {r.is_new for r in services.references_reseal()} == {False}
    settings.REFERENCES_KEYS = ["2026b:the new one"]
    assert len(vault.unseal(split)) == 40
    assert (split.data_hash, made.scores.first().signature) == (published, signature)
    settings.REFERENCES_KEYS = [f"2026a:{before}"]
    with pytest.raises(DomainError, match="cannot be opened") as caught:
        vault.unseal(split)
    assert (caught.value.status, "2026b" in caught.value.hint) == (503, True)


def test_resealing_goes_on_past_what_cannot_be_opened(split, settings) -> None:
    """[10] And is done in full when it is run again."""
    dev = split.benchmark.splits.get(name="dev")
    good = storages["private"].open(split.sealed_as).read()
    storages["private"].delete(split.sealed_as)
    settings.REFERENCES_KEYS = ["b:new", f"a:{settings.REFERENCES_KEY}"]
    with pytest.raises(CommandError, match="1 could not be opened"):
        call_command("benchmarks", "reseal")
    dev.refresh_from_db()
    assert vault.opened(dev).key_id == "b"
    storages["private"].save(split.sealed_as, io.BytesIO(good))
    call_command("benchmarks", "reseal")
    split.refresh_from_db()
    assert vault.opened(split).key_id == "b"


def test_a_stopped_reseal_leaves_the_old_file(split, settings, monkeypatch) -> None:
    """[10] The new file is written beside the old one, and only then named."""
    old = split.sealed_as
    settings.REFERENCES_KEYS = ["b:new", f"a:{settings.REFERENCES_KEY}"]
    monkeypatch.setattr(
        storages["private"], "save", lambda *_: (_ for _ in ()).throw(OSError("full"))
    )
    with pytest.raises(OSError, match="full"):
        services.references_reseal()
    split.refresh_from_db()
    assert split.sealed_as == old
    assert len(vault.unseal(split)) == 40


def test_files_of_earlier_releases_open_and_get_a_keyed_hash(split, settings) -> None:
    """[10] They name no key, and may be sealed with SECRET_KEY; the upgrade took their hash away."""
    import base64
    import gzip

    from cryptography.fernet import Fernet

    items = vault.unseal(split)
    rows = orjson.dumps([[i.key, i.reference, i.category, i.image] for i in items])
    key = hashlib.sha256(f"references:{settings.SECRET_KEY}".encode()).digest()
    old = Fernet(base64.urlsafe_b64encode(key)).encrypt(gzip.compress(rows))
    name = storages["private"].save("references/old.sealed", io.BytesIO(old))
    Split.objects.filter(pk=split.pk).update(sealed_as=name, data_hash="", slices={})
    split.refresh_from_db()
    assert vault.unseal(split) == items
    services.references_reseal()
    split.refresh_from_db()
    assert vault.unseal(split) == items
    assert len(split.data_hash) == 64
    assert split.data_hash != data_hash(items)
    assert split.slices == {"even": 20, "odd": 20}


def test_an_upgrade_takes_back_what_was_published(send, split, challenge, user, client) -> None:
    """[1] Plain hashes in API, log, signature and runs, categories in rows, lines of sealed phases."""
    from django.apps import apps

    made, plain = send(20), data_hash(vault.unseal(split))
    told = plain[:12]
    Split.objects.filter(pk=split.pk).update(data_hash=plain)
    split.items.update(category="even")
    LogLine.objects.create(
        benchmark=split.benchmark,
        actor="import",
        action="split",
        text=f"test: 40 items, data {told}",
    )
    Score.objects.update(signature=f"exact_match|v:1|n:40|data:{told}|ci:bootstrap-1000|seed:20")
    join(challenge, user)
    in_last_phase(challenge)
    Phase.objects.filter(name="final").update(feedback=Phase.Feedback.SEALED)
    submit(challenge, user, 3, name="Velvet", score=False)
    LogLine.objects.filter(text__contains="Velvet").update(is_public=True)
    assert told in _public_texts(client, split.benchmark)
    # Files have the names that they had then.
    legacy = f"references/{split.pk}-{plain[:16]}.sealed"
    for one in Split.objects.filter(benchmark=split.benchmark):
        name = f"references/{one.pk}-{one.data_hash[:16]}.sealed"
        storages["private"].save(name, storages["private"].open(one.sealed_as))
    migration = importlib.import_module("leaderboard.migrations.0012_sealed_splits")
    migration.close(apps, None)
    split.refresh_from_db()
    assert (split.sealed_as, split.data_hash) == (legacy, "")
    text = _public_texts(client, split.benchmark)
    assert told not in text
    assert "Velvet" not in text
    assert set(split.items.values_list("category", flat=True)) == {""}
    vault.seal(split, vault.unseal(split), hash_key=b"k" * 32)  # as if sealed with another hash
    services.references_reseal()
    split.refresh_from_db()
    assert made.scores.first().signature.split("|")[3] == f"data:{split.data_hash[:12]}"
    assert told not in _public_texts(client, split.benchmark)


def test_a_file_of_another_split_is_not_taken(split) -> None:
    """[9] Who can write to the storage cannot give a hidden split's file to a public one."""
    dev = split.benchmark.splits.get(name="dev")
    Split.objects.filter(pk=dev.pk).update(sealed_as=split.sealed_as)
    dev.refresh_from_db()
    with pytest.raises(DomainError) as caught:
        vault.unseal(dev)
    assert "another split" in caught.value.hint


def test_writing_out_another_name_confirms_nothing(split) -> None:
    """[6]"""
    with pytest.raises(InvalidInput):
        services.split_publish(split=split, by=get_user_model()(), confirm="colours/dev")
    assert not BenchmarkItem.objects.filter(split=split, split__is_public=True).exists()
