"""One question as code that asks it again: Python, JavaScript, a shell script, a notebook.

What a stranger wrote is only ever a literal of the language, never a part of its text: Python's by
`repr` in ASCII (`!a`), JavaScript's and JSON's by `json.dumps` in ASCII. So prompts with quotes, line breaks, `$(…)` or
`</script>` come out as they went in.
"""

import base64
import json
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

RESULTS = {"caption": "caption", "query": "answer", "detect": "objects", "point": "points"}
"""Where a skill's answer stands in its reply."""
_FIELDS = {"caption": "length", "query": "question", "detect": "object", "point": "object"}
_KINDS = {"jpg": "jpeg"}
_BESIDE = "Put the image that was asked about beside this file, under this name."


@dataclass(frozen=True, slots=True)
class Picture:
    """The image of a question: where it is, or what it is."""

    name: str
    """Of the file beside the code, with its extension."""
    sha256: str = ""
    """Of the file; empty where the one that was asked about is not known byte by byte."""
    address: str = ""
    """Where anybody gets it; empty: the reader puts the file there."""
    data: bytes = b""
    """The file itself, for a small one: then neither name nor address is needed."""

    @property
    def prefix(self) -> str:
        """What its data URL begins with."""
        extension = self.name.rpartition(".")[2].lower()
        return f"data:image/{_KINDS.get(extension, extension)};base64,"


class Model(NamedTuple):
    """A model as it was when it was asked."""

    name: str
    revision: str
    quantization: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides an answer."""

    site: str
    """ "https://host", without a slash at the end."""
    skill: str
    """caption, query, detect or point."""
    model: str
    """A variant's slug, or `base/finetune@step`."""
    revision: str
    quantization: str
    """ "", "int8" or "nf4"."""
    params: Mapping[str, Any]
    """`length`, `question` or `object`; of query also `reasoning` and `spatial_refs`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """temperature, top_p, max_tokens, max_objects, seed."""
    picture: Picture | None = None
    others: tuple["Model", ...] = ()
    """Further models that are asked the same: the answers are printed by model then."""

    @property
    def models(self) -> list["Model"]:
        """All that are asked."""
        return [Model(self.model, self.revision, self.quantization), *self.others]

    @property
    def request(self) -> dict[str, Any]:
        """The body of `/v1/<skill>` but for the image."""
        extra = {n: self.params[n] for n in ("reasoning", "spatial_refs") if self.params.get(n)}
        name = _FIELDS[self.skill]
        return {
            name: self.params[name], **extra, "model": self.model, "settings": dict(self.settings),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Export:
    """One form of a recipe."""

    slug: str
    label: str
    extension: str
    media_type: str
    write: Callable[[Recipe], str]

    def file_name(self, recipe: Recipe) -> str:
        """Never the client's own: Python would import the script in its place."""
        return f"moondream-{recipe.skill}.{self.extension}"


# Python.


def _python_models(recipe: Recipe) -> str:
    if not recipe.others:
        return f"MODEL = {recipe.model!a}\nREVISION, QUANTIZATION = {recipe.revision!a}, {recipe.quantization!a}"
    rows = "".join(f"    {tuple(model)!a},\n" for model in recipe.models)
    return f"# Model, revision, quantization.\nMODELS = [\n{rows}]"


def python_head(recipe: Recipe) -> str:
    return f"""\
# pip install moondream. A key is needed for models that are yours alone: set MOONDREAM_API_KEY.
import base64
import hashlib
import json
import os
import sys
import urllib.request
from pathlib import Path

import moondream as md
from moondream.types import Base64EncodedImage

SITE = {recipe.site!a}
{_python_models(recipe)}
KEY = os.environ.get("MOONDREAM_API_KEY")
"""


_PYTHON_CHECK = """\
# Other weights, or another precision, answer otherwise.
asked = urllib.request.Request(f"{SITE}/v1/models/{MODEL}", headers={"X-Moondream-Auth": KEY or ""})
with urllib.request.urlopen(asked) as reply:
    now = json.load(reply)
if (now["revision"], now["quantization"]) != (REVISION, QUANTIZATION):
    print(f"{MODEL} is at revision {now['revision']} {now['quantization']} now.", file=sys.stderr)
"""


def python_image(picture: Picture | None) -> str:
    if picture is None:
        return "image = None\n"
    if picture.data:
        read = f'data = base64.b64decode("{base64.b64encode(picture.data).decode()}")\n'
    else:
        read = f"file = Path({picture.name!a})\n"
        if not picture.address:
            read = f"# {_BESIDE}\n{read}"
        else:
            read += f"if not file.exists():\n    urllib.request.urlretrieve({picture.address!a}, file)\n"
        read += "data = file.read_bytes()\n"
        if picture.sha256:
            read += (
                f"if hashlib.sha256(data).hexdigest() != {picture.sha256!a}:\n"
                '    print(f"{file} is not the image that was asked about.", file=sys.stderr)\n'
            )
    return (
        "# As it is: the client would write it anew as a JPEG, which changes it.\n" + read
        + f"image = Base64EncodedImage(image_url={picture.prefix!a} + base64.b64encode(data).decode())\n"
    )  # fmt: skip


def _python_ask_all(recipe: Recipe) -> str:
    """Each model checked and asked; prints a JSON object of their answers by model."""
    given = {name: v for name, v in recipe.request.items() if name != "model"}
    arguments = "".join(f"        {name}={value!a},\n" for name, value in given.items())
    return f"""\
answers = {{}}
for MODEL, REVISION, QUANTIZATION in MODELS:
{textwrap.indent(_PYTHON_CHECK, "    ")}\
    model = md.vl(endpoint=f"{{SITE}}/v1", model=MODEL, api_key=KEY)
    result = model.{recipe.skill}(
        image,
{arguments}    )
    answers[MODEL] = result[{RESULTS[recipe.skill]!a}]
print(json.dumps(answers))
"""


def _python_ask(recipe: Recipe) -> str:
    given = {name: v for name, v in recipe.request.items() if name != "model"}
    arguments = "".join(f"    {name}={value!a},\n" for name, value in given.items())
    return f"""\
model = md.vl(endpoint=f"{{SITE}}/v1", model=MODEL, api_key=KEY)
result = model.{recipe.skill}(
    image,
{arguments})
print(json.dumps(result[{RESULTS[recipe.skill]!a}]))
"""


def python(recipe: Recipe) -> str:
    """A script for the official client. Prints the answer as JSON."""
    return "\n".join(source for _, source in _python_parts(recipe))


def _python_parts(recipe: Recipe) -> list[tuple[str, str]]:
    """The script in pieces, each by its name."""
    head, image = ("setup", python_head(recipe)), ("image", python_image(recipe.picture))
    if recipe.others:
        return [head, image, ("ask", _python_ask_all(recipe))]
    return [head, ("model", _PYTHON_CHECK), image, ("ask", _python_ask(recipe))]


# JavaScript.


def _script(value: Any) -> str:
    """A JSON value as a JavaScript literal that is safe within HTML too."""
    return json.dumps(value).replace("<", "\\u003c")


def _javascript_image(picture: Picture | None) -> str:
    if picture is None:
        return ""
    if picture.data:
        url = _script(picture.prefix + base64.b64encode(picture.data).decode())
        return f"request.image_url = {url};\n"
    lines = f"const file = {_script(picture.name)};\n"
    if not picture.address:
        lines = f"// {_BESIDE}\n{lines}"
    else:
        lines += (
            "if (!existsSync(file)) writeFileSync(file, Buffer.from("
            f"await (await fetch({_script(picture.address)})).arrayBuffer()));\n"
        )
    lines += "const data = readFileSync(file);\n"
    if picture.sha256:
        lines += (
            f'if (createHash("sha256").update(data).digest("hex") !== {_script(picture.sha256)}) '
            "console.error(`${file} is not the image that was asked about.`);\n"
        )
    return lines + f'request.image_url = {_script(picture.prefix)} + data.toString("base64");\n'


def javascript(recipe: Recipe) -> str:
    """A module for Node 18 or newer without dependencies: the official client sends no settings. Prints
    the answer as JSON; of several models an object of answers by model."""
    models = [list(model) for model in recipe.models]
    request = {name: value for name, value in recipe.request.items() if name != "model"}
    result = f"result[{_script(RESULTS[recipe.skill])}]"
    shown = "answers" if recipe.others else f"answers[{_script(recipe.model)}]"
    return f"""\
// For Node 18 or newer. A key is needed for models that are yours alone: set MOONDREAM_API_KEY.
import {{ createHash }} from "node:crypto";
import {{ existsSync, readFileSync, writeFileSync }} from "node:fs";

const site = {_script(recipe.site)};
// Model, revision, quantization.
const models = {_script(models)};
const request = {_script(request)};
const headers = {{ "Content-Type": "application/json", "X-Moondream-Auth": process.env.MOONDREAM_API_KEY ?? "" }};

async function ask(path, options) {{
  const reply = await fetch(`${{site}}/v1/${{path}}`, {{ headers, ...options }});
  if (!reply.ok) throw new Error(`${{reply.status}} ${{await reply.text()}}`);
  return reply.json();
}}

{_javascript_image(recipe.picture)}
const answers = {{}};
for (const [model, revision, quantization] of models) {{
  // Other weights, or another precision, answer otherwise.
  const now = await ask(`models/${{model}}`);
  if (now.revision !== revision || now.quantization !== quantization) console.error(`${{model}} is at revision ${{now.revision}} ${{now.quantization}} now.`);
  const result = await ask({_script(recipe.skill)}, {{ method: "POST", body: JSON.stringify({{ ...request, model }}) }});
  answers[model] = {result};
}}
console.log(JSON.stringify({shown}));
"""


# A shell script.


def _word(text: str) -> str:
    """A shell word. Nothing is read in it."""
    return "'" + text.replace("'", "'\\''") + "'"


def _json_word(value: Any) -> str:
    """JSON as a shell word, with no quote mark that would end it."""
    return "'" + json.dumps(value).replace("'", "\\u0027") + "'"


def curl(recipe: Recipe) -> str:
    """A script for bash with curl. Prints the reply; of several models, each one's on a line."""
    lines = [
        "#!/usr/bin/env bash",
        "# A key is needed for models that are yours alone: set MOONDREAM_API_KEY.",
        "set -euo pipefail",
        f"site={_word(recipe.site)}",
        'key="X-Moondream-Auth: ${MOONDREAM_API_KEY:-}"',
        *_curl_image(recipe.picture),
    ]
    for model in recipe.models:
        lines += _curl_ask(recipe, model)
        if recipe.others:
            lines.append("echo")
    return "\n".join(lines) + "\n"


def _curl_image(picture: Picture | None) -> list[str]:
    """The file of an image that is not written into the script."""
    if picture is None or picture.data:
        return []
    file = _word(picture.name)
    lines = [f"# {_BESIDE}"]
    if picture.address:
        lines = [f"test -e {file} || curl -sSf -o {file} {_word(picture.address)}"]
    if picture.sha256:
        lines.append(
            f"printf '%s  %s\\n' {picture.sha256} {file} | sha256sum -c --quiet - || "
            "echo 'This is not the image that was asked about.' >&2"
        )
    return lines


def _curl_ask(recipe: Recipe, model: Model) -> list[str]:
    """One model checked and asked."""
    picture, request = recipe.picture, {**recipe.request, "model": model.name}
    if picture is None:
        sent = f"printf '%s' {_json_word(request)}"
    elif picture.data:
        url = picture.prefix + base64.b64encode(picture.data).decode()
        sent = f"printf '%s' {_json_word({**request, 'image_url': url})}"
    else:
        start, end = _json_word({**request, "image_url": picture.prefix})[:-3], "'"
        sent = f"""{{ printf '%s' {start}{end}; base64 < {_word(picture.name)} | tr -d '\\n'; printf '"}}'; }}"""
    return [
        "",
        f"model={_word(model.name)} revision={_word(json.dumps(model.revision))}",
        "# Other weights answer otherwise.",
        'now=$(curl -sSf -H "$key" "$site/v1/models/$model")',
        'case "$now" in',
        '  *"\\"revision\\": $revision"*) ;;',
        '  *) echo "$model is at another revision now." >&2 ;;',
        "esac",
        "",
        f"{sent} |",
        '  curl -sS --fail-with-body -H "$key" -H "Content-Type: application/json" --data-binary @- \\',
        f'  "$site/v1/{recipe.skill}"',
    ]


# A notebook.


def words_cell(name: str, text: str) -> dict[str, Any]:
    """A notebook's cell of Markdown."""
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def code_cell(name: str, source: str) -> dict[str, Any]:
    """A notebook's cell of Python, not run yet."""
    return {
        "cell_type": "code", "id": name, "metadata": {}, "outputs": [], "execution_count": None,
        "source": source.rstrip("\n"),
    }  # fmt: skip


def notebook_of(cells: list[dict[str, Any]]) -> str:
    """A notebook (nbformat 4.5)."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made = {
        "cells": cells, "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4, "nbformat_minor": 5,
    }  # fmt: skip
    return json.dumps(made, indent=1) + "\n"


_ABOUT = "# A question of the playground\n\nThe cells check the model's revision and the image, and ask again."


def notebook(recipe: Recipe) -> str:
    """The Python as a notebook."""
    code = [code_cell(name, source) for name, source in _python_parts(recipe)]
    return notebook_of([words_cell("about", _ABOUT), *code])


EXPORTS: Mapping[str, Export] = {
    each.slug: each
    for each in (
        Export("python", "Python", "py", "text/x-python", python),
        Export("javascript", "JavaScript", "mjs", "text/javascript", javascript),
        Export("curl", "cURL", "sh", "application/x-sh", curl),
        Export("notebook", "Notebook", "ipynb", "application/x-ipynb+json", notebook),
    )
}
"""By the last part of their address."""
