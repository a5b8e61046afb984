"""The Research plan is for images of registered benchmarks: as they are published, and as the official client
sends them."""

import base64
import io
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.files.storage import default_storage
from django.test import Client
from PIL import Image

from leaderboard import services as boards
from leaderboard.models import Split
from pricing import services
from pricing.models import Allotment, Plan, RegisteredImage
from tests.images import encode, plain
from tests.pricing.ledgers import account

pytestmark = pytest.mark.django_db


def ask(secret: str, data: bytes, mime: str) -> Any:
    body = {"image_url": f"data:{mime};base64,{base64.b64encode(data).decode()}", "stream": True}
    return Client().post("/v1/caption", body, content_type="application/json", HTTP_AUTHORIZATION=f"Bearer {secret}")  # fmt: skip


def test_a_benchmark_s_images_are_known_however_they_are_sent_and_others_are_not(
    starter: Any,
) -> None:
    made = boards.splits_register(at_once=3)
    assert made == 3
    while boards.splits_register():
        pass
    assert boards.splits_register() == 0, "each is registered once"
    split = Split.objects.filter(benchmark__slug="world-captions", is_public=True).first()
    assert split is not None
    file = split.items.values_list("image", flat=True).first()
    assert RegisteredImage.objects.filter(file=file).exists()
    with default_storage.open(str(file)) as stored:
        published = stored.read()
    user = get_user_model().objects.create_user("lab", "lab@example.org", "pw")
    services.plan_set(user=user, plan=Plan.objects.get(slug="research"))
    _, secret = services.key_make(user=user, name="k", scopes=["infer"])
    with Image.open(io.BytesIO(published)) as opened:
        client_s = io.BytesIO()
        opened.convert("RGB").save(client_s, format="JPEG", quality=95)
    assert ask(secret, published, "image/webp").status_code == 200
    assert ask(secret, client_s.getvalue(), "image/jpeg").status_code == 200
    refused = ask(secret, plain(), "image/png")
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "image_not_registered"
    assert "/account/credits/" in refused.json()["error"]["message"]
    with Image.open(io.BytesIO(published)) as opened:
        altered = opened.convert("RGB")
    altered.putpixel((0, 0), (1, 2, 3))
    assert ask(secret, encode(altered), "image/png").status_code == 403
    pot = Allotment.objects.get(account=account_of(user), meter="images")
    assert (pot.benchmarks_only, pot.held) == (True, 2)


def account_of(user: Any) -> Any:
    return account(user.username)
