"""Starter content: real pages with their purpose. What is not built yet says so."""

from typing import Any

from django.db import transaction
from wagtail.models import Page, Site

from research.models import DocsPage, HomePage, Navigation, NavigationLink, StandardPage

NAVIGATION = [
    ("Product", "/product/"), ("Playground", "/playground/"), ("Research", "/research/"),
    ("Pricing", "/pricing/"), ("Docs", "/docs/"), ("Status", "/status/"),
]  # fmt: skip
FOOTER = (
    "The embedded model on this site is a small network of Moondream's architecture, trained here "
    "on drawn scenes. It is not the Moondream release, and photographs are outside its world."
)

HOME_BODY: list[tuple[str, dict[str, Any]]] = [
    ("hero", {
        "eyebrow": "Small vision-language models",
        "headline": "Ask an image. Watch the model answer.",
        "lede": "Captions, answers, boxes and points from a network of Moondream's architecture, "
                "streamed token by token, with every millisecond and its confidence shown.",
        "primary_label": "Try Moondream in Browser", "secondary_label": "Call it from code",
        "secondary_url": "/docs/", "sample": "night", "skill": "detect",
    }),
    ("feature", {
        "eyebrow": "Playground", "title": "See what it says, how long it took, and how sure it was.",
        "text": "<p>Drop an image, or take one of the drawn scenes. The answer comes with the time "
                "in the queue, for the image, to the first word and in all, and with a confidence "
                "that says how it was computed.</p>",
        "link_label": "Open the playground", "link_url": "/playground/", "accent": "green",
        "flip": True, "sample": "crosses", "skill": "query",
    }),
    ("feature", {
        "eyebrow": "Precision", "title": "One set of weights, three precisions.",
        "text": "<p>The same checkpoint runs at half precision, in 8 bits and in 4 bits. Choose one "
                "in the playground and compare what it costs in memory and what it changes in the "
                "answer.</p>",
        "link_label": "What the product does", "link_url": "/product/", "accent": "purple",
        "flip": False, "sample": "triangles", "skill": "point",
    }),
    ("code", {
        "title": "The official client, this server", "language": "Python",
        "code": 'import moondream as md\nfrom PIL import Image\n\n'
                'model = md.vl(endpoint="{base_url}")\n'
                'print(model.query(Image.open("scene.png"), "How many circles are there?")["answer"])',
    }),
    ("call", {
        "title": "Find where it fails.", "accent": "green", "label": "Try Moondream in Browser",
        "text": "It knows shapes, colours, counts and places. Everything else is yours to test.",
        "url": "/playground/",
    }),
]  # fmt: skip

_PYTHON = (
    'import moondream as md\nfrom PIL import Image\n\nmodel = md.vl(endpoint="{base_url}")\n'
    'image = Image.open("scene.png")\n\n'
    'print(model.caption(image, length="short")["caption"])\n'
    'print(model.query(image, "How many circles are there?")["answer"])\n'
    'print(model.detect(image, "red circle")["objects"])\n'
    'print(model.point(image, "red circle")["points"])\n\n'
    'for piece in model.caption(image, stream=True)["caption"]:\n    print(piece, end="", flush=True)'
)
_NODE = (
    'import { vl } from "moondream";\nimport { readFileSync } from "node:fs";\n\n'
    'const model = new vl({ endpoint: "{base_url}" });\n'
    'const image = readFileSync("scene.png");\n\n'
    'const { answer } = await model.query({ image, question: "How many circles are there?" });\n'
    "console.log(answer);"
)
_CURL = (
    'curl {base_url}/query \\\n  -H "Content-Type: application/json" \\\n'
    '  -d \'{"image_url": "data:image/png;base64,\'"$(base64 < scene.png | tr -d \'\\n\')"\'", '
    '"question": "How many circles are there?"}\''
)

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
                "text": "The same weights at half precision, in 8 bits and in 4 bits. On a model "
                        "this small fewer bits save memory, not time.",
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
                {"term": "Still to come", "text": "<p>Leaderboards, and fine-tuning with your "
                 "own rewards. Each appears here when it works.</p>"},
            ]}),
        ],
    },
    {
        "type": StandardPage, "slug": "research", "title": "Research", "accent": "purple",
        "eyebrow": "Research", "headline": "Papers, benchmarks and notebooks will live here.",
        "lede": "This room opens with its first published item. Until then it says what it is for.",
        "body": [
            ("rows", {"eyebrow": "Purpose", "title": "What this room is for", "rows": [
                {"term": "Papers", "text": "<p>Preprints with sections that the rest of the site links to.</p>"},
                {"term": "Benchmarks", "text": "<p>Scores computed on this server from predictions, "
                 "never typed in by hand.</p>"},
                {"term": "Notebooks and datasets", "text": "<p>Listed when they run.</p>"},
                {"term": "Challenges", "text": "<p>With dates, rules and a metric.</p>"},
            ]}),
        ],
    },
    {
        "type": StandardPage, "slug": "pricing", "title": "Pricing", "accent": "teal",
        "eyebrow": "Pricing", "headline": "Nothing is sold here yet.",
        "lede": "Trying the model is free and needs no account. A limit on requests a minute keeps it "
                "usable for everyone.",
        "body": [
            ("rows", {"eyebrow": "Purpose", "title": "How prices will be made", "rows": [
                {"term": "From measured cost", "text": "<p>A price an image will follow from what an "
                 "image costs on these workers, and will say so.</p>"},
                {"term": "Research", "text": "<p>A free tier for benchmark work is planned.</p>"},
            ]}),
        ],
    },
    {
        "type": DocsPage, "slug": "docs", "title": "Docs", "accent": "amber",
        "eyebrow": "Docs", "headline": "Ask from code in three lines.",
        "lede": "This server speaks the wire format of the official Moondream clients. Point one at "
                "it; no key is needed.",
        "body": [
            ("code", {"title": "Python", "language": "Python", "code": _PYTHON}),
            ("code", {"title": "JavaScript", "language": "JavaScript", "code": _NODE}),
            ("code", {"title": "cURL", "language": "Shell", "code": _CURL}),
            ("rows", {"eyebrow": "Good to know", "title": "Before you build on it", "rows": [
                {"term": "Images", "text": "<p>Sent as base64 data URLs, up to 20 MB and 40 million "
                 "pixels. JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC are read; remote addresses "
                 "are not fetched.</p>"},
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


@transaction.atomic
def starter_load(*, base_url: str) -> list[str]:
    """Make what is missing; an existing page, link or text is left as its editor has it.

    Returns the titles of the pages made.
    """
    made: list[str] = []
    home = HomePage.objects.first()
    if home is None:
        root = Page.get_first_root_node()
        # Wagtail's own placeholder sits on our slug and owns the default site.
        Page.objects.filter(depth=2, slug="home", content_type__model="page").delete()
        root.refresh_from_db()
        home = root.add_child(
            instance=HomePage(
                title="Moondream hub", slug="home", accent="blue", body=HOME_BODY,
                seo_title="Try a small vision-language model",
                search_description="Ask an image a question and watch a small vision-language "
                "model answer, with its latency and confidence.",
            )
        )  # fmt: skip
        made.append(home.title)
    if not Site.objects.filter(is_default_site=True).exists():
        host, _, port = base_url.split("//", 1)[1].partition(":")
        Site.objects.create(
            hostname=host, port=int(port or 80), root_page=home, is_default_site=True,
            site_name="Moondream hub",
        )  # fmt: skip
    for entry in PAGES:
        fields = {k: v for k, v in entry.items() if k != "type"}
        if not Page.objects.child_of(home).filter(slug=fields["slug"]).exists():
            home.add_child(instance=entry["type"](**fields, show_in_menus=True))
            made.append(fields["title"])
    _navigation_load(Site.objects.get(is_default_site=True))
    return made


def _navigation_load(site: Site) -> None:
    navigation = Navigation.for_site(site)
    if navigation.links.exists():
        return
    navigation.footer_text = navigation.footer_text or FOOTER
    navigation.save()
    NavigationLink.objects.bulk_create(
        NavigationLink(navigation=navigation, label=label, url=url, sort_order=order)
        for order, (label, url) in enumerate(NAVIGATION)
    )
