"""Names of teams and models: no look-alikes, nothing that passes for the site, nothing unseen."""

import importlib
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.urls import reverse

from inference.errors import InvalidInput
from leaderboard import names, services
from leaderboard.models import Team
from leaderboard.services import card_read

SAME = [
    ("Moon Lab", "moon  lab"), ("Moon Lab", "MOONLAB"), ("Moon Lab", "Moon-Lab"), ("Moon Lab", "Moon_Lab."),
    ("Moon Lab", "Mооn Lаb"), ("Moon Lab", "Ｍｏｏｎ Ｌａｂ"), ("Moon Lab", "𝐌𝐨𝐨𝐧 𝐋𝐚𝐛"), ("Moon Lab", "M00n Lab"),
    ("Moon Lab", "Mo\u200bon Lab"), ("Moon Lab", "Mööñ Láb"), ("Moon Lab", "Mo\u00adon Lab"), ("Moon Lab", "Ⓜⓞⓞⓝ Lab"),
    ("Alice", "AIice"), ("Alice", "A1ice"), ("Alice", "Al\u0456ce"), ("modern", "rnodern"), ("wave", "vvave"),
    ("ΑΒΕ", "ABE"), ("АВЕ", "ABE"), ("ﬁne", "fine"), ("Straße", "STRASSE"), ("scope", "ѕсоре"),
]  # fmt: skip
RESERVED = [
    "Moondream", "moondream hub", "The Moondream Team", "m00ndream", "Мооndream", "MOONDREAM-2", "rnoondream",
    "admin", "Admin", "аdmin", "adm1n", "Site Admin", "official", "0fficial", "Official results", "Verified",
    "verlfied", "Baseline", "baselines", "Staff", "moderator", "organizers", "Random", "human", "null", "Sуstem",
]  # fmt: skip
FREE = ["Administration Lab", "Moon Lab", "Dream Team", "Humans of X", "Random Forests", "日本チーム", "한국 팀",
        "Équipe Ω", "Команда", "C++ lab", "R2D2", "The Verifiers", "Modeling"]  # fmt: skip
UNSEEN = ["a\u200bb", "a\u202eb", "a\u2066b", "a\ufeffb", "a\u00adb", "a\x00b", "a\x7fb", "\u3164\u3164", "a\u3164",
          "a\U000e0041b", "a\ufe0fb", "a\u115fb", "\u2800\u2800", "a\u034fb", "a\ue000b", "a\u061cb", "--", "!!", "\u0301\u0301"]  # fmt: skip


@pytest.fixture
def team(db: None) -> Team:
    return services.team_of(get_user_model().objects.create_user("ada", "ada@example.org", "pw"))


@pytest.mark.parametrize(("first", "second"), SAME)
def test_names_that_look_alike_are_one(team, first: str, second: str) -> None:
    assert names.look_of(first) == names.look_of(second)
    Team.objects.create(name=first)
    with pytest.raises(IntegrityError), transaction.atomic():
        Team.objects.create(name=second)
    with pytest.raises(InvalidInput):
        services.team_rename(team=team, name=second)


def test_names_that_differ_stay_apart() -> None:
    assert len({names.look_of(name) for name in FREE}) == len(FREE)


@pytest.mark.parametrize("name", RESERVED)
def test_no_team_passes_for_the_site_or_its_staff(team, name: str) -> None:
    with pytest.raises(InvalidInput):
        services.team_rename(team=team, name=name)


@pytest.mark.parametrize("name", FREE)
def test_other_names_are_free(team, name: str) -> None:
    assert services.team_rename(team=team, name=name).name == name
    team.refresh_from_db()
    assert team.look == names.look_of(name)


@pytest.mark.parametrize(
    "name", [*UNSEEN, "", " ", "x", "x" * 61, "pаypal", "GРT lab", "z\u0301\u0302\u0303\u0304z"]
)
def test_names_that_cannot_be_read_are_refused(team, name: str) -> None:
    before = team.name
    with pytest.raises(InvalidInput) as refused:
        services.team_rename(team=team, name=name)
    assert refused.value.extra["field"] == "team"
    team.refresh_from_db()
    assert team.name == before


@pytest.mark.parametrize("name", [*UNSEEN, "GРT-4", "moоndream2"])
def test_models_cannot_be_called_what_nobody_sees_either(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        card_read({"model_name": name})
    assert refused.value.extra["field"] == "model_name"


def test_models_keep_their_usual_names() -> None:
    for name in (
        "moondream2",
        "β-VAE 2",
        "Qwen2-VL (7B, 4-bit)",
        "模型 7B",
        "LLaVA-1.5+",
        "InternVL2½",
    ):
        assert card_read({"model_name": name}).model_name == names.cleaned(name)
    for field in ("hardware", "revision", "note"):
        with pytest.raises(InvalidInput) as refused:
            card_read({"model_name": "Model", field: "fine \u202egpj.exe"})
        assert refused.value.extra["field"] == field
    assert card_read({"model_name": "Model", "note": "two\nlines"}).note == "two\nlines"


def test_admins_see_why_a_name_is_taken_and_may_give_reserved_ones(admin_client, team) -> None:
    Team.objects.create(name="Moon Lab")
    address = reverse("wagtailsnippets_leaderboard_team:edit", args=[team.pk])
    members = "\n".join(user.username for user in team.members.all())
    sent = {"accounts": members}
    answer = admin_client.post(address, sent | {"name": "M00n-lab"})
    assert "looks like one" in answer.content.decode()
    assert admin_client.post(address, sent | {"name": "Baseline"}).status_code == 302
    team.refresh_from_db()
    assert team.name == "Baseline"


def test_teams_that_looked_alike_before_keep_their_names(db) -> None:
    """The migration's own step, on two rows as they could have been."""
    first, second = Team.objects.create(name="Moon Lab"), Team.objects.create(name="Other")
    Team.objects.filter(pk=second.pk).update(name="M00n Lab")
    migration: Any = importlib.import_module("leaderboard.migrations.0008_team_looks")
    migration.looks(apps, None)
    second.refresh_from_db()
    assert second.look == f"{first.look}#{second.pk}"
    second.save()  # and an admin can save it
    second.refresh_from_db()
    assert (second.name, second.look) == ("M00n Lab", f"{first.look}#{second.pk}")
