"""Who may do what in the admin. Wagtail brings Editors and Moderators with pages, pictures and a
workflow of approval; here they get the rooms' parts, and Admins all but other people's accounts.

Loading again adds what is missing of these, and takes nothing away.
"""

from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q
from wagtail.models import (
    Collection,
    GroupCollectionPermission,
    GroupPagePermission,
    Page,
    Workflow,
    WorkflowContentType,
)

FULL = ("add", "change", "delete", "view")
EDITORS: dict[str, tuple[str, ...]] = {
    "research.navigation": ("change", "view"),
    "research.announcement": ("add", "change", "view"),
    "research.sitetexts": (),
    "research.brokenlink": ("view",),
    "leaderboard.benchmarkprompt": ("add", "view"),
    "leaderboard.reportedfigure": ("view",),
    "leaderboard.challenge": ("add", "change", "view"),
    "leaderboard.benchmark": ("view",),
}
"""What Editors may do: nothing of theirs is shown before a Moderator has published it. Where there are
no drafts, they change nothing."""
_PUBLISH = ("publish", "lock", "unlock")
MODERATORS: dict[str, tuple[str, ...]] = EDITORS | {
    "taggit.tag": ("change", "delete", "view"),
    "pricing.mailtext": ("change",),
    "pricing.pricingsettings": ("change",),
    "pricing.machineprice": FULL,
    "research.navigation": ("change", "view", *_PUBLISH),
    "research.announcement": (*FULL, *_PUBLISH),
    "research.sitetexts": ("change",),
    "leaderboard.benchmarkprompt": FULL,
    "leaderboard.reportedfigure": FULL,
    "leaderboard.challenge": ("add", "change", "view", *_PUBLISH),
}
MODERATED = ("research.navigation", "research.announcement", "leaderboard.challenge")
"""What the workflow of approval that Wagtail brings is for, beside pages."""
ADMINS: dict[str, tuple[str, ...]] = MODERATORS | {
    "wagtailadmin.admin": ("access",),
    "leaderboard.benchmark": ("change", "view"),
    "leaderboard.split": ("change", "view"),
    "leaderboard.submission": ("change", "view"),
    "leaderboard.run": ("view",),
    "leaderboard.team": FULL,
    "leaderboard.challenge": (*FULL, *_PUBLISH),
    "research.navigation": (*FULL, *_PUBLISH),
    "leaderboard.participation": ("change", "view"),
    "leaderboard.standing": ("change",),
    "leaderboard.logline": ("view",),
    "inference.variant": ("change", "view"),
    "inference.remoteserver": FULL,
    "inference.variantmeasurement": ("view",),
    "inference.job": ("change", "view"),
    "pricing.apikey": ("change", "view"),
    "pricing.creditapplication": ("change", "view"),
    "pricing.plan": ("add", "change", "view"),
    "pricing.ledgeraccount": ("change", "view"),
    "pricing.allotment": ("view",),
    "pricing.ledgerentry": ("view",),
    "pricing.billingcustomer": ("change", "view"),
    "pricing.subscription": ("view",),
    "pricing.paymentevent": ("change", "view"),
    "pricing.meterevent": ("change", "view"),
    "pricing.invoice": ("view",),
    "pricing.invoicesettings": ("change",),
    "pricing.mailaddress": ("view",),
    "pricing.secondstep": ("delete", "view"),
    "pricing.linkedaccount": ("view",),
    "status.checkresult": ("view",),
    "notifications.subscription": ("change", "delete", "view"),
    "notifications.delivery": ("change", "view"),
    "notifications.event": ("view",),
    "django_celery_beat.periodictask": ("change", "view"),
    "wagtailcore.site": ("change",),
    "wagtailredirects.redirect": FULL,
    "wagtailcore.workflow": ("add", "change", "delete"),
    "wagtailcore.task": ("add", "change", "delete"),
}
_PAGES = ("add", "change", "publish", "bulk_delete", "lock", "unlock")
_FILES = ("image", "document")


def groups_make() -> None:
    """The three groups, with what each may do; what they have besides stays."""
    for name, table in (("Editors", EDITORS), ("Moderators", MODERATORS), ("Admins", ADMINS)):
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.add(*_permissions(table))
    _whole_tree(Group.objects.get(name="Admins"))
    _moderated()


def _moderated() -> None:
    """Editors submit these as they submit pages, unless somebody chose another workflow for them."""
    workflow = Workflow.objects.filter(workflow_pages__isnull=False, active=True).first()
    if workflow is None:
        return
    for name in MODERATED:
        kind = ContentType.objects.get_for_model(apps.get_model(name))
        WorkflowContentType.objects.get_or_create(
            content_type=kind, defaults={"workflow": workflow}
        )


def _permissions(table: dict[str, tuple[str, ...]]) -> list[Permission]:
    wanted = Q(pk=None)
    for model, actions in table.items():
        app, _, name = model.partition(".")
        codes = [f"{action}_{name}" for action in actions]
        wanted |= Q(content_type__app_label=app, codename__in=codes)
    return list(Permission.objects.filter(wanted))


def _whole_tree(group: Group) -> None:
    """Every page, picture and document."""
    root = Page.get_first_root_node()
    pages = Permission.objects.filter(
        content_type__app_label="wagtailcore", codename__in=[f"{action}_page" for action in _PAGES]
    )
    for permission in pages:
        GroupPagePermission.objects.get_or_create(group=group, page=root, permission=permission)
    codes = [f"{action}_{name}" for name in _FILES for action in ("add", "change", "choose")]
    files = Permission.objects.filter(
        Q(codename__in=codes, content_type__app_label__in=("wagtailimages", "wagtaildocs"))
        | Q(codename__endswith="_collection", content_type__app_label="wagtailcore")
    ).exclude(codename="view_collection")
    everything = Collection.get_first_root_node()
    for permission in files:
        GroupCollectionPermission.objects.get_or_create(
            group=group, collection=everything, permission=permission
        )
