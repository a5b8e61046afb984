"""Trials: what a few sampled answers are worth, before anything is queued."""

import hashlib
import io
import time
import zipfile

import pytest
from PIL import Image

from inference.engine.rewards import Reward
from inference.errors import DomainError, NotFound
from inference.tuning import services
from inference.tuning.services import trials
from inference.tuning.sources import source_of
from inference.world.presets import world_examples
from tests.images import plain
from tests.inference.tuning.conftest import COUNT_RIGHT, COUNTS, QUICK

pytestmark = pytest.mark.django_db(transaction=True)
FLAT = {
    "format": "moondream-reward/1", "name": "Never",
    "terms": [{"type": "keywords", "weight": 1, "parameters": {"words": "zebra"}}],
}  # fmt: skip


@pytest.fixture
def ask(variants, who, monkeypatch):
    """Asks for a trial; a worker answers at once, unless it is said to be away."""

    def asked(by=None, *, is_answered=True, reward=COUNT_RIGHT, **plan):
        variant = services.base_of(None, who)
        checked = services.run_check(
            who=by or who, variant=variant, data=COUNTS, plan=QUICK | plan, reward=reward
        )

        def send(task, *args, lost, **options):
            if is_answered:
                task(*args)

        monkeypatch.setattr(trials, "send_on_commit", send)
        trial = services.trial_ask(who=by or who, variant=variant, checked=checked)
        return services.trial_get(trial.name)

    return asked


def test_sampled_answers_are_rewarded_before_a_run(ask):
    trial = ask(temperature=2.0, max_tokens=12)
    assert (trial.status, trial.is_flat) == ("done", False)
    assert len(trial.groups) == len(trial.flat) == trials.QUESTIONS
    for group, is_flat in zip(trial.groups, trial.flat, strict=True):
        rewards = [a["reward"] for a in group["answers"]]
        assert len(rewards) == trials.ANSWERS
        assert is_flat == (max(rewards) - min(rewards) <= 1e-6)
        reward = Reward.from_dict(COUNT_RIGHT)
        for answer in group["answers"]:
            text = answer["output"]["answer"]
            assert reward.score(text, group["reference"]).total == pytest.approx(answer["reward"])


def test_a_reward_that_tells_no_answer_from_another_is_named_flat(ask):
    assert ask(reward=FLAT).is_flat


def test_equal_settings_share_a_trial_and_others_do_not(ask, who, stranger):
    first = ask()
    assert ask(steps=3).name == first.name  # the number of steps samples nothing else
    assert ask(temperature=0.9).name != first.name
    assert ask(by=stranger).name != first.name


def test_one_at_a_time(ask, stranger):
    assert ask(is_answered=False).status == "waiting"
    assert ask(is_answered=False).status == "waiting"  # the same one
    with pytest.raises(DomainError) as refused:
        ask(is_answered=False, temperature=0.7)
    assert refused.value.code == "too_many_trials"
    assert ask(by=stranger).status == "done"


def test_a_trial_that_fails_says_why_and_can_be_asked_for_again(ask, monkeypatch):
    def broken(*args, **more):
        raise ValueError("no such thing")

    with monkeypatch.context() as patched:
        patched.setattr(trials, "_tried", broken)
        trial = ask()
        assert (trial.status, "no such thing" in trial.message) == ("failed", True)
    assert ask().status == "done"


def test_a_lost_trial_is_asked_for_again(ask, monkeypatch):
    monkeypatch.setattr(trials, "_LOST_S", 1)
    assert ask(is_answered=False).status == "waiting"
    time.sleep(1.1)
    assert ask().status == "done"


@pytest.mark.parametrize("domain", ["shapes", "shelf"])
def test_the_pictures_of_drawn_scenes_are_those_that_were_asked_about(domain):
    data = {"source": "world", "preset": "counts", "domain": domain, "count": 3, "seed": 5}
    world = source_of(data)
    for example in world_examples("counts", 3, seed=5, domain=domain):
        picture = world.picture(data, example.image_key)
        drawn = Image.open(io.BytesIO(picture.data)).convert("RGB")
        assert example.open_image
        asked = example.open_image()
        assert drawn.size == asked.size
        small = [im.resize((8, 8)).tobytes() for im in (drawn, asked)]
        assert max(abs(a - b) for a, b in zip(*small, strict=True)) < 12
    for strange in (
        "",
        "world:tune:5:none:1",
        "world:../x",
        "media:x.png",
        "world:tune:5:shapes:1x",
    ):
        with pytest.raises(NotFound):
            world.picture(data, strange)


def test_the_pictures_of_an_upload(who):
    image = plain(40, 30)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.png", image)
        archive.writestr("rows.jsonl", '{"image": "a.png", "question": "What?", "answer": "x"}\n')
    upload = services.upload_make(file=file, name="mine", who=who)
    data = {"source": "upload", "upload": str(upload.pk)}
    source = source_of(data)
    found = source.picture(data, hashlib.sha256(image).hexdigest())
    assert Image.open(io.BytesIO(found.data)).size == (40, 30)
    assert found.kind.startswith("image/")
    with pytest.raises(NotFound):
        source.picture(data, "0" * 64)
