"""Plans, who has which, and the ledger, in the admin."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from wagtail.admin.forms import WagtailAdminModelForm
from wagtail.admin.panels import FieldPanel, FieldRowPanel, InlinePanel, MultiFieldPanel, ObjectList
from wagtail.admin.ui.tables import Column

from inference.listings import RoomViewSet, RowAction
from pricing import services
from pricing.models import Allotment, LedgerAccount, LedgerEntry, MachinePrice, Plan


class PlanForm(WagtailAdminModelForm):
    """A version that holds stays as it is (`PlanVersion.clean` says so of changes)."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean()
        formset = getattr(self, "formsets", {}).get("versions")
        if formset is None:
            return cleaned
        marked = [f for f in formset.forms if f.data.get(f"{f.prefix}-DELETE")]
        if any(f.instance.pk and f.instance.holds for f in marked):
            raise ValidationError("A version that holds already cannot be deleted.")
        return cleaned


_VERSION = [
    FieldPanel("holds_from"),
    FieldRowPanel([FieldPanel("monthly_dollars"), FieldPanel("margin_percent")]),
    FieldRowPanel([FieldPanel("images"), FieldPanel("benchmarks_only")]),
    FieldRowPanel([FieldPanel("per_second"), FieldPanel("concurrent")]),
    FieldRowPanel([FieldPanel("training_minutes"), FieldPanel("storage_mb")]),
    FieldRowPanel([FieldPanel("stripe_price"), FieldPanel("stripe_metered_price")]),
]


class PlanViewSet(RoomViewSet):
    """Plans and their versions. None is deleted: accounts and months go by them."""

    model = Plan
    icon = "tag"
    menu_label = "Plans"
    allowed = ("add", "change", "view")
    list_display = ("name", "audience", "role", "is_shown", "position")
    list_export = ("slug", "name", "audience", "role", "is_shown", "position")
    inspect_view_fields = ("name", "audience", "role", "call_label", "call_url", "is_shown", "position")  # fmt: skip
    edit_handler = ObjectList(
        [
            MultiFieldPanel(
                [FieldPanel("name"), FieldPanel("slug"), FieldPanel("audience"), FieldPanel("role")],
                heading="Plan",
            ),
            MultiFieldPanel(
                [FieldPanel(n) for n in ("call_label", "call_url", "is_shown", "position")],
                heading="On the page of prices",
            ),
            InlinePanel("versions", heading="Versions", label="Version", panels=_VERSION),
        ],
        base_form_class=PlanForm,
    )  # fmt: skip


class MachineViewSet(RoomViewSet):
    """What an hour of a machine costs: the prices of images are made of it."""

    model = MachinePrice
    icon = "desktop"
    menu_label = "Machines"
    allowed = ("add", "change", "delete", "view")
    list_display = ("name", "device", "matches", "dollars_an_hour", "batch_gain", "checked_on", "source")  # fmt: skip
    list_export = ("name", "device", "matches", "dollars_an_hour", "batch_gain", "source", "source_url", "checked_on")  # fmt: skip
    panels = (
        FieldPanel("name"),
        MultiFieldPanel(
            [FieldPanel(n) for n in ("device", "matches", "position")], heading="What it is the price of"
        ),
        FieldRowPanel([FieldPanel("dollars_an_hour"), FieldPanel("batch_gain")]),
        MultiFieldPanel(
            [FieldPanel(n) for n in ("source", "source_url", "checked_on")], heading="Source"
        ),
    )  # fmt: skip


class AccountViewSet(RoomViewSet):
    """Which plan an account has, of those that were used or given one."""

    model = LedgerAccount
    icon = "user"
    joined = ("user", "plan", "coming_plan")
    list_display = ("__str__", Column("plan", label="Plan", accessor=lambda row: row.plan or "default"), "coming_from", "note", "created_at")  # fmt: skip
    list_filter = ("plan", "is_house")
    search_fields = ("user__username", "user__email", "note")
    list_export = ("user.username", "user.email", "plan.slug", "note", "created_at")
    inspect_view_fields = ("user", "plan", "coming_plan", "coming_from", "note", "created_at")


class PlanChoice(forms.Form):
    """A plan, and why."""

    plan = forms.ModelChoiceField(Plan.objects.all(), required=False, empty_label="As everybody’s")
    note = forms.CharField(max_length=200, required=False, help_text="Why; admins read it.")


class ChangePlan(RowAction):
    model_class = LedgerAccount
    display_name = "Change plan"
    action_type = "change_plan"
    permission = "pricing.change_ledgeraccount"
    question = "These have the plan from now on, with its whole month."
    done = "changed"
    icon_name = "tag"
    form_class = PlanChoice

    @classmethod
    def fits(cls, row: LedgerAccount) -> bool:
        return row.user_id is not None

    def act(self, row: LedgerAccount, *, by: Any, form: forms.Form) -> None:
        if row.user is not None:
            services.plan_set(
                user=row.user, plan=form.cleaned_data["plan"], note=form.cleaned_data["note"]
            )


class AllotmentViewSet(RoomViewSet):
    """What accounts may use until when, and how much of it they have."""

    model = Allotment
    icon = "folder-open-inverse"
    menu_label = "Allotments"
    joined = ("account__user", "plan_version__plan")
    ordering = ("-starts_at",)
    list_display = ("account", "meter", "kind", "granted", "held", "used", "lapsed", "starts_at", "ends_at")  # fmt: skip
    list_filter: ClassVar[Any] = {"meter": ["exact"], "kind": ["exact"], "ends_at": ["date__gte", "date__lte"]}  # fmt: skip
    search_fields = ("account__user__username", "account__user__email")
    list_export = ("account.pk", "meter", "kind", "granted", "held", "used", "lapsed", "starts_at", "ends_at")  # fmt: skip


class EntryViewSet(RoomViewSet):
    """The ledger, line by line."""

    model = LedgerEntry
    icon = "list-ol"
    menu_label = "Ledger"
    joined = ("account__user", "allotment")
    ordering = ("-id",)
    list_display = ("created_at", "account", "kind", "debit", "credit", "amount", "allotment__meter", "variant", "skill", "source", "reason")  # fmt: skip
    list_filter: ClassVar[Any] = {"kind": ["exact"], "created_at": ["date__gte", "date__lte"]}
    search_fields = ("account__user__username", "account__user__email", "reason")
    list_export = ("id", "created_at", "account.pk", "allotment.pk", "allotment.meter", "kind", "debit", "credit", "amount", "subject", "key_id", "variant", "adapter", "skill", "source", "reason")  # fmt: skip
