"""Announcements of challenges: what of them is the challenge's, their leaders, the starter's sample."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from inference import page_cache
from leaderboard.models import Challenge, Standing, Submission, Team
from research.models import ChallengePage, StarterText
from research.starter import starter_load
from tests.research.test_library import soup

pytestmark = pytest.mark.django_db


def test_a_challenges_page_has_its_dates_from_the_challenge(client, starter) -> None:
    page = ChallengePage.objects.get()
    challenge = page.challenge
    assert challenge.page_url == page.url
    assert (page.opens_at, page.metric) == (challenge.opens_at, "Accuracy")
    assert page.state == "open"
    html = client.get(page.url).content.decode()
    assert 'hx-get="/leaderboards/challenges/count-the-shelf/own/"' in html
    assert "csrfmiddlewaretoken" not in html  # the page is the same for all, and kept
    assert "Practice" in html
    # An editor moves the end: the page and the kept copies follow.
    challenge.closes_at += timedelta(days=3)
    challenge.save()
    page.refresh_from_db()
    assert page.closes_at == challenge.closes_at
    assert challenge.closes_at.strftime("%-d %b %Y") in client.get(page.url).content.decode()
    page.unpublish()
    challenge.refresh_from_db()
    assert challenge.page_url == ""


def test_an_announcement_without_a_challenge_needs_dates_of_its_own(starter) -> None:
    page = ChallengePage(title="X", lede="Y", rules="<p>Z</p>")
    with pytest.raises(ValidationError) as caught:
        page.clean()
    assert set(caught.value.message_dict) == {"opens_at", "closes_at", "metric"}
    page.challenge = Challenge.objects.get()
    page.clean()


def test_an_earlier_sample_gets_its_challenge_unless_somebody_changed_it(
    starter, django_user_model
) -> None:
    page = ChallengePage.objects.get()
    ChallengePage.objects.update(challenge=None, lede="An example: entering opens later.")
    Challenge.objects.all().delete()
    StarterText.objects.all().delete()  # which that version did not write
    starter_load(base_url="http://testserver", dev_scenes=8)
    page.refresh_from_db()
    assert page.challenge == Challenge.objects.get()
    assert "it works" in page.lede
    ChallengePage.objects.update(challenge=None)
    page.refresh_from_db()
    page.lede = "Ours."
    page.save_revision(user=django_user_model.objects.create_user("editor")).publish()
    starter_load(base_url="http://testserver", dev_scenes=8)
    page.refresh_from_db()
    assert (page.challenge, page.lede) == (None, "Ours.")


def test_cards_name_who_leads_a_challenge(client, starter, django_user_model) -> None:
    challenge = Challenge.objects.get()
    phase = challenge.phases.first()
    team = Team.objects.create(name="Counters")
    sent = Submission.objects.create(
        split=phase.split, phase=phase, team=team,
        model_name="Abacus", file="x", file_sha256="x",
    )  # fmt: skip
    Standing.objects.create(
        challenge=challenge, phase=phase, submission=sent, model_name="Abacus",
        team_name="Counters", figures={"count_accuracy": {"value": 0.5, "low": 0.4, "high": 0.6}},
        score=0.5, rank=1, scored_at=sent.created_at,
    )  # fmt: skip
    page_cache.forget()
    for path in ("/", "/research/", "/research/challenges/"):
        leaders = soup(client, path).find(attrs={"aria-label": "Leading in Count the shelf"})
        assert "Counters Abacus" in " ".join(leaders.get_text(" ").split()), path
        assert soup(client, path).find("a", href="/leaderboards/challenges/count-the-shelf/submit/")


def test_an_editor_chooses_the_challenge_and_previews(admin_client, starter) -> None:
    page = ChallengePage.objects.get()
    form = admin_client.get(reverse("wagtailadmin_pages:edit", args=[page.pk])).content.decode()
    assert "snippets/choose/leaderboard/challenge" in form
    assert page.make_preview_request().status_code == 200
