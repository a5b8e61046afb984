"""What waits, on the front of the admin: counts, links, who sees what, what it costs."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from wagtail.contrib.redirects.models import Redirect
from wagtail.models import Page, Site

from inference import services as inference
from inference.models import Job
from inference.waiting import waiting_for
from inference.world.samples import sample_bytes
from leaderboard import services
from leaderboard.models import Benchmark, Challenge, Participation
from research import services as research
from research.models import BrokenLink, DocsArticlePage, NotebookPage, PaperPage, StandardPage
from research.services import Execution
from status.models import CheckResult

pytestmark = pytest.mark.django_db
HOME = "/admin/"


def shown(client: Client) -> dict[str, int]:
    text = client.get(HOME).content.decode()
    panel = text.partition('<ul class="what-waits">')[2].partition("</ul>")[0]
    return {label: int(count) for count, label in re.findall(r"<strong>(\d+)</strong> ([^<]+)</a>", panel)}  # fmt: skip


def links(client: Client) -> list[str]:
    text = client.get(HOME).content.decode()
    panel = text.partition('<ul class="what-waits">')[2].partition("</ul>")[0]
    return re.findall(r'<a href="([^"]+)"><strong>', panel)


@pytest.fixture
def busy(starter: None) -> None:
    """One of everything that waits."""
    ada = get_user_model().objects.create_user("ada", "ada@example.org", "pw")
    benchmark = Benchmark.objects.first()
    services.prompt_propose(
        user=ada, benchmark=benchmark, name="", skill="query", text="What is it?", source="A paper",
        source_url="https://example.org/paper",
    )  # fmt: skip
    hidden = benchmark.splits.filter(is_public=False).first()
    now = timezone.now()
    dates = {"opens_at": now - timedelta(days=9), "closes_at": now + timedelta(days=1)}
    phases = [
        {
            "name": "final",
            "split": hidden,
            "starts_at": dates["opens_at"],
            "ends_at": dates["closes_at"],
        }
    ]
    challenge = services.challenge_make(
        slug="hues", title="Hues", summary="Name them.", benchmark=benchmark, needs_approval=True,
        phases=phases, **dates,
    )  # fmt: skip
    services.challenge_join(challenge=challenge, user=ada, rules_accepted=True, received_at=now)
    Challenge.objects.filter(pk=challenge.pk).update(closes_at=now - timedelta(hours=1))
    image = inference.image_store(data=sample_bytes("night"))
    for n, (status, age) in enumerate((("failed", 0), ("queued", 3600))):
        job = inference.job_submit(
            skill="query", variant_slug=None, image=image, params={"question": f"{n}?"},
            caller="api", owner_key=f"{n}",
        )  # fmt: skip
        made = now - timedelta(seconds=age)
        Job.objects.filter(pk=job.pk).update(status=status, created_at=made)
    for component, state in (("web", "up"), ("cpu", "down")):
        CheckResult.objects.create(
            component=component, label=component, state=state, checked_at=now
        )
    CheckResult.objects.create(
        component="old", label="Old", state="down", checked_at=now - timedelta(hours=1)
    )
    notebook = NotebookPage.objects.exclude(source_path="").first()
    research.notebook_run_record(Execution(notebook.source_path, b"", 1.0, error="It broke."))
    StandardPage.objects.filter(slug="product").update(lede="", search_description="")
    page = PaperPage.objects.get(slug="qlora")
    page.get_workflow().start(page, ada)


def test_everything_that_waits_is_counted_for_an_admin(
    member: Callable[[str], Client], busy
) -> None:
    found = shown(member("Admins"))
    for label in (
        "prompts to decide on", "teams that wait to take part",
        "challenges that are over and have no final ranking", "jobs that failed since yesterday",
        "jobs that wait too long", "parts of the site that do not work", "notebooks whose last run failed",
    ):  # fmt: skip
        assert found[label] == 1, label
    assert found["pages without a description"] >= 1


def test_each_link_leads_to_what_is_counted(admin_client: Client, busy) -> None:
    found = links(admin_client)
    assert len(found) == len(shown(admin_client)) >= 8
    for address in found:
        answer = admin_client.get(address.replace("&amp;", "&"))
        assert answer.status_code == 200, address
        assert "no results" not in answer.content.decode().lower(), address


def test_an_editor_sees_what_an_editor_may_do(member: Callable[[str], Client], busy) -> None:
    editor, moderator = shown(member("Editors")), shown(member("Moderators"))
    assert "prompts to decide on" in moderator
    assert "prompts to decide on" not in editor, "what is decided is shown at once"
    assert not {"jobs that wait too long", "teams that wait to take part", "to review"} & set(
        editor
    )
    assert moderator["to review"] == 1


def test_nothing_waits_is_said(member: Callable[[str], Client]) -> None:
    text = member("Editors").get(HOME).content.decode()
    assert "What waits" in text
    Page.objects.filter(search_description="").update(search_description="Said.")
    assert "Nothing waits for you." in member("Editors").get(HOME).content.decode()


def test_each_thing_costs_one_query(busy) -> None:
    admin = get_user_model().objects.create_superuser("root", "root@example.org", "pw")
    list(waiting_for(admin))
    with CaptureQueriesContext(connection) as caught:
        count = len(list(waiting_for(admin)))
    assert count >= 8
    assert len(caught) <= 17, [q["sql"][:90] for q in caught]


def test_links_that_lead_nowhere_are_found(starter) -> None:
    assert research.links_check() == 0, list(
        BrokenLink.objects.values_list("page__url_path", "address")
    )
    gone = DocsArticlePage.objects.get(slug="streaming")
    article = DocsArticlePage.objects.get(slug="quickstart")
    article.body.append(("prose", (
        f'<p><a linktype="page" id="{gone.pk}">Streams</a> <a href="/no-such-page/">Nowhere</a> '
        '<a href="/leaderboards/no-such-board/">No board</a> <a href="/playground/">Fine</a> '
        '<a href="/playground">Fine too</a> <a href="/feeds/all.rss">Feed</a> '
        '<a href="https://example.org/none">Elsewhere</a> <a href="/old/">Moved</a></p>'
    )))  # fmt: skip
    article.save()
    Redirect.objects.create(old_path="/old", redirect_link="/playground/", site=Site.objects.get())
    gone.delete()
    research.links_check()
    here = BrokenLink.objects.filter(page=article)
    assert set(here.values_list("text", flat=True)) == {"Streams", "Nowhere", "No board"}
    article.body.pop()
    article.save()
    research.links_check()
    assert not here.exists()


def test_reports_of_pages_are_for_who_may_change_some(
    member: Callable[[str], Client], busy
) -> None:
    for name in ("undescribed_pages", "failing_notebooks"):
        answer = member("Editors").get(reverse(name))
        assert answer.status_code == 200
        rows = member("Editors").get(f"{reverse(name)}?export=csv").getvalue().decode().splitlines()
        assert len(rows) >= 2
    outsider = get_user_model().objects.create_user("out", "out@example.org", "pw")
    client = Client()
    client.force_login(outsider)
    assert client.get(reverse("undescribed_pages")).status_code == 302
    assert not Participation.objects.filter(state="accepted", challenge__slug="hues").exists()
