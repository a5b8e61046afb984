"""What is asked of each address: which objects fill it, and what a request of each method holds.

An address that is not named here is asked once, filled from the scene's values, without a body."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import SimpleUploadedFile

from leaderboard.models import LogLine
from notifications.signing import confirm_token, leave_token
from playground.recipes import token_of as image_token
from research.models import PaperPage
from tests.authorisation.addresses import is_library
from tests.authorisation.scene import Scene, predictions

Body = Callable[[], dict[str, Any]]
"""Arguments of the test client's request, made anew for each: a file can be read once."""


@dataclass(frozen=True)
class Case:
    """One way to ask an address."""

    name: str = ""
    fill: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    bodies: Mapping[str, Body] = field(default_factory=dict)
    """By method."""


def _form(**fields: Any) -> Body:
    return lambda: {"data": dict(fields)}


def _json(**fields: Any) -> Body:
    return lambda: {"data": fields, "content_type": "application/json"}


def _job_form(scene: Scene) -> dict[str, Any]:
    return {"skill": "query", "question": "What is it?", "image_id": scene.image.sha256}


def _picture() -> SimpleUploadedFile:
    from inference.world.samples import sample_bytes

    return SimpleUploadedFile("night.webp", sample_bytes("night"))


def _rows() -> SimpleUploadedFile:
    return SimpleUploadedFile("rows.jsonl", b'{"question": "Is it?", "answer": "yes"}')


def _skill(**more: Any) -> list[Case]:
    import base64

    from inference.world.samples import sample_bytes

    url = f"data:image/webp;base64,{base64.b64encode(sample_bytes('night')).decode()}"
    return [Case(bodies={"POST": _json(image_url=url, **more)})]


def cases(scene: Scene) -> dict[str, list[Case]]:
    """The cases of each address that has its own."""
    test_file = predictions(scene.test)

    def upload(**fields: Any) -> Body:
        return lambda: {
            "data": {**fields, "file": SimpleUploadedFile("predictions.jsonl", test_file)}
        }

    def of(which: Any, name: str, **more: Any) -> Case:
        return Case(name, {"submission_id": which.pk}, **more)

    def action(app: str, model: str, name: str, pk: Any, **sent: str) -> Case:
        fill = {"app_label": app, "model_name": model, "action": name}
        return Case(f"{name} {model}", fill, {"id": str(pk)}, {"POST": _form(**sent)})

    card = {"model_name": "A model", "split": "test"}
    acting = {"POST": _form()}
    challenge = {"slug": "hues"}
    chosen = {"submission": str(scene.sealed.pk)}
    of_owner = {
        "private": of(scene.private, "private"), "sealed": of(scene.sealed, "sealed"),
        "other's": of(scene.theirs, "other's"),
    }  # fmt: skip

    def each(bodies: Mapping[str, Body]) -> list[Case]:
        return [Case(c.name, c.fill, c.query, bodies) for c in of_owner.values()]

    chat = {"role": "user", "content": "Is it?"}
    return {
        # The API
        "v1/caption": _skill(stream=True),
        "v1/query": _skill(question="What is it?", stream=True),
        "v1/detect": _skill(object=""),
        "v1/point": _skill(object=""),
        "v1/segment": _skill(object="star"),
        "v1/chat/completions": [
            Case(bodies={"POST": _json(messages=[chat], model="no-such-variant")})
        ],
        "v1/jobs": [Case(bodies={"POST": lambda: {"data": _job_form(scene)}})],
        "v1/models/<path:name>": [
            Case("default", {"name": "moondream"}), Case("none", {"name": "no-such-variant"}),
        ],
        "v1/tuning/finetunes": [Case(bodies={"POST": _json(name="counts", rank=8)})],
        "v1/tuning/finetunes/<finetune_id>/metrics": [Case(bodies={"POST": _json(step=1, metrics={"a": 1})})],
        "v1/tuning/runs": [Case(bodies={"POST": _json(data={"source": "world", "preset": "counts"}, settings={"method": "sft"})})],
        "v1/tuning/runs/<run_id>/resume": [Case(fill={"run_id": scene.resting.pk}, bodies={"POST": _json()})],
        "v1/tuning/uploads": [Case(bodies={"POST": lambda: {"data": {"file": _rows()}}})],
        "v1/tuning/rollouts": [Case(bodies={"POST": _json(finetune_id=scene.finetune_id, request={})})],
        "v1/tuning/train_step": [Case(bodies={"POST": _json(finetune_id=scene.finetune_id, groups=[])})],
        "v1/<path:rest>": [Case(fill={"rest": "no/such/thing"}, bodies={"POST": _json()})],
        "api/<path:rest>": [Case(fill={"rest": "no/such/thing"}, bodies={"POST": _json()})],
        "api/leaderboards/<slug>/check": [Case(bodies={"POST": upload(split="test")})],
        "api/leaderboards/<slug>/submissions": [
            Case("board", bodies={"POST": upload(**card)}),
            Case("for owner's team", bodies={"POST": upload(**card, team=scene.team.name)}),
            Case("challenge", bodies={"POST": upload(model_name="A model", challenge="hues")}),
        ],
        "api/leaderboards/<slug>/splits/<split>/items": [
            Case("public", {"split": "dev"}), Case("hidden", {"split": "test"}),
        ],
        "api/leaderboards/<slug>/quota": [
            Case("own", query={"split": "test"}),
            Case("of owner's team", query={"split": "test", "team": scene.team.name}),
        ],
        "api/leaderboards/submissions/<submission_id>": each({"PATCH": _json(is_public=False)}),
        "api/leaderboards/submissions/<submission_id>/withdraw": each({"POST": _json()}),
        "api/leaderboards/submissions/<submission_id>/events": each({}),
        "api/challenges/<slug>": [Case(fill=challenge)],
        "api/challenges/<slug>/standings": [
            Case("live", challenge, {"phase": "development"}),
            Case("sealed", challenge, {"phase": "final"}),
        ],
        "api/challenges/<slug>/events": [Case(fill=challenge)],
        "api/challenges/<slug>/team": [Case(fill=challenge)],
        "api/challenges/<slug>/join": [Case(fill=challenge, bodies={"POST": _json(accept_rules=True)})],
        "api/challenges/<slug>/leave": [Case(fill=challenge, bodies={"POST": _json()})],
        "api/challenges/<slug>/choose": [Case(fill=challenge, bodies={"POST": _json(**chosen)})],
        # Pages
        "playground/": [
            Case(bodies={"POST": _form(skill="query", question="What is it?", sample="night")}),
            Case("hidden item", query={"from": "colours/test/q0"}),
            Case("waiting prompt", query={"from": str(scene.prompt.pk)}),
        ],
        "playground/preview/": [Case(bodies={"POST": lambda: {"data": {"image": _picture()}}})],
        "playground/rewards/": [Case(bodies={"POST": _form(do="score")})],
        "playground/rewards/score/": [Case(bodies={"POST": _form(preset="short-captions", text="Two stars.")})],
        "playground/tuning/new/": [Case(bodies={"POST": _form(do="check", base="none")})],
        "playground/tuning/<uuid:run_id>/<slug:name>/": [
            Case(name, {"name": name}, {}, {"POST": _form()})
            for name in ("pause", "resume", "cancel", "delete")
        ],
        "playground/guided/": [Case(bodies={"POST": _form(sample="night")})],
        "playground/guided/reward/": [Case(bodies={"POST": _form(**{"name": "Mine", "t0-type": "cider", "t0-weight": "1"})})],
        "playground/guided/<slug:project_id>/<slug:step_name>/": [
            Case(name, {"step_name": name}, {}, {"POST": _form(**sent)})
            for name, sent in (
                ("image", {"sample": "night"}), ("ask", {"skill": "caption"}), ("reward", {"do": "score"}),
                ("train", {"do": "start"}), ("evaluate", {"do": "ask"}), ("summary", {"do": "share"}),
            )
        ],
        "playground/compare/": [Case(bodies={"POST": _form(skill="caption", sample="night", model="none")})],
        "playground/^compare/(?P<comparison_id>[0-9A-Za-z]+)\\.(?P<kind>json|csv|png)$": [
            Case(kind, {"kind": kind}) for kind in ("json", "csv", "png")
        ],
        "playground/^compare/(?P<comparison_id>[0-9A-Za-z]+)/grid\\.(?P<kind>json|csv)$": [
            Case(kind, {"kind": kind}) for kind in ("json", "csv")
        ],
        "playground/compare/<slug:comparison_id>/code/<slug:language>/": [Case("", {"language": "python"})],
        "playground/compare/<slug:comparison_id>/<slug:name>/": [
            Case(name, {"name": name}, {}, {"POST": _form(run="alike")}) for name in ("prefer", "names", "share")
        ],
        "playground/runs/": [Case(bodies={"POST": _form(job=str(scene.saved.job_id), session=scene.session_id)})],
        "playground/runs/<int:saved_run_id>/<slug:name>/": [
            Case("share", {"name": "share"}, {}, acting),
            Case("delete", {"name": "delete", "saved_run_id": scene.saved_last.pk}, {}, acting),
        ],
        "playground/sessions/": [Case("search", query={"q": "question"})],
        "playground/sessions/<slug:session_id>/<slug:name>/": [
            Case(name, {"name": name}, {}, acting) for name in ("rename", "fork", "delete")
        ],
        "playground/prompts/": [Case("search", query={"q": "proposal"})],
        "playground/prompts/line/": _prompts(scene),
        "playground/prompts/image/": _prompts(scene),
        "playground/prompts/reference/": _prompts(scene),
        "playground/prompts/propose/": [Case(bodies={"POST": _form(
            benchmark="board:colours", skill="query", text="Which colour is it?", source="A paper",
            source_url="https://example.org/other",
        )})],
        "leaderboards/entries/<uuid:submission_id>/": [
            of(scene.shown, "shown"), *of_owner.values()
        ],
        "leaderboards/entries/<uuid:submission_id>/items/": [
            of(scene.open_one, "public split"), of(scene.shown, "hidden split"), *of_owner.values()
        ],
        "leaderboards/compare/": [
            Case("public split", query={"a": str(scene.open_one.pk), "b": str(scene.theirs.pk)}),
            Case("private", query={"a": str(scene.shown.pk), "b": str(scene.private.pk)}),
            Case("sealed", query={"a": str(scene.shown.pk), "b": str(scene.sealed.pk)}),
        ],
        "leaderboards/submissions/<uuid:submission_id>/": list(of_owner.values()),
        "leaderboards/^submissions/(?P<submission_id>[0-9a-f-]{36})/(?P<action>withdraw|publish|hide)/$": [
            Case(f"{action} {case.name}", {**case.fill, "action": action}, bodies=acting)
            for action in ("withdraw", "publish", "hide") for case in of_owner.values()
        ],
        **{
            f"leaderboards/challenges/<slug:slug>/{part}": [Case(fill=challenge, bodies=bodies)]
            for part, bodies in (
                ("", {}), ("own/", {}), ("join/", {"POST": _form(accept_rules="on")}),
                ("leave/", acting), ("choose/", {"POST": _form(**chosen)}),
                ("submit/", {"POST": upload(model_name="A model", is_public="on")}),
            )
        },
        "leaderboards/<slug:slug>/submit/": [
            Case(bodies={"POST": upload(**card, is_public="on")})
        ],
        "api/keys/revoke": [Case(bodies={"POST": _json(key=scene.spare_secret)})],
        "account/credits/": [Case(bodies={"POST": _form()})],
        "account/credits/<int:application_id>/": [Case(bodies={"POST": _form(report="A paper")})],
        "account/credits/<int:application_id>/step/<int:number>/": [
            Case("sent in", {"number": 1}, bodies={"POST": _form(is_affiliated="on")})
        ],
        "account/credits/<int:application_id>/files/": [Case(bodies={"POST": upload()})],
        "account/credits/<int:application_id>/files/<int:attachment_id>/remove/": [
            Case(bodies={"POST": _form()})
        ],
        "account/credits/<int:application_id>/outcomes/": [
            Case(bodies={"POST": _form(kind="paper", title="A paper", url="https://example.org/b")})
        ],
        "account/credits/<int:application_id>/outcomes/<int:outcome_id>/remove/": [
            Case(bodies={"POST": _form()})
        ],
        "account/credits/<int:application_id>/withdraw/": [Case(bodies={"POST": _form()})],
        "account/keys/<int:key_id>/rotate/": [Case(bodies={"POST": _form(overlap="7")})],
        "account/keys/": [Case(bodies={"POST": _form(name="A key", scopes=["submit"])})],
        "account/webhooks/new/": [
            Case(bodies={"POST": _form(target="webhook", kinds=["usage.alert"], url="https://hooks.example.org/y")})
        ],
        "account/webhooks/<uuid:subscription_id>/": [
            Case(bodies={"POST": _form(kinds=["usage.alert"], name="Another name")})
        ],
        r"account/webhooks/^(?P<subscription_id>[0-9a-f-]{36})/(?P<action>test|pause|enable|rotate|redeliver|delete)/$": [
            Case(name, {"action": name}, bodies=acting) for name in ("test", "rotate", "delete")
        ],
        "account/webhooks/<uuid:subscription_id>/deliveries/<slug:uid>/redeliver/": [Case(bodies=acting)],
        "subscriptions/": [
            Case(bodies={"POST": _form(target="email", email="new@example.org", kinds=["paper.published"])})
        ],
        "subscriptions/confirm/<str:token>/": [
            Case("right", {"token": confirm_token(scene.waiting_subscription.pk)}, bodies=acting),
            Case("made up", {"token": "x"}, bodies=acting),
        ],
        "subscriptions/<str:token>/": [
            Case("right", {"token": leave_token(scene.public_subscription.pk)}, bodies={"POST": _form(kinds=["paper.published"])}),
            Case("made up", {"token": "x"}, bodies=acting),
        ],
        "subscriptions/<str:token>/unsubscribe/": [
            Case("right", {"token": leave_token(scene.public_subscription.pk)}, bodies=acting),
            Case("made up", {"token": "x"}, bodies=acting),
        ],
        "account/teams/<int:team_id>/": [
            Case("owner's", bodies={"POST": _form(team="Another name")}),
            Case("other's", {"team_id": scene.others.pk}, bodies={"POST": _form(team="Another name")}),
        ],
        r"account/teams/^(?P<team_id>\d+)/(?P<action>invite|uninvite)/$": [
            Case(action, {"action": action}, bodies=acting) for action in ("invite", "uninvite")
        ],
        "account/teams/<int:team_id>/members/<int:user_id>/remove/": [
            Case("self", bodies=acting),
            Case("member", {"team_id": scene.team.pk, "user_id": scene.member}, bodies=acting),
        ],
        "account/teams/<int:team_id>/members/<int:user_id>/role/": [
            Case("self", bodies={"POST": _form(role="member")}),
            Case("member", {"team_id": scene.team.pk, "user_id": scene.member}, bodies={"POST": _form(role="billing")}),
        ],
        "account/teams/<int:team_id>/dissolve/": [Case(bodies={"POST": _form(typed="another name")})],
        "account/data/": [Case(bodies=acting)],
        "account/delete/": [Case(bodies={"POST": _form(typed="owner@example.org")})],
        "account/delete/keep/": [Case(bodies=acting)],
        "account/teams/join/<str:code>/": [
            Case("right", bodies=acting), Case("old", {"code": scene.old_code}, bodies=acting),
            Case("wrong", {"code": "no-such-code"}, bodies=acting),
        ],
        r"^documents/(\d+)/(.*)$": [
            Case("for everybody", {"0": scene.free.pk, "1": scene.free.filename}),
            Case("for moderators", {"0": scene.restricted.pk, "1": scene.restricted.filename}),
        ],
        r"documents/^(\d+)/(.*)$": [
            Case("for everybody", {"0": scene.free.pk, "1": scene.free.filename}),
            Case("for moderators", {"0": scene.restricted.pk, "1": scene.restricted.filename}),
        ],
        "media/<path:name>": [
            Case("document", {"name": scene.free.file.name}),
            Case("restricted", {"name": scene.restricted.file.name}),
            Case("image of an item", {"name": scene.image_name}),
            Case("none", {"name": "private/benchmarks/colours/test.sealed"}),
        ],
        "og/<int:page_id>.png": [
            Case("published", {"page_id": scene.home.pk}), Case("draft", {"page_id": scene.draft.pk}),
            Case("members", {"page_id": scene.members.pk}),
        ],
        r"^(?P<path>[\w/-]+)\.md$": [
            Case("published", {"path": "index"}), Case("draft", {"path": "a-draft"}),
            Case("members", {"path": "for-members"}), Case("by password", {"path": "by-password"}),
        ],
        r"^(?P<path>[\w/-]+)\.md/$": [Case("any", {"path": "a-draft"})],
        r"^((?:[\w\-]+/)*)$": [
            Case("published", {"0": ""}), Case("draft", {"0": "a-draft/"}),
            Case("members", {"0": "for-members/"}), Case("by password", {"0": "by-password/"}),
        ],
        "search/": [Case("draft", query={"q": "draft"}), Case("members", query={"q": "members"})],
        "playground/jobs/<uuid:job_id>/code/<slug:language>/": [Case(fill={"language": "python"})],
        "playground/images/<str:token>/": [
            Case("of its code", {"token": image_token(scene.image.sha256)}), Case("made up", {"token": "x"}),
        ],
        "admin/mails/<slug:name>/": [
            Case(fill={"name": "password_reset"}, bodies={"POST": _form(subject="Reset", body="{link}")})
        ],
        "admin/prompts/<int:prompt_id>/decide/": [Case(bodies={"POST": _form(approve="1")})],
        "admin/bulk/<str:app_label>/<str:model_name>/<str:action>/": [
            action("pricing", "apikey", "revoke", scene.key_id),
            action("pricing", "apikey", "delete", scene.key_id),
            action("leaderboard", "submission", "withdraw", scene.private.pk),
            action("leaderboard", "participation", "disqualify", scene.participation.pk, reason="Why."),
            action("leaderboard", "challenge", "publish_ranking", scene.challenge.pk),
            action("leaderboard", "split", "publish_references", scene.test.pk, confirm="colours/test"),
            action("leaderboard", "split", "run_model", scene.test.pk, site_model=scene.job.variant.slug),
            action("inference", "variant", "make_default", scene.job.variant_id),
            action("inference", "job", "cancel", scene.job.pk),
            action("inference", "remoteserver", "check", scene.remote.pk),
            action("inference", "remoteserver", "remove_remote", scene.remote.pk),
            action("leaderboard", "team", "remove", scene.team.pk),
            action("pricing", "creditapplication", "approve", scene.application.pk, images="1"),
            action("pricing", "creditapplication", "decline", scene.application.pk, text="Why."),
            action("pricing", "allotment", "take_back", scene.allotment.pk, text="Why."),
            action("pricing", "ledgeraccount", "change_plan", scene.account.pk, note="Why."),
            action("pricing", "paymentevent", "again", scene.payment_event.pk),
            action("pricing", "meterevent", "again", scene.meter_event.pk),
            action("pricing", "billingcustomer", "read_again", scene.customer.pk),
            action("pricing", "secondstep", "remove", scene.second_step.pk),
            action("pricing", "mailaddress", "verify", scene.mail_address.pk),
            action("pricing", "mailaddress", "remove", scene.mail_address.pk),
            action("notifications", "subscription", "disable", scene.hook.pk),
            action("notifications", "subscription", "erase", scene.hook.pk),
            action("notifications", "delivery", "repeat", scene.delivery.pk),
            action("django_celery_beat", "periodictask", "run", scene.schedule.pk),
            action("django_celery_beat", "periodictask", "switch_off", scene.schedule.pk),
        ],
    }  # fmt: skip


def _prompts(scene: Scene) -> list[Case]:
    return [
        Case("public item", query={"prompt": "colours/dev/q0"}),
        Case("hidden item", query={"prompt": "colours/test/q0"}),
        Case("waiting prompt", query={"prompt": str(scene.prompt.pk)}),
    ]


def defaults(scene: Scene) -> dict[str, Any]:
    """What fills a part of an address that no case fills."""
    some = UUID(int=1)
    of_model = {
        "challenge": scene.challenge.pk, "benchmarkprompt": scene.prompt.pk,
        "reportedfigure": scene.figure.pk, "benchmark": scene.benchmark.pk, "team": scene.team.pk,
        "submission": scene.private.pk, "participation": scene.participation.pk,
        "job": scene.job.pk, "variant": scene.job.variant_id, "remoteserver": scene.remote.pk, "split": scene.test.pk,
        "apikey": scene.key_id, "logline": LogLine.objects.latest("pk").pk,
        "announcement": scene.announcement.pk, "navigation": scene.navigation.pk,
        "plan": scene.plan.pk, "creditapplication": scene.application.pk, "ledgeraccount": scene.account.pk, "allotment": scene.allotment.pk,
        "ledgerentry": scene.ledger_entry.pk, "machineprice": scene.machine.pk,
        "billingcustomer": scene.customer.pk, "pricing/subscription": scene.subscription.pk,
        "paymentevent": scene.payment_event.pk, "meterevent": scene.meter_event.pk, "invoice": scene.invoice.pk,
        "secondstep": scene.second_step.pk, "mailaddress": scene.mail_address.pk,
        "notifications/subscription": scene.hook.pk, "delivery": scene.delivery.pk, "event": scene.event.pk,
        "periodictask": scene.schedule.pk, "tag": PaperPage.tags.through.objects.first().tag_id,
    }  # fmt: skip
    return {
        **scene.values, "of_model": of_model, "kind": "all", "form": "rss", "uuid": some,
        "pk": 1, "object_id": 1, "id": scene.people["owner"].pk, "content_type_id": 1,
        "revision_id": scene.revision.pk, "revision_id_a": "live", "revision_id_b": "latest",
        "task_state_id": 1, "workflow_state_id": 1, "action_name": "approve",
        "key": "no-such-key", "uidb36": "1", "app_label": "leaderboard", "url": "no/such/page",
    }  # fmt: skip


def fill_for(address: str, case: Case, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values for one address: `pk` and `object_id` are of the model that it names, alone or with its room."""
    known = dict(values)
    for model, pk in values["of_model"].items():
        if f"/{model}/" in address:
            known |= {"pk": pk, "object_id": pk}
    whole = {**known, **case.fill}
    return defaultdict(lambda: 1, whole) if is_library(address) else whole
