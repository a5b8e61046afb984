"""The unmodified Python client tunes against a running stack: web server, and a worker that trains."""

import io
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import moondream as md
import pytest
import torch
from PIL import Image

from inference.engine.tuning.examples import Example
from inference.world.presets import world_examples
from tests.live import LiveStack

pytestmark = pytest.mark.live
_KEY = """
from django.contrib.auth import get_user_model
from pricing.models import Scope
from pricing.services import key_make
user = get_user_model().objects.create_user({name!r}, {name!r} + "@example.org", "x")
print(key_make(user=user, name="k", scopes={scopes!r})[1])
"""


_OPERATIONS = """
from inference.tuning.models import Operation
for o in Operation.objects.order_by("-created_at")[:2]:
    print(o.kind, o.status, o.attempt, o.error_code, o.error_message)
"""


def make_key(stack: LiveStack, name: str, *scopes: str) -> str:
    code = _KEY.format(name=name, scopes=list(scopes) or ["finetune", "infer"])
    return stack.manage("shell", "--no-imports", "-c", code).strip().splitlines()[-1]


@pytest.fixture(scope="module")
def stack(live_stack: LiveStack) -> Iterator[LiveStack]:
    live_stack.start_trainer()
    yield live_stack
    live_stack.end_worker("trainer")


@pytest.fixture(scope="module")
def key(stack: LiveStack) -> str:
    return make_key(stack, "tuner")


def seen(example: Example) -> Image.Image:
    assert example.open_image is not None
    return example.open_image()


def tuning(stack: LiveStack, key: str, **which):
    return md.ft(key, endpoint=f"{stack.base_url}/v1/tuning", **which)


def asked(stack: LiveStack, key: str, path: str, method: str = "GET", body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{stack.base_url}/v1/tuning{path}", data, method=method,
        headers={"X-Moondream-Auth": key, "Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def test_the_example_of_hands_with_shapes(stack, key) -> None:
    """Moondream's rock, paper, scissors: its settings and its flow, with drawn shapes for hands."""
    model = tuning(stack, key, name="rps", rank=8)
    examples = world_examples("shapes", 20, seed=3)
    means = []
    for number in range(20):
        example = examples[number]
        sampled = model.rollouts(
            "query", image=seen(example), question=example.params["question"], num_rollouts=4,
            settings={"temperature": 1.0, "max_tokens": 8},
        )  # fmt: skip
        right = example.reference["answers"][0]
        rewards = [float(r["output"]["answer"] == right) for r in sampled["rollouts"]]
        group = {
            "mode": "rl",
            "request": sampled["request"],
            "rollouts": sampled["rollouts"],
            "rewards": rewards,
        }
        told = model.train_step([group], lr=2e-4)
        assert told["step"] == number + 1
        means.append(told["reward_mean"])
        model.log_metrics(told["step"], {"reward": told["reward_mean"]})
    assert all(0 <= mean <= 1 for mean in means)
    saved = model.save_checkpoint()
    assert saved["checkpoint"]["step"] == 20
    assert [c["step"] for c in model.list_checkpoints()["checkpoints"]] == [20]


def sampled_of(model, example, count: int = 8):
    return model.rollouts(
        "query", image=seen(example), question=example.params["question"], num_rollouts=count,
        settings={"temperature": 1.2, "max_tokens": 4},
    )  # fmt: skip


def rewards_of(sampled) -> list[float]:
    """For "no", whatever is asked."""
    return [float(r["output"]["answer"] == "no") for r in sampled["rollouts"]]


def mean_reward(model, examples) -> float:
    found = [value for example in examples for value in rewards_of(sampled_of(model, example))]
    return sum(found) / len(found)


def test_right_answers_are_learnt_and_a_reward_rises(stack, key) -> None:
    """The base says "yes" to all of these. Two steps of examples make it doubt, six of reward decide."""
    model = tuning(stack, key, name="wording", rank=16)
    drawn = world_examples("existence", 20, seed=5)
    examples = [e for e in drawn if e.target and e.target["answer"] == "yes"][:6]
    before = mean_reward(model, examples)
    for _ in range(2):
        taught = [
            {"mode": "sft", "target": {"answer": "no"},
             "request": {"skill": "query", "question": e.params["question"], "image": seen(e)}}
            for e in examples
        ]  # fmt: skip
        told = model.train_step(taught, lr=1e-3)
    assert told["step"] == 2
    assert told["sft_loss"] > 0
    rewards = []
    for _ in range(6):
        groups: list[dict[str, Any]] = []
        for example in examples[:4]:
            sampled = sampled_of(model, example)
            parts = {"request": sampled["request"], "rollouts": sampled["rollouts"]}
            groups.append({**parts, "mode": "rl", "rewards": rewards_of(sampled)})
        told = model.train_step(groups, lr=1e-3)
        rewards.append(told["reward_mean"])
    after = mean_reward(model, examples)
    assert before < 0.2, before
    assert after > 0.8, (rewards, after)
    assert rewards[-1] > rewards[0] + 0.2, rewards
    again = tuning(stack, key, finetune_id=model.finetune_id)
    assert (again.name, again.rank) == ("wording", 16)


def test_places_with_what_is_right(stack, key) -> None:
    model = tuning(stack, key, name="places", rank=8)
    example = world_examples("boxes", 1, seed=1)[0]
    for skill, truth in (("detect", example.target), ("point", example.target)):
        sampled = model.rollouts(
            skill, image=seen(example), object=example.params["object"], num_rollouts=4,
            ground_truth=truth, settings={"temperature": 1.5, "max_objects": 4},
        )  # fmt: skip
        assert len(sampled["rewards"]) == 4
        group = {
            "mode": "rl",
            "request": sampled["request"],
            "rollouts": sampled["rollouts"],
            "rewards": sampled["rewards"],
        }
        right = {"mode": "sft", "request": sampled["request"], "target": truth}
        told = model.train_step([group, right], comment="kept out")
        assert told["applied"]
    assert told["step"] == 2


def test_many_samplings_at_once(stack, key) -> None:
    model = tuning(stack, key, name="stream", rank=8)
    examples = world_examples("counts", 6, seed=2)
    requests = [
        (
            number,
            {
                "skill": "query",
                "image": seen(e),
                "question": e.params["question"],
                "num_rollouts": 2,
            },
        )
        for number, e in enumerate(examples)
    ]
    found = dict(model.rollout_stream(iter(requests), max_concurrency=4))
    assert sorted(found) == list(range(6))
    assert all(len(each["rollouts"]) == 2 for each in found.values())


def test_names_lists_downloads_and_ends(stack, key) -> None:
    # The client sends a name and a rank; more is for whoever asks this server itself.
    made = asked(stack, key, "/finetunes", "POST", {"name": "listed", "rank": 8, "layers": "mlp"})
    assert (made["layers"], made["regions"]) == ("mlp", False)
    first = tuning(stack, key, name="listed", rank=8)
    assert tuning(stack, key, name="listed", rank=8).finetune_id == first.finetune_id
    with pytest.raises(urllib.error.HTTPError) as refused:
        tuning(stack, key, name="listed", rank=32)
    assert refused.value.code == 409
    assert json.load(refused.value)["error"]["code"] == "finetune_conflict"
    page = asked(stack, key, "/finetunes?limit=1")
    ids = [f["finetune_id"] for f in page["finetunes"]]
    while page["has_more"]:
        page = asked(stack, key, f"/finetunes?limit=1&cursor={page['next_cursor']}")
        ids += [f["finetune_id"] for f in page["finetunes"]]
    assert ids == sorted(ids)
    assert first.finetune_id in ids
    with pytest.raises(urllib.error.HTTPError) as refused:
        first.save_checkpoint()
    assert refused.value.code == 409
    image = seen(world_examples("counts", 1, seed=2)[0])
    request = {"skill": "query", "question": "Is it?", "image": image}
    first.train_step([{"mode": "sft", "request": request, "target": {"answer": "yes"}}])
    first.save_checkpoint()
    address = f"/finetunes/{first.finetune_id}/checkpoints/1/download"
    url = asked(stack, key, address)["url"]
    with urllib.request.urlopen(url, timeout=30) as response:
        held = torch.load(io.BytesIO(response.read()), weights_only=True)
    # As Moondream's own code for adapters reads it, from an address that it asks without a key.
    tensors = held["lora_state_dict"]
    assert all(re.fullmatch(r"text_lora\.dense\.\d+\.(up|down)_[ab]", name) for name in tensors)
    assert any(tensor.any() for name, tensor in tensors.items() if name.endswith("_b"))
    with urllib.request.urlopen(
        asked(stack, key, f"{address}?format=peft")["url"], timeout=30
    ) as response:
        names = zipfile.ZipFile(io.BytesIO(response.read())).namelist()
    assert set(names) == {
        "adapter_model.safetensors",
        "adapter_config.json",
        "moondream_adapter.json",
    }
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(url[:-3] + "abc", timeout=30)
    first.delete_checkpoint(1)
    assert first.list_checkpoints()["checkpoints"] == []
    first.delete()
    with pytest.raises(urllib.error.HTTPError) as refused:
        tuning(stack, key, finetune_id=first.finetune_id)
    assert refused.value.code == 404


def test_who_may_not(stack, key) -> None:
    mine = tuning(stack, key, name="mine", rank=8)
    for other, code in (
        ("", 401), ("nonsense", 401), (make_key(stack, "asker", "infer"), 403), (make_key(stack, "eve"), 404),
    ):  # fmt: skip
        with pytest.raises(urllib.error.HTTPError) as refused:
            tuning(stack, other, finetune_id=mine.finetune_id)
        assert refused.value.code == code


def test_a_killed_worker_loses_nothing(stack, key) -> None:
    """Killed while a step is asked for: it is trained once, by the worker that comes."""
    model = tuning(stack, key, name="killed", rank=8)
    image = seen(world_examples("counts", 1, seed=2)[0])
    group = {
        "mode": "sft",
        "request": {"skill": "query", "question": "Is it?", "image": image},
        "target": {"answer": "yes"},
    }
    assert model.train_step([group])["step"] == 1
    code = f"""
import io, moondream as md
from inference.world.presets import world_examples
model = md.ft({key!r}, finetune_id={model.finetune_id!r}, endpoint={stack.base_url + "/v1/tuning"!r})
image = world_examples("counts", 1, seed=2)[0].open_image()
group = {{"mode": "sft", "request": {{"skill": "query", "question": "Is it?", "image": image}}, "target": {{"answer": "yes"}}}}
print(model.train_step([group] * 40)["step"])
"""
    client = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    )
    time.sleep(2)  # it is on its way
    stack.kill_worker("trainer")
    stack.start_trainer()
    told, _ = client.communicate(timeout=120)
    assert told.strip() == "2", (
        stack.manage("shell", "--no-imports", "-c", _OPERATIONS) + stack.logs()
    )
    assert model.train_step([group])["step"] == 3
