"""Of accounts, keys, use and credits, and of questions asked with keys (`inference.personal`)."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.utils import timezone

from inference import images
from inference import services as inference
from inference.errors import NotFound
from inference.models import Job
from inference.personal import (
    Archive,
    Obstacle,
    PersonalData,
    Rule,
    counted,
    register,
    rows_of,
)
from pricing.callers import account_digest
from pricing.models import (
    AccountDeletion,
    Allotment,
    ApiKey,
    CreditApplication,
    CreditAttachment,
    CreditEvent,
    CreditOutcome,
    DataExport,
    Hold,
    Invoice,
    LedgerAccount,
    LedgerEntry,
    UsageDay,
)
from pricing.receivers import subscriptions_end
from pricing.selectors.usage import COLUMNS
from pricing.services.credit_files import attachment_read

_LEDGER = ("id", "created_at", "allotment_id", "kind", "debit", "credit", "amount", "subject", "key_id",
           "variant", "adapter", "skill", "source", "reason")  # fmt: skip


class AccountData(PersonalData):
    title = "Account, keys and use"
    rules = {
        "pricing.ApiKey.user": Rule.DELETE,
        "pricing.CreditApplication.user": Rule.DELETE,
        "pricing.CreditApplication.first_approver": Rule.DETACH,
        "pricing.CreditEvent.by": Rule.DETACH,
        "pricing.LedgerAccount.user": Rule.DETACH,
        "pricing.DataExport.user": Rule.DELETE,
        "pricing.AccountDeletion.user": Rule.DETACH,
        "account.EmailAddress.user": Rule.DELETE,
        "mfa.Authenticator.user": Rule.DELETE,
        "socialaccount.SocialAccount.user": Rule.DELETE,
        "usersessions.UserSession.user": Rule.DELETE,
        "auth.User_groups.user": Rule.DELETE,
        "auth.User_user_permissions.user": Rule.DELETE,
    }

    def export(self, user: Any, archive: Archive) -> None:
        """The account and how it signs in, keys without their secrets, use and ledger, applications without
        admins' notes, and what was asked with keys."""
        archive.json("account/profile", {
            "username": user.username, "email": user.email, "first_name": user.first_name,
            "last_name": user.last_name, "date_joined": user.date_joined, "last_login": user.last_login,
            "groups": list(user.groups.values_list("name", flat=True)),
        })  # fmt: skip
        archive.json("account/addresses", rows_of(
            EmailAddress.objects.filter(user=user), "email", "verified", "primary"
        ))  # fmt: skip
        archive.json("account/linked_accounts", rows_of(
            SocialAccount.objects.filter(user=user),
            "provider", "uid", "extra_data", "date_joined", "last_login",
        ))  # fmt: skip
        archive.json("account/second_steps", rows_of(
            Authenticator.objects.filter(user=user), "type", "created_at", "last_used_at"
        ))  # fmt: skip
        signed_in = ("ip", "user_agent", "created_at", "last_seen_at")
        archive.csv("account/sign_ins", signed_in,
                    UserSession.objects.filter(user=user).order_by("pk").values_list(*signed_in))  # fmt: skip
        archive.json("account/keys", rows_of(
            ApiKey.objects.filter(user=user), "id", "name", "prefix", "scopes", "monthly_images", "per_minute",
            "created_at", "last_used_at", "expires_at", "revoked_at",
        ))  # fmt: skip
        archive.json("account/exports_and_deletions", {
            "exports": rows_of(DataExport.objects.filter(user=user), "state", "requested_at", "expires_at"),
            "deletions": rows_of(
                AccountDeletion.objects.filter(user=user), "requested_at", "due_at", "undone_at"
            ),
        })  # fmt: skip
        self._export_use(user, archive)
        self._export_credits(user, archive)
        self._export_jobs(user, archive)

    def _export_use(self, user: Any, archive: Archive) -> None:
        account = LedgerAccount.objects.filter(user=user).first()
        mine = {"account": account}
        names = dict(ApiKey.objects.filter(user=user).values_list("pk", "name"))
        days = UsageDay.objects.filter(**mine) if account else UsageDay.objects.none()
        archive.csv("usage/usage", COLUMNS, (
            [row.day, row.meter, names.get(row.key_id, ""), row.variant, row.adapter, row.skill, row.source,
             row.amount, row.requests, round(row.seconds, 3)]
            for row in days.order_by("day", "pk").iterator()
        ))  # fmt: skip
        invoices = Invoice.objects.filter(**mine) if account else Invoice.objects.none()
        archive.json("usage/invoices", list(invoices.values(
            "number", "kind", "issued_at", "paid_at", "currency", "subtotal", "tax", "total", "seller", "buyer", "lines", "usage",
        )))  # fmt: skip
        entries = LedgerEntry.objects.filter(**mine) if account else LedgerEntry.objects.none()
        archive.csv(
            "usage/ledger", _LEDGER, entries.order_by("pk").values_list(*_LEDGER).iterator()
        )
        pots = Allotment.objects.filter(**mine) if account else Allotment.objects.none()
        archive.json("usage/allotments", rows_of(
            pots, "id", "meter", "kind", "period", "starts_at", "ends_at", "granted", "held", "used", "lapsed"
        ))  # fmt: skip

    def _export_credits(self, user: Any, archive: Archive) -> None:
        own = CreditApplication.objects.filter(user=user)
        hidden = {"user", "first_approver"}
        names = [f.name for f in CreditApplication._meta.concrete_fields if f.name not in hidden]
        archive.json("credits/applications", rows_of(own, *names))
        told = CreditEvent.objects.filter(application__in=own)
        archive.json("credits/outcomes", rows_of(
            CreditOutcome.objects.filter(application__in=own), "application", "kind", "title", "url", "created_at"
        ))  # fmt: skip
        for attached in CreditAttachment.objects.filter(application__in=own):
            try:
                content = attachment_read(attachment=attached)
            except NotFound:
                continue
            archive.file(f"credits/files/{attached.pk}-{attached.name}", content)
        internal = (CreditEvent.Kind.NOTE, CreditEvent.Kind.HALF)
        archive.json("credits/events", rows_of(
            told.exclude(kind__in=internal), "application", "kind", "text", "created_at"
        ))  # fmt: skip

    def _export_jobs(self, user: Any, archive: Archive) -> None:
        own = jobs_of(user)
        archive.json("questions/questions", rows_of(
            own, "id", "skill", "variant__slug", "adapter", "revision", "params", "status", "result", "timings",
            "tokens", "confidence", "image_sha256", "caller", "created_at", "finished_at",
        ))  # fmt: skip
        kept = own.exclude(image=None).order_by()
        for sha256, extension in kept.values_list("image__sha256", "image__extension").distinct():
            try:
                content = images.stored_bytes(f"{sha256[:2]}/{sha256}.{extension}")
            except FileNotFoundError:  # purged: nothing is kept of it
                continue
            archive.file(f"questions/images/{sha256}.{extension}", content)

    def obstacles(self, user: Any) -> list[Obstacle]:
        admins = get_user_model().objects.filter(is_superuser=True, is_active=True)
        if user.is_superuser and not admins.exclude(pk=user.pk).exists():
            return [
                Obstacle(
                    "You are the only admin of this site. Give somebody else these rights first.",
                    "/admin/users/",
                    is_lasting=True,
                )
            ]
        return []

    def deleted(self, user: Any) -> list[str]:
        applications = CreditApplication.objects.filter(user=user).count()
        return [
            "your name, mail addresses, password, second steps, accounts elsewhere and sign-ins",
            *counted(
                (ApiKey.objects.filter(user=user).count(), "API key: it stops working at once", "API keys: they stop working at once"),
                (jobs_of(user).count(), "question asked with a key, and its image", "questions asked with a key, and their images"),
                (applications, "application for research credits", "applications for research credits"),
            ),
        ]  # fmt: skip

    def kept(self, user: Any) -> list[str]:
        account = LedgerAccount.objects.filter(user=user).first()
        entries = LedgerEntry.objects.filter(account=account).count() if account else 0
        return counted(
            (entries, "line of the ledger of use, under a number: books are not rewritten",
             "lines of the ledger of use, under a number: books are not rewritten"),
            (Invoice.objects.filter(account=account).count() if account else 0,
             "invoice as it was issued, with the name and address on it: the law on taxes asks for it",
             "invoices as they were issued, with the names and addresses on them: the law on taxes asks for them"),
        )  # fmt: skip

    def stop(self, user: Any) -> None:
        """Keys end at once, and what was asked with them."""
        ApiKey.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())
        for job_id in list(jobs_of(user, Job.objects.unfinished()).values_list("pk", flat=True)):
            inference.job_cancel(job_id=job_id)

    def erase(self, user: Any) -> None:
        own = jobs_of(user)
        shown = set(own.exclude(image_id=None).values_list("image_id", flat=True))
        inference.jobs_delete(
            ids=set(own.filter(playground_runs=None).values_list("pk", flat=True))
        )
        inference.images_forget(ids=shown)
        ApiKey.objects.filter(user=user).delete()
        CreditApplication.objects.filter(user=user).delete()
        for session in UserSession.objects.filter(user=user):
            session.end()
        subscriptions_end(user)
        LedgerAccount.objects.filter(user=user).update(user=None, note="")


def jobs_of(user: Any, among: QuerySet[Job] | None = None) -> QuerySet[Job]:
    """What was asked with a key of an account, or for its ledger, and is still here."""
    by_key = Q(owner_key=account_digest(user.pk))
    held = Hold.objects.filter(account__user=user).values("subject")
    settled = LedgerEntry.objects.filter(account__user=user, kind="reserve").values("subject")
    jobs = Job.objects.all() if among is None else among
    return jobs.filter(by_key | Q(pk__in=held) | Q(pk__in=settled))


register(AccountData())
