"""Submit predictions to a Moondream hub: one file, nothing to install (Python 3.9 or newer).

import moondream_hub as hub

board = hub.Board("https://hub.example.org", "world-vqa", key="mdh_…")
items = board.items("dev")                      # id, image_url, prompt, and dev's references
predictions = [{"id": i["id"], "answer": ask(i)} for i in items]
board.check(predictions, split="dev")           # costs nothing
result = board.submit(predictions, split="dev", model_name="My model")
print(result["scores"])
"""

import email.utils
import gzip
import json
import random
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
import warnings

PATIENCE_S = 300
"""How long one call waits in all for a hub that is busy (429) or away for a moment (503)."""
_TRIES = 8


class HubError(Exception):
    """The hub said no. `problem` holds what it said (RFC 9457), with `lines` for a bad file."""

    def __init__(self, status, problem):
        self.status = status
        self.problem = problem
        lines = [f"line {p['line']} ({p['id']}): {p['problem']}" for p in problem.get("lines", [])]
        text = " ".join(filter(None, [problem.get("title", ""), problem.get("detail", "")]))
        super().__init__("\n".join([f"{status}: {text}", *lines]))


class Board:
    """One leaderboard of one hub."""

    def __init__(self, url, slug, key="", timeout=60, team=""):
        """`team` is whom you submit for, where you are in several: otherwise the one you have been in
        longest."""
        self.root = f"{url.rstrip('/')}/api"
        self.slug = slug
        self.key = key
        self.timeout = timeout
        self.team = team

    def about(self):
        """The leaderboard: its metrics, its splits, how a line of predictions looks."""
        return self._json("GET", f"/leaderboards/{self.slug}")

    def items(self, split):
        """What a model is given; of a public split with the references."""
        body = self._call("GET", f"/leaderboards/{self.slug}/splits/{split}/items")
        return [json.loads(line) for line in body.splitlines() if line.strip()]

    def image(self, item):
        """The bytes of an item's image."""
        return _open(urllib.request.Request(item["image_url"]), self.timeout)

    def quota(self, split=""):
        """What you have left with your team."""
        asked = urllib.parse.urlencode({"split": split, "team": self.team})
        return self._json("GET", f"/leaderboards/{self.slug}/quota?{asked}")

    def check(self, predictions, split=""):
        """Read predictions as scoring would; costs nothing. Warns of what will score nothing.

        Raises:
            HubError: with the lines that are wrong.
        """
        checked = self._send("check", predictions, {"split": split})
        for warned in checked.get("warnings", []):
            warnings.warn(warned["message"], stacklevel=2)
        return checked

    def submit(
        self,
        predictions,
        *,
        model_name,
        split="",
        challenge="",
        wait=True,
        idempotency_key="",
        **card,
    ):
        """Submit predictions (dicts, or the path of a file) and wait for their scores.

        With `challenge` (its slug) they count in that challenge, for the split of its phase.

        `card`: parameters, precision, revision, latency_ms, hardware, link, contact, note,
        open_weights, site_model (a model of the hub that predicted, as base/finetune@step), is_public,
        and team, if another than the board's.
        """
        fields = {
            "split": split,
            "model_name": model_name,
            "challenge": challenge,
            "team": self.team,
        }
        for name, value in card.items():
            fields[name] = str(value).lower() if isinstance(value, bool) else str(value)
        key = idempotency_key or str(uuid.uuid4())
        made = self._send("submissions", predictions, fields, {"Idempotency-Key": key})
        return self.wait(made["id"]) if wait else made

    def standings(self, challenge, phase="", page=1):
        """A page of a challenge's standings; the final ranking once it is published."""
        return self._json("GET", f"/challenges/{challenge}/standings?phase={phase}&page={page}")

    def wait(self, submission_id, seconds=600):
        """A submission once it is scored.

        Raises:
            HubError: scoring failed, or took too long.
        """
        deadline = time.monotonic() + seconds
        pause = 0.25
        while True:
            found = self.submission(submission_id)
            if found["status"] == "failed":
                raise HubError(
                    422, {"title": found["error"]["message"], "detail": found["error"]["code"]}
                )
            if found["status"] not in ("queued", "running"):
                return found
            if time.monotonic() > deadline:
                raise HubError(504, {"title": f"Not scored after {seconds} s; see {found['url']}."})
            time.sleep(pause)
            pause = min(5, pause * 1.5)

    def submission(self, submission_id):
        """A submission of your team."""
        return self._json("GET", f"/leaderboards/submissions/{submission_id}")

    def withdraw(self, submission_id):
        """Take a submission off the table for good."""
        return self._json("POST", f"/leaderboards/submissions/{submission_id}/withdraw")

    def _send(self, action, predictions, fields, headers=None):
        if isinstance(predictions, (list, tuple)):
            data = "".join(json.dumps(p) + "\n" for p in predictions).encode()
        else:
            with open(predictions, "rb") as file:
                data = file.read()
        packed = data if data[:2] == b"\x1f\x8b" else gzip.compress(data)
        mark = uuid.uuid4().hex
        parts = [
            f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        ]
        parts.append(
            f'--{mark}\r\nContent-Disposition: form-data; name="file"; '
            'filename="predictions.jsonl.gz"\r\nContent-Type: application/gzip\r\n\r\n'.encode()
        )
        body = b"".join(parts) + packed + f"\r\n--{mark}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={mark}"}
        return json.loads(
            self._call(
                "POST", f"/leaderboards/{self.slug}/{action}", body, {**kind, **(headers or {})}
            )
        )

    def _json(self, method, path):
        return json.loads(self._call(method, path))

    def _call(self, method, path, body=None, headers=None):
        sent = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        request = urllib.request.Request(
            self.root + path, body, {**sent, **(headers or {})}, method=method
        )
        try:
            return _open(request, self.timeout)
        except urllib.error.HTTPError as error:
            try:
                problem = json.loads(error.read())
            except ValueError:
                problem = {"title": error.reason}
            raise HubError(error.code, problem) from None


def _open(request, timeout):
    """The answer's bytes, again after the wait that a busy hub asks for."""
    deadline = time.monotonic() + PATIENCE_S
    tries = 0
    while True:
        tries += 1
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            wait = retry_after(error.headers.get("Retry-After"), 2 ** (tries - 1))
            late = time.monotonic() + wait > deadline
            if error.code not in (429, 503) or tries == _TRIES or late:
                raise
            error.close()
        time.sleep(wait)


def retry_after(value, default):
    """Seconds to wait, from a Retry-After of seconds or a date; a little more, so that those who were
    refused together do not come back together."""
    try:
        seconds = int(value)
    except (TypeError, ValueError):
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            seconds = default
    return min(max(1, seconds), 86_400) * random.uniform(1, 1.2)
