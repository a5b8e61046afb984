"""Teams of before roles: founders own them, or who was in longest, and members' links have ended."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from leaderboard.models import Membership, Team

pytestmark = pytest.mark.django_db


def _migrate(name: str) -> Any:
    with connection.cursor() as cursor:  # nothing may wait for the transaction's end
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    executor = MigrationExecutor(connection)
    executor.migrate([("leaderboard", name)])
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    return executor.loader.project_state([("leaderboard", name)]).apps


def test_members_of_before_have_roles() -> None:
    people = [
        get_user_model().objects.create_user(name, f"{name}@example.org") for name in ("ada", "bea", "cem")
    ]  # fmt: skip
    ada, bea, cem = (person.pk for person in people)
    old = _migrate("0018_run_costs").get_model("leaderboard", "Team")
    founded = old.objects.create(
        name="Founded", look="founded", founder_id=bea, invite_code="f" * 43, invited_by_id=bea
    )
    left = old.objects.create(
        name="Left", look="left", founder_id=cem, invite_code="l" * 43, invited_by_id=bea
    )
    empty = old.objects.create(name="Empty", look="empty")
    founded.members.add(ada)
    founded.members.add(bea)
    left.members.add(ada)
    left.members.add(bea)
    _migrate("0019_team_roles")

    def roles(team: Any) -> dict[str, str]:
        rows = Membership.objects.filter(team=team.pk)
        return dict(rows.values_list("user__username", "role"))

    assert roles(founded) == {"ada": "member", "bea": "owner"}
    assert roles(left) == {"ada": "owner", "bea": "member"}
    assert roles(empty) == {}
    links = dict(Team.objects.values_list("name", "invite_code"))
    assert links["Founded"] == "f" * 43
    assert links["Left"] == ""
    # And back: owners are founders again.
    back = _migrate("0018_run_costs").get_model("leaderboard", "Team")
    assert back.objects.get(pk=left.pk).founder_id == ada
    _migrate("0019_team_roles")
