"""What the steps of a guided project do."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone

from inference import services as inference
from inference.engine.rewards import Reward
from inference.errors import DomainError
from inference.images import Upload
from inference.models import Job, StoredImage, Variant
from inference.tuning import services as tuning
from inference.tuning.models import Finetune
from inference.tuning.services import Checked, Trial
from inference.tuning.sources import source_of
from inference.tuning.who import Who
from inference.world.presets import world_examples
from playground import errors
from playground.guided.aims import AIMS, SKILLS, Aim, reference_of
from playground.guided.selectors import ProjectView
from playground.models import GuidedProject, HeldOutScene, Run, Session
from playground.rewards.samples import completion
from playground.services import read_question, read_reference
from playground.sessions import services as sessions
from playground.sessions.visitor import Visitor

SCENES = 4
"""Held-out scenes that both models are asked about, to be read."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who works on a project, as the rooms below know them."""

    visitor: Visitor
    owner_key: str
    account: Callable[[], int | None]
    who: Who


# The image, and what the base says of it.


def project_make(
    *, caller: Caller, fields: Mapping[str, str], file: UploadedFile | None
) -> GuidedProject:
    """Begin with an image: a file, or a drawn scene.

    Raises:
        DomainError: there is no image, it cannot be read, or no room is left for what is saved.
    """
    sessions.check_room(caller.visitor, caller.owner_key)
    stored = _stored(fields, file)
    with transaction.atomic():
        session = Session.objects.create(**caller.visitor.fields)
        project = GuidedProject(session=session)
        _take_image(project, stored, fields, file)
        project.save(force_insert=True)
    return project


def image_choose(
    *, project: GuidedProject, fields: Mapping[str, str], file: UploadedFile | None
) -> None:
    """Another image: what was said of the one before is no part of the project any more.

    Raises:
        DomainError: there is none, or it cannot be read.
    """
    stored = _stored(fields, file)
    with transaction.atomic():
        HeldOutScene.objects.filter(project=project).delete()
        _take_image(project, stored, fields, file)
        project.base_run = project.tuned_run = None
        project.reference = ""
        _save(project)


def _stored(fields: Mapping[str, str], file: UploadedFile | None) -> StoredImage:
    asked = read_question({**fields, "skill": "caption", "length": "normal", "item": ""}, file)
    assert isinstance(asked.image, Upload)
    return inference.image_store(data=asked.image.data)


def _take_image(
    project: GuidedProject, stored: StoredImage, fields: Mapping[str, str], file: UploadedFile | None
) -> None:  # fmt: skip
    project.image = stored
    project.image_name = (file.name or "image")[:120] if file else ""
    project.sample = "" if file else fields.get("sample", "")[:40]
    name = project.image_name or project.sample
    session = project.session
    session.name = f"Guided: {name}"[:120]
    session.used_at = timezone.now()
    session.save(update_fields=["name", "used_at"])


def _save(project: GuidedProject) -> None:
    project.used_at = timezone.now()
    project.save()


def base_ask(*, project: GuidedProject, caller: Caller, fields: Mapping[str, str]) -> Run:
    """Ask the base model about the project's image.

    Raises:
        DomainError: it cannot be asked so, or not now.
    """
    skill = fields.get("skill", "caption")
    if skill not in SKILLS:
        raise errors.NO_AIM()
    variant = tuning.base_of(fields.get("variant") or None, caller.who)
    image = _image(project)
    params = {"length": "normal", "question": fields.get("question", "")}
    run = _ask(project, caller, skill, variant.slug, image, params)
    was = project.base_run.job.skill if project.base_run else ""
    project.base_run, project.tuned_run = run, None
    if was and was != skill:
        project.aim, project.reward, project.training = "", None, None
        project.reference = ""
    if not project.reference:
        project.reference = reference_of(project.sample, skill)
    HeldOutScene.objects.filter(project=project).delete()
    _save(project)
    return run


def _image(project: GuidedProject) -> StoredImage:
    """
    Raises:
        InvalidInput: it was not asked about in time, and is gone.
    """
    if project.image is None:
        return inference.image_get(sha256="")  # says so
    return project.image


def _ask(
    project: GuidedProject, caller: Caller, skill: str, model: str, image: StoredImage | Upload,
    params: Mapping[str, Any], *, name: str | None = None, sample: str | None = None,
    is_measurement: bool = False,
) -> Run:  # fmt: skip
    job = inference.job_submit(
        skill=skill, variant_slug=model, image=image, params=params, caller="playground",
        owner_key=caller.owner_key, account=caller.account, payer=caller.who.payer,
    )  # fmt: skip
    try:
        return sessions.run_save(
            job_id=job.pk, owner_key=job.owner_key, visitor=caller.visitor, session_id=project.session_id,
            image_name=project.image_name if name is None else name,
            sample=project.sample if sample is None else sample, is_measurement=is_measurement,
        )  # fmt: skip
    except DomainError:
        inference.job_cancel(job_id=job.pk)
        raise


# The reward.


def reward_choose(
    *, project: GuidedProject, aim: str, reward: Reward, reference: str | None = None
) -> None:
    """What is good, and what it is trained for.

    Raises:
        InvalidInput: there is no such aim.
    """
    if aim not in AIMS:
        raise errors.NO_AIM()
    project.aim, project.reward = aim, reward.to_dict()
    if reference is not None:
        project.reference = read_reference(reference)
    _save(project)


def reference_set(*, project: GuidedProject, reference: str) -> None:
    """What is right about the project's image."""
    project.reference = read_reference(reference)
    _save(project)


# Training.


def variant_of(project: GuidedProject, who: Who) -> Variant:
    """The base that the project asked, as it is trained.

    Raises:
        DomainError: it is not here any more, or not for this caller to tune.
    """
    slug = project.base_run.job.variant.slug if project.base_run else None
    return tuning.base_of(slug, who)


def _aim(project: GuidedProject) -> Aim:
    aim = AIMS.get(project.aim)
    if aim is None or project.reward is None:
        raise errors.NO_AIM()
    return aim


def _judged(project: GuidedProject, who: Who) -> tuple[Variant, Checked]:
    """The base, and the project's training at its whole length as it could be queued.

    Raises:
        DomainError: it cannot work, with every field that is wrong.
    """
    aim, variant = _aim(project), variant_of(project, who)
    checked = tuning.run_check(
        who=who, variant=variant, data=aim.data, plan=aim.plan(variant, aim.lengths[-1].steps),
        reward=project.reward,
    )  # fmt: skip
    return variant, checked


def trial_of(project: GuidedProject, who: Who) -> Trial | None:
    """What the base's sampled answers are worth by the project's reward; None where that was not asked.

    Raises:
        DomainError: the training cannot work, with every field that is wrong; or the queue cannot be read.
    """
    variant, checked = _judged(project, who)
    return tuning.trial_get(tuning.trial_name(who=who, variant=variant, checked=checked))


def trial_ask(*, project: GuidedProject, who: Who) -> Trial:
    """Let a worker try the reward on sampled answers.

    Raises:
        DomainError: it cannot work, or not now.
    """
    variant, checked = _judged(project, who)
    return tuning.trial_ask(who=who, variant=variant, checked=checked)


def training_start(*, project: GuidedProject, who: Who, steps: int) -> None:
    """Train by the project's reward, on a worker. What was trained before stays in the console.

    Raises:
        DomainError: the reward tells no answers apart, was not tried yet, or nothing can be trained now.
    """
    aim = _aim(project)
    if aim.length(steps) is None:
        raise errors.NO_AIM("That is not one of the lengths.")
    trial = trial_of(project, who)
    if trial is None or trial.status != "done":
        raise errors.NOT_CHECKED()
    if trial.is_flat:
        raise errors.FLAT_REWARD()
    variant = variant_of(project, who)
    run = tuning.run_make(
        who=who, title=f"{aim.title} (guided)", variant_slug=variant.slug, data=aim.data,
        plan=aim.plan(variant, steps), reward=project.reward,
    )  # fmt: skip
    project.training, project.tuned_run = run, None
    HeldOutScene.objects.filter(project=project).delete()
    _save(project)


def training_cancel(*, project: GuidedProject) -> None:
    """End the training; its last checkpoint is kept. Safe to repeat."""
    if project.training is not None:
        tuning.run_cancel(run=project.training)


def training_resume(*, project: GuidedProject) -> None:
    """Go on with a training that was paused in the console.

    Raises:
        Conflict: it does not rest.
    """
    if project.training is not None:
        tuning.run_resume(run=project.training)


# Comparing.


def comparison_ask(*, project: GuidedProject, caller: Caller) -> None:
    """Ask the tuned model about the project's image, and both models about scenes that were not trained on.
    All are asked, or none.

    Raises:
        DomainError: there is no tuned model, or nothing can be asked now.
    """
    view = ProjectView(project)
    training, model = project.training, view.model
    if training is None or not training.is_finished or not model:
        raise errors.NO_TUNED_MODEL()
    if project.base_run is None:
        raise errors.NOT_CHECKED("The base model was not asked yet.", hint="Ask it first.")
    base = project.base_run.job
    made: list[Run] = []
    try:
        tuned = _ask_again(project, caller, base, model)
        made.append(tuned)
        rows = _scenes(project, caller, training.data, base.variant.slug, model, made)
    except DomainError:
        _take_back(made)
        raise
    with transaction.atomic():
        HeldOutScene.objects.filter(project=project).delete()
        HeldOutScene.objects.bulk_create(rows)
        project.tuned_run = tuned
        _save(project)


def _ask_again(project: GuidedProject, caller: Caller, base: Job, model: str) -> Run:
    """The question of a job, to another model."""
    image = base.image or _image(project)
    return _ask(project, caller, base.skill, model, image, base.params)


def _scenes(
    project: GuidedProject, caller: Caller, data: Mapping[str, Any], base: str, model: str, made: list[Run]
) -> list[HeldOutScene]:  # fmt: skip
    if data.get("source") != "world":
        return []
    examples = world_examples(
        data["preset"], SCENES, seed=data["seed"], domain=data["domain"], held_out=True
    )
    rows = []
    for number, example in enumerate(examples, 1):
        image: StoredImage = inference.image_store(
            data=source_of(data).picture(data, example.image_key).data
        )
        for name in (base, model):
            asked = _ask(
                project, caller, example.skill, name, image, example.params, name=f"Held-out scene {number}",
                sample="", is_measurement=True,
            )  # fmt: skip
            made.append(asked)
        rows.append(
            HeldOutScene(
                project=project, number=number, image_key=example.image_key, reference=example.reference,
                right=completion(example.target or {}), base_run=made[-2], tuned_run=made[-1],
            )
        )  # fmt: skip
    return rows


def _take_back(runs: list[Run]) -> None:
    for run in runs:
        job_id = run.job_id
        run.delete()
        inference.jobs_delete(ids={job_id})


# The summary.


def summary_share(*, project: GuidedProject, who: Who, with_model: bool) -> str:
    """A link that shows the summary to whoever has it; its token. Shared again, it is the same link.

    Args:
        with_model: whoever has the link may ask the tuned model and take it away.

    Raises:
        DomainError: the model cannot be shared.
    """
    training = project.training
    if training is not None:
        kind = Finetune.Visibility
        wanted = kind.LINK if with_model else kind.PRIVATE
        if training.finetune.visibility != kind.PUBLIC and training.finetune.visibility != wanted:
            tuning.finetune_share(
                finetune=training.finetune, who=who, visibility=wanted, card=training.finetune.card
            )
    if project.share_token is None:
        project.share_token = secrets.token_urlsafe(18)
        _save(project)
    return project.share_token


def summary_unshare(*, project: GuidedProject, who: Who) -> None:
    """Make the link show nothing any more, and the model its owner's alone again. Safe to repeat."""
    training = project.training
    if training is not None and training.finetune.visibility == Finetune.Visibility.LINK:
        tuning.finetune_share(
            finetune=training.finetune, who=who, visibility=Finetune.Visibility.PRIVATE,
            card=training.finetune.card,
        )  # fmt: skip
    project.share_token = None
    _save(project)


def project_delete(*, project: GuidedProject) -> None:
    """Delete a project for good, with its questions and its link. The tuned model stays in the console.

    Raises:
        RedisError: something of it is answered right now, and its worker cannot be told.
    """
    sessions.session_delete(session=project.session)


def models_adopt(*, user: Any) -> int:
    """Give an account the models that its guided projects trained before it signed in; how many."""
    own = GuidedProject.objects.filter(session__owner=user, training__finetune__owner=None)
    ids = list(own.exclude(training=None).values_list("training__finetune", flat=True))
    return tuning.finetunes_adopt(ids=ids, user=user) if ids else 0


def reward_bring(*, project: GuidedProject, reward: Reward) -> None:
    """A reward of the builder, for a project."""
    view = ProjectView(project)
    aim = project.aim or next(a.slug for a in AIMS.values() if a.skill == view.skill)
    reward_choose(project=project, aim=aim, reward=reward)
