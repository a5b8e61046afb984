"""Checkpoints as models: named in a request, asked by whom they are for, listed where one chooses."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from inference import services as inference
from inference.adapters import Asker
from inference.errors import DomainError
from inference.images import Upload
from inference.models import Job
from inference.tuning import services
from inference.tuning.models import Finetune, TuningRun
from inference.tuning.named import listed
from inference.tuning.who import Who
from inference.world.samples import SAMPLES, sample_bytes
from tests.inference.tuning.conftest import work

pytestmark = pytest.mark.django_db


@pytest.fixture
def tuned(make: Callable[..., TuningRun]) -> Finetune:
    """A fine-tune with a kept checkpoint of its third step."""
    run = work(make())
    assert run.status == "succeeded"
    finetune = run.finetune
    assert finetune.checkpoints.filter(step=3, is_kept=True).exists()
    return finetune


def _submit(name: str, who: Who | None = None, **more: Any) -> Job:
    data = sample_bytes(SAMPLES[0].slug)
    return inference.job_submit(
        skill="query", variant_slug=name, image=Upload(lambda: data),
        params={"question": "How many shapes are there?"}, caller="api",
        owner_key=who.key if who else "", account=(lambda: who.user.pk if who and who.user else None),
        **more,
    )  # fmt: skip


def _answered(job: Job) -> Job:
    inference.job_run(job_id=job.pk, worker="test")
    job.refresh_from_db()
    return job


def test_owner_asks_by_name(tuned: Finetune, who: Who) -> None:
    job = _answered(_submit(tuned.model_name(3), who))
    assert job.status == "succeeded", job.error_message
    assert job.model_name == f"{tuned.variant.slug}/{tuned.pk}@3"
    base = _answered(_submit(tuned.variant.slug, who))
    assert base.status == "succeeded"
    assert base.adapter == ""
    alias = _submit(
        f"moondream3-preview/{tuned.pk}@3", who
    )  # as the official client's model() says it
    assert alias.model_name == job.model_name


@pytest.mark.parametrize("other", ["stranger", "nobody"])
def test_it_is_its_owners_alone(tuned: Finetune, stranger: Who, other: str) -> None:
    asker = stranger if other == "stranger" else None
    with pytest.raises(DomainError) as caught:
        _submit(tuned.model_name(3), asker)
    assert caught.value.code == "variant_not_found"


@pytest.mark.parametrize(
    "name",
    ["{slug}/{id}@2", "{slug}/{id}@99999999999", "other/{id}@3", "{slug}/{id}", "{slug}/{id}@x",
     "{slug}/00000000000000000000000000@3", "{slug}/{id}@3/", "{slug}/{id}@3\x00"],
)  # fmt: skip
def test_what_is_not_there(tuned: Finetune, who: Who, name: str) -> None:
    with pytest.raises(DomainError) as caught:
        _submit(name.format(slug=tuned.variant.slug, id=tuned.pk), who)
    assert caught.value.status == 404


class TestSharing:
    def test_by_its_name(self, tuned: Finetune, who: Who, stranger: Who) -> None:
        services.finetune_share(finetune=tuned, who=who, visibility="link")
        assert _submit(tuned.model_name(3), stranger).adapter == f"{tuned.pk}@3"
        assert _submit(tuned.model_name(3)).adapter
        asker = Asker("x", lambda: stranger.user.pk)
        assert listed(asker) == []
        assert [m.name for m in listed(asker, wanted=tuned.model_name(3))] == [tuned.model_name(3)]

    def test_published(self, tuned: Finetune, who: Who, stranger: Who) -> None:
        services.finetune_share(finetune=tuned, who=who, visibility="public", card="Counts.")
        (model,) = listed(Asker("", lambda: stranger.user.pk))
        assert model.name == tuned.model_name(3)
        assert model.is_own is False
        services.finetune_share(finetune=tuned, who=who, visibility="private")
        assert listed(Asker("", lambda: stranger.user.pk)) == []
        with pytest.raises(DomainError):
            _submit(tuned.model_name(3), stranger)

    def test_needs_a_card(self, tuned: Finetune, who: Who) -> None:
        for card in ("", "  \n", "\x00"):
            with pytest.raises(DomainError) as caught:
                services.finetune_share(finetune=tuned, who=who, visibility="public", card=card)
            assert caught.value.code == "card_needed"

    @pytest.mark.parametrize(("visibility", "card"), [("all", "x"), ("", ""), ("link", "x" * 4001)])
    def test_strange_choices(self, tuned: Finetune, who: Who, visibility: str, card: str) -> None:
        with pytest.raises(DomainError) as caught:
            services.finetune_share(finetune=tuned, who=who, visibility=visibility, card=card)
        assert caught.value.status == 422

    def test_nothing_to_share(self, make: Callable[..., TuningRun], who: Who) -> None:
        with pytest.raises(DomainError) as caught:
            services.finetune_share(finetune=make().finetune, who=who, visibility="link")
        assert caught.value.code == "nothing_trained"


def test_owner_lists_their_own(tuned: Finetune, who: Who) -> None:
    (model,) = listed(Asker("", lambda: who.user.pk))
    assert model.is_own
    assert model.base == tuned.variant.name
    assert listed(Asker()) == []


def test_deleted_while_it_waits(tuned: Finetune, who: Who) -> None:
    job = _submit(tuned.model_name(3), who)
    services.finetune_delete(finetune=tuned)
    job = _answered(job)
    assert job.status == "failed"
    assert job.error_code == "adapter_gone"


def test_anonymous_owner(make: Callable[..., TuningRun]) -> None:
    mine = Who(key="caller-1")
    finetune = work(make(by=mine)).finetune
    assert _submit(finetune.model_name(3), mine).adapter
    assert listed(Asker("caller-1"))[0].is_own
    with pytest.raises(DomainError):
        _submit(finetune.model_name(3), Who(key="caller-2"))
    with pytest.raises(DomainError) as caught:
        services.finetune_share(finetune=finetune, who=mine, visibility="public", card="Mine.")
    assert caught.value.code == "account_needed"


def test_other_jobs_are_not_repeated(tuned: Finetune, who: Who) -> None:
    _submit(tuned.variant.slug, who, idempotency_key="same")
    with pytest.raises(DomainError) as caught:
        _submit(tuned.model_name(3), who, idempotency_key="same")
    assert caught.value.code == "idempotency_conflict"


def test_models_of_the_api(tuned: Finetune, who: Who, client: Client) -> None:
    name = tuned.model_name(3)
    assert client.get(f"/v1/models/{name}").status_code == 404
    client.force_login(who.user)
    found = client.get(f"/v1/models/{name}")
    assert found.status_code == 200
    assert found.json()["id"] == name


def test_what_it_costs_is_measured(tuned: Finetune) -> None:
    of_base = inference.variant_measure(variant=tuned.variant)
    of_tuned = inference.variant_measure(
        variant=tuned.variant, adapter=f"{tuned.pk}@3",
        scores=lambda variant, folder: {"files": sorted(f.name for f in folder.iterdir())},  # type: ignore[union-attr]
    )  # fmt: skip
    assert of_tuned.model_name == tuned.model_name(3)
    assert of_tuned.weight_bytes > of_base.weight_bytes  # the adapter's come on top
    assert of_tuned.tokens_per_s > 0
    assert "adapter_model.safetensors" in of_tuned.scores["files"]
    services.finetune_delete(finetune=tuned)
    with pytest.raises(DomainError) as caught:
        inference.variant_measure(variant=tuned.variant, adapter=f"{tuned.pk}@3")
    assert caught.value.code == "adapter_gone"
