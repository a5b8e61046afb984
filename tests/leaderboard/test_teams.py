"""Teams: colleagues join by a link, submit in its name, and leave."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse
from django.utils import timezone

from inference.errors import Conflict, Forbidden, InvalidInput, NotFound
from leaderboard import services
from leaderboard.models import Team
from tests.leaderboard.conftest import predictions


@pytest.fixture
def colleague(db: None) -> Any:
    return get_user_model().objects.create_user("bea", "bea@example.org", "correct horse")


def test_a_link_lets_a_colleague_in_until_it_ends(user, colleague) -> None:
    team = services.team_invite(services.team_of(user), user)
    first = team.invite_code
    assert services.team_join(code=first, user=colleague) == team
    assert services.team_join(code=first, user=colleague) == team  # twice changes nothing
    assert team.members.count() == 2
    services.team_invite(team, user)
    with pytest.raises(NotFound):
        services.team_invited(first)
    services.invite_end(team)
    for code in (first, "", team.invite_code):
        with pytest.raises(NotFound):
            services.team_join(code=code, user=colleague)


def test_an_old_link_has_ended(user, colleague) -> None:
    team = services.team_invite(services.team_of(user), user)
    team.invite_until = timezone.now() - timedelta(seconds=1)
    team.save()
    with pytest.raises(NotFound, match="ended"):
        services.team_join(code=team.invite_code, user=colleague)


def test_a_full_team_takes_nobody(user, colleague, monkeypatch) -> None:
    monkeypatch.setattr("leaderboard.services.teams.MOST_MEMBERS", 1)
    team = services.team_invite(services.team_of(user), user)
    with pytest.raises(Conflict, match="at most 1"):
        services.team_join(code=team.invite_code, user=colleague)


def test_who_leaves_gets_a_team_of_their_own_not_the_old_one(user, colleague) -> None:
    team = services.team_invite(services.team_of(user), user)
    with pytest.raises(Conflict, match="last member"):
        services.member_remove(team=team, user_id=user.pk, by=user)
    services.team_join(code=team.invite_code, user=colleague)
    services.member_remove(team=team, user_id=user.pk, by=user)
    assert services.team_of(user) != team
    assert list(team.members.all()) == [colleague]


@pytest.fixture
def third(db: None) -> Any:
    return get_user_model().objects.create_user("cem", "cem@example.org", "correct horse")


@pytest.fixture
def pair(user, colleague) -> Team:
    """A team of two, that Ada founded and Bea joined."""
    team = services.team_invite(services.team_of(user), user)
    services.team_join(code=team.invite_code, user=colleague)
    return team


def ended(code: str) -> bool:
    try:
        services.team_invited(code)
    except NotFound:
        return True
    return False


def test_a_link_ends_with_the_membership_of_who_made_it(pair, user, colleague, third) -> None:
    services.member_remove(team=pair, user_id=colleague.pk, by=colleague)
    assert ended(pair.invite_code)
    again = services.team_invite(pair, user)
    services.team_join(code=again.invite_code, user=colleague)
    theirs = services.team_invite(pair, colleague).invite_code
    assert not ended(theirs)
    services.member_remove(team=pair, user_id=colleague.pk, by=user)
    with pytest.raises(NotFound):
        services.team_join(code=theirs, user=third)


def test_who_was_taken_out_does_not_come_back_by_the_link(pair, user, colleague) -> None:
    code = pair.invite_code
    services.member_remove(team=pair, user_id=colleague.pk, by=user)
    with pytest.raises(NotFound):
        services.team_join(code=code, user=colleague)
    assert list(pair.members.all()) == [user]
    services.team_join(code=services.team_invite(pair, user).invite_code, user=colleague)


@pytest.mark.parametrize(
    "way", ["admin", "set", "clear", "user", "user clear", "inactive", "deleted"]
)
def test_a_link_ends_however_its_maker_goes(pair, user, colleague, admin_client, way: str) -> None:
    code = services.team_invite(pair, colleague).invite_code
    match way:
        case "admin":
            form = {"name": pair.name, "accounts": user.username, "founder": user.pk}
            address = reverse("wagtailsnippets_leaderboard_team:edit", args=[pair.pk])
            answer = admin_client.post(address, form)
            assert answer.status_code == 302
        case "set":
            pair.members.set([user])
        case "clear":
            pair.members.clear()
        case "user":
            colleague.teams.remove(pair)
        case "user clear":
            colleague.teams.clear()
        case "inactive":
            colleague.is_active = False
            colleague.save()
        case "deleted":
            colleague.delete()
    assert ended(code)


def test_nobody_puts_the_founder_out(client, pair, user, colleague, third) -> None:
    services.team_join(code=pair.invite_code, user=third)
    with pytest.raises(Forbidden, match="founded"):
        services.member_remove(team=pair, user_id=user.pk, by=colleague)
    client.force_login(colleague)
    client.post(f"/account/teams/{pair.pk}/members/{user.pk}/remove/")
    assert pair.members.filter(pk=user.pk).exists()
    page = client.get(f"/account/teams/{pair.pk}/").content.decode()
    assert f"members/{user.pk}/remove/" not in page
    assert f"members/{third.pk}/remove/" in page
    # Who founded it may leave; then who has been in it longest is in their place.
    services.member_remove(team=pair, user_id=user.pk, by=user)
    pair.refresh_from_db()
    assert pair.founder == colleague
    with pytest.raises(Forbidden):
        services.member_remove(team=pair, user_id=colleague.pk, by=third)
    services.member_remove(team=pair, user_id=third.pk, by=colleague)
    with pytest.raises(Conflict, match="last member"):
        services.member_remove(team=pair, user_id=colleague.pk, by=colleague)


def test_only_a_member_takes_a_member_out(pair, user, colleague, third) -> None:
    for who, by in ((colleague, third), (third, user)):
        with pytest.raises(NotFound):
            services.member_remove(team=pair, user_id=who.pk, by=by)
    assert pair.members.count() == 2
    assert not ended(pair.invite_code)


def test_odd_codes_are_no_invitations(client, pair, third) -> None:
    client.force_login(third)
    for code in (
        "x",
        "%00" * 20,
        "a" * 5000,
        "é" * 30,
        pair.invite_code[:-1],
        pair.invite_code.upper(),
    ):
        assert client.get(f"/account/teams/join/{code}/").status_code == 404


def test_a_submission_names_the_team_it_is_for(user, colleague, split, send) -> None:
    theirs = services.team_invite(services.team_of(colleague), colleague)
    own = services.team_of(user)
    services.team_join(code=theirs.invite_code, user=user)
    made = send(5, score=False)
    assert made.team == own  # the one they were in first, though the other is older
    assert send(6, score=False, team=theirs.name.upper()).team == theirs
    assert services.submission_own(submission_id=made.pk, user=user).team == own
    with pytest.raises(InvalidInput, match="no team"):
        send(7, score=False, team="Moondream hub")
    assert services.quota_left(team=theirs, split=split)["today"] == 2
    assert services.quota_left(team=theirs, split=split, user=user)["today"] == 1


def test_the_pages_of_a_team(client, user, colleague) -> None:
    client.force_login(user)
    own = services.team_of(user)
    address = f"/account/teams/{own.pk}/"
    assert address in client.get("/account/").content.decode()
    client.post(f"{address}invite/")
    own.refresh_from_db()
    link = f"/account/teams/join/{own.invite_code}/"
    assert link in client.get(address).content.decode()
    client.logout()
    assert client.get(link)["Location"].startswith("/account/login/?next=")
    client.force_login(colleague)
    assert client.get(address).status_code == 404  # not theirs yet
    assert client.post(f"{address}members/{user.pk}/remove/").status_code == 404
    assert f"Join {own.name}" in client.get(link).content.decode()
    assert own.members.count() == 1  # looking is not joining
    client.post(link)
    assert "ada@example.org" in client.get(address).content.decode()
    client.post(f"{address}uninvite/")
    assert client.get(link).status_code == 404
    client.post(f"{address}members/{colleague.pk}/remove/")
    assert list(own.members.all()) == [user]


def test_the_form_asks_for_the_team_where_there_are_several(client, user, split) -> None:
    client.force_login(user)
    page = f"/leaderboards/{split.benchmark.slug}/submit/"
    assert 'name="team"' not in client.get(page).content.decode()
    services.team_of(user)
    second = Team.objects.create(name="Second")
    second.members.add(user)
    assert 'name="team"' in client.get(page).content.decode()
    file = predictions(3)
    file.name = "p.jsonl"
    sent = {"split": "test", "model_name": "Model", "team": "Second", "is_public": "on"}
    assert client.post(page, {**sent, "file": file}).status_code == 302
    assert second.submissions.count() == 1
