"""Tuned models on leaderboards: run for their owner, named where they may be, honest when they are gone."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from inference.errors import DomainError
from inference.models import Job, Variant, VariantMeasurement
from inference.tuning import services as tuning
from inference.tuning.models import Checkpoint, Finetune
from inference.tuning.who import Who
from leaderboard import selectors, services
from leaderboard.models import Entry, LogLine, QuotaLine, Run, Split, Submission, Team
from leaderboard.services import card_read
from tests.leaderboard.conftest import answer, person, predictions, waiting

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(db: None) -> Any:
    return person("ada")


def tuned(variant: Variant, owner: Any = None, visibility: str = "private") -> Finetune:
    """A fine-tune with a kept checkpoint of its fourth step."""
    made = Finetune.objects.create(
        owner=owner, owner_key="" if owner else "somebody", name="secret-name", rank=8, variant=variant,
        base_name=variant.model_name, base_revision=variant.revision, base_precision="full", step=4,
        visibility=visibility, card="Counts.", by_client=True,
    )  # fmt: skip
    made.head = Checkpoint.objects.create(
        finetune=made, step=4, folder=f"tuning/{made.pk}/4", files={"a": 1}, is_kept=True
    )
    made.save()
    return made


def ran(split: Split, finetune: Finetune) -> Submission:
    """Run over a split to the end, and scored."""
    services.run_start(split=split, variant=finetune.variant, adapter=f"{finetune.pk}@4")
    while jobs := waiting():
        answer(jobs[0])
        services.job_ended(jobs[0])
    made = Submission.objects.latest("created_at")
    services.submission_score(submission_id=made.pk)
    made.refresh_from_db()
    return made


def everywhere(client: Any, made: Submission) -> str:
    """All that a stranger is shown of a benchmark and an entry."""
    slug = made.split.benchmark.slug
    pages = [f"/leaderboards/{slug}/", f"/leaderboards/{slug}/log/", reverse("entry", args=[made.pk]),
             f"/leaderboards/{slug}/public/", f"/api/leaderboards/{slug}/entries", f"/api/leaderboards/{slug}/log",
             "/api/leaderboards/export.jsonl"]  # fmt: skip
    return "".join(
        b"".join(r.streaming_content).decode() if r.streaming else r.content.decode()
        for r in map(client.get, pages)
    )


def test_each_item_is_asked_of_the_adapter(variant, board, ada) -> None:
    finetune = tuned(variant, ada)
    made = ran(board, finetune)
    assert set(Job.objects.values_list("adapter", flat=True)) == {f"{finetune.pk}@4"}
    assert (made.status, made.provenance) == ("scored", "reproduced")
    assert made.site_model == finetune.model_name(4)
    assert made.scores.get(metric="count_accuracy").value == 1


def test_a_private_one_is_its_owners_alone(client, variant, board, ada) -> None:
    finetune = tuned(variant, ada)
    made = ran(board, finetune)
    assert not made.is_public
    assert list(made.team.members.all()) == [ada]
    shown = everywhere(client, made)
    assert "secret-name" not in shown
    assert finetune.pk not in shown
    assert not Entry.objects.exists()
    client.force_login(ada)
    assert finetune.pk in client.get(made.get_absolute_url()).content.decode()
    mate = person("bea")
    made.team.members.add(mate)
    client.force_login(mate)
    page = client.get(made.get_absolute_url()).content.decode()
    assert "toy, tuned" in page
    assert finetune.pk not in page
    assert "secret-name" not in page


def test_one_without_an_account_is_shown_to_nobody(client, variant, board) -> None:
    made = ran(board, tuned(variant))
    assert made.team.is_ours
    assert not made.is_public
    assert "secret-name" not in everywhere(client, made)


def test_a_published_one_is_an_entry_until_it_is_taken_back(client, variant, board, ada) -> None:
    finetune = tuned(variant, ada, "public")
    made = ran(board, finetune)
    assert Entry.objects.get().model_name == "secret-name (toy, tuned)"
    page = client.get(reverse("entry", args=[made.pk])).content.decode()
    assert finetune.model_name(4) in page
    tuning.finetune_share(finetune=finetune, who=Who(ada), visibility="private")
    assert not Entry.objects.exists()
    assert client.get(reverse("entry", args=[made.pk])).status_code == 404
    assert finetune.pk not in everywhere(client, made)


@pytest.mark.parametrize("how", ["delete", "account"])
def test_what_is_deleted_says_so(client, variant, board, ada, how: str) -> None:
    finetune = tuned(variant, ada, "public")
    made = ran(board, finetune)
    if how == "delete":
        tuning.finetune_delete(finetune=finetune)
    else:
        ada.delete()
    row = Entry.objects.get()
    assert row.expired == "the tuned model was deleted"
    assert row.figures["count_accuracy"]["value"] == 1
    page = client.get(reverse("entry", args=[made.pk])).content.decode()
    assert "the tuned model was deleted" in page
    assert finetune.pk not in page
    assert services.entries_check() == []


def test_deleted_while_it_is_run(variant, board, ada) -> None:
    finetune = tuned(variant, ada)
    run = services.run_start(split=board, variant=variant, adapter=f"{finetune.pk}@4")
    other = services.run_start(split=board, variant=variant)
    tuning.finetune_delete(finetune=finetune)
    while jobs := waiting():
        answer(jobs[0])
        services.job_ended(jobs[0])
    run.refresh_from_db()
    other.refresh_from_db()
    assert (run.status, run.submission) == (Run.Status.FAILED, None)
    assert other.status == Run.Status.DONE  # and the next ones are not kept waiting


def test_images_that_are_elsewhere_or_gone(variant, board, split) -> None:
    with pytest.raises(DomainError) as caught:
        services.run_start(split=split, variant=variant)
    assert caught.value.code == "split_images_elsewhere"
    assert not Run.objects.exists()
    last = board.items.order_by("position").last()
    board.items.filter(pk=last.pk).update(image="gone.png")
    run = services.run_start(split=board, variant=variant)
    while jobs := waiting():
        answer(jobs[0])
        services.job_ended(jobs[0])
    run.refresh_from_db()
    assert (run.status, run.error) == (Run.Status.FAILED, f"{last.key}: its image is gone")


class TestQuota:
    def test_it_counts_as_its_owners(self, variant, board, ada) -> None:
        board.daily_limit = board.total_limit = 1
        board.save()
        finetune = tuned(variant, ada)
        made = ran(board, finetune)
        (line,) = QuotaLine.objects.filter(submission=made)
        assert (line.user, line.team) == (ada, made.team)
        with pytest.raises(DomainError) as caught:
            services.run_start(split=board, variant=variant, adapter=f"{finetune.pk}@4")
        assert caught.value.code == "quota_day"
        assert services.run_start(split=board, variant=variant).status == Run.Status.RUNNING

    def test_used_up_meanwhile(self, variant, board, ada) -> None:
        finetune = tuned(variant, ada)
        run = services.run_start(split=board, variant=variant, adapter=f"{finetune.pk}@4")
        board.total_limit = 0
        board.save()
        while jobs := waiting():
            answer(jobs[0])
            services.job_ended(jobs[0])
        run.refresh_from_db()
        assert run.status == Run.Status.FAILED
        assert "submissions" in run.error
        assert not Submission.objects.exists()


def test_the_beat_begins_none(variant, board, ada) -> None:
    ran(board, tuned(variant, ada, "public"))
    started = services.runs_start()
    assert [run.adapter for run in started] == [""]  # the variant's own figure is missing still


def test_the_command_runs_one(variant, board, ada) -> None:
    name = tuned(variant, ada).model_name(4)
    out = StringIO()
    call_command("benchmarks", "run", "toy", "--variants", name, "--start", stdout=out)
    assert Run.objects.get().model_name == name
    with pytest.raises(CommandError, match="no tuned model"):
        call_command("benchmarks", "run", "toy", "--variants", name.replace("@4", "@5"), "--start")


def test_admins_run_one(admin_client, variant, board, ada) -> None:
    name = tuned(variant, ada).model_name(4)
    action = reverse("wagtail_bulk_action", args=["leaderboard", "split", "run_model"])
    page = admin_client.post(
        f"{action}?id={board.pk}", {"site_model": "nothing/of@it"}, follow=True
    )
    assert "no model variant" in page.content.decode()
    assert not Run.objects.exists()
    admin_client.post(f"{action}?id={board.pk}", {"site_model": name})
    run = Run.objects.get()
    assert run.model_name == name
    index = admin_client.get(reverse("wagtailsnippets_leaderboard_run:list"))
    assert name in index.content.decode()


class TestSubmissions:
    """That name a tuned model."""

    def card(self, name: str, user: Any) -> services.Card:
        return card_read({"model_name": "Mine", "site_model": name}, user)

    def test_by_its_owner(self, client, split, variant, ada) -> None:
        finetune = tuned(variant, ada)
        made = services.submission_make(
            split=split, user=ada, file=predictions(10), card=self.card(finetune.model_name(4), ada)
        )
        services.submission_score(submission_id=made.pk)
        assert (made.variant_slug, made.adapter) == ("toy", f"{finetune.pk}@4")
        url = reverse("entry", args=[made.pk])
        assert finetune.pk not in client.get(url).content.decode()
        tuning.finetune_share(finetune=finetune, who=Who(ada), visibility="public", card="Counts.")
        assert finetune.pk in client.get(url).content.decode()
        tuning.finetune_share(finetune=finetune, who=Who(ada), visibility="link")
        assert finetune.pk not in client.get(url).content.decode()
        made.refresh_from_db()
        assert made.is_public  # they sent these figures themselves
        tuning.finetune_delete(finetune=finetune)
        assert Entry.objects.get().expired == ""

    @pytest.mark.parametrize(
        "name", ["toy/{id}@4", "toy/{id}@9", "toy/x", "nothing", "toy/{id}@4\u202e"]
    )
    def test_not_by_others(self, variant, ada, name: str) -> None:
        given = name.format(id=tuned(variant, ada).pk)
        with pytest.raises(DomainError) as caught:
            self.card(given, person("eve"))
        assert caught.value.extra["field"] == "site_model"
        assert self.card(" ", person("bea")).variant_slug == ""


def test_what_it_costs_is_not_the_variants(variant, ada) -> None:
    from inference import selectors as inference

    cost = {"hardware": "h", "device": "cpu", "threads": 1, "dtype": "float32", "weight_bytes": 1, "load_ms": 1.0,
            "encode_ms": 1.0, "first_token_ms": 1.0, "tokens_per_s": 1.0}  # fmt: skip
    VariantMeasurement.objects.create(variant=variant, revision="1", peak_bytes=10, **cost)
    adapter = f"{tuned(variant, ada).pk}@4"
    VariantMeasurement.objects.create(
        variant=variant, adapter=adapter, revision="1", peak_bytes=20, **cost
    )
    assert [m.peak_bytes for m in inference.latest_measurements() if m.variant == variant] == [10]
    assert inference.adapter_measurements([adapter, ""])[adapter].peak_bytes == 20


def test_the_log_names_no_private_one(client, variant, board, ada) -> None:
    ran(board, tuned(variant, ada))
    assert not LogLine.objects.filter(is_public=True, text__contains="tuned").exists()
    assert Team.objects.filter(is_ours=True, submissions__isnull=False).count() == 0
    assert selectors.by_model() == {}
