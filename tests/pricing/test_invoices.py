"""Invoices: from the ledger, numbered without a gap, never changed, for whom they concern alone, in any script."""

import io
import threading
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.db import DatabaseError, connection, connections, transaction
from django.test import Client
from django.utils import timezone
from pypdf import PdfReader

from inference.errors import DomainError
from pricing import errors, invoice_pdf, selectors, services
from pricing.models import BillingCustomer, Invoice, InvoiceSettings, LedgerAccount, PaymentEvent
from pricing.money import amount_text
from pricing.periods import begins, month_of
from pricing.selectors import invoices as reading
from pricing.services import metering
from tests.pricing.ledgers import bare, plan, problems
from tests.pricing.stripe_double import KEY, StripeDouble, month_end
from tests.pricing.test_billing import ada, double, in_the_month, paid, pro, signed_in, sold, told

__all__ = ["ada", "double", "in_the_month", "pro"]
pytestmark = pytest.mark.django_db


def text_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


def issued(double: StripeDouble, user: Any, **more: Any) -> Invoice:
    """The invoice of a payment."""
    found = BillingCustomer.objects.filter(account__user=user).first()
    if found is None or not found.subscriptions.exists():
        paid(double, user)
        found = BillingCustomer.objects.get(account__user=user)
    subscription = double.objects[found.subscriptions.first().stripe_id]
    remote = double.invoice(subscription, **more)
    event = told(double, "invoice.paid", remote)
    assert event.state == PaymentEvent.State.DONE, event.note
    return Invoice.objects.get(stripe_id=remote["id"])


def test_what_was_paid_is_an_invoice_with_what_was_used(
    double: StripeDouble, pro: Any, ada: Any, django_capture_on_commit_callbacks: Any
) -> None:
    paid(double, ada)
    account = LedgerAccount.objects.get(user=ada)
    for _ in range(3):
        subject = uuid4()
        metering.reserve(account, subject)
        metering.end(subject, 1)
    start = begins(month_of(timezone.now()))
    span = {"period_start": int(start.timestamp()), "period_end": int(time.time()) + 5}
    where = {"line1": "Hauptstraße 1", "line2": None, "city": "Wien", "postal_code": "1010", "state": None, "country": "AT"}  # fmt: skip
    with django_capture_on_commit_callbacks(execute=True):
        invoice = issued(
            double, ada, customer_name="Ada’s lab", customer_address=where, total=5831,
            customer_tax_ids=[{"type": "eu_vat", "value": "ATU1"}], total_taxes=[{"amount": 931}], **span,
        )  # fmt: skip
    assert (invoice.number, invoice.sequence, invoice.is_test) == ("TEST-00001", 1, True)
    assert (invoice.subtotal, invoice.tax, invoice.total, invoice.currency) == (
        4900,
        931,
        5831,
        "usd",
    )
    assert invoice.buyer == {
        "name": "Ada’s lab", "address": "Hauptstraße 1\n1010 Wien\nAT", "mail": "ada@example.org", "tax_ids": ["ATU1"],
    }  # fmt: skip
    used = invoice.usage
    assert [(row["meter"], row["kind"], row["amount"]) for row in used] == [("images", "plan", 3)]
    assert used[0]["first"] < used[0]["last"]
    assert not invoice.differs
    client = signed_in(ada)
    page = client.get(invoice.get_absolute_url()).content.decode()
    for word in ("TEST-00001", "Ada’s lab", "1010 Wien", "A lab", "$49.00", "$9.31", "$58.31", "no money was taken", f"{used[0]['first']} to"):  # fmt: skip
        assert word in page, word
    answer = client.get("/account/invoices/TEST-00001.pdf")
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"] == 'inline; filename="TEST-00001.pdf"'
    text = text_of(answer.content)
    for word in ("TEST-00001", "Ada’s lab", "1010 Wien", "$58.31", "Tax id ATU1"):
        assert word in text, word
    assert answer.content == client.get("/account/invoices/TEST-00001.pdf").content
    listed = client.get("/account/billing/").content.decode()
    assert "TEST-00001" in listed
    assert "$58.31" in listed
    letter = mail.outbox[-1]
    assert letter.subject == "[Moondream hub] Invoice TEST-00001"
    assert "/account/invoices/TEST-00001/" in letter.body
    assert problems() == []


def test_invoices_are_for_their_owner_alone(double: StripeDouble, pro: Any, ada: Any, monkeypatch: Any) -> None:  # fmt: skip
    invoice = issued(double, ada)
    eve = get_user_model().objects.create_user("eve", "eve@example.org")
    staff = get_user_model().objects.create_superuser("root", "root@example.org")
    for user in (eve, staff):
        client = signed_in(user)
        for guess in (
            invoice.number,
            "TEST-00002",
            "1",
            str(invoice.pk),
            invoice.stripe_id,
            "test-00001",
        ):
            assert client.get(f"/account/invoices/{guess}/").status_code == 404, guess
            assert client.get(f"/account/invoices/{guess}.pdf").status_code == 404, guess
        assert invoice.number not in client.get("/account/billing/").content.decode()
    for address in (invoice.get_absolute_url(), "/account/invoices/TEST-00001.pdf"):
        assert Client().get(address)["Location"].startswith("/account/login/")
    monkeypatch.setattr(reading, "PAYERS", [lambda user: [ada.pk] if user == eve else []])
    assert signed_in(eve).get(invoice.get_absolute_url()).status_code == 200, (
        "whose bills they keep"
    )
    assert signed_in(staff).get(invoice.get_absolute_url()).status_code == 404


def test_nothing_of_an_invoice_is_changed(double: StripeDouble, pro: Any, ada: Any) -> None:
    invoice = issued(double, ada)
    ways: list[Any] = [
        invoice.save, invoice.delete, lambda: Invoice.objects.update(total=1),
        lambda: Invoice.objects.all()._raw_delete("default"),
        lambda: connection.cursor().execute("UPDATE pricing_invoice SET number = 'X'"),
        lambda: connection.cursor().execute("TRUNCATE pricing_invoice"),
    ]  # fmt: skip
    for way in ways:
        with pytest.raises(DatabaseError), transaction.atomic():
            way()
    before = invoice_pdf.invoice_pdf(invoice)
    InvoiceSettings.objects.update(seller_name="Another lab", note="New")
    ada.email = "new@example.org"
    ada.save()
    assert invoice_pdf.invoice_pdf(Invoice.objects.get()) == before, (
        "it keeps what it was issued with"
    )


def test_numbers_leave_none_out_whatever_fails(double: StripeDouble, pro: Any, ada: Any) -> None:
    first = issued(double, ada)
    with transaction.atomic():  # a crash after the number was taken
        assert issued(double, ada).sequence == 2
        transaction.set_rollback(True)
    second = issued(double, ada)
    assert (first.number, second.number) == ("TEST-00001", "TEST-00002")
    row = {f.attname: getattr(second, f.attname) for f in Invoice._meta.concrete_fields if not f.primary_key}  # fmt: skip
    for wrong in (2, 4, 0, 1):
        with pytest.raises(DatabaseError), transaction.atomic():
            Invoice.objects.create(**row | {"sequence": wrong, "number": "X", "stripe_id": "in_x"})
    live = Invoice.objects.create(**row | {"sequence": 1, "number": "INV-00001", "stripe_id": "in_live", "is_test": False})  # fmt: skip
    assert live.sequence == 1, "what is real is numbered by itself"


@pytest.mark.django_db(transaction=True)
def test_numbers_follow_each_other_when_many_are_issued_at_once(double: StripeDouble, starter: Any) -> None:  # fmt: skip
    from wagtail.models import Site

    bare()
    sold(double)
    InvoiceSettings.objects.create(site=Site.objects.get(), seller_name="A", seller_address="B")
    user = get_user_model().objects.create_user("ada", "ada@example.org")
    subscription = paid(double, user)
    customer = BillingCustomer.objects.get()
    remotes = [double.invoice(subscription)["id"] for _ in range(5)]
    taken: list[str] = []

    def work(number: int) -> None:
        try:
            for remote in remotes[number % 2 :] + remotes[: number % 2]:
                made = services.invoice_issue(customer=customer, stripe_id=remote)
                taken.append(made.number)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 20
    assert sorted(Invoice.objects.values_list("sequence", flat=True)) == [1, 2, 3, 4, 5]


def test_no_invoice_before_somebody_says_who_issues_it(double: StripeDouble, pro: Any, ada: Any) -> None:  # fmt: skip
    subscription = paid(double, ada)
    for name, address in (("", "B"), ("A", "  ")):
        InvoiceSettings.objects.update(seller_name=name, seller_address=address)
        event = told(double, "invoice.paid", double.invoice(subscription))
        assert "Settings, Invoices" in event.note
    assert not Invoice.objects.exists()
    InvoiceSettings.objects.update(seller_name="A", seller_address="B")
    PaymentEvent.objects.update(next_at=timezone.now())
    services.events_due()
    assert Invoice.objects.count() == 2
    assert not PaymentEvent.objects.filter(state=PaymentEvent.State.FAILED).exists()


@pytest.mark.parametrize("more", [{"status": "open"}, {"total": 0}, {"status": "void"}])
def test_only_what_was_paid_has_an_invoice(double: StripeDouble, pro: Any, ada: Any, more: dict[str, Any]) -> None:  # fmt: skip
    subscription = paid(double, ada)
    event = told(double, "invoice.paid", double.invoice(subscription, **more))
    assert event.note == "nothing to invoice"
    assert not Invoice.objects.exists()


def test_all_lines_are_on_it_also_when_stripe_gives_them_in_parts(double: StripeDouble, pro: Any, ada: Any) -> None:  # fmt: skip
    subscription = paid(double, ada)
    now = int(time.time())
    extra = [double.line("", f"Part {n}", 1, "price_x", 10, now, now) for n in range(150)]
    told(double, "invoice.paid", double.invoice(subscription, *extra))
    invoice = Invoice.objects.get()
    assert len(invoice.lines) == 151
    assert sum(line["amount"] for line in invoice.lines) == invoice.total == 4900 + 1500
    pdf = invoice_pdf.invoice_pdf(invoice)
    assert "Part 149" in text_of(pdf)
    assert len(PdfReader(io.BytesIO(pdf)).pages) > 2


def test_stripe_s_images_are_held_against_the_ledger_s(double: StripeDouble, starter: Any, ada: Any) -> None:  # fmt: skip
    from wagtail.models import Site

    bare()
    InvoiceSettings.objects.create(site=Site.objects.get(), seller_name="A", seller_address="B")
    metered = double.price("images", None)
    sold(double, images=None, stripe_metered_price=metered)
    subscription = paid(double, ada)
    account = LedgerAccount.objects.get(user=ada)
    for _ in range(7):
        subject = uuid4()
        metering.reserve(account, subject)
        metering.end(subject, 1)
    start, end = int(begins(month_of(timezone.now())).timestamp()), month_end(time.time())
    for counts, differs in (((5, 2), False), ((7, 1), True)):
        tiers = [double.line("", "Images", n, metered, n, start, end, "1") for n in counts]
        told(double, "invoice.paid", double.invoice(subscription, *tiers))
        assert Invoice.objects.first().differs is differs
    assert selectors.invoice_page(Invoice.objects.first()).lines[1].quantity == "7"


def test_a_credit_note_corrects_and_takes_the_next_number(double: StripeDouble, pro: Any, ada: Any) -> None:  # fmt: skip
    invoice = issued(double, ada)
    remote = double.objects[invoice.stripe_id]
    for _ in range(2):
        told(double, "credit_note.created", double.credit_note(remote, 1000, memo="Two days down"))
    notes = Invoice.objects.filter(kind="credit").order_by("sequence")
    assert [(n.number, n.total, n.corrects_id) for n in notes] == [
        ("TEST-00002", -1000, invoice.pk), ("TEST-00003", -1000, invoice.pk),
    ]  # fmt: skip
    page = signed_in(ada).get(notes[0].get_absolute_url()).content.decode()
    assert "Credit note" in page
    assert "-$10.00" in page
    assert "Two days down" in page
    assert "Correction of TEST-00001" in text_of(invoice_pdf.invoice_pdf(notes[0]))
    stray = double.credit_note({"id": "in_unknown", "customer": remote["customer"]}, 5)
    assert told(double, "credit_note.created", stray).note == "nothing to correct"


def test_a_long_list_has_pages_and_an_empty_one_says_so(
    double: StripeDouble, pro: Any, ada: Any, django_assert_max_num_queries: Any
) -> None:
    client = signed_in(ada)
    assert "None yet: each payment has one." in client.get("/account/billing/").content.decode()
    first = issued(double, ada)
    row = {f.attname: getattr(first, f.attname) for f in Invoice._meta.concrete_fields if not f.primary_key}  # fmt: skip
    for n in range(2, 46):
        Invoice.objects.create(**row | {"sequence": n, "number": f"TEST-{n:05d}", "stripe_id": f"in_x{n}"})  # fmt: skip
    client.get("/account/billing/")
    with django_assert_max_num_queries(14):
        page = client.get("/account/billing/").content.decode()
    assert page.count(".pdf") == 20
    assert "Page 1 of 3" in page
    assert client.get("/account/billing/?page=3").content.decode().count(".pdf") == 5
    for odd in ("0", "-1", "99", "x", ""):
        assert client.get(f"/account/billing/?page={odd}").status_code == 200


def test_invoices_are_there_when_payments_are_switched_off(double: StripeDouble, pro: Any, ada: Any, settings: Any) -> None:  # fmt: skip
    invoice = issued(double, ada)
    settings.STRIPE_SECRET_KEY = ""
    client = signed_in(ada)
    assert "Billing and invoices" in client.get("/account/").content.decode()
    page = client.get("/account/billing/").content.decode()
    assert invoice.number in page
    assert "Subscribe<span" not in page
    assert KEY not in page
    with pytest.raises(DomainError) as refused:
        services.portal_begin(user=ada)
    assert refused.value.kind is errors.PAYMENTS_OFF


SCRIPTS = {
    "Latin": "Łódź Ægir Tiếng Việt", "Greek": "Αθήνα", "Cyrillic": "Київ", "Hebrew": "ירושלים", "Arabic": "القاهرة",
    "Devanagari": "नई दिल्ली", "Bengali": "ঢাকা", "Tamil": "சென்னை", "Telugu": "హైదరాబాద్", "Kannada": "ಬೆಂಗಳೂರು",
    "Malayalam": "കൊച്ചി", "Gujarati": "અમદાવાદ", "Gurmukhi": "ਅੰਮ੍ਰਿਤਸਰ", "Sinhala": "කොළඹ", "Thai": "กรุงเทพ",
    "Lao": "ວຽງຈັນ", "Khmer": "ភ្នំពេញ", "Myanmar": "ရန်ကုန်", "Georgian": "თბილისი", "Armenian": "Երևան",
    "Ethiopic": "አዲስ አበባ", "Han": "北京大学 東京", "Kana": "とうきょう トウキョウ", "Hangul": "서울특별시", "Tibetan": "ལྷ་ས",
    "Cherokee": "ᏣᎳᎩ", "Tifinagh": "ⵜⵉⴼⵉⵏⴰⵖ", "Mongolian": "ᠮᠣᠩᠭᠣᠯ", "Deseret": "𐐀𐐁", "emoji": "🌙",
}  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
def test_text_of_any_script_has_its_letters(script: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each letter has a glyph of its own in some font of ours: fpdf2 says which have none."""
    word = SCRIPTS[script]
    where = {"name": word, "address": f"{word} 12", "mail": "", "tax_ids": []}
    made = Invoice(
        number="INV-1", sequence=1, issued_at=datetime(2026, 12, 1, tzinfo=UTC), currency="usd", subtotal=1,
        total=1, seller={"name": "A", "address": word, "tax_id": "", "mail": "", "note": word}, buyer=where,
        lines=[{"text": word, "quantity": 1, "unit": "1", "amount": 1, "from": "", "until": "", "metered": False}],
    )  # fmt: skip
    pdf = invoice_pdf.invoice_pdf(made)
    assert "missing" not in caplog.text
    covered = set().union(*(invoice_pdf._letters(f) for f in (invoice_pdf._MAIN, *invoice_pdf.fonts_for(word))))  # fmt: skip
    assert {ord(c) for c in word if c != " "} <= covered
    fonts = {str(f.get_object()["/BaseFont"]) for f in PdfReader(io.BytesIO(pdf)).pages[0]["/Resources"]["/Font"].values()}  # fmt: skip
    assert len(fonts) == 2 + len(invoice_pdf.fonts_for(word)), "only what is needed is in the file"


def test_fonts_keep_their_licences() -> None:
    told_of = (invoice_pdf.FONTS / "LICENSE.md").read_text()
    for file in invoice_pdf.FONTS.glob("*.[to]tf"):
        assert file.name in told_of or (file.name.startswith("NotoSans") and "NotoSans*" in told_of)
        assert file.stem in (invoice_pdf._MAIN, "NotoSans-Bold", *invoice_pdf._SCRIPTS), file
    assert {"OFL-1.1.txt", "Apache-2.0.txt"} <= {f.name for f in invoice_pdf.FONTS.iterdir()}


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [(0, "usd", "$0.00"), (123_456, "usd", "$1,234.56"), (-300, "eur", "-€3.00"), (500, "jpy", "¥500"),
     (1200, "chf", "CHF 12.00"), (Decimal("0.012"), "usd", "$0.00012"), (Decimal("4900"), "usd", "$49.00")],
)  # fmt: skip
def test_sums_are_written_as_people_read_them(amount: Any, currency: str, text: str) -> None:
    assert amount_text(amount, currency) == text


def test_a_plan_that_is_gone_from_the_list_leaves_its_invoices(double: StripeDouble, pro: Any, ada: Any) -> None:  # fmt: skip
    invoice = issued(double, ada)
    ada.delete()
    kept = Invoice.objects.get(pk=invoice.pk)
    assert kept.buyer["mail"] == "ada@example.org", "what the law has kept is kept"
    assert plan("other", role="").plan.pk
