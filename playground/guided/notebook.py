"""A guided project as a notebook: both models are asked again, and the training can be repeated.

As in `playground.exports`, what somebody wrote is only ever a literal of the language.
"""

import dataclasses
from typing import Any

from playground.exports import (
    RESULTS,
    Picture,
    Recipe,
    code_cell,
    notebook_of,
    python_head,
    python_image,
    words_cell,
)
from playground.guided.selectors import ProjectView
from playground.recipes import recipe_of

_ASK = """\
def ask(name, image, {parameters}):
    model = md.vl(endpoint=f"{{SITE}}/v1", model=name, api_key=KEY)
    return model.{skill}(image, {passed}, settings=SETTINGS)[{result!a}]


SETTINGS = {settings!a}
TUNED = {tuned!a}
"""
_BOTH = """\
answers = {{name: ask(name, image, {value!a}) for name in (MODEL, TUNED)}}
print(json.dumps(answers, indent=1))
"""
_TRAIN = """\
# The same training once more. A key of the scope "finetune" is needed, or the server's own network.
RUN = {run!a}
if os.environ.get("TRAIN_AGAIN"):
    headers = {{"Content-Type": "application/json", **({{"X-Moondream-Auth": KEY}} if KEY else {{}})}}
    asked = urllib.request.Request(f"{{SITE}}/v1/tuning/runs", json.dumps(RUN).encode(), headers)
    with urllib.request.urlopen(asked) as reply:
        print(json.load(reply))
"""


def of_project(view: ProjectView, *, site: str, image_address: str = "") -> str | None:
    """A project's notebook (nbformat 4.5); None where no model was trained.

    Args:
        site: "https://host", without a slash at the end.
        image_address: where somebody who did not ask gets the image.
    """
    run = view.project.training
    if view.base is None or run is None or not view.model:
        return None
    job = view.base.job
    recipe = recipe_of(job.pk, site=site, owner_key="" if image_address else job.owner_key)
    picture = recipe.picture
    if picture is not None and image_address and not picture.address and not picture.data:
        recipe = dataclasses.replace(
            recipe, picture=Picture(picture.name, picture.sha256, image_address)
        )
    asked = {
        "title": run.title, "model": run.finetune.variant.slug, "data": run.data, "reward": run.reward,
        "settings": run.plan,
    }  # fmt: skip
    cells = [
        words_cell("about", _about(view)),
        code_cell("setup", python_head(recipe)),
        code_cell("image", python_image(recipe.picture)),
        code_cell("models", _ask(recipe, view.model)),
        code_cell("ask", _BOTH.format(value=_value(recipe))),
        words_cell("training", "## Train it again"),
        code_cell("train", _TRAIN.format(run=asked)),
    ]
    return notebook_of(cells)


def _about(view: ProjectView) -> str:
    return (
        "# Before and after tuning\n\n"
        f"The base model `{view.base.job.model_name if view.base else ''}` and `{view.model}`, which was tuned from it, are asked "
        "the same. A model that its owner keeps to themselves answers with their key, or on their network, alone."
    )


def _value(recipe: Recipe) -> Any:
    return recipe.params.get("question") or recipe.params.get("length") or ""


def _ask(recipe: Recipe, tuned: str) -> str:
    is_question = recipe.skill == "query"
    return _ASK.format(
        parameters="question" if is_question else "length", skill=recipe.skill,
        passed="question=question" if is_question else "length=length", result=RESULTS[recipe.skill],
        settings=dict(recipe.settings), tuned=tuned,
    )  # fmt: skip
