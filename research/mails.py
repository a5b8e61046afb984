"""Mails about drafts and comments that Wagtail sends; editors change their texts (`pricing.mails`).

Wagtail decides who gets one and asks its templates, `templates/wagtailadmin/notifications/`, what it says:
those here ask `written`."""

from collections.abc import Callable, Mapping
from typing import Any

from django.urls import reverse
from wagtail.admin.admin_url_finder import AdminURLFinder
from wagtail.admin.utils import get_latest_str, get_user_display_name

from inference import site
from pricing.mails import MailKind

_COMMON = {
    "reader": ("Who gets the mail", "ada"),
    "title": ("The title of what it is about", "The roadmap"),
    "kind": ("What that is: a page, an announcement, a challenge", "page"),
    "link": (
        "Where it is edited; empty where the reader may not", "https://hub.example.org/admin/pages/7/edit/",
    ),
    "preferences": (
        "Where readers choose which of these mails they get",
        "https://hub.example.org/admin/account/#tab-notifications",
    ),
}  # fmt: skip
_END = "\n\nEdit it here:\n{link}\n\nYou choose which of these mails you get here:\n{preferences}"
_BY = ("Who did it; may be empty", "grace")
_WORKFLOW = ("The workflow's name", "Moderators approval")


def _review(
    name: str, when: str, subject: str, body: str, **more: tuple[str, str]
) -> MailKind:  # fmt: skip
    text = "Hello {reader},\n\n" + body + _END
    return MailKind(name, when, f"[Moondream hub] {subject}", text, {**_COMMON, **more})


SUBMITTED = _review(
    "review_submitted", "A draft is submitted for review; to superusers",
    "Submitted for review: {title}",
    "The {kind} “{title}” was submitted to “{workflow}”.\n\nBy {by}.", workflow=_WORKFLOW, by=_BY,
)  # fmt: skip
TO_REVIEW = _review(
    "review_waits", "A draft waits for a reviewer's approval; to the reviewers",
    "Waits for your review: {title}",
    "The {kind} “{title}” waits for approval at the stage “{stage}”.\n\nLook at it here:\n{preview}",
    stage=("The stage of the workflow", "Moderators approval"),
    preview=(
        "Where the draft is shown as readers would see it; empty where there is no preview",
        "https://hub.example.org/admin/pages/7/workflow/preview/1/",
    ),
)  # fmt: skip
APPROVED = _review(
    "review_approved", "A draft is approved; to who submitted it", "Approved: {title}",
    "Your {kind} “{title}” was approved in “{workflow}”.", workflow=_WORKFLOW,
)  # fmt: skip
REJECTED = _review(
    "review_rejected", "A draft is rejected; to who submitted it", "Changes are asked for: {title}",
    "Your {kind} “{title}” was sent back in “{workflow}”.\n\nBy {by}.\n\nTheir comment: {comment}",
    workflow=_WORKFLOW, by=_BY,
    comment=("What the reviewer wrote; may be empty", "The second paragraph needs a source."),
)  # fmt: skip
COMMENTED = _review(
    "review_comments", "Comments on a page change; to who follows it", "{by} commented on {title}",
    "{by} changed comments on the {kind} “{title}”.\n\n{comments}", by=("Who commented", "grace"),
    comments=("The comments, one a line", "New: “Say when this was measured.”"),
)  # fmt: skip


def written(kind: MailKind, context: Mapping[str, Any]) -> tuple[str, str]:
    """Subject and body.

    Args:
        context: what Wagtail gives to its template of this mail.
    """
    values = _common(context) | {
        name: _OWN[name](context) for name in kind.variables if name not in _COMMON
    }
    return kind.written(values)


def _address(path: str) -> str:
    return site.url(path) if path else ""


def _common(context: Mapping[str, Any]) -> dict[str, str]:
    about, reader = _about(context), context["user"]
    return {
        "reader": get_user_display_name(reader),
        "title": get_latest_str(about),
        "kind": "page" if "page" in context else str(about._meta.verbose_name),
        "link": _address(AdminURLFinder(reader).get_edit_url(about) or ""),
        "preferences": _address(f"{reverse('wagtailadmin_account')}#tab-notifications"),
    }


def _about(context: Mapping[str, Any]) -> Any:
    return context.get("page") or context["object"]


def _by(context: Mapping[str, Any]) -> str:
    state = context.get("task_state")
    who = state.finished_by if state else context.get("editor") or context.get("requested_by")
    return get_user_display_name(who) if who else ""


def _preview(context: Mapping[str, Any]) -> str:
    about, task = _about(context), context["task"]
    if "page" in context:
        return _address(reverse("wagtailadmin_pages:workflow_preview", args=[about.pk, task.pk]))
    if not getattr(about, "is_previewable", lambda: False)():
        return ""
    name = about.snippet_viewset.get_url_name("workflow_preview")
    return _address(reverse(name, args=[about.pk, task.pk]))


def _comments(context: Mapping[str, Any]) -> str:
    lines = [
        f"{what}: “{comment.text}”"
        for what, name in (("New", "new"), ("Resolved", "resolved"), ("Deleted", "deleted"))
        for comment in context[f"{name}_comments"]
    ]
    for thread in context["replied_comments"]:
        lines += [f"Reply to “{thread['comment'].text}”: “{r.text}”" for r in thread["replies"]]
    return "\n".join(lines)


_OWN: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "workflow": lambda context: context["workflow"].name,
    "stage": lambda context: context["task"].name,
    "comment": lambda context: context["comment"] or "",
    "by": _by, "preview": _preview, "comments": _comments,
}  # fmt: skip
"""What each variable of these mails is made of."""
