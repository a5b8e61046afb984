"""Mail by SMTP, for callers who open the connection ahead of the mails they send."""

import logging
from collections.abc import Sequence

from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend

logger = logging.getLogger(__name__)


class Backend(EmailBackend):
    """Django's own, but that a server which cannot be reached is an error of the mail, not of `open`:
    Wagtail opens the connection where an editor's work would be lost by it."""

    _away: OSError | None = None
    _sends = False

    def open(self) -> bool | None:
        try:
            return super().open()
        except OSError as error:  # SMTP's errors are of this kind
            if self._sends:
                raise
            logger.warning("The mail server cannot be reached: %s", error)
            self._away = error
            return None

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """
        Raises:
            OSError: the server cannot be reached, or takes none of them.
        """
        if self._away is not None:
            raise self._away
        self._sends = True
        try:
            return super().send_messages(email_messages)
        finally:
            self._sends = False
