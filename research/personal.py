"""Of editors: what they wrote stays, without them (`inference.personal`)."""

from typing import Any

from django.contrib.contenttypes.models import ContentType
from wagtail.documents import get_document_model
from wagtail.images import get_image_model
from wagtail.models import (
    Comment,
    CommentReply,
    ModelLogEntry,
    Page,
    PageLogEntry,
    Revision,
)
from wagtail.users.models import UserProfile

from inference.personal import (
    FORMER,
    Archive,
    PersonalData,
    Rule,
    counted,
    forget_in,
    names_of,
    register,
    rows_of,
)


class EditorData(PersonalData):
    title = "Editing"
    rules = {
        "wagtailcore.Page.owner": Rule.DETACH,
        "wagtailcore.Page.locked_by": Rule.DETACH,
        "research.Navigation.locked_by": Rule.DETACH,
        "research.Announcement.locked_by": Rule.DETACH,
        "wagtailcore.Revision.user": Rule.DETACH,
        "wagtailcore.ModelLogEntry.user": Rule.DETACH,
        "wagtailcore.PageLogEntry.user": Rule.DETACH,
        "wagtailcore.WorkflowState.requested_by": Rule.DETACH,
        "wagtailcore.TaskState.finished_by": Rule.DETACH,
        "wagtailcore.UploadedFile.uploaded_by_user": Rule.DETACH,
        "wagtailcore.Comment.user": Rule.DELETE,
        "wagtailcore.Comment.resolved_by": Rule.DETACH,
        "wagtailcore.CommentReply.user": Rule.DELETE,
        "wagtailcore.PageSubscription.user": Rule.DELETE,
        "wagtailcore.APIToken.user": Rule.DELETE,
        "wagtaildocs.Document.uploaded_by_user": Rule.DETACH,
        "wagtailimages.Image.uploaded_by_user": Rule.DETACH,
        "wagtailusers.UserProfile.user": Rule.DELETE,
        "wagtailadmin.EditingSession.user": Rule.DELETE,
        "wagtailadmin.FormState.user": Rule.DELETE,
    }

    def export(self, user: Any, archive: Archive) -> None:
        """What an editor did; nothing for who never edited."""
        logs = {
            "pages": rows_of(PageLogEntry.objects.filter(user=user), "page", "label", "action", "timestamp"),
            "others": rows_of(ModelLogEntry.objects.filter(user=user), "label", "action", "timestamp"),
        }  # fmt: skip
        comments = rows_of(Comment.objects.filter(user=user), "page", "text", "created_at")
        replies = rows_of(CommentReply.objects.filter(user=user), "comment", "text", "created_at")
        if any((*logs.values(), comments, replies)):
            archive.json("editing/log", logs)
            archive.json("editing/comments", {"comments": comments, "replies": replies})
            archive.json("editing/versions", rows_of(
                Revision.objects.filter(user=user), "object_id", "object_str", "created_at"
            ))  # fmt: skip
            for name, model in (("documents", get_document_model()), ("images", get_image_model())):
                own = model.objects.filter(uploaded_by_user=user)
                archive.json(f"editing/{name}", rows_of(own, "id", "title", "created_at"))
        profile = UserProfile.objects.filter(user=user).first()
        if profile and profile.avatar:
            with profile.avatar.open() as picture:
                end = profile.avatar.name.rpartition(".")[2]
                archive.file(f"editing/avatar.{end}", picture.read())

    def deleted(self, user: Any) -> list[str]:
        comments = (
            Comment.objects.filter(user=user).count()
            + CommentReply.objects.filter(user=user).count()
        )
        return counted((comments, "comment on a page", "comments on pages"))

    def kept(self, user: Any) -> list[str]:
        pages = Page.objects.filter(owner=user).count()
        return counted((pages, "page that you made, without your name as its owner", "pages that you made, without your name as their owner"))  # fmt: skip

    def erase(self, user: Any) -> None:
        """Logs keep what was done; their links to accounts are no keys of the database, and their labels are
        text."""
        PageLogEntry.objects.filter(user_id=user.pk).update(user=None)
        ModelLogEntry.objects.filter(user_id=user.pk).update(user=None)
        kind = ContentType.objects.get_for_model(type(user))
        about = ModelLogEntry.objects.filter(content_type=kind, object_id=str(user.pk))
        about.update(label=FORMER, data={})
        for name in names_of(user):
            forget_in(ModelLogEntry, "label", name)
            forget_in(PageLogEntry, "label", name)
            ModelLogEntry.objects.filter(data__icontains=name).update(data={})
        profile = UserProfile.objects.filter(user=user).first()
        if profile and profile.avatar:
            profile.avatar.delete()


register(EditorData())
