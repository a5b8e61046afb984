"""The pages of guided projects. They work without JavaScript; scripts bring what comes live."""

import contextlib
from collections.abc import Callable
from typing import Any

import redis
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from inference import errors as inference_errors
from inference import sse, stream
from inference.database import in_thread
from inference.errors import DomainError
from inference.images import ACCEPTED
from inference.tuning.downloads import token_of
from inference.tuning.following import events as run_events
from playground import errors
from playground import selectors as playground
from playground.guided import notebook, selectors, services
from playground.guided.aims import AIMS, aims_of
from playground.guided.path import BY_SLUG, Step, done, is_open, places
from playground.guided.selectors import ProjectView
from playground.guided.services import Caller
from playground.models import GuidedProject
from playground.modes import GUIDED, remember_mode
from playground.replies import attached, refused_as_text, site_of, with_retry
from playground.rewards.page import Bench
from playground.rewards.work import Work, read_form
from playground.services import MOST_REFERENCE
from playground.sessions.views import image_response, unlisted
from playground.sessions.visitor import Visitor, visitor_of
from playground.tuning.rollouts import shown
from playground.tuning.selectors import bases
from playground.tuning.views import who_asks
from pricing import throttling
from pricing.auth import account_of
from pricing.callers import caller_of

_REFRESH_S = 2
Context = dict[str, Any]


def _caller(request: HttpRequest, visitor: Visitor) -> Caller:
    return Caller(
        visitor, caller_of(request).digest, lambda: account_of(request), who_asks(request)
    )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def start(request: HttpRequest) -> HttpResponse:
    """What there is to go on with, and the first step of a new project."""
    visitor = visitor_of(request, make=request.method == "POST")
    context: Context = {}
    if request.method == "POST":
        try:
            throttling.check(request)
            project = services.project_make(
                caller=_caller(request, visitor),
                fields=request.POST.dict(),
                file=request.FILES.get("image"),
            )
        except DomainError as error:
            context = {"error": error}
        else:
            answer = redirect("playground:guided_step", project.pk, "ask")
            return remember_mode(request, visitor.remembered(request, answer), GUIDED)
    who, aim = who_asks(request), next(iter(AIMS.values()))
    variants = bases(who)
    context |= {
        "rows": selectors.projects_of(visitor), "places": places(done(None), "image"), "step": BY_SLUG["image"],
        "choices": selectors.choices(aim, variants[0], who) if variants else [], "has_base": bool(variants),
        **_image_context(variants[0].world if variants else ""),
    }  # fmt: skip
    return remember_mode(request, _page(request, "start", context), GUIDED)


def _image_context(world: str) -> Context:
    return {"samples": playground.sample_cards(), "accepted": ACCEPTED, "world": world}


def _page(request: HttpRequest, name: str, context: Context) -> HttpResponse:
    error = context.get("error")
    status = error.status if error else 200
    answer = render(request, f"playground/guided/{name}.html", context, status=status)
    return with_retry(answer, error)


@never_cache
@require_safe
def project(request: HttpRequest, project_id: str) -> HttpResponse:
    """Where the project is to be gone on with."""
    found = selectors.project_get(visitor_of(request), project_id)
    return redirect("playground:guided_step", found.pk, ProjectView(found).furthest)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def step(request: HttpRequest, project_id: str, step_name: str) -> HttpResponse:
    """One step of a project: its page, and what its buttons do."""
    wanted = BY_SLUG.get(step_name)
    if wanted is None:
        raise Http404
    visitor = visitor_of(request)
    found = selectors.project_get(visitor, project_id)
    if not is_open(step_name, done(found)):
        messages.info(request, f"First: {BY_SLUG[ProjectView(found).furthest].title.lower()}.")
        return redirect("playground:guided_step", found.pk, ProjectView(found).furthest)
    error: DomainError | None = None
    work: Work | None = None
    if request.method == "POST":
        caller = _caller(request, visitor)
        try:
            throttling.check(request, throttling.SCORE if _scores(request) else throttling.WORK)
            if step_name == "reward":
                work = _reward_work(request, found)
            went = _ACTS[step_name](request, found, caller, work)
        except DomainError as refused:
            error = refused
            if step_name != "reward":  # there, what was entered is shown again
                found = selectors.project_get(visitor, project_id)
        else:
            if went is not None:
                return went
    return _step_page(request, found, wanted, error, work)


def _scores(request: HttpRequest) -> bool:
    return request.POST.get("do", "").startswith(("score", "aim-"))


def _go(project: GuidedProject, slug: str) -> HttpResponse:
    return redirect("playground:guided_step", project.pk, slug)


# What the buttons of each step do; None: the page is shown again.


def _act_image(
    request: HttpRequest, project: GuidedProject, caller: Caller, work: Work | None
) -> HttpResponse:
    services.image_choose(
        project=project, fields=request.POST.dict(), file=request.FILES.get("image")
    )
    return _go(project, "ask")


def _act_ask(
    request: HttpRequest, project: GuidedProject, caller: Caller, work: Work | None
) -> HttpResponse:
    services.base_ask(project=project, caller=caller, fields=request.POST.dict())
    return _go(project, "ask")


def _act_reward(
    request: HttpRequest, project: GuidedProject, caller: Caller, work: Work | None
) -> HttpResponse | None:
    if request.POST.get("do") != "save":
        return None
    assert work is not None
    reward = work.reward()
    if reward is None:
        return None  # the page says what is wrong, beside each field
    services.reward_choose(
        project=project, aim=request.POST.get("aim", ""), reward=reward,
        reference=request.POST.get("reference", ""),
    )  # fmt: skip
    with contextlib.suppress(
        DomainError
    ):  # the next page offers it again, and says why it cannot be
        services.trial_ask(project=project, who=caller.who)
    return _go(project, "train")


def _act_train(
    request: HttpRequest, project: GuidedProject, caller: Caller, work: Work | None
) -> HttpResponse:
    match request.POST.get("do"):
        case "check":
            services.trial_ask(project=project, who=caller.who)
        case "start":
            text = request.POST.get("steps", "")
            steps = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0
            services.training_start(project=project, who=caller.who, steps=steps)
        case "cancel":
            services.training_cancel(project=project)
        case "resume":
            services.training_resume(project=project)
    return _go(project, "train")


def _act_evaluate(
    request: HttpRequest, project: GuidedProject, caller: Caller, work: Work | None
) -> HttpResponse:
    if request.POST.get("do") == "reference":
        services.reference_set(project=project, reference=request.POST.get("reference", ""))
    else:
        services.comparison_ask(project=project, caller=caller)
    return _go(project, "evaluate")


def _act_summary(
    request: HttpRequest, project: GuidedProject, caller: Caller, work: Work | None
) -> HttpResponse:
    match request.POST.get("do"):
        case "share":
            services.summary_share(
                project=project, who=caller.who, with_model=bool(request.POST.get("with_model"))
            )
            messages.success(request, "Whoever has the link below sees this summary.")
        case "unshare":
            services.summary_unshare(project=project, who=caller.who)
            messages.success(request, "The link shows nothing any more.")
        case "delete":
            try:
                services.project_delete(project=project)
            except redis.exceptions.RedisError as error:
                raise inference_errors.QUEUE_UNAVAILABLE(hint="Try again in a moment.") from error
            messages.success(request, "Deleted. The trained model is still in the tuning console.")
            return redirect("playground:guided")
    return _go(project, "summary")


_Act = Callable[[HttpRequest, GuidedProject, Caller, Work | None], HttpResponse | None]
_ACTS: dict[str, _Act] = {
    "image": _act_image, "ask": _act_ask, "reward": _act_reward, "train": _act_train,
    "evaluate": _act_evaluate, "summary": _act_summary,
}  # fmt: skip


def _reward_work(request: HttpRequest, project: GuidedProject) -> Work:
    """The reward as the form holds it, or as the button of an aim brings it."""
    action = request.POST.get("do", "")
    chosen = AIMS.get(action.removeprefix("aim-"))
    if chosen is not None:
        work = Work(chosen.reward.to_dict(), f"scenes-{chosen.skill}")
        project.aim = chosen.slug
    else:
        work = read_form(request.POST.dict())
        project.aim = request.POST.get("aim", "")
    project.reference = request.POST.get("reference", "")[:MOST_REFERENCE]
    return work


# What each step's page shows.


def _step_page(
    request: HttpRequest,
    project: GuidedProject,
    step: Step,
    error: DomainError | None,
    work: Work | None,
) -> HttpResponse:
    view = ProjectView(project, step.slug)
    context: Context = {
        "view": view,
        "project": project,
        "step": step,
        "places": view.places,
        "error": error,
    }
    make = _CONTEXTS.get(step.slug)
    if make is not None:
        context |= make(request, view, work)
    context["refresh_s"] = _REFRESH_S if context.get("is_waiting") else None
    answer = _page(request, step.slug, context)
    if work is not None and work.problems and error is None and request.POST.get("do") == "save":
        answer.status_code = 422
    return answer


def _context_image(request: HttpRequest, view: ProjectView, work: Work | None) -> Context:
    variants = bases(who_asks(request))
    return _image_context(view.world or (variants[0].world if variants else ""))


def _context_ask(request: HttpRequest, view: ProjectView, work: Work | None) -> Context:
    variants = bases(who_asks(request))
    sample = view.project.sample
    prompts = next(
        (c.sample.prompts for c in playground.sample_cards() if c.sample.slug == sample), {}
    )
    return {
        "variants": variants, "world": variants[0].world if variants else "",
        "question": request.POST.get("question") or (view.base.prompt if view.base and view.skill == "query" else prompts.get("query", "")),
        "skill": request.POST.get("skill") or view.skill,
        "is_waiting": view.base is not None and view.base.is_running,
    }  # fmt: skip


def _context_reward(request: HttpRequest, view: ProjectView, work: Work | None) -> Context:
    project = view.project
    aims = aims_of(view.skill)
    if project.aim not in AIMS:
        project.aim = aims[0].slug
    aim = AIMS[project.aim]
    if work is None:
        work = Work(project.reward or aim.reward.to_dict(), f"scenes-{view.skill}")
    work.chosen = f"scenes-{view.skill}"
    bench = Bench(work)
    own = None
    if bench.reward is not None and view.base_text:
        own = bench.reward.score(view.base_text, project.reference.strip() or None)
    titles = [term.type.title for term in bench.reward.terms] if bench.reward else []
    return {
        "aims": aims, "aim": aim, "bench": bench, "own": own,
        "own_values": list(zip(titles, own.values, strict=True)) if own else [],
    }  # fmt: skip


def _context_train(request: HttpRequest, view: ProjectView, work: Work | None) -> Context:
    who, project = who_asks(request), view.project
    if view.training is not None and not request.GET.get("again"):
        run = view.training.run
        is_waiting = not run.is_finished and run.status != run.Status.PAUSED
        trainer = selectors.has_trainer() if run.status == run.Status.QUEUED else None
        return {"run": run, "is_waiting": is_waiting, "no_trainer": trainer is False}
    context: Context = {"is_again": view.training is not None}
    try:
        variant = services.variant_of(project, who)
        trial = services.trial_of(project, who)
    except DomainError as error:
        return {**context, "problem": error}
    answer_s = None
    if trial is not None and trial.status == "done":
        answers = sum(len(group["answers"]) for group in trial.groups)
        answer_s = trial.seconds / max(1, answers)
    aim = view.aim
    assert aim is not None
    is_waiting = trial is not None and trial.status == "waiting"
    return {
        **context, "trial": trial, "is_waiting": is_waiting, "variant": variant,
        "no_trainer": is_waiting and selectors.has_trainer() is False,
        "choices": selectors.choices(aim, variant, who, answer_s),
        "sampled": shown(trial.groups, aim.data, view.reward) if trial and trial.groups else None,
    }  # fmt: skip


def _context_evaluate(request: HttpRequest, view: ProjectView, work: Work | None) -> Context:
    return {"is_waiting": view.is_comparing}


def _context_summary(request: HttpRequest, view: ProjectView, work: Work | None) -> Context:
    token = view.project.share_token
    link = (
        request.build_absolute_uri(reverse("playground:guided_shared", args=[token]))
        if token
        else ""
    )
    return {"link": link}


_CONTEXTS: dict[str, Callable[[HttpRequest, ProjectView, Work | None], Context]] = {
    "image": _context_image, "ask": _context_ask, "reward": _context_reward, "train": _context_train,
    "evaluate": _context_evaluate, "summary": _context_summary,
}  # fmt: skip


@require_POST
def bring_reward(request: HttpRequest) -> HttpResponse:
    """A reward of the builder, for the project that was worked on last."""
    reward = read_form(request.POST.dict()).reward()
    if reward is None:
        messages.error(
            request, "The reward has faults, and was not taken over. The builder marks them."
        )
        return redirect("playground:rewards")
    found = selectors.latest(visitor_of(request))
    if found is None:
        messages.info(
            request, "Begin with an image. A reward can be brought once there is a project."
        )
        return redirect("playground:guided")
    services.reward_bring(project=found, reward=reward)
    messages.success(request, f"The reward “{reward.name}” is your project's now.")
    return redirect("playground:guided_step", found.pk, "reward")


# Files of a project, for its owner.


@require_safe
def picture(request: HttpRequest, project_id: str) -> HttpResponse:
    """The project's image."""
    return image_response(selectors.project_get(visitor_of(request), project_id).image)


@never_cache
@require_safe
def take_notebook(request: HttpRequest, project_id: str) -> HttpResponse:
    """A notebook that asks both models again, and can train anew."""
    view = ProjectView(selectors.project_get(visitor_of(request), project_id))
    return _notebook(notebook.of_project(view, site=site_of(request)))


@never_cache
@require_safe
def take_adapter(request: HttpRequest, project_id: str) -> HttpResponse:
    """Where the tuned adapter's files are for an hour."""
    return _adapter(ProjectView(selectors.project_get(visitor_of(request), project_id)))


def _notebook(text: str | None) -> HttpResponse:
    if text is None:
        raise Http404
    kind = "application/x-ipynb+json; charset=utf-8"
    return attached(HttpResponse(text, content_type=kind), "moondream-guided.ipynb")


def _adapter(view: ProjectView) -> HttpResponse:
    kept = view.checkpoint
    if kept is None:
        raise Http404
    return redirect(reverse("api-1:adapter_file", kwargs={"token": token_of(kept)}))


@require_safe
async def events(request: HttpRequest, project_id: str) -> HttpResponseBase:
    """The training's events, as server-sent events, for whoever the project belongs to."""

    def look() -> GuidedProject:
        return selectors.project_get(visitor_of(request), project_id)

    project = await in_thread(look)()
    if project.training is None:
        raise Http404
    try:
        await stream.check()
        return sse.response(
            request,
            run_events(project.training, stream.at(request.headers.get("Last-Event-ID", ""))),
        )
    except redis.exceptions.RedisError:
        return refused_as_text(inference_errors.QUEUE_UNAVAILABLE())
    except DomainError as error:
        return refused_as_text(error)


# What a link shows.


@never_cache
@require_safe
def shared(request: HttpRequest, project_token: str) -> HttpResponse:
    """A summary, for whoever has its link. It needs no JavaScript."""
    view = ProjectView(selectors.shared_get(project_token))
    context = {"view": view, "project": view.project, "token": project_token, "is_shared": True}
    return unlisted(render(request, "playground/guided/shared.html", context))


@require_safe
def shared_picture(request: HttpRequest, project_token: str) -> HttpResponse:
    """Its image."""
    return unlisted(image_response(selectors.shared_get(project_token).image))


@never_cache
@require_safe
def shared_notebook(request: HttpRequest, project_token: str) -> HttpResponse:
    """Its notebook."""
    site = site_of(request)
    address = f"{site}{reverse('playground:guided_shared_image', args=[project_token])}"
    view = ProjectView(selectors.shared_get(project_token))
    return unlisted(_notebook(notebook.of_project(view, site=site, image_address=address)))


@never_cache
@require_safe
def shared_adapter(request: HttpRequest, project_token: str) -> HttpResponse:
    """Its adapter, where that is shared as well."""
    view = ProjectView(selectors.shared_get(project_token))
    if not view.is_model_shared:
        raise errors.SHARE_NOT_FOUND("This link does not give the model away.")
    return unlisted(_adapter(view))
