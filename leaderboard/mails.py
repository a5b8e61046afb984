"""Mails to teams (`pricing.mails`)."""

from pricing.mails import MailKind


def _decision(name: str, done: str, when: str) -> MailKind:
    return MailKind(
        f"team_{name}", when, f"[Moondream hub] {{challenge}}: {done}",
        f"Your team {{team}} was {done} in the challenge “{{challenge}}”.\n\nReason: {{reason}}\n\n"
        "The challenge's page shows where you stand.\n",
        {
            "team": ("The team's name", "Moon Lab"),
            "challenge": ("The challenge's title", "Count the shelf"),
            "reason": ("What the organisers gave as their reason; may be empty", "Two accounts."),
            "link": ("The challenge's standings", "https://hub.example.org/leaderboards/challenges/count-the-shelf/"),
        },
    )  # fmt: skip


DECISIONS = {
    "accept": _decision("accepted", "accepted", "A team is accepted in a challenge"),
    "decline": _decision("declined", "declined", "A team is declined in a challenge"),
    "disqualify": _decision("disqualified", "disqualified", "A team is disqualified in a challenge"),
    "reinstate": _decision("reinstated", "reinstated", "A team takes part again after it was disqualified"),
}  # fmt: skip
"""By the name of the decision (`leaderboard.services.DECISIONS`)."""
