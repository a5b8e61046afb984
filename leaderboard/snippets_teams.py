"""Teams, and what organisers decide about them in challenges, in the admin."""

import re
from typing import Any, ClassVar

from django import forms
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Q
from django.utils.decorators import method_decorator
from wagtail.admin.forms import WagtailAdminModelForm
from wagtail.admin.panels import FieldPanel, ObjectList
from wagtail.snippets.views.snippets import CreateView, EditView

from inference.errors import DomainError
from inference.listings import RoomViewSet, RowAction
from leaderboard import services
from leaderboard.forms import TeamNameMixin
from leaderboard.models import Challenge, Participation, Role, Team
from leaderboard.services.teams import MOST_MEMBERS
from leaderboard.snippets_boards import ORGANISERS


class TeamForm(TeamNameMixin, WagtailAdminModelForm):
    """A team and its members by their mail addresses, with their roles. Who is added has to fit the challenges
    it is in, as by an invitation."""

    accounts = forms.CharField(
        label="Members", required=False, max_length=MOST_MEMBERS * 260,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="Mail addresses or names of accounts, one a line, each with owner, member or billing behind it if it is not to be "
        "a member.",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        members = self.instance.memberships.select_related("user") if self.instance.pk else []
        self.initial["accounts"] = "\n".join(
            f"{one.user.email or one.user.get_username()} {one.role}" for one in members
        )

    def clean_accounts(self) -> list[tuple[Any, str]]:
        """Accounts, each with its role; empty for the one that they have, or a member's."""
        lines = {line.strip() for line in re.split(r"[\n,;]", self.cleaned_data["accounts"])} - {""}
        if len(lines) > MOST_MEMBERS:
            raise forms.ValidationError(f"A team has at most {MOST_MEMBERS} members.")
        named = [_with_role(line) for line in sorted(lines)]
        unknown = [name for name, _ in named if _account(name) is None]
        if unknown:
            raise forms.ValidationError(f"There is no one account of {', '.join(unknown)}.")
        members = {_account(name): role for name, role in named}
        if self.instance.pk:
            try:
                services.members_check(self.instance, members)
            except DomainError as error:
                raise forms.ValidationError(error.message) from error
        return list(members.items())

    def save(self, commit: bool = True) -> Team:  # noqa: FBT001, FBT002  # Django's signature
        team: Team = super().save(commit=commit)
        if commit:
            services.members_set(team=team, members=self.cleaned_data["accounts"])
        return team


def _with_role(line: str) -> tuple[str, str]:
    """ "ada@example.org owner" as its two parts; without a role, the second is empty."""
    name, _, role = line.rpartition(" ")
    return (name.strip(), role) if name and role in Role.values else (line, "")


def _account(line: str) -> Any:
    """The one account of a mail address or name; None where there is none, or more than one."""
    found = get_user_model().objects.filter(Q(email__iexact=line) | Q(username=line))[:2]
    return found[0] if len(found) == 1 else None


@method_decorator(transaction.atomic, name="dispatch")
class CreateTeam(CreateView):
    """In one transaction, as the checks of who is added need it."""


@method_decorator(transaction.atomic, name="dispatch")
class EditTeam(EditView):
    """The same, with the team locked."""


class TeamViewSet(RoomViewSet):
    model = Team
    icon = "group"
    allowed = ("add", "change", "view")
    add_view_class = CreateTeam
    edit_view_class = EditTeam
    list_display = ("name", "is_ours", "created_at")
    list_filter = ("is_ours",)
    search_fields = ("name", "members__email")
    list_export = ("name", "is_ours", "created_at")
    inspect_view_fields = ("name", "is_ours", "members", "created_at")
    edit_handler = ObjectList(
        [FieldPanel("name"), FieldPanel("accounts")],
        base_form_class=TeamForm,
    )


class DeleteTeam(RowAction):
    """For teams that were never ranked: of people who ask for it, or of strangers' nonsense."""

    model_class = Team
    display_name = "Delete"
    action_type = "remove"
    permission = "leaderboard.delete_team"
    question = (
        "These are deleted for good, with what is named under each. What they used of quotas stays counted "
        "for their members, and the log stays."
    )
    done = "deleted"
    icon_name = "bin"
    is_deletion = True
    classes: ClassVar[set[str]] = {"no"}

    @classmethod
    def consequences(cls, row: Team) -> list[str]:
        reason = services.team_kept_by(row)
        return [f"Cannot be deleted. {reason}"] if reason else services.team_holds(row)

    @classmethod
    def fits(cls, row: Team) -> bool:
        return not row.is_ours

    def act(self, row: Team, *, by: Any, form: forms.Form) -> None:
        services.team_delete(team=row, actor=ORGANISERS)


class ParticipationViewSet(RoomViewSet):
    """Teams in challenges: they are accepted, declined, disqualified and reinstated by actions."""

    model = Participation
    icon = "clipboard-list"
    menu_label = "Teams in challenges"
    joined = ("team", "challenge", "decided_by")
    list_display = ("team__name", "challenge__title", "state", "reason", "created_at", "decided_by")
    list_filter = ("state", "challenge")
    search_fields = ("team__name", "challenge__title", "reason")
    list_export = ("team.name", "challenge.slug", "state", "reason", "rules_accepted_at", "created_at",
                   "decided_at")  # fmt: skip


class ReasonForm(forms.Form):
    """Why: the team reads it."""

    reason = forms.CharField(
        max_length=500, widget=forms.Textarea(attrs={"rows": 3}),
        help_text="The team sees it, and is told by mail; the public does not.",
    )  # fmt: skip


class _Decision(RowAction):
    """One of `services.DECISIONS`, named by `action_type`."""

    model_class = Participation
    permission = "leaderboard.change_participation"

    @classmethod
    def fits(cls, row: Participation) -> bool:
        return row.state in services.DECISIONS[cls.action_type].from_states

    def act(self, row: Participation, *, by: Any, form: forms.Form) -> None:
        services.participation_decide(
            participation=row, decision=self.action_type, by=by,
            reason=form.cleaned_data.get("reason", ""),
        )  # fmt: skip


class Accept(_Decision):
    display_name = "Accept"
    action_type = "accept"
    question = "These take part from now on, and are told so by mail:"
    done = "accepted"
    icon_name = "check"


class Decline(_Decision):
    display_name = "Decline"
    action_type = "decline"
    question = "These may not take part, and are told why by mail:"
    done = "declined"
    icon_name = "cross"
    form_class = ReasonForm
    classes: ClassVar[set[str]] = {"no"}


class Disqualify(_Decision):
    display_name = "Disqualify"
    action_type = "disqualify"
    question = "These are ranked no more, and are told why by mail; the public reads that it is so:"
    done = "disqualified"
    icon_name = "warning"
    form_class = ReasonForm
    classes: ClassVar[set[str]] = {"no"}


class Reinstate(_Decision):
    display_name = "Reinstate"
    action_type = "reinstate"
    question = "These take part again, and are told so by mail:"
    done = "reinstated"
    icon_name = "rotate"


class _OfChallenges(RowAction):
    """Of those who decide about standings: editors set dates."""

    model_class = Challenge
    permission = "leaderboard.change_standing"


class Freeze(_OfChallenges):
    display_name = "Freeze standings"
    action_type = "freeze"
    question = "Their public standings stand still until the final ranking:"
    done = "frozen"
    icon_name = "lock"

    @classmethod
    def fits(cls, row: Challenge) -> bool:
        return row.state == "open" and not row.is_frozen

    def act(self, row: Challenge, *, by: Any, form: forms.Form) -> None:
        services.challenge_freeze(challenge=row, by=by)


class PublishRanking(_OfChallenges):
    display_name = "Publish final ranking"
    action_type = "publish_ranking"
    question = "What counts for each team is fixed and ranked, for everybody to see:"
    done = "ranked"
    icon_name = "order-up"

    @classmethod
    def fits(cls, row: Challenge) -> bool:
        return row.state in ("closed", "final")

    def act(self, row: Challenge, *, by: Any, form: forms.Form) -> None:
        services.final_publish(challenge=row, by=by)
