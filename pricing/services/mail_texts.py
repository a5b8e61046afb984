"""What an editor lets mails say."""

from typing import Any

from django.db import transaction
from wagtail.log_actions import log

from pricing import mails
from pricing.models import MailText


@transaction.atomic
def mail_text_write(*, kind: mails.MailKind, subject: str, body: str, by: Any) -> MailText | None:
    """Let a mail say something else from now on; None where that is what it says at first.

    Args:
        subject, body: without problems (`MailKind.problems`).
    """
    own = MailText.objects.select_for_update().filter(name=kind.name).first()
    if (subject, body) == (kind.subject, kind.body.strip()):
        if own is not None:
            log(instance=own, action="wagtail.delete", user=by)
            own.delete()
        return None
    own, is_new = MailText.objects.update_or_create(
        name=kind.name, defaults={"subject": subject, "body": body}
    )
    log(instance=own, action="wagtail.create" if is_new else "wagtail.edit", user=by)
    return own
