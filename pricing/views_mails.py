"""What mails say, in the admin: a list, and for each its text with a preview and a mail to try."""

import smtplib
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.mail import get_connection, send_mail
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from pricing import mails, services
from pricing.models import MailText

MAY = "pricing.change_mailtext"


class MailForm(forms.ModelForm[MailText]):
    """Subject and body, in which nothing but variables of this mail stands in braces."""

    class Meta:
        model = MailText
        fields = ("subject", "body")
        widgets = {"body": forms.Textarea(attrs={"rows": 16})}  # Django's own form

    def __init__(self, *args: Any, kind: mails.MailKind, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kind = kind

    def clean_subject(self) -> str:
        subject = " ".join(self.cleaned_data["subject"].split())
        self._check(subject)
        return subject

    def clean_body(self) -> str:
        body: str = self.cleaned_data["body"].replace("\r\n", "\n").strip()
        self._check(body, self.kind.needed)
        return body

    def _check(self, text: str, needed: tuple[str, ...] = ()) -> None:
        if problems := self.kind.problems(text, needed):
            raise forms.ValidationError(problems)


@permission_required(MAY, raise_exception=True)
@require_safe
def mail_list(request: HttpRequest) -> HttpResponse:
    """Every mail, and whether its text is the first one."""
    own = dict(MailText.objects.values_list("name", "subject"))
    rows = [
        (kind, own.get(kind.name, kind.subject), kind.name in own) for kind in mails.KINDS.values()
    ]
    return render(request, "pricing/admin/mails.html", {"rows": rows})


@permission_required(MAY, raise_exception=True)
@require_http_methods(["GET", "HEAD", "POST"])
def mail_edit(request: HttpRequest, name: str) -> HttpResponse:
    """One mail: look at it with samples, send it to oneself, save it, or take the first text again."""
    kind = mails.KINDS.get(name)
    if kind is None:
        raise Http404
    if "reset" in request.POST:
        services.mail_text_write(kind=kind, subject=kind.subject, body=kind.body.strip(), by=request.user)  # fmt: skip
        messages.success(request, f"“{kind.when}” has its first text again.")
        return redirect("mail_edit", name)
    own = MailText.objects.filter(name=name).first()
    start = {"subject": kind.subject, "body": kind.body.strip()}
    form = MailForm(request.POST or None, instance=own, initial={} if own else start, kind=kind)
    context: dict[str, Any] = {"form": form, "kind": kind, "is_own": own is not None, "sends": settings.SENDS_MAIL}  # fmt: skip
    if request.method != "POST":
        return render(request, "pricing/admin/mail.html", context)
    if not form.is_valid():
        return render(request, "pricing/admin/mail.html", context, status=422)
    text = form.cleaned_data["subject"], form.cleaned_data["body"]
    if "preview" in request.POST or "test" in request.POST:
        context["preview"] = kind.filled(*text, kind.sample)
        if "test" in request.POST:
            _send(request, *context["preview"])
        return render(request, "pricing/admin/mail.html", context)
    services.mail_text_write(kind=kind, subject=text[0], body=text[1], by=request.user)
    messages.success(request, f"“{kind.when}” is saved.")
    return redirect("mails")


def _send(request: HttpRequest, subject: str, body: str) -> None:
    """To whoever edits; what is on the page is not saved by it."""
    to = getattr(request.user, "email", "")
    if not settings.SENDS_MAIL or not to:
        reason = (
            "Your account has no mail address."
            if settings.SENDS_MAIL
            else "This server sends no mail."
        )
        messages.error(request, reason)
        return
    try:
        send_mail(subject, body, None, [to], connection=get_connection(timeout=mails.SECONDS))
    except (OSError, smtplib.SMTPException):
        messages.error(request, "The mail server did not take it.")
    else:
        messages.success(request, f"Sent to {to}, with samples in it. Nothing is saved yet.")
