"""The playground, as a page, as a bare panel for the dialog, and without JavaScript; the list of
benchmarks' prompts, and the form that proposes one."""

import contextlib
import mimetypes
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from inference.adapters import Asker
from inference.engine.rewards import PRESETS
from inference.errors import DomainError, NotFound
from leaderboard import selectors as leaderboard
from leaderboard import services as leaderboards
from playground import selectors, services
from playground.exports import EXPORTS, Recipe
from playground.forms import ProposeForm
from playground.modes import FREE, GUIDED, mode_of, remember_mode
from playground.recipes import image_of, recipe_of
from playground.replies import code_reply, refused, site_of, with_retry
from playground.sessions import services as sessions
from playground.sessions.visitor import visitor_of
from pricing import throttling
from pricing.auth import account_of
from pricing.callers import caller_of
from pricing.payers import payer_of


@require_http_methods(["GET", "HEAD", "POST"])
def index(request: HttpRequest) -> HttpResponse:
    """The page; its form works without JavaScript by posting here."""
    if request.method != "POST":
        if not request.GET and mode_of(request) == GUIDED:
            return redirect("playground:guided")
        opened = _opened(request, _page_context(request))
        return remember_mode(request, opened, FREE) if request.GET.get("mode") == FREE else opened
    context = _page_context(request)
    ref = request.POST.get("item", "")
    file = request.FILES.get("image")
    try:
        throttling.check(request)
        job = services.ask(
            fields=request.POST, file=file, owner_key=caller_of(request).digest,
            account=lambda: account_of(request), payer=payer_of(request),
        )  # fmt: skip
    except DomainError as error:
        context |= {"error": error, "entered": request.POST}
        if ref:
            with contextlib.suppress(NotFound):
                context["chosen"] = leaderboard.prompt_get(ref)
        return with_retry(
            render(request, "playground/index.html", context, status=error.status), error
        )
    visitor = visitor_of(request, make=True)
    with contextlib.suppress(DomainError):  # no room: it is answered all the same
        sessions.run_save(
            job_id=job.pk, owner_key=job.owner_key, visitor=visitor,
            image_name=(file.name or "") if file else "", sample="" if file else request.POST.get("sample", ""),
        )  # fmt: skip
    address = reverse("playground:job", args=[job.id])
    answer = redirect(f"{address}?{urlencode({'prompt': ref})}" if ref else address)
    return visitor.remembered(request, answer)


_PANES = (
    ("image", "Image"), ("ask", "Ask"), ("answer", "Answer"), ("compare", "Compare"), ("reward", "Reward"),
    ("training", "Training"),
)  # fmt: skip


def _page_context(request: HttpRequest) -> dict[str, Any]:
    return {
        "playground": selectors.playground(), "panes": _PANES, "rewards": PRESETS.values(),
        "tour_seen": request.COOKIES.get("playground_tour") == "seen",
    }  # fmt: skip


def _opened(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """The page with the prompt its address names, if it names one."""
    try:
        chosen = selectors.chosen_prompt(request.GET.dict())
    except NotFound as error:
        context["error"] = error
        return render(request, "playground/index.html", context, status=error.status)
    if chosen is not None:
        context |= {"chosen": chosen, "entered": selectors.entered(chosen)}
    return render(request, "playground/index.html", context)


@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """A picture of a file that the browser cannot show itself. `Image-Id` names the stored image, to
    ask about it without sending the file again."""
    try:
        throttling.check(request)
        stored, picture = services.preview(file=request.FILES.get("image"))
    except DomainError as error:
        return refused(error)
    return HttpResponse(
        picture, content_type="image/jpeg",
        headers={"Image-Id": stored.sha256, "Cache-Control": "no-store"},
    )  # fmt: skip


@require_safe
def panel(request: HttpRequest) -> HttpResponse:
    """The panel alone."""
    return render(request, "playground/_panel.html", {"playground": selectors.playground()})


@require_safe
@never_cache
def tuned(request: HttpRequest) -> HttpResponse:
    """Tuned models that this visitor may choose, as groups of options."""
    asker = Asker(caller_of(request).digest, lambda: account_of(request))
    models = selectors.tuned_models(asker, wanted=request.GET.get("variant", ""))
    return render(request, "playground/_tuned.html", {"models": models})


@require_safe
def job(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """One answer as a page, for readers without JavaScript; it reloads until there is one."""
    context: dict[str, Any] = {"answer": selectors.answer(job_id), "exports": EXPORTS.values()}
    ref = request.GET.get("prompt", "")
    if ref:
        with contextlib.suppress(DomainError):  # then the answer stands alone
            context["compared"] = selectors.compared(leaderboard.prompt_get(ref), job_id)
    return render(request, "playground/job.html", context)


@require_safe
@never_cache
def code(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """A question as code that asks it again, in tabs."""
    recipe = _recipe(request, job_id)
    tabs = [
        {
            "language": each.slug, "label": each.label, "code": each.write(recipe),
            "file": each.file_name(recipe),
            "download": reverse("playground:job_code_file", args=[job_id, each.slug]),
        }
        for each in EXPORTS.values()
    ]  # fmt: skip
    return render(request, "playground/_code.html", {"tabs": tabs[:-1], "notebook": tabs[-1]})


@require_safe
@never_cache
def code_file(request: HttpRequest, job_id: UUID, language: str) -> HttpResponse:
    """The same in one language, as a file."""
    export = EXPORTS.get(language)
    if export is None:
        raise Http404
    recipe = _recipe(request, job_id)
    return code_reply(export, recipe)


def _recipe(request: HttpRequest, job_id: UUID) -> Recipe:
    return recipe_of(job_id, site=site_of(request), owner_key=caller_of(request).digest)


@require_safe
def image(request: HttpRequest, token: str) -> HttpResponse:
    """The image of a question, by an address that its code names."""
    try:
        stored, data = image_of(token)
    except DomainError as error:
        return HttpResponse(error.message, status=404, content_type="text/plain")
    kind = {"jpg": "jpeg"}.get(stored.extension, stored.extension)
    return HttpResponse(
        data, content_type=f"image/{kind}",
        headers={"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"},
    )  # fmt: skip


@require_safe
def prompts(request: HttpRequest) -> HttpResponse:
    """All prompts to try: of a benchmark, of a skill, or with a word in them."""
    asked = leaderboard.PromptsAsked.read(request.GET.dict())
    own, names = leaderboard.prompt_benchmarks()
    context = {
        "asked": asked, "page": leaderboard.prompts_page(asked), "own": own, "names": names,
        "skills": selectors.SKILLS,
        "kept": f"{urlencode(asked.filters)}&" if asked.filters else "",
    }  # fmt: skip
    return render(request, "playground/prompts.html", context)


def _named(request: HttpRequest) -> leaderboard.Prompt:
    return leaderboard.prompt_get(request.GET.get("prompt", ""))


@require_safe
def prompt_line(request: HttpRequest) -> HttpResponse:
    """What the panel shows of a prompt that was chosen from its menu, with what fills the box."""
    return render(request, "playground/_prompt_line.html", {"chosen": _named(request)})


@require_safe
def prompt_image(request: HttpRequest) -> HttpResponse:
    """The image of a public item, from our own address wherever the storage is."""
    prompt = _named(request)
    data = leaderboard.image_bytes(prompt)
    assert prompt.item is not None
    kind = mimetypes.guess_type(prompt.item.image)[0] or ""
    if not kind.startswith("image/") or kind == "image/svg+xml":
        kind = "application/octet-stream"
    response = HttpResponse(data, content_type=kind)
    response["Cache-Control"] = "public, max-age=86400"
    response["X-Content-Type-Options"] = "nosniff"
    return response


@require_safe
def prompt_reference(request: HttpRequest) -> HttpResponse:
    """The reference of a public item, beside the answer of a job where one is named."""
    named = request.GET.get("job", "")
    try:
        job_id = UUID(named) if named else None
    except ValueError as error:
        raise Http404 from error
    try:
        compared = selectors.compared(_named(request), job_id)
    except DomainError as error:  # the panel shows the message in the reference's place
        return HttpResponse(error.message, status=error.status, content_type="text/plain")
    return render(request, "playground/_reference.html", {"compared": compared})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def propose(request: HttpRequest) -> HttpResponse:
    """Propose a prompt; see what became of those proposed before."""
    form = ProposeForm(request.POST or None)
    context: dict[str, Any] = {"form": form}
    failed: DomainError | None = None
    if request.method == "POST":
        if not request.user.is_authenticated:
            return redirect(f"/account/login/?next={request.path}")
        status = 422
        if form.is_valid():
            try:
                throttling.check(request)
                leaderboards.prompt_propose(user=request.user, **form.proposal())
            except DomainError as error:
                failed, status = error, error.status
                name = error.extra.get("field")
                form.add_error(name if name in form.fields else None, error.message)
                context["existing"] = error.extra.get("existing")
            else:
                messages.success(request, "Thank you. An editor will read it; its state is below.")
                return redirect("playground:propose")
        context["status"] = status
    if request.user.is_authenticated:
        context["proposals"] = leaderboard.prompts_proposed_by(request.user)
    answer = render(request, "playground/propose.html", context, status=context.get("status", 200))
    return with_retry(answer, failed)
