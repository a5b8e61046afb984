"""A team is deleted with what nobody is shown; what is ranked, and what counts, stays."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import storages
from django.test import Client
from django.utils import timezone
from wagtail.models import ModelLogEntry

from inference.errors import DomainError
from leaderboard import services
from leaderboard.models import (
    Challenge,
    Entry,
    LogLine,
    Participation,
    QuotaLine,
    Split,
    Submission,
    Team,
)
from tests.admin.test_rooms import bulk, do
from tests.leaderboard.conftest import challenge as challenge  # fixtures
from tests.leaderboard.conftest import in_last_phase, join, over, person, submit
from tests.leaderboard.conftest import send as send
from tests.leaderboard.conftest import split as split
from tests.leaderboard.conftest import user as user

pytestmark = pytest.mark.django_db
LIST = "leaderboard_team"


def test_a_team_goes_with_its_work_and_what_it_used_stays(
    member: Callable[[str], Client], send: Any, user: Any, split: Split,
    django_capture_on_commit_callbacks: Any,
) -> None:  # fmt: skip
    sent = send(20)
    services.submission_publish(submission=sent, is_public=False, actor="ada")
    team = sent.team
    address, admin = bulk(LIST, "remove", team), member("Admins")
    asked = admin.get(address).content.decode()
    assert "1 submission with its scores and predictions" in asked
    assert "1 membership" in asked
    assert storages["private"].exists(sent.file)
    with django_capture_on_commit_callbacks(execute=True):
        assert "1 team deleted" in do(admin, address)
    assert not Team.objects.filter(pk=team.pk).exists()
    assert not Submission.objects.filter(pk=sent.pk).exists()
    assert not storages["private"].exists(sent.file)
    assert [line.amount for line in QuotaLine.objects.filter(user=user)] == [1]
    # The person begins no new count by it.
    assert services.quota_left(team=None, split=split, user=user)["total"] == 4
    assert LogLine.objects.filter(action="team deleted", is_public=False).count() == 1
    assert LogLine.objects.filter(submission_id=sent.pk).exists()
    entry = ModelLogEntry.objects.get(action="leaderboard.remove", object_id=str(team.pk))
    assert (entry.label, entry.deleted, entry.user.username) == (team.name, True, "admins")
    assert services.team_of(user).pk != team.pk  # who was in it goes on


def test_a_team_that_is_ranked_stays(member: Callable[[str], Client], send: Any) -> None:
    sent = send(20)
    assert Entry.objects.filter(submission=sent).exists()
    admin, address = member("Admins"), bulk(LIST, "remove", sent.team)
    assert "Cannot be deleted. It is ranked on “Colours”" in admin.get(address).content.decode()
    assert "It is ranked on “Colours”: hide or withdraw" in do(admin, address)
    assert Submission.objects.filter(pk=sent.pk).exists()
    services.submission_withdraw(submission=sent, actor="organisers")
    assert "1 team deleted" in do(admin, address)


@pytest.mark.parametrize("when", ["running", "disqualified", "final", "left"])
def test_a_challenge_keeps_its_teams(challenge: Challenge, user: Any, when: str) -> None:
    participation = join(challenge, user)
    if when == "left":
        services.challenge_leave(challenge=challenge, user=user, received_at=timezone.now())
    elif when == "disqualified":
        Participation.objects.update(state=when)
        over(challenge)
        services.final_publish(challenge=challenge, by=user)
    elif when == "final":
        submit(challenge, user, when=in_last_phase(challenge))
        over(challenge)
        services.final_publish(challenge=challenge, by=user)
    team = participation.team
    if when == "left":
        services.team_delete(team=team, actor="organisers")
        assert not Participation.objects.exists()
        return
    with pytest.raises(DomainError, match=r"“H|on “Colours”"):
        services.team_delete(team=team, actor="organisers")
    assert Team.objects.filter(pk=team.pk).exists()
    assert Participation.objects.exists()


def test_what_is_being_scored_and_what_is_ours_stays(send: Any) -> None:
    sent = send(20, score=False)
    with pytest.raises(DomainError, match="being scored"):
        services.team_delete(team=sent.team, actor="organisers")
    ours = services.our_team()
    with pytest.raises(DomainError, match="site's own"):
        services.team_delete(team=ours, actor="organisers")


def test_nobody_but_admins_deletes(member: Callable[[str], Client], send: Any, user: Any) -> None:
    team = services.team_of(user)
    for name in ("Editors", "Moderators"):
        client = member(name)
        for answer in (
            client.get(bulk(LIST, "remove", team)),
            client.post(bulk(LIST, "remove", team)),
        ):
            assert answer.status_code in (302, 403)
    stranger = Client()
    stranger.force_login(person("bea"))
    stranger.post(bulk(LIST, "remove", team))
    assert Team.objects.filter(pk=team.pk).exists()


def test_of_many_those_that_can_are_deleted(member: Callable[[str], Client], send: Any) -> None:
    ranked, idle = send(20).team, Team.objects.create(name="Idle hands")
    said = do(member("Admins"), bulk(LIST, "remove", ranked, idle))
    assert "1 team deleted" in said
    assert "It is ranked on" in said
    assert set(Team.objects.filter(pk__in=[ranked.pk, idle.pk])) == {ranked}
    assert timezone.now() - ModelLogEntry.objects.latest("timestamp").timestamp < timedelta(minutes=1)  # fmt: skip
