"""The model's side of the admin: variants, what they measured, and jobs."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from redis.exceptions import RedisError
from wagtail import hooks
from wagtail.admin.forms import WagtailAdminModelForm
from wagtail.admin.panels import FieldPanel, MultiFieldPanel, ObjectList
from wagtail.snippets.models import register_snippet
from wagtail.snippets.views.snippets import SnippetViewSetGroup

from inference import errors, remote, services, waiting
from inference.errors import DomainError
from inference.listings import NoDeletion, RoomViewSet, RowAction, register_actions
from inference.models import Job, RemoteServer, Variant, VariantMeasurement
from inference.waiting import Waiting, listed

# After Wagtail's own, which it takes the place of.
hooks.register("register_bulk_action", NoDeletion, order=1)


@hooks.register("insert_global_admin_css")
def admin_css() -> SafeString:
    return format_html('<link rel="stylesheet" href="{}">', static("css/admin.css"))


class VariantForm(WagtailAdminModelForm):
    """Whether a variant may be asked; the default always may."""

    def clean_enabled(self) -> bool:
        enabled: bool = self.cleaned_data["enabled"]
        if not enabled and self.instance.is_default:
            raise ValidationError("It is the default: make another one the default first.")
        return enabled


class VariantViewSet(RoomViewSet):
    """What a checkpoint's files say of it is not typed: `manage.py models add` reads them."""

    model = Variant
    icon = "cogs"
    menu_label = "Variants"
    allowed = ("change", "view")
    list_display = ("name", "slug", "is_default", "enabled", "quantization", "revision", "queue", "measured_at")  # fmt: skip
    list_filter = ("enabled", "backend", "queue", "quantization")
    search_fields = ("name", "slug", "model_name", "revision")
    list_export = ("slug", "name", "model_name", "revision", "quantization", "backend", "queue",
                   "is_default", "enabled", "licence", "source", "parameters", "weight_bytes",
                   "loaded_dtype", "load_ms", "measured_at")  # fmt: skip
    inspect_view_fields_exclude = ("folder",)
    edit_handler = ObjectList(
        [
            FieldPanel("enabled"),
            MultiFieldPanel(
                [
                    FieldPanel(name, read_only=True)
                    for name in (
                        "name",
                        "slug",
                        "model_name",
                        "revision",
                        "quantization",
                        "world",
                        "licence",
                        "is_default",
                    )
                ],
                heading="From its files",
            ),
        ],
        base_form_class=VariantForm,
    )


class MakeDefault(RowAction):
    model_class = Variant
    display_name = "Make the default"
    action_type = "make_default"
    permission = "inference.change_variant"
    question = "Who names no variant is answered by this one from now on:"
    done = "is the default now"
    icon_name = "check"

    @classmethod
    def fits(cls, row: Variant) -> bool:
        return row.enabled and not row.is_default

    def act(self, row: Variant, *, by: Any, form: forms.Form) -> None:
        services.variant_make_default(variant=row)


class RemoteForm(WagtailAdminModelForm):
    """Where a server is, and its key, which is written and never read. It is looked at before it is saved."""

    key = forms.CharField(
        required=False, strip=True, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Of that server, if it asks for one. Leave it empty to keep the one there is.",
    )  # fmt: skip
    no_key = forms.BooleanField(label="Forget the key", required=False)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean()
        if self.errors:
            return cleaned
        try:
            self.link = self._link(cleaned)
            self.found = remote.probe(self.link)
        except DomainError as error:
            self.add_error(error.extra.get("field", "address"), error.whole)
        return cleaned

    def _link(self, cleaned: Mapping[str, Any]) -> remote.Link:
        key = cleaned["key"]
        if not key and not cleaned["no_key"] and self.instance.has_key:
            known = services.remote_link(server=self.instance)
            # Not to another place: whoever may change the address may not read the key by it.
            if known.address != cleaned["address"].strip().rstrip("/"):
                raise errors.BAD_REMOTE("Enter the key again for another address.", field="key")
            key = known.key
        return services.link_read(
            address=cleaned["address"], key=key, model=cleaned["model"], pinned=cleaned["pinned"]
        )

    def save(self, commit: bool = True) -> RemoteServer:  # noqa: FBT001, FBT002  # Django's signature
        server: RemoteServer = super().save(commit=False)
        if commit:
            services.remote_save(server=server, link=self.link, found=self.found)
        return server


class RemoteViewSet(RoomViewSet):
    model = RemoteServer
    icon = "globe"
    menu_label = "Remote servers"
    allowed = ("add", "change", "view")
    joined = ("variant",)
    list_display = (
        "name",
        "address",
        "model",
        "variant__revision",
        "pinned",
        "has_key",
        "checked_at",
    )
    search_fields = ("name", "address", "model")
    list_export = (
        "name",
        "address",
        "model",
        "variant.slug",
        "variant.revision",
        "pinned",
        "checked_at",
    )
    inspect_view_fields = ("name", "address", "model", "pinned", "variant", "checked_at")
    edit_handler = ObjectList(
        [
            FieldPanel("name"),
            FieldPanel("address"),
            MultiFieldPanel([FieldPanel("key"), FieldPanel("no_key")], heading="Its key"),
            MultiFieldPanel([FieldPanel("model"), FieldPanel("pinned")], heading="Its model"),
        ],
        base_form_class=RemoteForm,
    )


class CheckRemote(RowAction):
    model_class = RemoteServer
    display_name = "Look again"
    action_type = "check"
    permission = "inference.change_remoteserver"
    question = "These are asked which model and revision they have, and what they can do:"
    done = "looked at"
    icon_name = "rotate"

    def act(self, row: RemoteServer, *, by: Any, form: forms.Form) -> None:
        services.remote_check(server=row)


class RemoveRemote(RowAction):
    model_class = RemoteServer
    display_name = "Remove"
    action_type = "remove_remote"
    permission = "inference.delete_remoteserver"
    question = "Their variants are asked no more, and their keys are forgotten:"
    done = "removed"
    icon_name = "bin"
    is_deletion = True
    classes: ClassVar[set[str]] = {"no"}

    def act(self, row: RemoteServer, *, by: Any, form: forms.Form) -> None:
        services.remote_remove(server=row)


class MeasurementViewSet(RoomViewSet):
    model = VariantMeasurement
    icon = "history"
    menu_label = "Measurements"
    joined = ("variant",)
    list_display = ("variant", "adapter", "revision", "measured_at", "hardware", "device", "encode_ms",
                    "first_token_ms", "tokens_per_s")  # fmt: skip
    list_filter = ("variant", "device")
    search_fields = ("variant__name", "hardware", "revision")
    list_export = ("variant.slug", "adapter", "revision", "measured_at", "hardware", "device", "threads", "dtype",
                   "weight_bytes", "peak_bytes", "load_ms", "encode_ms", "first_token_ms",
                   "tokens_per_s")  # fmt: skip


class JobViewSet(RoomViewSet):
    """Who asked, when and how it went. What was asked and answered is its asker's: it is not here."""

    model = Job
    icon = "tasks"
    menu_label = "Jobs"
    joined = ("variant",)
    large = ("params", "result", "tokens")
    list_display = ("id", "skill", "variant", "status", "caller", "error_code", "created_at", "finished_at")  # fmt: skip
    list_filter: ClassVar[Any] = {
        "status": ["exact"], "skill": ["exact"], "variant": ["exact"], "caller": ["exact"],
        "error_code": ["exact"], "created_at": ["date__gte", "date__lte"],
    }  # fmt: skip
    search_fields = ("id", "error_code", "worker")
    list_export = ("id", "skill", "variant.slug", "status", "caller", "in_background", "attempt",
                   "worker", "error_code", "created_at", "started_at", "finished_at")  # fmt: skip
    inspect_view_fields = ("id", "skill", "variant", "status", "caller", "in_background", "attempt", "worker",
                           "timings", "confidence", "finish_reason", "error_code", "error_message",
                           "created_at", "started_at", "finished_at")  # fmt: skip


class CancelJob(RowAction):
    model_class = Job
    display_name = "Cancel"
    action_type = "cancel"
    permission = "inference.change_job"
    question = "These end without an answer, one that runs at its next token:"
    done = "cancelled"
    icon_name = "cross"
    classes: ClassVar[set[str]] = {"no"}

    @classmethod
    def fits(cls, row: Job) -> bool:
        return not row.is_finished

    def act(self, row: Job, *, by: Any, form: forms.Form) -> None:
        try:
            services.job_cancel(job_id=row.pk)
        except RedisError as error:
            raise errors.QUEUE_UNAVAILABLE("Its worker cannot be told now.") from error


class ModelGroup(SnippetViewSetGroup):
    menu_label = "Model"
    menu_name = "model"
    menu_icon = "cogs"
    menu_order = 370
    items = (VariantViewSet, RemoteViewSet, MeasurementViewSet, JobViewSet)


@hooks.register(waiting.HOOK)
def waits(user: Any) -> list[Waiting]:
    """Jobs that failed today, and those nobody has begun for too long."""
    may = user.has_perm("inference.change_job")
    day = timezone.now() - timedelta(days=1)
    old = timezone.now() - timedelta(seconds=settings.INFERENCE_MAX_QUEUE_AGE_S)
    failed = Job.objects.filter(status=Job.Status.FAILED, created_at__gte=day)
    late = Job.objects.filter(status=Job.Status.QUEUED, created_at__lt=old)
    since = f"{day:%Y-%m-%d}"
    return [
        Waiting("jobs that failed since yesterday", failed.count,
                listed(Job, status="failed", created_at__date__gte=since), may),
        Waiting("jobs that wait too long", late.count, listed(Job, status="queued"), may),
    ]  # fmt: skip


register_snippet(ModelGroup)
register_actions(MakeDefault, CheckRemote, RemoveRemote, CancelJob)
