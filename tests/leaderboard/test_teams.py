"""Teams: colleagues join by a link, submit in its name, and leave."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse
from django.utils import timezone

from inference.errors import Conflict, Forbidden, InvalidInput, NotFound
from leaderboard import services
from leaderboard.models import Membership, Role, Team
from leaderboard.roles import MAY, Act
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
    services.invite_end(team, user)
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
    with pytest.raises(Conflict, match="the last"):
        services.member_remove(team=team, user_id=user.pk, by=user)
    services.member_role_set(team=team, user_id=colleague.pk, role="owner", by=user)
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
    services.member_role_set(team=pair, user_id=colleague.pk, role="owner", by=user)
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
    "way", ["role", "admin", "set", "clear", "user", "user clear", "inactive", "deleted"]
)
def test_a_link_ends_however_its_maker_goes(pair, user, colleague, admin_client, way: str) -> None:
    services.member_role_set(team=pair, user_id=colleague.pk, role="owner", by=user)
    code = services.team_invite(pair, colleague).invite_code
    match way:
        case "role":
            services.member_role_set(team=pair, user_id=colleague.pk, role="member", by=user)
        case "admin":
            form = {"name": pair.name, "accounts": user.username}
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


def test_owners_alone_take_others_out_and_one_always_stays(
    client, pair, user, colleague, third
) -> None:
    services.team_join(code=pair.invite_code, user=third)
    with pytest.raises(Forbidden, match="role"):
        services.member_remove(team=pair, user_id=user.pk, by=colleague)
    client.force_login(colleague)
    assert client.post(f"/account/teams/{pair.pk}/members/{user.pk}/remove/").status_code == 403
    assert pair.members.filter(pk=user.pk).exists()
    page = client.get(f"/account/teams/{pair.pk}/").content.decode()
    for other in (user, third):
        assert f"members/{other.pk}/remove/" not in page
    assert f"members/{colleague.pk}/remove/" in page  # to leave
    with pytest.raises(Conflict, match="the last"):
        services.member_role_set(team=pair, user_id=user.pk, role="member", by=user)
    services.member_role_set(team=pair, user_id=colleague.pk, role="owner", by=user)
    services.member_remove(team=pair, user_id=user.pk, by=colleague)
    services.member_remove(team=pair, user_id=third.pk, by=colleague)
    with pytest.raises(Conflict, match="last member"):
        services.member_remove(team=pair, user_id=colleague.pk, by=colleague)


def test_a_team_whose_owner_goes_in_another_way_gets_another(pair, user, colleague, third) -> None:
    services.team_join(code=services.team_invite(pair, user, "billing").invite_code, user=third)
    Membership.objects.filter(team=pair, user=colleague).update(role="billing")
    Membership.objects.filter(team=pair, user=third).update(role="member")
    user.delete()
    roles_now = dict(pair.memberships.values_list("user__username", "role"))
    assert roles_now == {"bea": "billing", "cem": "owner"}


# Roles: one table, tried as an adversary would.


@pytest.fixture
def roles_of(pair, user, colleague, third) -> dict[str, Any]:
    """Ada owns, Bea is a member, Cem does the billing."""
    services.team_join(code=services.team_invite(pair, user, "billing").invite_code, user=third)
    return {"owner": user, "member": colleague, "billing": third}


def _posts(pair: Team, target: Any) -> dict[Act, tuple[str, dict[str, str]]]:
    base = f"/account/teams/{pair.pk}/"
    return {
        Act.RENAME: (base, {"team": "Other name"}),
        Act.INVITE: (f"{base}invite/", {"role": "owner"}),
        Act.MANAGE: (f"{base}members/{target.pk}/role/", {"role": "owner"}),
        Act.DISSOLVE: (f"{base}dissolve/", {"typed": "wrong"}),
    }  # fmt: skip


@pytest.mark.parametrize("role", ["owner", "member", "billing"])
def test_pages_let_each_role_do_what_the_table_says(client, pair, roles_of, role: str) -> None:
    client.force_login(roles_of[role])
    page = client.get(f"/account/teams/{pair.pk}/")
    assert page.status_code == 200
    text = page.content.decode()
    for act, (path, sent) in _posts(pair, roles_of["billing"]).items():
        may = act in MAY[Role(role)]
        assert (f'action="{path}"' in text or act is Act.RENAME) == (may or act is Act.RENAME), act
        before = list(Membership.objects.values_list("user", "role"))
        code = Team.objects.get(pk=pair.pk).invite_code
        answer = client.post(path, sent)
        assert (answer.status_code in (302, 422) and may) or answer.status_code in (403, 422), act
        if not may:
            assert list(Membership.objects.values_list("user", "role")) == before
            assert Team.objects.get(pk=pair.pk).invite_code == code
            assert Team.objects.get(pk=pair.pk).name == pair.name


def test_billing_sees_what_was_used_and_not_what_was_submitted(
    client, pair, roles_of, split, send
) -> None:
    made = send(5, team=pair.name)  # Ada's
    client.force_login(roles_of["billing"])
    page = client.get(f"/account/teams/{pair.pk}/").content.decode()
    assert "ada@example.org" in page
    assert split.benchmark.title in page
    assert client.get(f"/leaderboards/submissions/{made.pk}/").status_code == 404
    assert made.model_name not in client.get("/account/").content.decode()
    with pytest.raises(NotFound):
        services.submission_own(submission_id=made.pk, user=roles_of["billing"])
    with pytest.raises(Forbidden, match="role"):
        services.team_of(roles_of["billing"], pair.name)
    assert services.team_of(roles_of["billing"]) != pair  # one of their own
    for action in ("withdraw", "hide", "publish"):
        assert client.post(f"/leaderboards/submissions/{made.pk}/{action}/").status_code == 404
    made.refresh_from_db()
    assert made.status == "scored"


def test_who_is_out_has_no_access_from_the_next_request_on(client, pair, roles_of, send) -> None:
    made = send(5, team=pair.name)
    member = roles_of["member"]
    client.force_login(member)
    assert client.get(f"/leaderboards/submissions/{made.pk}/").status_code == 200
    services.member_remove(team=pair, user_id=member.pk, by=roles_of["owner"])
    assert client.get(f"/leaderboards/submissions/{made.pk}/").status_code == 404
    assert client.get(f"/account/teams/{pair.pk}/").status_code == 404
    assert client.post(f"/account/teams/{pair.pk}/invite/").status_code == 404
    with pytest.raises(InvalidInput, match="no team"):
        services.team_of(member, pair.name)


def test_nobody_gives_themselves_a_role(client, pair, roles_of) -> None:
    for role in ("member", "billing"):
        who = roles_of[role]
        client.force_login(who)
        for wanted in ("owner", "", "admin", "owner,member"):
            answer = client.post(
                f"/account/teams/{pair.pk}/members/{who.pk}/role/", {"role": wanted}
            )
            assert answer.status_code in (302, 403)
        assert Membership.objects.get(team=pair, user=who).role == role
    # Nor by an invitation of theirs, nor by joining again.
    with pytest.raises(Forbidden):
        services.team_invite(pair, roles_of["member"], "owner")
    link = services.team_invite(pair, roles_of["owner"], "owner").invite_code
    services.team_join(code=link, user=roles_of["billing"])
    assert Membership.objects.get(team=pair, user=roles_of["billing"]).role == "billing"
    with pytest.raises(InvalidInput, match="no such role"):
        services.team_invite(pair, roles_of["owner"], "admin")


def test_a_link_of_who_was_an_owner_ends_with_the_role(pair, roles_of, django_user_model) -> None:
    owner, member = roles_of["owner"], roles_of["member"]
    services.member_role_set(team=pair, user_id=member.pk, role="owner", by=owner)
    code = services.team_invite(pair, owner, "owner").invite_code
    Membership.objects.filter(team=pair, user=owner).update(role="member")  # however it came
    late = django_user_model.objects.create_user("dee", "dee@example.org", "correct horse")
    with pytest.raises(NotFound):
        services.team_join(code=code, user=late)


def test_an_owner_dissolves_a_team_that_nothing_keeps(client, pair, roles_of) -> None:
    client.force_login(roles_of["owner"])
    path = f"/account/teams/{pair.pk}/dissolve/"
    client.post(path, {"typed": "another"})
    assert Team.objects.filter(pk=pair.pk).exists()
    assert client.post(path, {"typed": pair.name}).status_code == 302
    assert not Team.objects.filter(pk=pair.pk).exists()


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
    assert client.post(f"{address}uninvite/").status_code == 403
    client.post(f"{address}members/{colleague.pk}/remove/")
    assert client.get(link).status_code == 404
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
