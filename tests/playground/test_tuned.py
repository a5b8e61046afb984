"""Tuned models in the playground's list of variants."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from inference import services as inference
from inference.tuning.models import Checkpoint, Finetune, new_id

pytestmark = pytest.mark.django_db


def _finetune(owner: Any = None, *, kept: tuple[int, ...] = (5,), **fields: Any) -> Finetune:
    variant = inference.variants_sync()[0]
    made = Finetune.objects.create(
        owner=owner, name="short", rank=8, variant=variant, base_name=variant.model_name,
        base_revision=variant.revision, base_precision="full", **fields,
    )  # fmt: skip
    for step in kept:
        head = Checkpoint.objects.create(finetune=made, step=step, folder=new_id(), is_kept=True)
        made.head = head
    made.save()
    return made


@pytest.fixture
def ada() -> Any:
    return get_user_model().objects.create_user("ada", "ada@example.org", "x")


def _names(client: Client, wanted: str = "") -> list[str]:
    response = client.get("/playground/tuned/", {"variant": wanted})
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    return [part.split('"')[1] for part in response.content.decode().split("<option value=")[1:]]


def test_ones_own(client: Client, ada: Any) -> None:
    mine = _finetune(ada, kept=(5, 10, 15, 20))
    _finetune(get_user_model().objects.create_user("eve", "eve@example.org", "x"))
    assert _names(client) == []
    client.force_login(ada)
    assert _names(client) == [mine.model_name(step) for step in (20, 15, 10)]  # the latest


def test_published_and_linked(client: Client, ada: Any) -> None:
    public = _finetune(ada, visibility="public", card="Short.")
    linked = _finetune(ada, visibility="link")
    private = _finetune(ada)
    assert _names(client) == [public.model_name(5)]
    assert linked.model_name(5) in _names(client, linked.model_name(5))
    assert private.model_name(5) not in _names(client, private.model_name(5))


def test_deleted(client: Client, ada: Any) -> None:
    gone = _finetune(ada, visibility="public", card="Short.")
    gone.deleted_at = gone.created_at
    gone.save()
    assert _names(client, gone.model_name(5)) == []


@pytest.mark.parametrize("wanted", ["x", "a/b@c", "/@", "a/" + "0" * 26 + "@9" * 200, "é/🙂@1"])
def test_strange_addresses(client: Client, wanted: str) -> None:
    assert _names(client, wanted) == []


def test_queries(client: Client, ada: Any, django_assert_max_num_queries: Any) -> None:
    client.force_login(ada)
    for _ in range(20):
        _finetune(ada, kept=(1, 2, 3, 4))
    with django_assert_max_num_queries(5):
        assert len(_names(client, "x/" + "0" * 26 + "@3")) == 50
