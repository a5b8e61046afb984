"""What mails say: as allauth has it until an editor writes another text; what cannot be sent is refused."""

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.auth import get_user_model
from django.core import mail
from django.test import Client
from django.urls import reverse
from wagtail.models import ModelLogEntry, PageSubscription, Site

from leaderboard.mails import DECISIONS
from moondream_site.signin import MAILS, Adapter
from pricing import mails, services
from pricing.models import MailText, SecondStep
from research.models import Announcement, LegalPage

pytestmark = pytest.mark.django_db
BODY = "Dear {account},\n\nopen {link} to be sure.\n\n{site}"


def page(kind: mails.MailKind) -> str:
    return reverse("mail_edit", args=[kind.name])


def context_of(user: Any) -> dict[str, Any]:
    """All that allauth gives to any of its texts."""
    return {
        "current_site": SimpleNamespace(name="hub.test", domain="hub.test"), "email": "ada@example.org",
        "activate_url": "https://hub.test/c/", "password_reset_url": "https://hub.test/r/",
        "signup_url": "https://hub.test/s/", "user": user, "username": "ada",
    }  # fmt: skip


@pytest.mark.parametrize("prefix", list(MAILS))
def test_a_text_nobody_edited_is_the_library_s_own(prefix: str) -> None:
    context = context_of(get_user_model()(username="ada", email="ada@example.org"))
    theirs = DefaultAccountAdapter().render_mail(prefix, "ada@example.org", context)
    ours = Adapter().render_mail(prefix, "ada@example.org", context)
    assert (ours.subject, ours.body, ours.to, ours.from_email) == (
        theirs.subject, theirs.body, theirs.to, theirs.from_email,
    )  # fmt: skip


def test_every_mail_that_allauth_sends_here_is_in_the_table(starter: Any, settings: Any) -> None:
    """By what is really sent: sign-up, again with the same address, a reset, one of an unknown address,
    another address."""
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    for kind, name in MAILS.values():
        services.mail_text_write(
            kind=kind,
            subject=f"ours: {kind.name}",
            body=" ".join(f"{{{n}}}" for n in name),
            by=None,
        )
    known = get_user_model().objects.create_user("known", "known@example.org", "pw")
    EmailAddress.objects.create(user=known, email=known.email, verified=True, primary=True)
    words = {"password1": "a long pass phrase", "password2": "a long pass phrase"}
    for address in ("new@example.org", known.email):
        answer = Client().post("/account/signup/", words | {"email": address})
        assert answer["Location"] == "/account/confirm-email/", (
            "whether there is an account is not shown"
        )
    for address in (known.email, "nobody@example.org"):
        Client().post("/account/password/reset/", {"email": address})
    client = Client()
    client.force_login(known)
    client.post("/account/email/", {"action_add": "", "email": "other@example.org"})
    assert [letter.subject for letter in mail.outbox] == [
        "ours: confirm_address", "ours: address_in_use", "ours: password_reset", "ours: unknown_address",
        "ours: confirm_address",
    ]  # fmt: skip
    assert all("http" in letter.body for letter in mail.outbox)


@pytest.mark.parametrize("kind", mails.KINDS.values(), ids=list(mails.KINDS))
def test_every_first_text_can_be_saved_and_reads_well(
    kind: mails.MailKind, member: Callable[[str], Client]
) -> None:
    assert kind.problems(kind.subject) == []
    assert kind.problems(kind.body, kind.needed) == []
    subject, body = kind.filled(kind.subject, kind.body, kind.sample)
    assert "{" not in subject + body
    assert "\n" not in subject
    moderator = member("Moderators")
    shown = moderator.get(page(kind))
    assert shown.context["form"].initial["body"] == kind.body.strip()
    sent = {"subject": kind.subject, "body": kind.body.replace("\n", "\r\n"), "save": "1"}
    assert moderator.post(page(kind), sent).status_code == 302
    assert not MailText.objects.exists(), "what a mail says at first is kept in one place"


def test_a_text_is_changed_tried_and_taken_back(
    member: Callable[[str], Client], starter: Any
) -> None:
    kind, moderator = mails.CONFIRM_ADDRESS, member("Moderators")
    text = {"subject": "Welcome to {site}", "body": BODY}
    seen = moderator.post(page(kind), text | {"preview": "1"}).content.decode()
    assert "Dear ada@example.org," in seen
    assert not MailText.objects.exists()
    assert not mail.outbox
    moderator.post(page(kind), text | {"test": "1"})
    assert mail.outbox[0].subject == "Welcome to hub.example.org"
    assert mail.outbox[0].to == ["moderators@example.org"]
    assert not MailText.objects.exists()
    assert moderator.post(page(kind), text | {"save": "1"}).status_code == 302
    assert ">Changed<" in moderator.get(reverse("mails")).content.decode()
    client = Client()
    client.force_login(get_user_model().objects.create_user("bea", "bea@example.org", "pw"))
    client.post("/account/email/", {"action_add": "", "email": "bea@lab.example"})
    letter = mail.outbox[-1]
    assert letter.subject == "Welcome to testserver"
    found = re.fullmatch(r"Dear bea@example.org,\n\nopen http://testserver(\S+) to be sure.\n\ntestserver", str(letter.body))  # fmt: skip
    assert found is not None
    assert client.get(found[1]).status_code in (200, 302)
    moderator.post(page(kind), {"reset": "1"})
    assert not MailText.objects.exists()
    assert {e.action for e in ModelLogEntry.objects.filter(label=kind.name)} == {"wagtail.create", "wagtail.delete"}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ({"body": "Go to {link}, {nobody}"}, "no variable {nobody}. There are: {site}, {account}, {link}"),
        ({"body": "Go to {account}"}, "{link} is missing"),
        ({"body": "{ link } {link}"}, "Braces stand around"),
        ({"body": "{link} {{ settings.SECRET_KEY }}"}, "Braces stand around"),
        ({"body": "{link} {% load x %}"}, "Braces stand around"),
        ({"body": "{link} {link.__class__}"}, "Braces stand around"),
        ({"body": "{link} {link!r:>99999999}"}, "Braces stand around"),
        ({"body": "{link} {"}, "Braces stand around"), ({"body": "{link} {}"}, "Braces stand around"),
        ({"body": ""}, "This field is required"), ({"subject": " "}, "This field is required"),
        ({"subject": "{link} {password}"}, "no variable {password}"),
        ({"subject": "x" * 151}, "at most 150 characters"), ({"body": "{link}" + "x" * 4000}, "at most 4000"),
        ({"body": "{link} \0"}, "Null characters are not allowed"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_an_error_at_its_field(
    member: Callable[[str], Client], starter: Any, text: dict[str, str], why: str
) -> None:
    kind = mails.CONFIRM_ADDRESS
    sent = {"subject": "Welcome", "body": BODY} | text
    for button in ("save", "preview", "test"):
        answer = member("Moderators").post(page(kind), sent | {button: "1"})
        if "\0" in sent["body"] and answer.status_code == 400:
            continue  # refused before any form
        assert answer.status_code == 422
        (field,) = text
        assert why in " ".join(answer.context["form"].errors[field])
        assert list(answer.context["form"].errors) == [field]
    assert not MailText.objects.exists()
    assert not mail.outbox


def test_what_a_value_holds_is_no_text_of_ours(starter: Any) -> None:
    kind = DECISIONS["disqualify"]
    values = kind.sample | {
        "team": "{reason}",
        "challenge": "A\nBcc: all@example.org",
        "reason": "{link}",
    }
    subject, body = kind.written(values)
    assert "\n" not in subject
    assert "Your team {reason} was disqualified" in body
    assert "Reason: {link}" in body


def test_a_paragraph_of_nothing_is_left_out() -> None:
    kind = DECISIONS["accept"]
    _, body = kind.written(kind.sample | {"reason": ""})
    assert body == (
        "Your team Moon Lab was accepted in the challenge “Count the shelf”.\n\n"
        "The challenge's page shows where you stand.\n"
    )


def test_a_text_that_does_not_fit_any_more_is_not_sent(starter: Any) -> None:
    kind = mails.PASSWORD_RESET
    MailText.objects.create(name=kind.name, subject="Hi {gone}", body="{link}")
    assert kind.written(kind.sample)[0] == kind.subject
    MailText.objects.update(subject="Hi", body="no way in")
    assert kind.sample["link"] in kind.written(kind.sample)[1]


def test_editors_and_strangers_change_none(member: Callable[[str], Client]) -> None:
    for client in (member("Editors"), Client()):
        for address in (reverse("mails"), page(mails.PASSWORD_RESET)):
            assert client.get(address).status_code == 302
            assert (
                client.post(address, {"subject": "x", "body": "{link}", "save": "1"}).status_code
                == 302
            )
    assert member("Admins").get(reverse("mails")).status_code == 200
    assert member("Moderators").get(reverse("mail_edit", args=["no-such-mail"])).status_code == 404
    assert not MailText.objects.exists()


def test_without_a_mail_server_none_is_sent_and_it_is_said(member: Callable[[str], Client], settings: Any) -> None:  # fmt: skip
    settings.SENDS_MAIL = False
    moderator, kind = member("Moderators"), mails.CONFIRM_ADDRESS
    assert "Send it to me" not in moderator.get(page(kind)).content.decode()
    answer = moderator.post(page(kind), {"subject": "Hi", "body": BODY, "test": "1"})
    assert "This server sends no mail" in answer.content.decode()
    assert not mail.outbox


def test_a_server_that_refuses_is_told(
    member: Callable[[str], Client], starter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("pricing.views_mails.send_mail", away)
    answer = member("Moderators").post(page(mails.CONFIRM_ADDRESS), {"subject": "Hi", "body": BODY, "test": "1"})  # fmt: skip
    assert "did not take it" in answer.content.decode()


def test_who_loses_a_second_step_is_told(
    starter: Any, django_capture_on_commit_callbacks: Any
) -> None:
    users = get_user_model().objects
    ada = users.create_user("ada", "ada@example.org", "pw")
    TOTP.activate(ada, "A" * 32)
    by = users.create_superuser("boss", "boss@example.org", "pw")
    with django_capture_on_commit_callbacks(execute=True):
        services.second_step_remove(user=ada, by=by)
    assert not SecondStep.objects.exists()
    assert mail.outbox[0].to == ["ada@example.org"]
    assert "/account/2fa/" in mail.outbox[0].body


COMMENTS = {
    "comments-TOTAL_FORMS": 1, "comments-INITIAL_FORMS": 0, "comments-MIN_NUM_FORMS": 0,
    "comments-MAX_NUM_FORMS": 1000, "comments-0-text": "Say <when> & where.", "comments-0-id": "",
    "comments-0-contentpath": "title", "comments-0-position": "", "comments-0-DELETE": "",
    "comments-0-resolved": "", "comments-0-replies-TOTAL_FORMS": 0,
    "comments-0-replies-INITIAL_FORMS": 0, "comments-0-replies-MIN_NUM_FORMS": 0,
    "comments-0-replies-MAX_NUM_FORMS": 0,
}  # fmt: skip


def _legal_form(page: LegalPage, **more: Any) -> dict[str, Any]:
    """A page's edit form as it stands."""
    return {
        "title": page.title, "slug": page.slug, "effective_on": "2026-11-24", "body-count": 0,
        "accent": page.accent, "lede": "", "headline": "", "seo_title": "", "search_description": "",
        "go_live_at": "", "expire_at": "", **more,
    }  # fmt: skip


def _reviewed(member: Callable[[str], Client]) -> LegalPage:
    """A page that an editor submitted, a moderator rejected, the editor submitted again, and a moderator
    approved; and that the moderator, whom comments are sent to, follows."""
    editor = member("Editors")
    member("Moderators")
    users = {u.username: u for u in get_user_model().objects.all()}
    page: LegalPage = LegalPage.objects.get(slug="privacy")
    page.title = "Privacy & <you>"
    page.save_revision(user=users["editors"])
    workflow = page.get_workflow()
    state = workflow.start(page, users["editors"])
    review = {"user": users["moderators"], "comment": "It needs\na source."}
    state.current_task_state.specific.reject(**review)
    state.refresh_from_db()
    state.resume(users["editors"])
    state.current_task_state.specific.approve(**review)
    page.refresh_from_db()
    PageSubscription.objects.create(user=users["moderators"], page=page, comment_notifications=True)
    edit = reverse("wagtailadmin_pages:edit", args=[page.pk])
    page = page.get_latest_revision_as_object()
    sent = _legal_form(page, **COMMENTS)
    assert editor.post(edit, sent).status_code == 302
    return page


def test_mails_about_drafts_are_plain_and_say_what_happened(
    member: Callable[[str], Client],
) -> None:
    get_user_model().objects.create_superuser("boss", "boss@example.org", "pw")
    page = _reviewed(member)
    edit = f"http://localhost:8000/admin/pages/{page.pk}/edit/"
    letters = {letter.subject: letter for letter in mail.outbox}
    name = "Privacy & <you>"
    assert {s: {to for m in mail.outbox if m.subject == s for to in m.to} for s in letters} == {
        f"[Moondream hub] Submitted for review: {name}": {"boss@example.org"},
        f"[Moondream hub] Waits for your review: {name}": {"boss@example.org", "moderators@example.org"},
        f"[Moondream hub] Changes are asked for: {name}": {"editors@example.org"},
        f"[Moondream hub] Approved: {name}": {"editors@example.org"},
        f"[Moondream hub] editors commented on {name}": {"moderators@example.org"},
    }  # fmt: skip
    for letter in mail.outbox:
        assert letter.from_email == "Moondream hub <hub@localhost>"
        assert not getattr(letter, "alternatives", None)
        assert f"page “{name}”" in letter.body
        assert edit in letter.body
        assert "#tab-notifications" in letter.body
        assert "&amp;" not in letter.subject + str(letter.body)
    rejected = letters[f"[Moondream hub] Changes are asked for: {name}"].body
    assert "By moderators." in rejected
    assert "Their comment: It needs\na source." in rejected
    waits = letters[f"[Moondream hub] Waits for your review: {name}"].body
    preview = re.search(r"http://localhost:8000(/admin/pages/\S+preview\S+)", str(waits))
    assert preview is not None
    assert "New: “Say <when> & where.”" in letters[f"[Moondream hub] editors commented on {name}"].body  # fmt: skip


def test_what_an_editor_wrote_is_what_mails_about_drafts_say(
    member: Callable[[str], Client],
) -> None:
    kinds = [kind for name, kind in mails.KINDS.items() if name.startswith("review_")]
    assert len(kinds) == 5
    for kind in kinds:
        services.mail_text_write(
            kind=kind, subject=f"ours: {kind.name}", by=None,
            body=" | ".join(f"{name}={{{name}}}" for name in kind.variables if name != "preview"),
        )  # fmt: skip
    _reviewed(member)
    assert {letter.subject for letter in mail.outbox} == {
        f"ours: {kind.name}" for kind in kinds if kind.name != "review_submitted"
    }
    assert all("kind=page | link=http" in letter.body for letter in mail.outbox)


def test_a_snippet_is_reviewed_by_mail_too(member: Callable[[str], Client]) -> None:
    member("Moderators")
    member("Editors")
    by = get_user_model().objects.get(username="editors")
    made = Announcement.objects.create(site=Site.objects.get(), text="Concert", live=False)
    made.save_revision(user=by)
    made.get_workflow().start(made, by)
    (letter,) = mail.outbox
    assert letter.subject == "[Moondream hub] Waits for your review: Concert"
    assert "announcement “Concert”" in letter.body
    assert f"/announcement/edit/{made.pk}/" in letter.body


def test_an_editor_s_work_is_saved_though_the_mail_server_is_away(
    member: Callable[[str], Client], settings: Any
) -> None:
    settings.EMAIL_BACKEND = "pricing.mail_backend.Backend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9  # where nobody listens
    page = _reviewed(member)
    assert page.get_latest_revision_as_object().title == "Privacy & <you>"
    with pytest.raises(OSError, match="refused"):
        mail.send_mail("a", "b", None, ["ada@example.org"])
    mails.send(mails.PASSWORD_RESET, ["ada@example.org"], mails.PASSWORD_RESET.sample)
