"""The queue of applications for research credits, in the admin: what each asks for, what was decided, what was
granted and used, and what came of it."""

from typing import Any, ClassVar

from django import forms
from django.db.models import OuterRef, QuerySet, Subquery, Sum
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from wagtail.admin.ui.tables import Column
from wagtail.snippets.views.snippets import InspectView

from inference.listings import RoomViewSet, RowAction
from pricing import services
from pricing.models import Allotment, CreditApplication

_State = CreditApplication.State


class ApplicationInspect(InspectView):
    """One application with what was attached and what came of it."""

    def get_fields(self) -> list[str]:
        return [*super().get_fields(), "attachments", "outcomes"]

    def get_field_label(self, field_name: str, field: Any) -> str:
        own = {"attachments": "Files", "outcomes": "Outcomes"}
        return own.get(field_name) or str(super().get_field_label(field_name, field))

    def get_attachments_display_value(self) -> SafeString:
        rows = (
            (reverse("credit_file", args=[one.pk]), one.name, filesizeformat(one.size))
            for one in self.object.attachments.all()
        )
        return format_html_join(mark_safe("<br>"), '<a href="{}" download>{}</a> ({})', rows)

    def get_outcomes_display_value(self) -> SafeString:
        rows = ((one.get_kind_display(), one.url, one.title) for one in self.object.outcomes.all())
        return format_html_join(mark_safe("<br>"), '{}: <a href="{}" rel="noreferrer">{}</a>', rows)


class ApplicationViewSet(RoomViewSet):
    """Those that wait come first. As CSV it is the report for the lab: granted, used, outcomes."""

    model = CreditApplication
    inspect_view_class = ApplicationInspect
    icon = "group"
    menu_label = "Credit applications"
    joined = ("user",)
    list_display = (
        "__str__", "user", "institution", "state", "images", "training_minutes", "submitted_at",
        Column("granted_images", label="Granted images"), Column("used_images", label="Used images"),
        Column("reported_at", label="Reported"),
    )  # fmt: skip
    list_filter: ClassVar[Any] = {
        "state": ["exact"], "submitted_at": ["date__gte", "date__lte"], "reported_at": ["isnull"],
        "expires_on": ["lte"],
    }  # fmt: skip
    search_fields = ("title", "institution", "full_name", "user__email", "user__username")
    list_export = (
        "pk", "title", "user.username", "user.email", "institution", "state", "images", "training_minutes",
        "submitted_at", "decided_at", "approved_images", "approved_minutes", "expires_on", "granted_images",
        "used_images", "granted_seconds", "used_seconds", "report", "reported_at",
    )  # fmt: skip
    inspect_view_fields = (
        "title", "user", "state", "is_affiliated", "is_noncommercial", "will_publish", "full_name",
        "institution", "role", "work_address", "orcid", "aim", "method", "dataset", "outputs", "links",
        "images", "training_minutes", "needed_until", "submitted_at", "decided_at", "approved_images",
        "approved_minutes", "expires_on", "first_approver", "report", "reported_at", "history", "earlier",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        def total(meter: str, field: str) -> Subquery:
            mine = Allotment.objects.filter(application=OuterRef("pk"), meter=meter).order_by()
            return Subquery(mine.values("application").annotate(s=Sum(field)).values("s"))

        found = super().get_queryset(request).exclude(state=_State.DRAFT)
        return found.annotate(
            granted_images=total("images", "granted"), used_images=total("images", "used"),
            granted_seconds=total("training", "granted"), used_seconds=total("training", "used"),
        ).order_by("submitted_at")  # fmt: skip


class _Decision(RowAction):
    model_class = CreditApplication
    permission = "pricing.change_creditapplication"

    @classmethod
    def fits(cls, row: CreditApplication) -> bool:
        return row.state in (_State.SUBMITTED, _State.HALF, _State.ASKED)

    @classmethod
    def consequences(cls, row: CreditApplication) -> list[str]:
        asked = f"asks for {row.images or 0:,} images and {row.training_minutes or 0:,} training minutes"
        earlier = CreditApplication.objects.filter(user=row.user_id, state=_State.APPROVED).count()
        told = [asked, f"{earlier} earlier of the same applicant approved"] if earlier else [asked]
        if row.state == _State.HALF:
            told.append(
                f"{row.first_approver} approved {row.approved_images or 0:,} images and "
                f"{row.approved_minutes or 0:,} minutes until {row.expires_on}"
            )
        return told


class ApproveForm(forms.Form):
    """How much, until when."""

    images = forms.IntegerField(min_value=0, required=False, help_text="Empty: as asked.")
    minutes = forms.IntegerField(
        label="Training minutes", min_value=0, required=False, help_text="Empty: as asked."
    )
    expires_on = forms.DateField(
        label="Last day", required=False, widget=forms.DateInput(attrs={"type": "date"}),
        help_text="Empty: in a year.",
    )  # fmt: skip
    research_plan = forms.BooleanField(label="Also put on the Research plan", required=False)
    text = forms.CharField(
        label="To the applicant", widget=forms.Textarea(attrs={"rows": 4}), required=False, max_length=4000
    )  # fmt: skip


class TextForm(forms.Form):
    """What is said."""

    text = forms.CharField(widget=forms.Textarea(attrs={"rows": 4}), max_length=4000)


class Approve(_Decision):
    display_name = "Approve"
    action_type = "approve"
    question = "These are granted, and their applicants told by mail. With two approvers the first one’s amounts wait for a second."  # fmt: skip
    done = "approved"
    icon_name = "check"
    form_class = ApproveForm

    def act(self, row: CreditApplication, *, by: Any, form: forms.Form) -> None:
        services.application_approve(application=row, by=by, **form.cleaned_data)


class Decline(_Decision):
    display_name = "Decline"
    action_type = "decline"
    question = "Their applicants read why:"
    done = "declined"
    icon_name = "cross"
    form_class = TextForm
    classes: ClassVar[set[str]] = {"no"}

    def act(self, row: CreditApplication, *, by: Any, form: forms.Form) -> None:
        services.application_decline(application=row, by=by, reason=form.cleaned_data["text"])


class Ask(_Decision):
    display_name = "Ask"
    action_type = "ask"
    question = "Their applicants are asked this, and keep their place:"
    done = "asked"
    icon_name = "help"
    form_class = TextForm

    def act(self, row: CreditApplication, *, by: Any, form: forms.Form) -> None:
        services.application_ask(application=row, by=by, question=form.cleaned_data["text"])


class Note(_Decision):
    display_name = "Add a note"
    action_type = "note"
    question = "Admins alone read it:"
    done = "noted"
    icon_name = "edit"
    form_class = TextForm

    @classmethod
    def fits(cls, row: CreditApplication) -> bool:
        return row.state != _State.DRAFT

    def act(self, row: CreditApplication, *, by: Any, form: forms.Form) -> None:
        services.application_note(application=row, by=by, text=form.cleaned_data["text"])


class TakeBack(RowAction):
    model_class = Allotment
    display_name = "Take back"
    action_type = "take_back"
    permission = "pricing.change_creditapplication"
    question = "What is left of these grants lapses now. What runs may end."
    done = "taken back"
    icon_name = "undo"
    form_class = TextForm
    classes: ClassVar[set[str]] = {"no"}

    @classmethod
    def fits(cls, row: Allotment) -> bool:
        return row.kind == Allotment.Kind.CREDIT and bool(row.left)

    def act(self, row: Allotment, *, by: Any, form: forms.Form) -> None:
        services.grant_withdraw(allotment=row, reason=form.cleaned_data["text"])
