# ruff: noqa: ISC004  # tuples of (language, code)
"""The documentation that a new site starts with."""

from typing import Any

from django.conf import settings
from markdown_it import MarkdownIt

Block = tuple[str, Any]


def _p(html: str) -> Block:
    return "prose", html


def _code(title: str, *tabs: tuple[str, str]) -> Block:
    return "code", {"title": title, "tabs": [{"language": k, "code": v} for k, v in tabs]}


def _note(html: str, tone: str = "info") -> Block:
    return "note", {"tone": tone, "text": html}


def _guide(name: str) -> list[Block]:
    """A guide of the repository's `docs` folder: one source, read there and on the site."""
    text = (settings.BASE_DIR / "docs" / f"{name}.md").read_text()
    return [_p(MarkdownIt("commonmark").enable("table").render(text).replace("strong>", "b>"))]


_CAPTION = (
    ("python", 'import moondream as md\nfrom PIL import Image\n\nmodel = md.vl(endpoint="{base_url}")\n'
               'image = Image.open("scene.png")\nprint(model.caption(image, length="short")["caption"])'),
    ("javascript", 'import { vl } from "moondream";\nimport { readFileSync } from "node:fs";\n\n'
                   'const model = new vl({ endpoint: "{base_url}" });\n'
                   'const { caption } = await model.caption({ image: readFileSync("scene.png"), length: "short" });\n'
                   "console.log(caption);"),
    ("shell", 'curl -s {base_url}/caption -H "Content-Type: application/json" -d @- <<JSON\n'
              '{"image_url": "data:image/png;base64,$(base64 < scene.png | tr -d \'\\n\')", "length": "short"}\nJSON'),
)  # fmt: skip
_DETECT = (
    ("python", 'found = model.detect(image, "red circle")["objects"]\n'
               "for box in found:\n    print(box[\"x_min\"], box[\"y_min\"], box[\"x_max\"], box[\"y_max\"])\n\n"
               'print(model.point(image, "red circle")["points"])'),
    ("javascript", 'const image = readFileSync("scene.png");\n'
                   'const { objects } = await model.detect({ image, object: "red circle" });\n'
                   'const { points } = await model.point({ image, object: "red circle" });'),
    ("json", '{"objects": [{"x_min": 0.12, "y_min": 0.31, "x_max": 0.29, "y_max": 0.48}]}'),
)  # fmt: skip
_STREAM = (
    ("python", 'for piece in model.query(image, "Where is the star?", stream=True)["answer"]:\n'
               '    print(piece, end="", flush=True)'),
    ("javascript", 'const { answer } = await model.query({ image, question: "Where is the star?", stream: true });\n'
                   "for await (const piece of answer) process.stdout.write(piece);"),
)  # fmt: skip

CHAPTERS: list[dict[str, Any]] = [
    {
        "slug": "start", "title": "Start", "lede": "From nothing to a first answer.",
        "articles": [
            {"slug": "quickstart", "title": "Quickstart", "lede": "One client, one image, one answer.",
             "body": [
                _p("<p>This server speaks the wire format of Moondream's official clients. Install one, "
                   "point it here, and ask. No key is needed.</p><h2>Install a client</h2>"),
                _code("", ("python", "pip install moondream --no-deps pillow"), ("javascript", "npm install moondream")),
                _note("<p><code>--no-deps</code> keeps pip from fetching a GPU engine of several gigabytes that "
                      "only local inference needs.</p>"),
                _p("<h2>Ask</h2>"),
                _code("A caption", *_CAPTION),
                _p("<h2>Where to go from here</h2><p>Try the same in the <a href=\"/playground/\">playground</a>, "
                   "read what each <a href=\"/docs/guides/skills/\">skill</a> answers, or look up every field in the "
                   "<a href=\"/docs/api/\">reference</a>.</p>"),
             ]},
            {"slug": "environment", "title": "Run it yourself", "lede": "The whole site on your own machine, without root and without Docker.",
             "body": [
                _p("<h2>What you need</h2><p>Python 3.11 or newer, 4 GB of memory and 4 GB of disk. PostgreSQL and "
                   "Valkey come as Python packages.</p>"),
                _code("Two commands", ("shell", "bin/demo   # installs, migrates, starts, prints the address\nbin/test   # runs every test")),
                _p("<h2>In production</h2><p>Only environment variables differ: <code>.env.example</code> lists them. "
                   "<code>docker-compose.yml</code> starts web, worker, scheduler and the servers; "
                   "<code>docs/operations.md</code> has the proxy, files in a bucket, backups and how one is brought back.</p>"
                   "<h2>An official checkpoint</h2><p>The embedded model is small, and knows drawn scenes alone. One command fetches "
                   "Moondream2, or takes the files you have, and lets it answer. Disk and memory are looked at first; what was "
                   "fetched is checked; the precision is the best that fits, and it is said why. A fetch that was broken off goes "
                   "on where it stopped. The embedded model stays, and answers again by the third line.</p>"),
                _code("", ("shell", "bin/demo --model moondream2\nbin/demo --model /path/to/moondream2\nbin/demo --model embedded")),
                _p("<p>On a server, the same by parts:</p>"),
                _code("", ("shell", "python manage.py models use moondream2\npython manage.py models pull moondream2\npython manage.py models add /path/to/moondream2 --revision 2025-06-21\npython manage.py models list\npython manage.py models report")),
                _p("<p>Where the model hub cannot be reached, take files that were fetched elsewhere, a key "
                   "for Moondream's cloud (<code>MOONDREAM_API_KEY</code>), or another server of this API, as one on your own "
                   "machine: <code>python manage.py models remote http://localhost:2020/v1</code>. Images that are asked of "
                   "those two leave the server.</p>"),
                _p("<p>Any published form is read: today's, older ones, sharded, or the vendor's 4-bit files. Names and "
                   "shapes are checked; no code of the checkpoint is ever run.</p>"),
             ]},
        ],
    },
    {
        "slug": "guides", "title": "Guides", "lede": "How to do one thing well.",
        "articles": [
            {"slug": "skills", "title": "Skills", "lede": "Caption, query, detect, point: what each takes and gives.",
             "body": [
                _p("<h2>Caption</h2><p>Describes the image in one of three lengths: short, normal, long.</p>"
                   "<h2>Query</h2><p>Answers a question. Ask for one thing at a time; a small model does best with plain words.</p>"
                   "<h2>Detect and point</h2><p>Find every object that a phrase names: boxes, or centres. "
                   "Coordinates are 0 to 1 of width and height, from the top left. An empty list means that nothing was found.</p>"),
                _code("", *_DETECT),
                _p("<h2>A place in the question</h2><p>Send <code>spatial_refs</code> with a query to ask about a place: "
                   "a point <code>[x, y]</code> or a box <code>[x_min, y_min, x_max, y_max]</code>, and a question like "
                   "“What is here?”.</p>"
                   "<h2>OpenAI’s clients</h2><p>Give them <code>/v1</code> of this server as <code>base_url</code>, and any "
                   "<code>api_key</code>. <code>chat.completions</code> asks the last user turn about the newest image; "
                   "earlier turns are not read. <code>temperature</code>, <code>top_p</code>, <code>seed</code>, "
                   "<code>max_tokens</code>, <code>stop</code> and streams with <code>include_usage</code> work. What would change the answer and "
                   "is not done here, such as <code>n</code>, <code>tools</code>, <code>logprobs</code> or "
                   "<code>response_format</code>, is refused by name. <code>models</code> lists the variants.</p>"),
             ]},
            {"slug": "streaming", "title": "Streaming", "lede": "Show the answer while it is being written.",
             "body": [
                _p("<p>Captions and answers stream token by token as server-sent events; the official clients give "
                   "an iterator.</p>"),
                _code("", *_STREAM),
                _p("<h2>Jobs, for a page of your own</h2><p><code>POST /v1/jobs</code> returns at once with an address of "
                   "events. Each event has an id: reconnect with <code>Last-Event-ID</code> and nothing is lost. "
                   "A stream that ends with an <code>error</code> of the code <code>stream_interrupted</code> is one to "
                   "reconnect to; the job goes on. "
                   "Send an <code>Idempotency-Key</code>, and a repeated request gives the same job, also "
                   "after the connection was lost. A job that was cancelled, or failed on our side, is asked anew.</p>"),
             ]},
            {"slug": "errors", "title": "Errors", "lede": "One shape, a code that never changes, and what to do.",
             "body": [
                _code("", ("json", '{"error": {"message": "There is no model variant \'x\'. Available: moondream-embedded.",\n'
                                   '           "type": "not_found_error", "param": null, "code": "variant_not_found",\n'
                                   '           "hint": "Available: moondream-embedded."}}')),
                _p("<p>Handle <code>code</code>, show <code>message</code>, which ends with the hint. <code>param</code> "
                   "names the field that is wrong. A 429 or a 503 carries "
                   "<code>Retry-After</code> in seconds. Under <code>/api</code> errors follow RFC 9457.</p>"
                   "<h2>How often you may ask</h2><p>An address may ask {address_rate}; an account with an API key {key_rate}, by "
                   "all its keys together. IPv6 addresses of one /64 count as one. A made-up token changes nothing. "
                   "Searches and downloads, streams, and pages are counted apart. "
                   "Over the limit the answer is 429: wait for the seconds it names, then send the same again:</p>"),
                _code("", ("python", 'import json\nimport random\nimport time\nimport urllib.error\nimport urllib.request\n\n'
                                     'def ask(request, tries=6):\n'
                                     '    while True:\n'
                                     '        tries -= 1\n'
                                     '        try:\n'
                                     '            with urllib.request.urlopen(request) as answer:\n'
                                     '                return json.load(answer)\n'
                                     '        except urllib.error.HTTPError as error:\n'
                                     '            if error.code not in (429, 503) or not tries:\n'
                                     '                raise\n'
                                     '            wait = int(error.headers.get("Retry-After", 5))\n'
                                     '        time.sleep(wait * random.uniform(1, 1.2))')),
                _p("<p><code>moondream_hub.py</code> and the playground wait by themselves.</p>"),
                ("errors", {"title": "Every error, by its code"}),
             ]},
            {"slug": "leaderboards", "title": "Submit to a leaderboard", "lede": "Predictions in, scores with intervals out.",
             "body": [
                _p("<p>A score is never typed in: it is computed here from what your model said about each item, against "
                   "references that no address serves. Make an account and an API key (<a href=\"/account/keys/\">Account, "
                   "API keys</a>), download <a href=\"/leaderboards/moondream_hub.py\">moondream_hub.py</a> and run:</p>"),
                _code("", ("python", 'import moondream_hub as hub\n\n'
                                     'board = hub.Board("{site}", "world-vqa", key="mdh_…")\n'
                                     'items = board.items("dev")  # with references; "test" comes without\n'
                                     'predictions = [{"id": item["id"], "answer": ask(board.image(item), item["prompt"])}\n'
                                     '               for item in items]\n'
                                     'board.check(predictions, split="dev")  # costs nothing\n'
                                     'print(board.submit(predictions, split="dev", model_name="My model")["scores"])')),
                _p("<p>For detection a line holds boxes as <code>/v1/detect</code> returns them: "
                   "<code>confidence</code> is read as <code>score</code>. Where the items have several classes each box names "
                   "its own in <code>label</code>:</p>"),
                _code("", ("json", '{"id": "…", "objects": [{"x_min": 0.1, "y_min": 0.2, "x_max": 0.4, "y_max": 0.5, '
                                   '"label": "person", "score": 0.9}]}')),
                _p("<ul><li>A file is read before it is counted: bad lines come back by line and id, and cost nothing.</li>"
                   "<li>Checking warns of a file that can be read and must score nothing: no labels, no scores, counts that are no "
                   "numbers, answers that are all the same.</li>"
                   "<li>JSON lines or one JSON array, in UTF-8, plain or packed with gzip: up to {predictions_mb} MB, and {predictions_unpacked_mb} MB unpacked.</li>"
                   "<li>What fails on our side gives the quota back.</li>"
                   "<li>A submission counts for your team and for you, in whichever team, on the day (UTC) your request came in.</li>"
                   "<li>In several teams, name one: <code>hub.Board(…, team=\"Our team\")</code>. Otherwise it is the one you have been in longest.</li>"
                   "<li>The same scorer runs at home: <code>python -m leaderboard.scoring vqa dev.jsonl mine.jsonl</code>.</li>"
                   "<li>Every figure carries a signature: metric, version, tokeniser, data, seed. The data part of a hidden split is keyed: it tells whether two figures are of the same items, and nothing of them.</li>"
                   "<li>Of a hidden split no small slice is told, and no more digits than its size supports.</li></ul>"),
                _p("<h2>Challenges</h2><p>A <a href=\"/research/challenges/\">challenge</a> is a leaderboard with dates. Join with your "
                   "team on its page and accept the rules, then submit as above with <code>challenge</code>; the phase of the moment "
                   "says for which split, and how often:</p>"),
                _code("", ("python", 'board = hub.Board("{site}", "world-counting", key="mdh_…")\n'
                                     'board.submit(predictions, model_name="My model", challenge="count-the-shelf")\n'
                                     'print(board.standings("count-the-shelf")["rows"])')),
                _p("<ul><li>A deadline is judged by when your request reached the server.</li>"
                   "<li>Ranks follow a score within seconds: while <code>stale_since</code> is set, tables are being recomputed.</li>"
                   "<li>Frozen standings show what arrived before the freeze; your team still sees its own scores.</li>"
                   "<li>In the end the hidden split ranks what your team let count: its best submission of the last phase, or the one you chose. What counted stays: withdrawn later, it leaves a gap.</li>"
                   "<li>While a phase is sealed, its split takes submissions to the challenge alone.</li>"
                   "<li>If the organisers decline or disqualify a team, it sees why on the challenge's page; others do not.</li></ul>"),
             ]},
            {"slug": "prompts", "title": "Prompts that work", "lede": "Short phrases, one question, the words of the image.",
             "body": [
                _p("<ul><li>Detect and point take a phrase, not a sentence: “red circle”, not “please find me the red circle”.</li>"
                   "<li>Ask for one thing. “How many stars are there?” beats “Count the stars and say their colours.”</li>"
                   "<li>The embedded model knows its own world only: shapes, signs, shelves, plates and phantoms as they are drawn here. "
                   "On a photograph it answers with confidence, and wrongly.</li></ul>"),
             ]},
        ],
    },
    {
        "slug": "concepts", "title": "Concepts", "lede": "What happens between an image and an answer.",
        "articles": [
            {"slug": "architecture", "title": "Architecture", "lede": "An image becomes a prefix; a decoder reads on.",
             "body": [
                _p("<p>A vision transformer turns the image into tokens. They stand at the beginning of the sequence and all "
                   "see each other; the question and the answer follow, each token seeing only what came before it. "
                   "The image is encoded once and kept: a second question on it skips that step.</p>"
                   "<h2>Coordinates</h2><p>Points and boxes are not spelled out as text. The decoder's state goes through a head "
                   "of its own to one of 1,024 bins, and the chosen value is fed back as <a href=\"/research/papers/fourier-features/#sec-mapping\">Fourier features</a>.</p>"
                   "<h2>Where it comes from</h2><p>The encoder is of <a href=\"/research/papers/siglip/\">SigLIP</a>'s family, the decoder of "
                   "<a href=\"/research/papers/phi-1-5/#sec-architecture\">phi-1.5</a>'s.</p>"),
             ]},
            {"slug": "confidence", "title": "Confidence", "lede": "How sure it was of its choice, not how likely it is right.",
             "body": [
                _p("<p>The figure beside an answer is the geometric mean of the probabilities that the model gave to what it chose: "
                   "each token of a text, or the mass within 5% of the image around each coordinate.</p>"),
                _note("<p>A model outside its world can be sure and wrong. Look at the scores by category before you rely on it.</p>", "warn"),
             ]},
            {"slug": "precision", "title": "Precision", "lede": "The same weights in 16, 8 and 4 bits.",
             "body": [
                _p("<p>8-bit follows <a href=\"/research/papers/llm-int8/\">LLM.int8()</a>, 4-bit is "
                   "<a href=\"/research/papers/qlora/#sec-nf4\">NF4</a> with double quantisation. Embeddings and the heads for coordinates stay "
                   "in high precision. What fewer bits save depends on the machine and on the model's size.</p>"
                   "<p>What each variant takes in memory and time and how it scores, once it was measured on this server, is on the <a href=\"/product/#variants\">product page</a>.</p>"),
             ]},
            {"slug": "provenance", "title": "Where figures come from", "lede": "Every number says whether it was measured here.",
             "body": [
                _p("<ul><li><b>Verified</b>: scored on this server against references that nobody outside can see.</li>"
                   "<li><b>Reproduced</b> and <b>measured</b>: run by our own workers.</li>"
                   "<li><b>Reported</b>: as its source published it; the source is linked.</li>"
                   "<li><b>Sample</b>: an illustration, not a result.</li></ul>"),
             ]},
        ],
    },
    {
        "slug": "pipeline", "title": "Research pipeline", "lede": "How the embedded model is made, from scenes to weights.",
        "articles": [
            {"slug": "world", "title": "The world", "lede": "Scenes are drawn, so every reference is exact.",
             "body": [
                _p("<p>A scene is decided first and drawn second: what is where, of which colour, with which word on the sign. "
                   "Captions, questions, boxes and points follow from the scene, so a reference is true by construction.</p>"
                   "<ul><li><b>Shapes and signs</b>: six shapes, six colours, two sizes, numbers and sixteen words in two fonts.</li>"
                   "<li><b>Retail shelf</b>: 64 products in rows, with gaps.</li>"
                   "<li><b>Industrial defect</b>: a screwed plate with scratches, dents and missing screws.</li>"
                   "<li><b>Radiology-style phantom</b>: soft shapes with nodules. It is synthetic, shows no patient, and a score on it says nothing of real scans.</li></ul>"
                   "<p>The shipped weights were trained on all four.</p>"),
             ]},
            {"slug": "training", "title": "Training", "lede": "Seeded, resumable, on two cores.",
             "body": [
                _p("<p>First the encoder alone learns to name what lies under each patch; then the whole network learns captions, "
                   "answers, points and boxes together, nine tasks an image behind one prefix.</p>"),
                _code("", ("shell", "python manage.py train_embedded --out mine\npython -m bench.embedded --folder mine")),
                _p("<p>It goes on where it stopped, after a kill too. The scores by category are in the "
                   "<code>README.md</code> beside the weights.</p>"),
             ]},
            {"slug": "rewards", "title": "Rewards", "lede": "What a good answer is, as a number that anybody can check.",
             "body": [
                _p("<p>A reward gives a completion a number. Here it is a weighted sum of terms; each term is 0 to 1, and one that measures "
                   "something unwanted has a negative weight. The sum is divided by that of the weights' sizes, so that it lies in −1 to 1. "
                   'The <a href="/playground/rewards/">builder</a> scores real answers with it, best first, and gives it away as JSON or Python.</p>'
                   "<p>A term that needs a reference adds nothing where there is none of its kind. Nothing is trained by building a reward. "
                   'A <a href="/docs/pipeline/tuning/">tuning run</a> compares several answers to one question, as '
                   '<a href="/research/papers/grpo/#sec-grpo">GRPO</a> does, by their totals.</p>'),
                _code("", ("python", "from inference.engine.rewards import Reward\n\nreward = Reward.from_json(open(\"short-captions.json\").read())\n"
                           "score = reward.score(\"A red circle.\", \"A red circle on white.\")\nprint(score.total, score.values)"),
                      ("json", '{"format": "moondream-reward/1", "name": "Short captions", "normalise": "weights", "terms": [\n'
                               '  {"type": "cider", "weight": 1.0, "parameters": {"corpus": ""}},\n'
                               '  {"type": "brevity", "weight": 0.6, "parameters": {"wish": 10, "limit": 40}}\n]}')),
                _p("<p>The format is strict: an unknown field, a term that is not known, a figure out of its range or a pattern that never ends is "
                   "refused, with its path (<code>terms[1].parameters.limit</code>). Python that is imported is read, not run.</p>"
                   "<h2>Terms</h2><h3>BLEU</h3><p>Of one sentence, with the tokens of COCO's evaluation. One sentence has few n-grams, so one is added "
                   'to hits and n-grams from bigrams on: <a href="/research/papers/sentence-bleu/#sec-smoothing">smoothing 2 of Chen and Cherry</a>. It favours '
                   "short answers a little; a length term makes up for it.</p>"
                   "<h3>CIDEr-D</h3><p>A tenth of the usual figure. N-grams that are rare in a corpus weigh more, and one sentence has no corpus of its own: "
                   "the document frequencies are those of the forty captions of the public development split of World captions, always the same. For another "
                   "field paste captions of yours, one a line.</p>"
                   "<h3>Exact answer</h3><p>1 if the answer is one of the references but for case, blanks around it and a last full stop.</p>"
                   "<h3>Length</h3><p>1 within a range of words, then down to 0 in a line.</p>"
                   "<h3>Brevity</h3><p>1 up to the wished number of words, 0 at the limit and in between in a line: never more for more words. "
                   "Saying nothing is 0.</p>"
                   "<h3>Valid JSON</h3><p>The whole answer is JSON, without NaN and without words around it; then the share of wanted keys.</p>"
                   "<h3>Keywords</h3><p>The share of the words that occur, as whole words.</p>"
                   "<h3>Pattern</h3><p>1 if a regular expression matches. It may have 200 characters and 50 ms a text; one that is still searching then is 0.</p>"
                   "<h3>Boxes</h3><p>Pairs are made greedily by overlap, each box once. F1 of the pairs at a threshold, or their mean overlap where a box "
                   "without a partner counts as 0. The order of boxes changes nothing.</p>"
                   "<h3>Points inside</h3><p>F1 of points in the reference's boxes: each box is hit by one point, and what is left over on either side costs.</p>"
                   "<h3>Count</h3><p>1 for the right number, less by 1 / (tolerance + 1) for each one off. The number of boxes or points; in a text a numeral, "
                   "or a word to twenty.</p>"
                   "<h3>Repetition</h3><p>The share of n-grams said before. Its weight is negative.</p>"),
                _note("<p>A model that is tuned finds what a reward forgot. Rank answers you would never want, and see that none of them comes first.</p>", "warn"),
             ]},
            {"slug": "tuning", "title": "Tune a model", "lede": "A small adapter, trained by a reward or by right answers.",
             "body": _guide("tuning")},
        ],
    },
    {
        "slug": "editing", "title": "Editing this site", "lede": "For whoever keeps its pages, and what people send.",
        "articles": [
            {"slug": "editors", "title": "For editors", "lede": "Change pages, import papers, publish what is new.",
             "body": _guide("editors")},
            {"slug": "admins", "title": "For admins", "lede": "The model, keys, submissions, teams.",
             "body": _guide("admins")},
        ],
    },
]  # fmt: skip
