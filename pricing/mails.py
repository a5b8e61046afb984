"""Mails that the site sends. Each room declares its own, in its `mails.py`, with the text it has until
an editor writes another; nothing but the names of its variables in braces is replaced in it."""

import logging
import re
import smtplib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.mail import EmailMessage, get_connection, send_mass_mail
from django.db import transaction

from inference import site
from pricing.models import MailText

logger = logging.getLogger(__name__)

SECONDS = 10
"""How long a mail server may take."""
_VARIABLE = re.compile(r"\{([a-z]+)\}")
_BRACE = re.compile(r"\{[a-z]+\}|([{}])")


@dataclass(frozen=True, slots=True)
class MailKind:
    """One mail: when it is sent, what it says, and what stands in it."""

    name: str
    when: str
    """As in "Somebody forgot the password"."""
    subject: str
    body: str
    """A paragraph with a variable that is empty is left out."""
    variables: Mapping[str, tuple[str, str]]
    """By name: what it is, and a sample of it."""
    needed: tuple[str, ...] = ()
    """Variables without which the body is of no use."""

    def __post_init__(self) -> None:
        KINDS[self.name] = self

    def site_values(self, **values: str) -> dict[str, str]:
        """Values of all variables: the site's address, and those that are given; the others are empty."""
        return dict.fromkeys(self.variables, "") | {"site": site.host()} | values

    @property
    def sample(self) -> dict[str, str]:
        return {name: sample for name, (_, sample) in self.variables.items()}

    def problems(self, text: str, needed: Iterable[str] = ()) -> list[str]:
        """What is wrong with a text, in sentences; nothing where it can be sent."""
        written = _VARIABLE.findall(text)
        known = ", ".join(f"{{{name}}}" for name in self.variables)
        found = [
            f"There is no variable {{{name}}}. There are: {known}."
            for name in dict.fromkeys(written)
            if name not in self.variables
        ]
        if any(match[1] for match in _BRACE.finditer(text)):
            found.append(f"Braces stand around the name of a variable only: {known}.")
        found += [f"{{{name}}} is missing." for name in needed if name not in written]
        return found

    def filled(self, subject: str, body: str, values: Mapping[str, str]) -> tuple[str, str]:
        """Subject, on one line, and body with the values in their places."""

        def put(text: str) -> str:
            return _VARIABLE.sub(lambda match: str(values[match[1]]), text)

        paragraphs = [
            put(paragraph)
            for paragraph in body.split("\n\n")
            if all(values[name] for name in _VARIABLE.findall(paragraph))
        ]
        return " ".join(put(subject).split()), "\n\n".join(paragraphs)

    def written(self, values: Mapping[str, str]) -> tuple[str, str]:
        """Subject and body, as an editor wrote them or as they are at first.

        Args:
            values: of every variable.
        """
        own = MailText.objects.filter(name=self.name).first()
        if own and (self.problems(own.subject) or self.problems(own.body, self.needed)):
            logger.warning(
                "The text of mail %s does not fit any more: its first one is sent", self.name
            )
            own = None
        text = own or self
        return self.filled(text.subject, text.body, values)


KINDS: dict[str, MailKind] = {}
"""All that are declared, by name."""


def send(kind: MailKind, addresses: Iterable[str], values: Mapping[str, str]) -> None:
    """Send a mail to each address by itself. What it tells of has happened, also where no mail can be
    sent: then the log says so."""
    subject, body = kind.written(values)
    letters = [(subject, body, None, [address]) for address in addresses]
    try:
        send_mass_mail(letters, connection=get_connection(timeout=SECONDS))
    except (OSError, smtplib.SMTPException) as error:
        logger.warning("Mail %s could not be sent: %s", kind.name, error)


def send_one(
    kind: MailKind, address: str, values: Mapping[str, str], headers: Mapping[str, str]
) -> None:
    """Send a mail with headers of its own, for callers who try again.

    Raises:
        OSError, SMTPException: it could not be sent.
    """
    subject, body = kind.written(values)
    connection = get_connection(timeout=SECONDS)
    letter = EmailMessage(
        subject, body, None, [address], headers=dict(headers), connection=connection
    )
    letter.send()


def send_to(user: Any, kind: MailKind, path: str, **values: str) -> None:
    """Send a mail to an account's address, if it has one, once what it tells of is saved.

    Args:
        path: of the page that its `link` leads to.
        values: of its variables but `site`, `account` and `link`; those that are not given are empty.
    """
    address = user.email
    if not address:
        return
    filled = dict.fromkeys(kind.variables, "") | {
        "site": site.host(), "account": user.get_username(), "link": site.url(path),
    } | values  # fmt: skip
    transaction.on_commit(lambda: send(kind, [address], filled))


_SITE = ("The site's address, without https://", "hub.example.org")
_HELLO = "Hello from {site}!\n\n"
_THANKS = "\n\nThank you for using {site}!\n{site}"

CONFIRM_ADDRESS = MailKind(
    "confirm_address", "Somebody signs up, or adds an address",
    "[Moondream hub] Please Confirm Your Email Address",
    _HELLO + "You're receiving this email because user {account} has given your email address to register "
    "an account on {site}.\n\nTo confirm this is correct, go to {link}" + _THANKS,
    {
        "site": _SITE, "account": ("Who gave the address", "ada@example.org"),
        "link": ("Where the address is confirmed", "https://hub.example.org/account/confirm-email/MQ:1x/"),
    },
    needed=("link",),
)  # fmt: skip
PASSWORD_RESET = MailKind(
    "password_reset", "Somebody forgot the password", "[Moondream hub] Password Reset Email",
    _HELLO + "You're receiving this email because you or someone else has requested a password reset for your "
    "user account.\nIt can be safely ignored if you did not request a password reset. Click the link below "
    "to reset your password.\n\n{link}\n\nIn case you forgot, your username is {username}." + _THANKS,
    {
        "site": _SITE, "username": ("The account's name", "ada"),
        "link": ("Where a new password is chosen", "https://hub.example.org/account/password/reset/key/1-x/"),
    },
    needed=("link",),
)  # fmt: skip
ADDRESS_IN_USE = MailKind(
    "address_in_use", "Somebody signs up with an address that has an account",
    "[Moondream hub] Account Already Exists",
    _HELLO + "You are receiving this email because you or someone else tried to signup for an\naccount using "
    "email address:\n\n{address}\n\nHowever, an account using that email address already exists.  In case "
    "you have\nforgotten about this, please use the password forgotten procedure to recover\nyour account:"
    "\n\n{link}" + _THANKS,
    {
        "site": _SITE, "address": ("The address", "ada@example.org"),
        "link": ("Where a password is reset", "https://hub.example.org/account/password/reset/"),
    },
)  # fmt: skip
UNKNOWN_ADDRESS = MailKind(
    "unknown_address", "A password is asked for of an address without an account",
    "[Moondream hub] Unknown Account",
    _HELLO + "You are receiving this email because you, or someone else, tried to access an account with "
    "email {address}. However, we do not have any record of such an account in our database.\n\nThis mail "
    "can be safely ignored if you did not initiate this action.\n\nIf it was you, you can sign up for an "
    "account using the link below.\n\n{link}" + _THANKS,
    {
        "site": _SITE, "address": ("The address", "ada@example.org"),
        "link": ("Where an account is made", "https://hub.example.org/account/signup/"),
    },
)  # fmt: skip
SECOND_STEP_REMOVED = MailKind(
    "second_step_removed", "An admin removed an account's second step",
    "[Moondream hub] Your second step was removed",
    "An admin removed the second step of your account {account} on {site}, and its recovery codes. You sign "
    "in by your password alone now, until you set a second step up again:\n\n{link}\n\nIf you did not ask for "
    "it, tell the people who run this site.",
    {
        "site": _SITE, "account": ("The account's name", "ada"),
        "link": ("Where a second step is set up", "https://hub.example.org/account/2fa/"),
    },
)  # fmt: skip
KEY_GIVEN_UP = MailKind(
    "key_given_up", "Whoever holds an API key ended it",
    "[Moondream hub] Your API key {key} was revoked",
    "The key {key} ({prefix}…) of your account {account} on {site} was revoked by somebody who holds it: "
    "you, or whoever found it. It works no more. Make another one where you need it:\n\n{link}\n\nIf it was "
    "not you, the key was known to others. Look where it is written.",
    {
        "site": _SITE, "account": ("The account's name", "ada"), "key": ("The key's name", "notebook"),
        "prefix": ("How the key begins", "mdh_0a1b2c3d"),
        "link": ("Where keys are made", "https://hub.example.org/account/keys/"),
    },
)  # fmt: skip
USAGE_HIGH = MailKind(
    "usage_high", "An account has used 80 or 100 per cent of what it has",
    "[Moondream hub] {percent} % of your {unit} are used",
    "Your account {account} on {site} has used {used} of {limit} {unit}.\n\nThere are more after {ends}.\n\n"
    "By day, key and model: {link}",
    {
        "site": _SITE, "account": ("The account's name", "ada"), "percent": ("80 or 100", "80"),
        "used": ("How many are used", "8,000"), "limit": ("Of how many", "10,000"),
        "unit": ("What is counted", "images"), "ends": ("When it ends; empty without an end", "1 January 2027"),
        "link": ("The page of one's use", "https://hub.example.org/account/usage/"),
    },
)  # fmt: skip
_OF_APPLICATION = {
    "site": _SITE, "account": ("The account's name", "ada"),
    "title": ("The work's title", "Counting cells in a microscope's images"),
    "link": ("The application's page", "https://hub.example.org/account/credits/7/"),
}  # fmt: skip
_REASON = ("What the admin wrote; empty without", "We liked the method.")
CREDITS_RECEIVED = MailKind(
    "credits_received", "An application for credits was sent in",
    "[Moondream hub] Your application for research credits",
    "Your application “{title}” has reached {site}. Where it stands, and until when it is decided:\n\n{link}",
    _OF_APPLICATION,
)  # fmt: skip
CREDITS_ASKED = MailKind(
    "credits_asked", "An admin asks an applicant something",
    "[Moondream hub] A question about your application for credits",
    "About your application “{title}” on {site} we would like to know:\n\n{text}\n\nAnswer there; your place in "
    "the queue stays: {link}",
    _OF_APPLICATION | {"text": ("The question", "Which split do you measure on?")}, needed=("text", "link"),
)  # fmt: skip
CREDITS_APPROVED = MailKind(
    "credits_approved", "An application for credits is approved",
    "[Moondream hub] Your research credits",
    "Your application “{title}” on {site} is approved: {images} images and {minutes} training minutes, until "
    "{day}. They are used where your plan has none left, or does not cover an image.\n\n{text}\n\nWhat is used, "
    "and where you report what came of it: {link}",
    _OF_APPLICATION | {
        "text": _REASON, "images": ("Images granted", "200,000"),
        "minutes": ("Training minutes granted", "600"), "day": ("The last day", "31 December 2027"),
    },
)  # fmt: skip
CREDITS_DECLINED = MailKind(
    "credits_declined", "An application for credits is declined",
    "[Moondream hub] Your application for research credits",
    "Your application “{title}” on {site} is declined.\n\n{text}\n\nYou can apply again: {link}",
    _OF_APPLICATION | {"text": _REASON},
)  # fmt: skip
_ACCOUNT = ("The account's name", "ada")
EXPORT_READY = MailKind(
    "export_ready", "An archive of somebody's data can be downloaded",
    "[Moondream hub] Your data is ready",
    "The archive with the data of your account {account} on {site} is ready. Sign in to download it, within "
    "{days} days:\n\n{link}\n\nYou did not ask for it? Change your password.",
    {
        "site": _SITE, "account": _ACCOUNT, "days": ("Days for which it can be downloaded", "7"),
        "link": ("Where it is downloaded", "https://hub.example.org/account/data/"),
    },
    needed=("link",),
)  # fmt: skip
EXPORT_FAILED = MailKind(
    "export_failed", "An archive of somebody's data could not be made",
    "[Moondream hub] Your data could not be collected",
    "The archive with the data of your account {account} on {site} could not be made. Please try again:"
    "\n\n{link}",
    {
        "site": _SITE, "account": _ACCOUNT,
        "link": ("Where it is asked for", "https://hub.example.org/account/data/"),
    },
)  # fmt: skip
DELETION_PLANNED = MailKind(
    "deletion_planned", "Somebody asks to have their account deleted",
    "[Moondream hub] Your account will be deleted",
    "Your account {account} on {site} will be deleted for good on {day}. Its API keys have ended and what it had "
    "running was cancelled.\n\nYou want to keep it, or it was not you? Sign in and keep it:\n\n{link}",
    {
        "site": _SITE, "account": _ACCOUNT, "day": ("When it is deleted", "8 December 2026, 10:00 UTC"),
        "link": ("Where it can be kept", "https://hub.example.org/account/delete/"),
    },
    needed=("link", "day"),
)  # fmt: skip
ACCOUNT_DELETED = MailKind(
    "account_deleted", "An account was deleted for good", "[Moondream hub] Your account is deleted",
    "Your account on {site} is deleted, as you asked. This is the last mail to this address.",
    {"site": _SITE},
)  # fmt: skip
INVOICE_ISSUED = MailKind(
    "invoice_issued", "Something was paid, and an invoice issued",
    "[Moondream hub] Invoice {number}",
    "{total} was paid for your account {account} on {site}. The invoice {number}, as a page and as a PDF: {link}",
    {
        "site": _SITE, "account": ("The account's name", "ada"), "number": ("The invoice's number", "INV-00042"),
        "total": ("The sum", "$49.00"),
        "link": ("The invoice", "https://hub.example.org/account/invoices/INV-00042/"),
    },
    needed=("link",),
)  # fmt: skip
PAYMENT_FAILED = MailKind(
    "payment_failed", "A payment for a plan did not succeed",
    "[Moondream hub] A payment did not succeed",
    "A payment for the plan of your account {account} on {site} did not succeed. You keep the plan while it is tried "
    "again. Look at your card here: {link}",
    {
        "site": _SITE, "account": ("The account's name", "ada"),
        "link": ("Where the card is changed", "https://hub.example.org/account/billing/"),
    },
    needed=("link",),
)  # fmt: skip
