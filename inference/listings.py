"""Lists of a room's objects in Wagtail's admin. What services write is only looked at there, and
changed by actions that call them."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.functional import classproperty
from django.utils.http import urlencode
from django.utils.text import capfirst
from wagtail import hooks
from wagtail.admin import messages
from wagtail.admin.widgets.button import BaseButton, Button
from wagtail.log_actions import LogActionRegistry, log
from wagtail.permission_policies import ModelPermissionPolicy
from wagtail.permissions import policy_registry, register_permission_policy
from wagtail.snippets.bulk_actions.snippet_bulk_action import SnippetBulkAction
from wagtail.snippets.models import get_snippet_models
from wagtail.snippets.views.snippets import IndexView, SnippetViewSet

from inference import spreadsheets
from inference.errors import DomainError

AT_ONCE = 500
"""Rows that one action is done to at most."""


class LimitedPolicy(ModelPermissionPolicy):
    """Django's permissions, of which some actions are nobody's: a service does them, not a form."""

    def __init__(self, model: type[Model], allowed: Iterable[str]) -> None:
        super().__init__(model)
        self.allowed = frozenset(allowed)

    def user_has_permission(self, user: Any, action: str) -> bool:
        return action in self.allowed and bool(super().user_has_permission(user, action))

    def users_with_any_permission(self, actions: Iterable[str]) -> QuerySet[Any]:
        users: QuerySet[Any] = super().users_with_any_permission(self.allowed & set(actions))
        return users


class RoomIndex(IndexView):
    """A list whose spreadsheets hold no formula of a stranger's."""

    def preprocess_field_value(self, field: str, value: Any, export_format: str) -> Any:
        made = super().preprocess_field_value(field, value, export_format)
        return spreadsheets.cell(made) if export_format == self.FORMAT_CSV else made


class RoomViewSet(SnippetViewSet):
    """A list of one model, with export; `joined` says what its columns read of others."""

    index_view_class = RoomIndex
    inspect_view_enabled = True
    add_to_reference_index = False
    copy_view_enabled = False
    allowed: ClassVar[tuple[str, ...] | None] = ("view",)
    """What may be done by forms: of "add", "change", "delete", "view"; None for all of it."""
    joined: ClassVar[tuple[str, ...]] = ()
    """Relations that the columns read."""
    large: ClassVar[tuple[str, ...]] = ()
    """Fields that neither list nor export reads."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.export_filename = str(self.model._meta.verbose_name_plural).replace(" ", "-")
        if self.allowed is not None:
            policy = LimitedPolicy(self.model, self.allowed)
            register_permission_policy(self.model, policy, exact_class=True)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found: QuerySet[Any] = self.model._default_manager.select_related(*self.joined)
        return found.defer(*self.large) if self.large else found

    def register_chooser_viewset(self) -> None:
        """None: it would show the rows to every editor, whatever they may see."""


class RowAction(SnippetBulkAction):
    """Something a service does, to one row from its menu or to all that are ticked; a page asks first.

    What a row refuses is told with its name, and the others are done.
    """

    model_class: ClassVar[type[Model]]
    permission: ClassVar[str]
    """As in "leaderboard.change_submission"."""
    question: ClassVar[str]
    """What the page says will happen."""
    done: ClassVar[str]
    """As in "revoked"."""
    icon_name: ClassVar[str] = "cog"
    is_deletion: ClassVar[bool] = False
    """Whether the row itself is gone afterwards, and the log is what is left of it."""
    template_name = "actions/confirm.html"

    @classproperty
    def models(cls) -> list[type[Model]]:  # noqa: N805
        return [cls.model_class]

    @classproperty
    def aria_label(cls) -> str:  # noqa: N805
        return f"{cls.display_name}: selected {cls.model_class._meta.verbose_name_plural}"

    def act(self, row: Any, *, by: Any, form: forms.Form) -> None:
        """
        Raises:
            DomainError: not to this row, and why.
        """
        raise NotImplementedError

    @classmethod
    def about(cls, row: Any) -> Model:
        """In whose history it stands: the row's own, where the row stays."""
        made: Model = row
        return made

    @classmethod
    def consequences(cls, row: Any) -> Iterable[str]:  # noqa: ARG003  # for those that depend on the row
        """What the page that asks says of a row, beside its name."""
        return ()

    @classmethod
    def fits(cls, row: Any) -> bool:  # noqa: ARG003  # for those that depend on the row
        """Whether a row's own menu offers it."""
        return True

    @classmethod
    def log_action(cls) -> str:
        """Its name in Wagtail's log."""
        return f"{cls.model_class._meta.app_label}.{cls.action_type}"

    @classmethod
    def button(cls, row: Any, user: Any, next_url: str | None) -> BaseButton | None:
        """For a row's menu; None where it may not be done."""
        if type(row) is not cls.model_class or not user.has_perm(cls.permission):
            return None
        if not cls.fits(row):
            return None
        meta = cls.model_class._meta
        address = reverse(
            "wagtail_bulk_action", args=[meta.app_label, meta.model_name, cls.action_type]
        )
        chosen = urlencode({"id": row.pk, **({"next": next_url} if next_url else {})})
        return Button(
            cls.display_name, f"{address}?{chosen}", icon_name=cls.icon_name,
            priority=cls.action_priority,
        )  # fmt: skip

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.has_perm(self.permission):
            raise PermissionDenied  # before any row's name is shown
        answer: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return answer

    @classmethod
    def get_queryset(cls, model: type[Model], object_ids: Any) -> QuerySet[Any]:
        rows = model._default_manager.filter(pk__in=_ids(model, object_ids))
        return rows.select_related(*getattr(model.snippet_viewset, "joined", ()))[:AT_ONCE]  # type: ignore[attr-defined]

    def object_context(self, obj: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().object_context(obj)
        return context | {"consequences": list(self.consequences(obj))}

    def get_all_objects_in_listing_query(self, parent_id: Any) -> list[Any]:
        """Those that the list's own filters and search leave: they came along in the address."""
        index = self.model.snippet_viewset.index_view
        view = index.view_class(**index.view_initkwargs)
        view.setup(self.request)
        return list(view.get_queryset().values_list("pk", flat=True)[:AT_ONCE])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return context | {
            "title": self.display_name, "question": self.question, "classes": " ".join(self.classes),
            "name": capfirst(self.model._meta.verbose_name_plural),
        }  # fmt: skip

    @classmethod
    def execute_action(cls, objects: Iterable[Any], **context: Any) -> tuple[int, int]:
        action = context["self"]
        user, form = action.request.user, action.cleaned_form
        count = 0
        for row in objects:
            try:
                with transaction.atomic():
                    action.act(row, by=user, form=form)
                    log(
                        instance=cls.about(row), action=cls.log_action(), user=user,
                        deleted=cls.is_deletion,
                    )  # fmt: skip
            except DomainError as error:
                messages.error(action.request, f"{row}: {error.message}")
            else:
                count += 1
        return count, 0

    def get_success_message(self, num_parent_objects: int, num_child_objects: int) -> str | None:
        count = num_parent_objects
        if not count:
            return None
        meta = self.model._meta
        name = meta.verbose_name if count == 1 else meta.verbose_name_plural
        return f"{count} {name} {self.done}."


def _ids(model: type[Model], object_ids: Iterable[Any]) -> list[Any]:
    """Those that are ids of the model at all."""
    found = []
    for one in object_ids:
        try:
            found.append(model._meta.pk.to_python(one))  # type: ignore[union-attr]
        except forms.ValidationError:
            continue
    return found


class NoDeletion(SnippetBulkAction):
    """In the place of Wagtail's own, whose page would name the rows to who may see none of them."""

    display_name = "Delete"
    action_type = "delete"
    aria_label = "Delete"
    action_priority = 0  # among the first, which are hidden one by one; the rest are in a menu
    classes: ClassVar[set[str]] = {"w-hidden"}

    @classproperty
    def models(cls) -> list[type[Model]]:  # noqa: N805
        return [
            model
            for model in get_snippet_models()
            if isinstance(policy := policy_registry.get_by_type(model), LimitedPolicy)
            and "delete" not in policy.allowed
        ]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        raise PermissionDenied


def register_actions(*actions: type[RowAction]) -> None:
    """Offer actions in the lists of their models, and name them in Wagtail's log."""
    for action in actions:
        hooks.register("register_bulk_action", action)

    def buttons(row: Any, user: Any, next_url: str | None = None) -> list[BaseButton]:
        made = (action.button(row, user, next_url) for action in actions)
        return [button for button in made if button is not None]

    def names(registry: LogActionRegistry) -> None:
        for action in actions:
            name = action.display_name
            registry.register_action(action.log_action(), name, capfirst(action.done))

    hooks.register("register_snippet_listing_buttons", buttons)
    hooks.register("register_log_actions", names)
