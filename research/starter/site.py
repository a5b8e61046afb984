"""The front page and the pages beside it that a new site starts with."""

from typing import Any

from research.models import DocsPage, StandardPage

NAVIGATION = [
    ("Product", "/product/", "header"), ("Playground", "/playground/", "header"),
    ("Research", "/research/", "header"),
    ("Leaderboards", "/leaderboards/", "header"), ("Pricing", "/pricing/", "header"),
    ("Docs", "/docs/", "header"), ("Status", "/status/", "header"),
    ("Infrastructure", "/infrastructure/", "footer"),
    ("Release notes", "/research/releases/", "footer"), ("Subscribe", "/subscriptions/", "footer"), ("Feed", "/feeds/all.atom", "footer"),
    ("OpenAPI", "/api/openapi.json", "footer"), ("Licences", "/licences/", "footer"),
    ("Privacy", "/privacy/", "footer"),
]  # fmt: skip
FOOTER = (
    "The embedded model on this site is a small network of Moondream's architecture, trained here "
    "on drawn scenes. It is not the Moondream release, and photographs are outside its world."
)

HOME: dict[str, Any] = {
    "title": "Moondream hub", "accent": "blue", "seo_title": "Try a small vision-language model",
    "search_description": "Ask an image a question and watch a small vision-language model answer, with its "
    "latency and confidence.",
}  # fmt: skip
HOME_BODY: list[tuple[str, Any]] = [
    ("hero", {
        "eyebrow": "Small vision-language models",
        "headline": "Ask an image. Check the answer.",
        "lede": "<p>Captions, answers, boxes and points from a network of Moondream's architecture, "
                "streamed with every millisecond shown. The makers of others put moondream2 at "
                '<a href="https://huggingface.co/blog/smolvlm">3.87 GB of GPU memory</a>, the least of '
                "the six in their table; where it is weaker, the chart says so too.</p>",
        "figure": "chart", "primary_label": "Try Moondream in Browser",
        "secondary_label": "Call it from code", "secondary_url": "/docs/start/quickstart/",
        "sample": "night", "skill": "detect",
    }),
    ("playground", {
        "eyebrow": "Playground", "title": "No signup. Seconds to a first answer.",
        "text": "Drop an image or take a drawn scene. The answer comes with its time in the queue, for the "
                "image, to the first word and in all, and with how sure the model was.",
        "open_label": "Open the playground here", "sample": "crosses", "skill": "query",
    }),
    ("teaser", {
        "eyebrow": "Research", "title": "Read it, run it, then beat it.",
        "text": "The papers behind each part, with sections to link to; notebooks that run; challenges.",
    }),
    ("pipeline", {
        "eyebrow": "Training", "title": "How a model of 5.7 million weights learns to see.",
        "text": "<p>The embedded model is trained in this project, in stages. Each rests on published work. The last "
                "is open: say what a good answer is, and see which real answers that would prefer.</p>",
        "stages": [], "call_label": "Configure reward", "call_url": "/playground/rewards/",
    }),
    ("variants", {
        "eyebrow": "Variants", "title": "One set of weights, three precisions.",
        "text": "What each costs in memory and time, and what it changes in the answers.",
    }),
    ("sdk", {
        "eyebrow": "SDK", "title": "The official clients, pointed here.",
        "text": "Our tests run the code of each tab as it stands.",
    }),
    ("domains", {
        "eyebrow": "Fields of use", "title": "Three jobs, drawn small.",
        "text": "Each opens the playground with its image and its question. The scenes are drawn: they show the "
                "task, not the accuracy on yours.",
        "domains": [],
    }),
    ("facts", {
        "eyebrow": "Infrastructure", "title": "It runs where your images are.",
        "facts": [
            {"fact": "Your own machine", "text": "<p>One command starts all of it, without root and without Docker.</p>"},
            {"fact": "CPU or GPU", "text": "<p>The same workers and the same code, routed by queue.</p>"},
            {"fact": "Your browser", "text": "<p>The embedded model answers in the page, and nothing leaves it.</p>"},
            {"fact": "The official clients", "text": "<p>Python and Node, unmodified, against this server.</p>"},
        ],
    }),
    ("roadmap", {
        "eyebrow": "Roadmap", "title": "Research, alpha, production: with dates.",
        "text": "",
    }),
    ("call", {
        "title": "Find where it fails.", "accent": "green", "label": "Try Moondream in Browser",
        "text": "It knows its drawn world. Everything else is yours to test.",
        "url": "/playground/",
    }),
]  # fmt: skip
STAGES: list[dict[str, Any]] = [
    {"name": "Draw", "picture": "scenes", "claim": "Scenes whose every reference is exact.",
     "text": "<p>A scene is decided first and drawn second, so captions, answers and boxes are true by construction.</p>",
     "paper": "embedded-model", "anchor": "world", "notebook": "ask-caption-detect-point"},
    {"name": "See", "picture": "attention", "claim": "The encoder names what lies under each patch.",
     "text": "<p>Whitened patches, heads that look at their neighbours, and one class a patch: without that start, shapes are not learnt on a small budget.</p>",
     "paper": "vision-transformer", "anchor": "patches", "notebook": "deploy-to-the-edge"},
    {"name": "Speak", "picture": "caption", "claim": "The whole network learns to answer.",
     "text": "<p>Nine tasks an image are packed behind one prefix: captions, questions, points and boxes in one pass.</p>",
     "paper": "phi-1-5", "anchor": "architecture", "notebook": "ask-caption-detect-point"},
    {"name": "Place", "picture": "playground", "claim": "Coordinates have heads of their own.",
     "text": "<p>Points and boxes are not text: Fourier features in, 1,024 bins out.</p>",
     "paper": "fourier-features", "anchor": "mapping", "notebook": "ask-caption-detect-point"},
    {"name": "Shrink", "picture": "levels", "claim": "Eight bits, then four.",
     "text": "<p>The same weights, quantised on load or before.</p>",
     "paper": "qlora", "anchor": "nf4", "notebook": "reproduce-a-figure"},
    {"name": "Ship", "picture": "browser", "claim": "To a server, or into a page.",
     "text": "<p>Exported as two graphs that any ONNX runtime runs, a page's included.</p>",
     "paper": "embedded-model", "anchor": "architecture", "notebook": "deploy-to-the-edge"},
    {"name": "Prefer", "picture": "rewards", "claim": "Say what a good answer is.",
     "text": "<p>A reward is a weighted sum of terms that anybody can check: agreement with a reference, length, valid JSON, "
             "overlap of boxes, the right count. The builder scores real answers with it. The embedded model was not tuned with one.</p>",
     "paper": "grpo", "anchor": "grpo", "notebook": "", "preview": "Click to configure"},
]  # fmt: skip
DOMAINS: list[dict[str, Any]] = [
    {"name": "Retail inventory", "text": "Count products, find the gaps, say which shelf.",
     "sample": "shelf", "skill": "detect"},
    {"name": "Industrial defects", "text": "Scratches, dents and missing screws; pass or fail.",
     "sample": "plate", "skill": "detect"},
    {"name": "Radiology-style annotation", "text": "Find the nodules of a synthetic phantom. Not a scan, not clinical.",
     "sample": "phantom", "skill": "detect"},
]  # fmt: skip

PAGES: list[dict[str, Any]] = [
    {
        "type": StandardPage, "slug": "product", "title": "Product", "accent": "blue",
        "eyebrow": "Product", "headline": "A vision-language model small enough to understand.",
        "lede": "What the model does, what runs here, and what it does not know.",
        "body": [
            ("feature", {
                "eyebrow": "Skills", "title": "Four questions you can ask an image.",
                "text": "<p><b>Caption</b> describes it in three lengths. <b>Query</b> answers a "
                        "question. <b>Detect</b> draws boxes. <b>Point</b> marks centres. Captions "
                        "and answers stream.</p>",
                "accent": "blue", "flip": False, "sample": "greens", "skill": "detect",
                "link_label": "Ask one", "link_url": "/playground/",
            }),
            ("variants", {
                "eyebrow": "Precision", "title": "What a precision costs, and what it changes.",
                "text": "The same weights at half precision, in 8 bits and in 4 bits, as this server measures them.",
            }),
            ("rows", {"eyebrow": "What runs here", "title": "Honest about its size", "rows": [
                {"term": "Architecture", "text": "<p>Moondream2's: a vision transformer whose image "
                 "tokens form a prefix that a text decoder reads, with heads of their own for "
                 "coordinates and sizes.</p>"},
                {"term": "Embedded model", "text": "<p>A small member of that family, trained in this "
                 "project on drawn scenes. It knows coloured shapes, counts, places and signs "
                 "with a number or one of sixteen words. Photographs are outside its world.</p>"},
                {"term": "Precisions", "text": "<p>Half precision, 8-bit and 4-bit of the same "
                 "weights, by bitsandbytes, on CPU or GPU.</p>"},
                {"term": "Official checkpoint", "text": "<p>Any published one, in any of its forms, "
                 "runs on the same code once an admin has registered its files. None is shipped "
                 "with this site.</p>"},
                {"term": "Measured", "text": "<p>Predictions of any model are scored on the "
                 '<a href="/leaderboards/">leaderboards</a>; our workers run the models installed here on them too.</p>'},
            ]}),
            ("roadmap", {"eyebrow": "Roadmap", "title": "What works, and what is being looked into.", "text": ""}),
        ],
    },
    {
        "type": StandardPage, "slug": "infrastructure", "title": "Infrastructure", "accent": "slate",
        "eyebrow": "Infrastructure", "headline": "One stack, from a laptop to a GPU cluster.",
        "lede": "What runs where, and what happens when a part of it stops.",
        "body": [
            ("rows", {"eyebrow": "Parts", "title": "What it is made of", "rows": [
                {"term": "Web", "text": "<p>Stateless processes that never load a model; as many as you need.</p>"},
                {"term": "Workers", "text": "<p>Celery processes by queue (CPU or GPU), each with its variants loaded.</p>"},
                {"term": "PostgreSQL", "text": "<p>Pages, jobs, measurements and search.</p>"},
                {"term": "Redis or Valkey", "text": "<p>The broker, the streams of running answers, and the caches.</p>"},
                {"term": "Files", "text": "<p>On a disk, or in a bucket of any server that speaks S3: then web and workers share no disk.</p>"},
            ]}),
            ("rows", {"eyebrow": "Failure", "title": "What happens when something breaks", "rows": [
                {"term": "A worker is killed", "text": "<p>Another takes its question over and goes on where the stream stopped; nothing is said twice. Our tests kill one.</p>"},
                {"term": "Too much is asked", "text": "<p>Waiting questions are answered together; callers take turns; beyond a limit they are told when to come back.</p>"},
                {"term": "The broker is away", "text": "<p>A clear 503, and no job is left behind.</p>"},
            ]}),
            ("rows", {"eyebrow": "Where", "title": "Where your images are", "rows": [
                {"term": "On your machines", "text": "<p>Everything runs on premises or in your own network; the pages load nothing from anybody else.</p>"},
                {"term": "In the browser", "text": "<p>With the model in the page, an image never leaves the machine it is on.</p>"},
            ]}),
            ("call", {"title": "Start it on this machine.", "accent": "slate", "label": "Run it yourself",
                      "text": "One command, no root, no Docker.", "url": "/docs/start/environment/"}),
        ],
    },
    {
        "type": StandardPage, "slug": "pricing", "title": "Pricing", "accent": "teal",
        "eyebrow": "Pricing", "headline": "Know the cost before you run it.",
        "lede": "Trying the model is free and needs no account. Costs are computed from what this server "
                "measured, not set by hand.",
        "body": [
            ("plans", {
                "eyebrow": "Plans", "title": "What each plan gives.",
                "text": "A month goes by the terms that held when it began; a change never touches it.",
            }),
            ("calculator", {
                "eyebrow": "Costs", "title": "What it would cost.",
                "text": "The worker’s seconds for an image, as measured, at the published price of its machine.",
            }),
            ("credits", {"eyebrow": "Research", "title": "Research credits", "text": ""}),
            ("rows", {"eyebrow": "Rules", "title": "How it is counted", "rows": [
                {"term": "What counts", "text": "<p>An answer counts as one image, whatever the skill. What "
                 "fails, or is cancelled before it began, costs nothing; a repeated request is answered by "
                 "the first one and counted once.</p>"},
                {"term": "Before it runs", "text": "<p>What a job may use is reserved before it is queued, and "
                 "settled or given back when it ends. A request that cannot be paid for is refused at once, "
                 "and the answer says what was used, what is left and when there is more.</p>"},
                {"term": "How often", "text": "<p>{address_rate} from one address without an account; {key_rate} by all "
                 'keys of an account whose plan says nothing else. <a href="/account/keys/">Make a key</a>.</p>'},
                {"term": "What you used", "text": '<p>By day, key, model and skill: <a href="/account/usage/">your usage</a>, '
                 "also as CSV and by API.</p>"},
            ]}),
        ],
    },
    {
        "type": DocsPage, "slug": "docs", "title": "Docs", "accent": "amber",
        "eyebrow": "Docs", "headline": "Ask from code.",
        "lede": "This server speaks the wire format of the official Moondream clients. Point one at "
                "it; no key is needed.",
        "body": [
            ("rows", {"eyebrow": "Good to know", "title": "Before you build on it", "rows": [
                {"term": "Images", "text": "<p>Sent as base64 data URLs, up to {image_mb} MB and {image_megapixels} million "
                 "pixels (JPEG: {jpeg_megapixels} million). JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC are read; "
                 "remote addresses are not fetched. Colour profiles are applied. Pictures of more than "
                 "8 bits are scaled by the bits they use: 12 bits in 16 are read as 12.</p>"},
                {"term": "Coordinates", "text": "<p>0 to 1 of width and height, from the top left.</p>"},
                {"term": "Confidence", "text": "<p>The geometric mean of the probabilities of what the "
                 "model chose. It tells how sure the model is of its wording, not how likely the "
                 "answer is to be right.</p>"},
                {"term": "Repeating a request", "text": "<p>Send an <code>Idempotency-Key</code> header: "
                 "the same key gives the same job again.</p>"},
            ]}),
        ],
    },
]  # fmt: skip
LICENCES = (
    "<p>What this site runs, shows and hands out, and under which terms.</p>"
    "<h2>Model</h2><ul><li>The embedded model and its weights are this project's own.</li>"
    "<li>Moondream2's weights and code: Apache-2.0, by their makers. None is shipped here.</li>"
    "<li>Moondream 3's weights: Business Source License 1.1 with an additional grant; offering them as a "
    "hosted service to others needs a licence of their makers.</li></ul>"
    "<h2>Pictures and fonts</h2><ul><li>Product pictures of the drawn shelves: Noto Emoji, SIL Open Font License 1.1.</li>"
    "<li>Inter, IBM Plex Mono and Zilla Slab: SIL Open Font License 1.1.</li></ul>"
    "<h2>Software in the page</h2><ul><li>htmx: 0BSD. ONNX Runtime Web: MIT. ECharts and Swagger UI: Apache-2.0.</li></ul>"
)
PRIVACY = (
    "<h2>Images you send</h2><p>An image you ask about is stored on this server for {image_kept}, so that a second question "
    "need not send it again, and is then deleted. It is not shown to others and not used for training. With the model in "
    "your browser, it does not leave your machine at all.</p>"
    "<h2>Sessions of the playground</h2><p>What you ask there is saved with its image and answer, so that you find it again: "
    "until you delete it, or without an account for {session_kept} days after a session's last run. Others see a run only by "
    "a link that you make, until you revoke it. What you delete is gone at once, its image within a day.</p>"
    "<h2>Subscriptions</h2><p>Whoever subscribes to news leaves a mail address, or the address of a webhook, which is "
    "kept sealed. It is kept until you unsubscribe, which deletes it; one that is not confirmed in time is "
    "deleted. What was sent, and what a webhook answered, is kept for a month.</p>"
    "<h2>Accounts and submissions</h2><p>An account holds your e-mail address and a password's hash; a submission holds what "
    "you say of the model, its predictions and their scores. The table shows your team's name, never your address. "
    "Withdrawing a submission deletes its file; what happened stays in the log. Your account's page gives you all that is kept of "
    "you in one archive, and deletes the account; the ledger of use, the public log and entries that are shown stay, and name "
    "you no more.</p>"
    "<h2>Cookies</h2><p>None for reading. Signing in sets one for the session, forms set one against forgery, and asking "
    "in the playground sets one that finds your sessions again. Choosing between the free and the guided playground sets one "
    "that holds the choice, and the tour one that it was seen.</p>"
    "<h2>Others</h2><p>The pages load nothing from anybody else: no fonts, no scripts, no counters. A variant that is named as "
    "a cloud variant sends your image to its maker's service; its name says so.</p>"
)

PAPER_BOARDS: dict[str, list[tuple[str, str]]] = {
    "embedded-model": [
        ("world-vqa", ""), ("world-captions", ""), ("world-detection", ""),
        ("world-counting", ""), ("world-existence", ""),
    ],
    "vqa-v2": [("TextVQA", "Scored as this data set is: VQA accuracy.")],
    "coco-captions": [("world-captions", "Scored as its evaluation server does.")],
    "cider": [("world-captions", "Its metric ranks the table.")],
    "pope": [("world-existence", "Asked and read as it does: yes or no.")],
}  # fmt: skip
"""By paper: leaderboards here by their slugs, reported figures by their names, and what joins them."""
