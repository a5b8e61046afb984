"""Who asks, and what there is to be asked for: real objects that belong to "owner"."""

import io
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.files.base import ContentFile
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from wagtail.documents import get_document_model
from wagtail.models import Collection, CollectionViewRestriction, PageViewRestriction, Site

from inference import services as inference
from inference.models import Job, RemoteServer
from inference.tuning import services as tuning
from inference.tuning.downloads import token_of
from inference.tuning.files import private
from inference.tuning.models import Checkpoint
from inference.tuning.who import Who
from inference.world.samples import sample_bytes
from leaderboard import services
from leaderboard.models import Challenge, ReportedFigure, Split, Submission, Team
from leaderboard.services import Card, NewItem
from notifications import services as notifications
from notifications.kinds import USAGE_ALERT
from notifications.models import Delivery
from notifications.models import Subscription as NewsSubscription
from playground.models import Comparison, GuidedProject, Run
from playground.sessions import services as sessions
from playground.sessions.visitor import Visitor
from pricing import services as pricing
from pricing.models import (
    BillingCustomer,
    CreditApplication,
    CreditOutcome,
    Invoice,
    LedgerAccount,
    MachinePrice,
    MeterEvent,
    PaymentEvent,
    Plan,
    Subscription,
)
from research.models import Announcement, Navigation, StandardPage

PEOPLE = ("anonymous", "user", "owner", "other", "removed", "editor", "moderator", "admin")
KEYS = ("submit", "infer", "other's", "removed's", "revoked", "inactive's")
"""Keys of: owner for submitting, owner for asking only, other, removed, owner (ended), and an
account that is not active any more."""
ACTORS = (*PEOPLE, *KEYS)

SECRETS = {
    "submission": "model-of-a-private-submission",
    "contact": "contact-of-owner@example.org",
    "sealed": "model-of-a-sealed-phase",
    "reference": "reference-of-a-hidden-item",
    "proposal": "proposal-that-waits",
    "draft": "draft-that-is-not-published",
    "members": "page-for-members-only",
    "document": "document-for-members-only",
    "address": "owner@example.org",
    "key": "name-of-a-key-of-owner",
    "application": "aim-of-an-application-of-owner",
    "asked": "question-of-a-session-of-owner",
    "invoice": "name-on-an-invoice-of-owner",
    "hook": "hook-of-owner",
    "told": "event-of-owner",
}
"""What only some may read. The team's invitation is one more: it is made at random."""


@dataclass
class Scene:
    """The objects, by the names that addresses and bodies use, and a client of each actor."""

    values: dict[str, Any] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=lambda: dict(SECRETS))

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["values"][name]
        except KeyError:
            raise AttributeError(name) from None


def person(name: str, **more: Any) -> Any:
    made = get_user_model().objects.create_user(
        name, f"{name}@example.org", "correct horse", **more
    )
    EmailAddress.objects.create(user=made, email=made.email, verified=True, primary=True)
    return made


def predictions(split: Split) -> bytes:
    keys = split.items.values_list("key", flat=True)
    return b"".join(json.dumps({"id": key, "answer": "grey"}).encode() + b"\n" for key in keys)


def build() -> Scene:
    """Everything, in the database of a test that has the starter content."""
    scene = Scene()
    people = {name: person(name) for name in ("user", "owner", "other", "removed", "editor", "moderator")}  # fmt: skip
    people["admin"] = person("admin", is_staff=True, is_superuser=True)
    people["editor"].groups.add(Group.objects.get(name="Editors"))
    people["moderator"].groups.add(Group.objects.get(name="Moderators"))
    for number, name in enumerate(PEOPLE):
        client = _client(f"10.0.0.{number + 1}")
        if name in people:
            client.force_login(people[name])
        scene.clients[name] = client
    scene.values |= {"people": people, "user_id": people["owner"].pk}
    _boards(scene)
    _challenge(scene)
    _keys(scene)
    _pages(scene)
    _work(scene)
    _tuning(scene)
    _session(scene)
    _ledger(scene)
    export = pricing.export_request(user=people["owner"])
    pricing.export_make(export_id=export.pk)
    scene.values["export_id"] = export.pk
    _payments(scene)
    _notifications(scene)
    return scene


def _client(address: str) -> Client:
    return Client(raise_request_exception=False, REMOTE_ADDR=address)


def _submission(split: Split, user: Any, name: str, **more: Any) -> Submission:
    made = services.submission_make(
        split=split, user=user, card=Card(name, contact=SECRETS["contact"]),
        file=io.BytesIO(predictions(split)), **more,
    )  # fmt: skip
    services.submission_score(submission_id=made.pk)
    made.refresh_from_db()
    return made


def _boards(scene: Scene) -> None:
    """A benchmark, two teams, submissions of both; "removed" was in owner's team while it worked."""
    benchmark = services.benchmark_make(
        slug="colours", title="Colours", summary="Name the colour.", task="vqa",
        primary_metric="exact_match", licence="CC0-1.0", source="test",
    )  # fmt: skip
    open_items = [
        NewItem(f"q{n}", {"answers": ["red"]}, "What colour?", "even", f"colour-{n}",
                lambda: sample_bytes("night"))
        for n in range(3)
    ]  # fmt: skip
    hidden_items = [
        NewItem(f"q{n}", {"answers": [f"{SECRETS['reference']}-{n}"]}, "What colour?", "even",
                f"https://images.test/{n}.webp")
        for n in range(4)
    ]  # fmt: skip
    dev = services.split_fill(benchmark=benchmark, name="dev", items=open_items, is_public=True)
    test = services.split_fill(
        benchmark=benchmark, name="test", items=hidden_items, is_public=False, ranks=True,
        daily_limit=50, total_limit=500,
    )  # fmt: skip
    final = services.split_fill(
        benchmark=benchmark, name="final", items=hidden_items, is_public=False, daily_limit=50,
        total_limit=500,
    )  # fmt: skip
    owner, other, removed = (scene.people[name] for name in ("owner", "other", "removed"))
    team = Team.objects.create(name="Team of owner")
    team.members.add(owner)  # who owns it
    team.members.add(removed)
    others = Team.objects.create(name="Team of other")
    others.members.add(other)
    private = _submission(test, owner, SECRETS["submission"], is_public=False)
    shown = _submission(test, owner, "model-that-is-shown", is_public=True)
    open_one = _submission(dev, owner, "model-on-the-public-split", is_public=True)
    theirs = _submission(dev, other, "model-of-another-team", is_public=True)
    services.entries_make(benchmark=benchmark)
    scene.values |= {
        "benchmark": benchmark, "dev": dev, "test": test, "final": final, "slug": "colours", "split": "test",
        "team": team, "team_id": team.pk, "others": others,
        "submission_id": private.pk, "private": private, "shown": shown, "open_one": open_one,
        "theirs": theirs, "image_name": dev.items.get(key="q0").image, "member": removed.pk,
    }  # fmt: skip


def _challenge(scene: Scene) -> None:
    """In its last phase, which is sealed; both teams take part."""
    now = timezone.now()
    start = now - timedelta(days=6)
    made: Challenge = services.challenge_make(
        slug="hues", title="Hues", summary="Name them.", benchmark=scene.benchmark, opens_at=start,
        closes_at=now + timedelta(days=4), team_size=3,
        phases=[
            {"name": "development", "split": scene.dev, "starts_at": start,
             "ends_at": now - timedelta(days=1)},
            {"name": "final", "split": scene.final, "starts_at": now - timedelta(days=1),
             "ends_at": now + timedelta(days=4), "feedback": "sealed"},
        ],
    )  # fmt: skip
    joined = services.challenge_join(challenge=made, user=scene.people["owner"], rules_accepted=True, received_at=now)  # fmt: skip
    services.challenge_join(challenge=made, user=scene.people["other"], rules_accepted=True, received_at=now)  # fmt: skip
    sealed = services.challenge_submit(
        challenge=made, user=scene.people["owner"], card=Card(SECRETS["sealed"]),
        file=io.BytesIO(predictions(scene.final)), received_at=now,
    )  # fmt: skip
    services.submission_score(submission_id=sealed.pk)
    team = services.team_invite(scene.team, scene.people["owner"])
    scene.values["old_code"] = team.invite_code
    scene.team.members.remove(scene.people["removed"])
    team = services.team_invite(scene.team, scene.people["owner"])
    scene.values["code"] = scene.secrets["invitation"] = team.invite_code
    scene.values |= {"challenge": made, "sealed": sealed, "participation": joined}


def _keys(scene: Scene) -> None:
    people = scene.people
    gone = person("inactive")
    made = {
        "submit": (people["owner"], ["submit"]),
        "infer": (people["owner"], ["infer", "finetune"]),
        "other's": (people["other"], ["submit", "infer", "finetune"]),
        "removed's": (people["removed"], ["submit", "infer", "finetune"]),
        "revoked": (people["owner"], ["submit", "infer", "finetune"]),
        "inactive's": (gone, ["submit", "infer", "finetune"]),
    }
    for number, (name, (user, scopes)) in enumerate(made.items()):
        key, secret = pricing.key_make(user=user, name=SECRETS["key"], scopes=scopes)
        if name == "revoked":
            pricing.key_revoke(user=user, key_id=key.pk)
        if name == "submit":
            scene.values["key_id"] = key.pk
        scene.clients[name] = _client(f"10.0.1.{number + 1}")
        scene.headers[name] = {"Authorization": f"Bearer {secret}"}
    # One that nobody else uses, to be given up by whoever holds it.
    scene.values["spare_secret"] = pricing.key_make(user=people["other"], name="spare", scopes=["read"])[1]  # fmt: skip
    gone.is_active = False
    gone.save()
    scene.values |= {
        "second_step": Authenticator.objects.create(user=gone, type="totp", data={}),
        "mail_address": EmailAddress.objects.get(user=people["owner"]),
        "schedule": PeriodicTask.objects.create(
            name="links", task="research.tasks.check_links",
            interval=IntervalSchedule.objects.create(every=6, period="hours"),
        ),
    }  # fmt: skip


def _pages(scene: Scene) -> None:
    """A draft, pages and documents for some readers only, a prompt that waits."""
    home = Site.objects.get(is_default_site=True).root_page

    def page(slug: str, title: str, *, live: bool = True) -> StandardPage:
        made = StandardPage(title=title, slug=slug, headline=title, live=live)
        home.add_child(instance=made)
        made.save_revision()
        return made

    draft = page("a-draft", SECRETS["draft"], live=False)
    members = page("for-members", SECRETS["members"])
    PageViewRestriction.objects.create(page=members, restriction_type="login")
    by_password = page("by-password", SECRETS["members"])
    restriction = PageViewRestriction.objects.create(
        page=by_password, restriction_type="password", password="open sesame"
    )
    root = Collection.get_first_root_node()
    closed = root.add_child(name="For moderators")
    rule = CollectionViewRestriction.objects.create(collection=closed, restriction_type="groups")
    rule.groups.add(Group.objects.get(name="Moderators"))
    locked = root.add_child(name="By password")
    lock = CollectionViewRestriction.objects.create(
        collection=locked, restriction_type="password", password="open sesame"
    )
    documents = get_document_model()
    restricted, free = (
        documents.objects.create(
            title="A document", collection=collection, file=ContentFile(text.encode(), "a.txt")
        )
        for collection, text in ((closed, SECRETS["document"]), (root, "for everybody"))
    )
    prompt = services.prompt_propose(
        user=scene.people["owner"], benchmark=scene.benchmark, name="", skill="query",
        text=SECRETS["proposal"], source="A paper", source_url="https://example.org/paper",
    )  # fmt: skip
    site = Site.objects.get(is_default_site=True)
    said = Announcement.objects.create(site=site, text="An announcement")
    scene.values |= {
        "announcement": said, "navigation": Navigation.for_site(site),
        "revision": scene.challenge.save_revision(),
        "home": home, "draft": draft, "members": members, "by_password": by_password,
        "page_view_restriction_id": restriction.pk, "page_id": by_password.pk,
        "restriction_id": lock.pk, "restricted": restricted, "free": free, "prompt": prompt,
        "prompt_id": prompt.pk,
    }  # fmt: skip


def _application(scene: Scene) -> CreditApplication:
    """Of owner's, which waits."""
    made = pricing.application_begin(user=scene.people["owner"])
    for name in (
        "full_name",
        "institution",
        "role",
        "title",
        "aim",
        "method",
        "dataset",
        "outputs",
    ):
        setattr(made, name, SECRETS["application"])
    made.is_affiliated = made.is_noncommercial = made.will_publish = True
    made.orcid, made.images, made.needed_until = "0000-0002-1825-0097", 5, timezone.now().date()
    made.save()
    file = pricing.attachment_add(
        application=made, file=io.BytesIO(SECRETS["application"].encode()), name="letter.txt"
    )
    outcome = CreditOutcome.objects.create(
        application=made, kind="paper", title=SECRETS["application"], url="https://example.org/a"
    )
    scene.values |= {
        "application_id": made.pk, "attachment_id": file.pk, "outcome_id": outcome.pk,
    }  # fmt: skip
    return pricing.application_submit(application=made)


def _ledger(scene: Scene) -> None:
    """A plan, and what owner's runs have reserved."""
    account = LedgerAccount.objects.get(user=scene.people["owner"])
    scene.values |= {
        "plan": Plan.objects.first(), "account": account, "allotment": account.allotments.first(),
        "application": _application(scene), "ledger_entry": account.entries.first(), "machine": MachinePrice.objects.first(),
    }  # fmt: skip


def _payments(scene: Scene) -> None:
    """What owner paid, from when something was sold here."""
    now = timezone.now()
    customer = BillingCustomer.objects.create(account=scene.account, stripe_id="cus_owner")
    scene.values |= {
        "customer": customer,
        "subscription": Subscription.objects.create(
            customer=customer, stripe_id="sub_owner", status="canceled", price="price_x", started_at=now, read_at=now,
        ),
        "payment_event": PaymentEvent.objects.create(
            stripe_id="evt_owner", type="invoice.paid", customer_id="cus_owner", happened_at=now, state="failed",
        ),
        "meter_event": MeterEvent.objects.create(
            entry=scene.ledger_entry, customer=customer, amount=1, happened_at=now, state="refused",
        ),
        "invoice": Invoice.objects.create(
            sequence=1, number="TEST-00001", account=scene.account, stripe_id="in_owner", issued_at=now,
            currency="usd", subtotal=4900, total=4900, lines=[],
            seller={"name": "A lab", "address": "A street", "tax_id": "", "mail": "", "note": ""},
            buyer={"name": SECRETS["invoice"], "address": "", "mail": "", "tax_ids": []},
        ),
        "number": "TEST-00001",
    }  # fmt: skip


def _work(scene: Scene) -> None:
    """A job that waits, asked with owner's key."""
    image = inference.image_store(data=sample_bytes("night"))
    caller = scene.headers["submit"]["Authorization"].removeprefix("Bearer ")
    job = inference.job_submit(
        skill="query", variant_slug=None, image=image, params={"question": "What is it?"},
        caller="api", owner_key=_owner_key(caller),
    )  # fmt: skip
    # Where nobody listens: whoever may not look there is refused before that is found.
    other = RemoteServer.objects.create(name="Another hub", address="http://127.0.0.1:9/v1")
    scene.values |= {"job": job, "job_id": job.pk, "image": image, "remote": other,
                     "figure": ReportedFigure.objects.first()}  # fmt: skip
    assert job.status == Job.Status.QUEUED


def _tuning(scene: Scene) -> None:
    """A fine-tune of owner's with a saved checkpoint."""
    made = tuning.finetune_get_or_make(name="counts", rank=8, who=Who(scene.people["owner"]))
    folder = f"tuning/{made.pk}/1-a"
    private().save(f"{folder}/adapter_config.json", ContentFile(b"{}"))
    kept = Checkpoint.objects.create(
        finetune=made, step=1, folder=folder, files={"adapter_config.json": 2}, is_kept=True
    )
    made.step, made.head = 1, kept
    made.save()
    rows = io.BytesIO(b'{"question": "Is it?", "answer": "yes"}')
    sent = tuning.upload_make(file=rows, name="rows.jsonl", who=Who(scene.people["owner"]))
    run, resting = (
        tuning.run_make(
            who=Who(scene.people["owner"]), data={"source": "world", "preset": "counts"},
            plan={"method": "sft"},
        )
        for _ in range(2)
    )  # fmt: skip
    tuning.run_pause(run=resting)
    scene.values |= {"run_id": run.pk, "resting": resting, "upload_id": sent.pk}
    scene.values |= {"finetune_id": made.pk, "step": 1, "token": token_of(kept)}


def _notifications(scene: Scene) -> None:
    """A webhook of owner's with a delivery that failed, and somebody's who has no account."""
    wanted = notifications.Wanted(
        "webhook", ["usage.alert"], SECRETS["hook"], "https://hooks.example.org/x"
    )
    hook, _ = notifications.subscription_make(user=scene.people["owner"], wanted=wanted)
    event = notifications.event_make(
        USAGE_ALERT, title=SECRETS["told"], path="/account/usage/", owner=scene.people["owner"]
    )
    assert event is not None
    delivery = Delivery.objects.create(
        subscription=hook,
        event=event,
        state="failed",
        due_at=timezone.now(),
        ended_at=timezone.now(),
    )
    public = NewsSubscription.objects.create(
        target="email", email="reader@example.org", kinds=["paper.published"], state="active",
        confirmed_at=timezone.now(),
    )  # fmt: skip
    waiting = NewsSubscription.objects.create(
        target="email", email="reader@example.org", kinds=["paper.published"]
    )
    scene.values |= {
        "hook": hook, "subscription_id": hook.pk, "delivery": delivery, "uid": delivery.uid, "event": event,
        "public_subscription": public, "waiting_subscription": waiting,
    }  # fmt: skip


def _session(scene: Scene) -> None:
    """A session of owner's with a run, and a link to it."""
    address = scene.clients["owner"].defaults["REMOTE_ADDR"]
    key = _owner_key(address=address)
    owner = Visitor(scene.people["owner"])
    runs: list[Run] = []
    for question in (SECRETS["asked"], "Another?", "A third?"):
        job = inference.job_submit(
            skill="query", variant_slug=None, image=scene.image, params={"question": question},
            caller="playground", owner_key=key,
        )  # fmt: skip
        inference.job_cancel(job_id=job.pk)
        session_id = runs[0].session_id if len(runs) == 1 else ""
        runs.append(
            sessions.run_save(job_id=job.pk, owner_key=key, visitor=owner, session_id=session_id)
        )
    share = sessions.share_make(run=runs[1])
    compared = Comparison.objects.create(session=runs[0].session, reference=SECRETS["asked"])
    Run.objects.filter(pk=runs[0].pk).update(comparison=compared)
    project = GuidedProject.objects.create(
        session=runs[1].session, image=scene.image, base_run=runs[1], reference="One that is shared.",
        share_token="a-token-of-a-shared-summary",
    )  # fmt: skip
    scene.values |= {
        "project_id": project.pk, "project_token": project.share_token, "step_name": "image",
        "session_id": runs[0].session_id, "saved_run_id": runs[0].pk, "saved": runs[0],
        "saved_last": runs[2], "comparison_id": compared.pk, "share_token": share.token,
    }  # fmt: skip


def _owner_key(token: str = "", address: str = "127.0.0.1") -> str:
    from django.test import RequestFactory

    from pricing.auth import ClientIdentity

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return ClientIdentity()(RequestFactory(REMOTE_ADDR=address).get("/", headers=headers))
