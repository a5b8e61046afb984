"""Research credits: applied for in steps, decided by people, granted in the ledger, reported on."""

from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
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


def posted(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def upload(name: str, data: bytes) -> dict[str, Any]:
    return {"file": SimpleUploadedFile(name, data)}


def test_files_are_sent_along_and_read_by_the_applicant_and_those_who_decide(
    ada: Any, boss: Any, django_capture_on_commit_callbacks: Any
) -> None:
    client = posted(ada)
    draft = services.application_begin(user=ada)
    path = f"/account/credits/{draft.pk}/files/"
    assert client.post(path, upload("../../a <b>letter.PDF", b"%PDF-1.7 x")).status_code == 302
    file = draft.attachments.get()
    assert (file.name, file.media_type, file.size) == ("a_bletter.pdf", "application/pdf", 10)
    assert file.name in client.get(f"/account/credits/{draft.pk}/step/5/").content.decode()
    answer = client.get(f"{path}{file.pk}/")
    assert answer.content == b"%PDF-1.7 x"
    assert answer["Content-Disposition"] == f'attachment; filename="{file.name}"'
    assert "sandbox" in answer["Content-Security-Policy"]
    eve = posted(person("eve"))
    assert eve.get(f"{path}{file.pk}/").status_code == 404
    assert eve.post(f"{path}{file.pk}/remove/").status_code == 404
    admin = f"/admin/credits/files/{file.pk}/"
    assert posted(boss).get(admin).status_code == 404, "a draft is its applicant's alone"
    CreditApplication.objects.update(**WHOLE)
    services.application_submit(application=draft)
    assert posted(boss).get(admin).content == b"%PDF-1.7 x"
    assert file.name in posted(boss).get(reverse(CreditApplication.snippet_viewset.get_url_name("inspect"), args=[draft.pk])).content.decode()  # fmt: skip
    assert eve.get(admin).status_code in (302, 403)
    assert client.post(f"{path}{file.pk}/remove/").status_code == 302
    assert draft.attachments.exists(), "what was sent in is not changed"
    client.post(path, upload("b.txt", b"more"))
    assert draft.attachments.count() == 1
    with django_capture_on_commit_callbacks(execute=True):
        ada.delete()
    assert not storages["private"].exists(file.file), "an account's files go with it"


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("a.html", b"<script>", "Attach PDF"),
        ("a.svg", b"<svg/>", "Attach PDF"),
        ("a", b"%PDF-", "Attach PDF"),
        ("a.pdf", b"<html>", "not what its name says"),
        ("a.png", b"%PDF-", "not what its name says"),
        ("a.txt", b"a\0b", "not what its name says"),
        ("a.md", b"\xff\xfe", "not what its name says"),
        ("a.txt", b"x" * (10 * 2**20 + 1), "At most 10 MB"),
    ],
)
def test_other_files_are_refused(ada: Any, name: str, data: bytes, problem: str) -> None:
    draft = services.application_begin(user=ada)
    client = posted(ada)
    answer = client.post(f"/account/credits/{draft.pk}/files/", upload(name, data), follow=True)
    assert problem in answer.content.decode()
    assert not draft.attachments.exists()


def test_no_more_than_five_files_and_none_that_is_missing(ada: Any) -> None:
    draft = services.application_begin(user=ada)
    client = posted(ada)
    for number in range(7):
        answer = client.post(f"/account/credits/{draft.pk}/files/", upload(f"{number}.txt", b"x"), follow=True)  # fmt: skip
    assert draft.attachments.count() == 5
    assert "At most 5 files" in answer.content.decode()
    answer = client.post(f"/account/credits/{draft.pk}/files/", {}, follow=True)
    assert "Choose a file first" in answer.content.decode()
    file = draft.attachments.first()
    client.post(f"/account/credits/{draft.pk}/files/{file.pk}/remove/")
    assert draft.attachments.count() == 4


def test_outcomes_are_listed_with_the_grant_and_in_the_report(ada: Any, boss: Any) -> None:
    bare()
    plan("research", images=2)
    waiting = sent(person("bob"), title="Another")
    application = sent(ada)
    client, path = posted(ada), f"/account/credits/{application.pk}/outcomes/"
    paper = {"kind": "paper", "title": "=Counting", "url": "https://example.org/paper"}
    assert client.post(path, paper).status_code == 422, "nothing was granted yet"
    services.application_approve(application=application, by=boss, images=3)
    assert client.post(path, paper).status_code == 302
    again = client.post(path, paper)
    assert again.status_code == 422
    assert "there already" in again.content.decode()
    for bad in ({"url": "javascript:alert(1)"}, {"kind": "prize"}, {"title": ""}):
        assert client.post(path, paper | bad).status_code == 422
    assert posted(person("eve")).post(path, paper).status_code == 404
    metering.end(take(account("ada"), what=What(image="f" * 64)), 1)
    metering.end(take(account("ada"), what=What(image="f" * 64)), 1)
    metering.end(take(account("ada"), what=What(image="f" * 64)), 1)
    report = selectors.credits_report()
    (year,) = report.years
    assert (year.year, year.decided, year.approved, year.reported) == (TODAY.year, 1, 1, 1)
    used = Allotment.objects.get(kind="credit", meter="images").used
    assert (year.granted_images, year.used_images, year.granted_minutes) == (3, used, 3)
    assert (year.outcomes, report.waiting) == ({"paper": 1}, 1)
    admin = posted(boss)
    page = admin.get("/admin/reports/research-credits/").content.decode()
    assert "=Counting" in page
    assert "1 of 1" in page
    rows = admin.get("/admin/reports/research-credits/?export=csv").content.decode().splitlines()
    assert len(rows) == 2
    assert posted(ada).get("/admin/reports/research-credits/").status_code in (302, 403)
    outcome = application.outcomes.get()
    client.post(f"{path}{outcome.pk}/remove/")
    assert not application.outcomes.exists()
    assert waiting.state == "submitted"


def test_the_report_of_many_takes_few_queries(boss: Any, django_assert_num_queries: Any) -> None:
    bare()
    plan("research", images=2)
    for number in range(6):
        one = sent(person(f"p{number}"))
        services.application_approve(application=one, by=boss, images=3)
        services.outcome_add(application=one, kind="code", title="C", url="https://example.org/c")
    with django_assert_num_queries(4):
        assert selectors.credits_report().years[0].outcomes == {"code": 6}
