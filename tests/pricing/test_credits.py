"""Research credits: applied for in steps, decided by people, granted in the ledger, reported on."""

from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from django.core import mail
from django.test import Client
from django.utils import timezone

from inference.errors import Conflict, DomainError, Forbidden, InvalidInput
from pricing import selectors, services
from pricing.forms import orcid_holds
from pricing.models import Allotment, CreditApplication, CreditEvent, LedgerEntry, PricingSettings
from pricing.services import metering
from pricing.services.metering import What
from tests.pricing.ledgers import account, bare, plan, problems, take

pytestmark = pytest.mark.django_db
TODAY = timezone.now().date()
WHOLE = {
    "is_affiliated": True, "is_noncommercial": True, "will_publish": True, "full_name": "Ada",
    "institution": "A university", "role": "Student", "work_address": "ada@uni.example.edu",
    "title": "Counting", "aim": "To count", "method": "By counting", "dataset": "COCO", "outputs": "A paper",
    "images": 50, "training_minutes": 3, "needed_until": TODAY + timedelta(days=90),
}  # fmt: skip


def person(name: str, **more: Any) -> Any:
    user = get_user_model().objects.create_user(name, f"{name}@example.org", "pw", **more)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


@pytest.fixture
def ada() -> Any:
    return person("ada")


@pytest.fixture
def boss() -> Any:
    return person("boss", is_superuser=True, is_staff=True)


def sent(user: Any, **more: Any) -> CreditApplication:
    begun = services.application_begin(user=user)
    for name, value in (WHOLE | more).items():
        setattr(begun, name, value)
    begun.save()
    return services.application_submit(application=begun)


def test_a_draft_is_kept_step_by_step_and_sent_in_when_it_is_whole(starter: Any, ada: Any) -> None:
    client = Client()
    client.force_login(ada)
    assert client.post("/account/credits/").status_code == 302
    assert client.post("/account/credits/").status_code == 302
    draft = CreditApplication.objects.get()
    path = f"/account/credits/{draft.pk}/step/"
    assert client.post(f"{path}1/", {"is_affiliated": "on"}).url == f"{path}2/"
    bad = client.post(f"{path}2/", {"full_name": "Ada", "orcid": "0000-0002-1825-0098"})
    assert bad.status_code == 422
    assert "no ORCID" in bad.content.decode()
    client.post(f"{path}2/", {"full_name": "Ada", "orcid": "https://orcid.org/0000-0002-1825-0097"})
    draft.refresh_from_db()
    assert (draft.is_affiliated, draft.full_name, draft.orcid) == (
        True,
        "Ada",
        "0000-0002-1825-0097",
    )
    refused = client.post(f"{path}5/", {})
    assert refused.status_code == 422
    assert "institution" in refused.content.decode()
    CreditApplication.objects.update(**WHOLE)
    trapped = client.post(f"{path}5/", {"website": "https://spam.example"})
    assert trapped.status_code == 302
    draft.refresh_from_db()
    assert draft.state == "draft"
    assert client.post(f"{path}5/", {}).url == f"/account/credits/{draft.pk}/"
    assert client.get(f"{path}1/").status_code == 302, "what was sent in is not changed"
    for name in (f"{path}0/", f"{path}6/"):
        assert client.get(name).status_code == 404
    assert [m.subject for m in mail.outbox] == [
        "[Moondream hub] Your application for research credits"
    ]
    other = Client()
    other.force_login(person("eve"))
    assert other.get(f"/account/credits/{draft.pk}/").status_code == 404
    assert other.post(f"/account/credits/{draft.pk}/withdraw/").status_code == 404


def test_one_at_a_time_and_only_with_a_verified_address(ada: Any) -> None:
    application = sent(ada)
    with pytest.raises(Conflict):
        services.application_begin(user=ada)
    services.application_withdraw(application=application)
    assert services.application_begin(user=ada).pk != application.pk
    EmailAddress.objects.update(verified=False)
    eve = get_user_model().objects.create_user("eve", "eve@example.org")
    with pytest.raises(InvalidInput, match="Verify"):
        sent(eve)


def test_the_queue_s_place_and_the_day_are_told(ada: Any) -> None:
    first, second = sent(person("bob")), sent(ada)
    CreditApplication.objects.filter(pk=first.pk).update(
        submitted_at=timezone.now() - timedelta(days=1)
    )
    standing = selectors.standing(second)
    assert (standing.place, standing.waiting) == (2, 2)
    assert standing.until is not None
    assert standing.until - timezone.now() > timedelta(days=13)
    services.application_withdraw(application=first)
    assert selectors.standing(second).place == 1


def test_an_approval_is_a_grant_in_the_ledger_that_is_used_after_the_plan(
    ada: Any, boss: Any
) -> None:
    bare()
    plan("research", images=2, benchmarks_only=True, training_minutes=1)
    application = sent(ada)
    services.application_approve(application=application, by=boss, images=3, expires_on=TODAY + timedelta(days=30), text="Good luck.")  # fmt: skip
    images, training = Allotment.objects.filter(kind="credit").order_by("meter")
    assert (images.granted, training.granted) == (3, 180)
    assert images.ends_at.date() == TODAY + timedelta(days=31), "the last day is whole"
    assert LedgerEntry.objects.filter(kind="grant", reason__contains="Application").count() == 2
    mine = account("ada")
    for _ in range(3):
        metering.end(take(mine, what=What(image="f" * 64)), 1)
    with pytest.raises(DomainError):
        take(mine, what=What(image="f" * 64))
    images.refresh_from_db()
    assert images.used == 3
    letter = mail.outbox[-1]
    assert "3 images and 3 training minutes" in letter.body
    assert "Good luck." in letter.body
    assert problems() == []
    with pytest.raises(Conflict):
        services.application_approve(application=application, by=boss)
    assert Allotment.objects.filter(kind="credit").count() == 2


def test_asked_and_answered_keeps_the_place(ada: Any, boss: Any) -> None:
    application = sent(ada)
    first = application.submitted_at
    services.application_ask(application=application, by=boss, question="Which split?")
    assert "Which split?" in mail.outbox[-1].body
    application.refresh_from_db()
    assert (application.state, application.is_editable) == ("asked", True)
    again = services.application_submit(application=application, answer="val")
    assert (again.state, again.submitted_at) == ("submitted", first)
    services.application_note(application=application, by=boss, text="SECRET-NOTE")
    services.application_decline(application=application, by=boss, reason="Too large for now.")
    assert "Too large" in mail.outbox[-1].body
    told = [(e.kind, e.text) for e in selectors.standing(application).events]
    assert told == [
        ("submitted", ""), ("asked", "Which split?"), ("answered", "val"), ("declined", "Too large for now."),
    ]  # fmt: skip
    client = Client()
    client.force_login(ada)
    assert "SECRET-NOTE" not in client.get(f"/account/credits/{application.pk}/").content.decode()
    assert CreditEvent.objects.filter(text="SECRET-NOTE").exists()
    assert sent(ada).state == "submitted", "one may apply again"


def test_two_people_where_the_site_says_so(ada: Any, boss: Any, starter: Any) -> None:
    from wagtail.models import Site

    PricingSettings.objects.create(site=Site.objects.get(is_default_site=True), two_people=True)
    application = sent(ada)
    services.application_approve(application=application, by=boss, images=40)
    application.refresh_from_db()
    assert application.state == "half"
    assert not Allotment.objects.filter(kind="credit").exists()
    with pytest.raises(Conflict, match="second admin"):
        services.application_approve(application=application, by=boss)
    second = person("second", is_superuser=True)
    services.application_approve(application=application, by=second, images=50)
    application.refresh_from_db()
    assert application.state == "half", "other amounts are another first approval"
    services.application_approve(application=application, by=boss)
    assert Allotment.objects.get(kind="credit", meter="images").granted == 50


def test_nobody_decides_on_their_own_and_no_grant_is_endless(boss: Any, ada: Any) -> None:
    own = sent(boss)
    for decide in (
        lambda: services.application_approve(application=own, by=boss),
        lambda: services.application_decline(application=own, by=boss, reason="x"),
        lambda: services.application_ask(application=own, by=boss, question="x"),
    ):
        with pytest.raises(Forbidden):
            decide()
    other = sent(ada)
    for bad in (
        {"expires_on": TODAY},
        {"expires_on": TODAY + timedelta(days=5000)},
        {"images": 0, "minutes": 0},
    ):
        with pytest.raises(InvalidInput):
            services.application_approve(application=other, by=boss, **bad)


def test_a_grant_is_taken_back_and_lapses(ada: Any, boss: Any) -> None:
    bare()
    plan(images=0)
    services.application_approve(application=sent(ada), by=boss)
    pot = Allotment.objects.get(kind="credit", meter="images")
    held = take(account("ada"))
    services.grant_withdraw(allotment=pot, reason="Left the university.")
    with pytest.raises(DomainError):
        take(account("ada"))
    metering.end(held, 1)
    with pytest.raises(InvalidInput):
        services.grant_withdraw(allotment=pot, reason="x")
    pot.refresh_from_db()
    assert (pot.used, pot.lapsed) == (1, 49)
    assert problems() == []


def test_what_came_of_it_is_kept_with_it(ada: Any, boss: Any) -> None:
    application = sent(ada)
    with pytest.raises(Conflict):
        services.application_report(application=application, text="A paper")
    services.application_approve(application=application, by=boss)
    with pytest.raises(InvalidInput):
        services.application_report(application=application, text="  ")
    client = Client()
    client.force_login(ada)
    assert (
        client.post(f"/account/credits/{application.pk}/", {"report": "A paper"}).status_code == 302
    )
    application.refresh_from_db()
    assert (application.report, application.reported_at is not None) == ("A paper", True)


def test_the_admin_s_queue_decides_many_and_is_the_lab_s_report(
    starter: Any, ada: Any, boss: Any
) -> None:
    rows = [sent(ada), sent(person("bob"))]
    client = Client()
    client.force_login(boss)
    assert client.get("/admin/snippets/pricing/creditapplication/").status_code == 200
    page = client.get(
        f"/admin/snippets/pricing/creditapplication/inspect/{rows[0].pk}/"
    ).content.decode()
    assert "By counting" in page
    ids = "&".join(f"id={row.pk}" for row in rows)
    address = f"/admin/bulk/pricing/creditapplication/approve/?{ids}"
    asks = client.get(address).content.decode()
    assert "asks for 50 images" in asks
    assert client.post(address, {"images": "7"}).status_code == 302
    assert Allotment.objects.filter(kind="credit", meter="images", granted=7).count() == 2
    report = client.get("/admin/snippets/pricing/creditapplication/?export=csv")
    text = (
        b"".join(report.streaming_content).decode() if report.streaming else report.content.decode()
    )
    assert "Counting" in text
    assert client.get("/admin/").status_code == 200


def test_orcids_are_checked_by_their_last_sign() -> None:
    assert orcid_holds("0000-0002-1825-0097")
    assert orcid_holds("0000-0002-1694-233X")
    for bad in ("0000-0002-1825-0098", "0000000218250097", "", "x", "٠000-0002-1825-0097"):
        assert not orcid_holds(bad), bad
