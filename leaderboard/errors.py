"""What goes wrong with benchmarks, submissions, teams and challenges, declared once
(`inference.errors`)."""

from functools import partial

from inference.errors import ErrorKind

_kind = partial(ErrorKind, "leaderboard")

# Leaderboards and what is on them.
BENCHMARK_CLOSED = _kind(
    "benchmark_closed", 403, "This benchmark takes no submissions now.", "See its page."
)
ENTRY_NOT_FOUND = _kind(
    "entry_not_found", 404, "There is no such entry.", "It may be private or withdrawn."
)
LEADERBOARD_NOT_FOUND = _kind(
    "leaderboard_not_found", 404, "There is no such leaderboard.", "GET /api/leaderboards lists them."
)  # fmt: skip
NOT_COMPARABLE = _kind(
    "not_comparable", 404, "There is nothing to compare.", "Compare entries of one split."
)
REFERENCES_PREPARING = _kind(
    "references_preparing", 503, "The references of this split are being laid out.",
    "Try again in half a minute.", 30,
)  # fmt: skip
REFERENCES_UNAVAILABLE = _kind(
    "references_unavailable", 503, "The references of this split cannot be opened.",
    "An admin has to mend this.", 300,
)  # fmt: skip
SPLIT_HIDDEN = _kind(
    "split_hidden", 404, "Items of a hidden split are not shown.", "See the public split."
)
SPLIT_NOT_FOUND = _kind(
    "split_not_found", 404, "There is no such split.", "The leaderboard lists its splits."
)
SPLIT_PUBLISHED = _kind(
    "split_published", 403, "The split's references are public: it ranks nobody any more.",
    "Submit to the benchmark's other splits.",
)  # fmt: skip
SPLIT_IMAGES_ELSEWHERE = _kind(
    "split_images_elsewhere", 409, "The split's images are not on this server.",
    "Import the benchmark with its folder of images.",
)  # fmt: skip
SPLIT_RETIRED = _kind(
    "split_retired", 403, "The split was drawn anew.", "Submit to the one that took its place."
)
SPLIT_SEALED = _kind(
    "split_sealed", 403, "Until its final ranking a challenge alone has the split.",
    "Join the challenge.",
)  # fmt: skip

# Submissions.
BAD_CARD = _kind("bad_card", 400, "What is said of the model is wrong.", "`field` names the field.")
BAD_PREDICTIONS = _kind(
    "bad_predictions", 422, "The file of predictions is wrong: `lines` names the first ten faults.",
    "Nothing was counted against your quota.",
)  # fmt: skip
NO_FILE = _kind(
    "no_file", 415, "The predictions did not come as a file.", "Send multipart/form-data."
)
PREDICTIONS_TOO_LARGE = _kind(
    "predictions_too_large", 413, "The file of predictions is too large.", "Compress it with gzip."
)
QUOTA_DAY = _kind(
    "quota_day", 403, "The submissions of today are used up.",
    "The count starts anew at 00:00 UTC.",
)  # fmt: skip
QUOTA_TOTAL = _kind(
    "quota_total", 403, "All submissions to the split are used up.", "Use the public split."
)
SCORING_FAULT = _kind(
    "scoring_fault", 500, "Scoring failed on our side; your quota was given back.", "Submit again."
)
SCORING_TIMEOUT = _kind(
    "scoring_timeout", 422, "Scoring took longer than its limit.", "Shorten the predictions."
)
SUBMISSION_NOT_FOUND = _kind(
    "submission_not_found", 404, "There is no such submission of yours.", "Check the key's account."
)  # fmt: skip

# Teams.
INVITE_NOT_FOUND = _kind(
    "invite_not_found", 404, "This invitation has ended.", "Ask the team for a new one."
)
LAST_MEMBER = _kind(
    "last_member", 409, "You are the team's last member.",
    "Invite somebody first, or withdraw its entries.",
)  # fmt: skip
LAST_OWNER = _kind(
    "last_owner",
    409,
    "A team has an owner, and this is the last.",
    "Make somebody else an owner first.",
)
MEMBER_NOT_FOUND = _kind(
    "member_not_found", 404, "There is no such member of your team.", "Its page lists them."
)
NOT_YOUR_TEAM = _kind(
    "not_your_team", 400, "You are in no team of that name.", "Your account lists your teams."
)
ROLE_FORBIDS = _kind(
    "role_forbids", 403, "Your role in the team does not allow this.", "Ask one of its owners."
)
ROLE_UNKNOWN = _kind(
    "role_unknown",
    400,
    "There is no such role.",
    "A role is owner, member or billing.",
    is_of_api=False,
)
TEAM_FULL = _kind(
    "team_full", 409, "The team has as many members as it may.", "Somebody has to leave first."
)
TEAM_NOT_FOUND = _kind(
    "team_not_found", 404, "There is no such team of yours.", "Your account lists your teams."
)
TEAM_TOO_LARGE = _kind(
    "team_too_large", 403, "The team has more members than the challenge allows.",
    "`team_size` says how many.",
)  # fmt: skip

# Challenges.
CHALLENGE_BETWEEN_PHASES = _kind(
    "challenge_between_phases", 403, "No phase takes submissions now.",
    "The challenge's phases say when one does.",
)  # fmt: skip
CHALLENGE_CLOSED = _kind("challenge_closed", 403, "This challenge is closed.", "See its standings.")
CHALLENGE_DECLINED = _kind(
    "challenge_declined", 403, "The organisers declined your team.", "Ask the organisers."
)
CHALLENGE_DISQUALIFIED = _kind(
    "challenge_disqualified", 403, "Your team is disqualified.", "Ask the organisers."
)
CHALLENGE_MEMBER_TWICE = _kind(
    "challenge_member_twice", 409, "A member is in the challenge with another team.",
    "One of the teams has to leave.",
)  # fmt: skip
CHALLENGE_NOT_FOUND = _kind(
    "challenge_not_found", 404, "There is no such challenge here.", "GET /api/challenges lists them."
)  # fmt: skip
CHALLENGE_NOT_JOINED = _kind(
    "challenge_not_joined", 403, "Your team has not joined this challenge.", "Join it first."
)
CHALLENGE_PENDING = _kind(
    "challenge_pending", 403, "Your team waits for the organisers' approval.",
    "They decide about it.",
)  # fmt: skip
CHALLENGE_SPLIT = _kind(
    "challenge_split", 400, "The phase takes predictions for another split.", "Leave `split` out."
)
CHALLENGE_UPCOMING = _kind(
    "challenge_upcoming", 403, "This challenge is not open yet.", "`opens_at` says when it is."
)
RULES_NOT_ACCEPTED = _kind(
    "rules_not_accepted", 400, "Accept the rules to join.", "Send `accept_rules`."
)

# Of forms, and of admins' commands and pages.
_own = partial(_kind, is_of_api=False)

BAD_ITEMS = _own("bad_items", 400, "The items cannot be used.", "See the message.")
BAD_PROMPT = _own("bad_prompt", 400, "The prompt cannot be proposed so.", "See the message.")
BAD_TEAM = _own("bad_team", 400, "A team cannot have this name.", "Choose another.")
CHALLENGE_STATE = _own("challenge_state", 409, "The challenge is not in the state for this.", "")
NO_IMAGE = _own("no_image", 404, "This prompt has no image here.", "")
NO_REFERENCE = _own("no_reference", 404, "This prompt has no reference.", "")
NOT_CONFIRMED = _own("not_confirmed", 400, "It was not confirmed.", "Write the name.")
NOT_DRAWN = _own(
    "not_drawn", 409, "The benchmark is not drawn here.", "Import other items as a new split."
)
PROMPT_EXISTS = _own("prompt_exists", 409, "This prompt is there already.", "")
PROMPT_NOT_FOUND = _own(
    "prompt_not_found", 404, "There is no such prompt.", "It may wait for an editor."
)
REASON_REQUIRED = _own("reason_required", 400, "A reason is needed.", "")
SPLIT_IN_USE = _own(
    "split_in_use", 400, "The split has submissions.", "Import them as a new split."
)
SPLIT_VISIBILITY = _own(
    "split_visibility", 409, "Whether a split is public is not changed in passing.",
    "`manage.py benchmarks publish` makes its references public, for good.",
)  # fmt: skip
TEAM_STATE = _own("team_state", 409, "The team is not in the state for this.", "")
TEAM_TAKEN = _own("team_taken", 400, "That name is taken, or looks like one that is.", "")
TOO_MANY_PROPOSALS = _own(
    "too_many_proposals", 400, "Enough of your proposals wait for an editor.",
    "More can come after.",
)  # fmt: skip
