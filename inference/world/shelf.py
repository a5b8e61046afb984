"""A retail shelf: products in rows, with gaps where something is out of stock."""

import functools
import random
from collections import Counter
from pathlib import Path

from PIL import Image, ImageDraw

from inference.world.domain import (
    QA,
    Domain,
    count_wording,
    existence_wording,
    here_question,
    scene_question,
    sentence,
)
from inference.world.drawing import shade
from inference.world.scenes import Scene, WorldObject
from inference.world.vocabulary import PRODUCTS, article, join_phrases, plural

GAP = "gap"
MAX_ALIKE = 6
"""No scene holds more of one product."""
_SHEET = Path(__file__).parent / "glyphs" / "products.webp"
GLYPH_LICENCE = _SHEET.with_name("LICENSE.txt")
_CELL, _PER_ROW = 96, 8
_ROW_NAMES = {2: ("top", "bottom"), 3: ("top", "middle", "bottom")}
_PANELS = ((226, 228, 232), (205, 190, 168), (92, 98, 108), (168, 186, 196))
_BOARDS = ((122, 84, 52), (58, 62, 70), (240, 240, 238))
_BOARD = 0.13
"""Share of a row's height that the board under it takes."""


@functools.cache
def glyph(product: str) -> Image.Image:
    """A product's picture, RGBA, cut to its ink, at most 94 px on a side."""
    number = PRODUCTS.index(product)
    x, y = number % _PER_ROW * _CELL, number // _PER_ROW * _CELL
    with Image.open(_SHEET) as sheet:
        cell = sheet.convert("RGBA").crop((x, y, x + _CELL, y + _CELL))
    return cell.crop(cell.getchannel("A").point(lambda a: 255 * (a > 24)).getbbox())


@functools.lru_cache(maxsize=4096)
def _scaled(product: str, size: tuple[int, int]) -> Image.Image:
    return glyph(product).resize(size, Image.Resampling.LANCZOS)


def sample_shelf(rng: random.Random) -> Scene:
    """Two or three rows of three or four slots; alike products stand side by side."""
    aspect = rng.choice((1.0, 4 / 3))
    rows, columns = rng.choice((2, 3)), rng.choice((3, 4))
    kinds = rng.sample(PRODUCTS, rng.randint(2, 4))
    gaps = rng.choice((0.0, 0.12, 0.2))
    used: Counter[str] = Counter()
    items: list[WorldObject] = []
    for row in range(rows):
        kind, left = "", 0
        for column in range(columns):
            if not left or used[kind] == MAX_ALIKE:
                free = [k for k in kinds if used[k] < MAX_ALIKE]
                kind, left = rng.choice(free), rng.randint(1, columns)
            left -= 1
            name = GAP if rng.random() < gaps and used[GAP] < MAX_ALIKE else kind
            used[name] += 1
            items.append(_slot(name, row, column, rows, columns, aspect, rng))
    items.sort(key=lambda o: o.centre)
    return Scene("shelf", tuple(items), aspect, rng.getrandbits(32), "shelf", rows)


def _slot(
    name: str, row: int, column: int, rows: int, columns: int, aspect: float, rng: random.Random
) -> WorldObject:
    """A product standing on its board, or a gap as large as its slot; lengths in image heights."""
    wide, tall = aspect / columns, 1 / rows
    room = (wide * 0.9, tall * (0.94 - _BOARD))
    if name == GAP:
        width, height = room[0] * 0.96, room[1] * 0.96
    else:
        scale = min(room) * rng.uniform(0.9, 1.0) / 94
        width, height = (side * scale for side in glyph(name).size)
    foot = tall * (row + 1 - _BOARD)
    centre = ((column + 0.5) * wide / aspect, foot - height / 2)
    return WorldObject(name, "", "", centre, (width / 2 / aspect, height / 2))


def draw_shelf(canvas: Image.Image, scene: Scene, rng: random.Random) -> None:
    width, height = canvas.size
    panel = rng.choice(_PANELS)
    board = rng.choice([b for b in _BOARDS if abs(sum(b) - sum(panel)) > 120])
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, 0, width, height), fill=shade(rng, panel, 8))
    lower = tuple(int(c * 0.9) for c in panel)
    for row in range(scene.rows):
        foot = (row + 1 - _BOARD) / scene.rows * height
        edge = (row + 1) / scene.rows * height
        draw.rectangle((0, foot - height * 0.03, width, foot), fill=lower)
        draw.rectangle((0, foot, width, edge), fill=shade(rng, board, 6))
    for item in scene.objects:
        x0, y0, x1, y1 = item.box
        if item.shape == GAP:
            continue
        left, top = round(x0 * width), round(y0 * height)
        size = (max(1, round(x1 * width) - left), max(1, round(y1 * height) - top))
        picture = _scaled(item.shape, size)
        canvas.paste(picture, (left, top), picture)


def row_name(scene: Scene, item: WorldObject) -> str:
    """ "top", "middle" or "bottom"."""
    return _ROW_NAMES[scene.rows][min(scene.rows - 1, int(item.centre[1] * scene.rows))]


def _reading_order(scene: Scene) -> list[WorldObject]:
    return sorted(scene.objects, key=lambda o: (int(o.centre[1] * scene.rows), o.centre[0]))


def _counts(items: list[WorldObject]) -> Counter[str]:
    """How many of each, in order of first appearance, gaps last."""
    counts = Counter(o.shape for o in items)
    return Counter(dict(sorted(counts.items(), key=lambda pair: pair[0] == GAP)))


def _numbered(items: list[WorldObject]) -> str:
    return join_phrases([_some(n, name) for name, n in _counts(items).items()])


def _some(count: int, noun: str) -> str:
    return f"{count} {noun if count == 1 else plural(noun)}"


def caption(scene: Scene, length: str) -> str:
    items = _reading_order(scene)
    if length == "short":
        listed = [article(k) if n == 1 else plural(k) for k, n in _counts(items).items()]
        return sentence(f"a retail shelf with {join_phrases(listed)}")
    if length == "normal":
        return sentence(f"a retail shelf with {_numbered(items)}")
    rows = [
        sentence(f"{name}: {_numbered([o for o in items if row_name(scene, o) == name])}")
        for name in _ROW_NAMES[scene.rows]
    ]
    return " ".join([sentence(f"a retail shelf with {scene.rows} rows"), *rows])


def _products(scene: Scene) -> list[str]:
    return sorted({o.shape for o in scene.objects if o.shape != GAP})


def _absent(scene: Scene, rng: random.Random) -> str:
    present = _products(scene)
    return rng.choice([p for p in PRODUCTS if p not in present])


def _ask_count(scene: Scene, rng: random.Random) -> QA:
    roll = rng.random()
    noun = rng.choice(_products(scene)) if roll < 0.7 else GAP
    if roll > 0.95:
        noun = _absent(scene, rng)
    answer = sum(o.shape == noun for o in scene.objects)
    return QA("count", count_wording(rng).format(plural(noun)), str(answer))


def _ask_exists(scene: Scene, rng: random.Random) -> QA:
    yes = rng.random() < 0.5
    noun = rng.choice(_products(scene)) if yes else _absent(scene, rng)
    wording = existence_wording(rng)
    return QA("existence", wording.format(article(noun)), "yes" if yes else "no")


def _ask_stock(scene: Scene, rng: random.Random) -> QA:
    wording = rng.choice(
        ("Is anything out of stock?", "Is there a gap on the shelf?", "Is something missing?")
    )
    return QA("stock", wording, "yes" if any(o.shape == GAP for o in scene.objects) else "no")


def _rows_of(scene: Scene, noun: str) -> set[str]:
    return {row_name(scene, o) for o in scene.objects if o.shape == noun}


def _ask_row(scene: Scene, rng: random.Random) -> QA | None:
    nouns = [n for n in (*_products(scene), GAP) if len(_rows_of(scene, n)) == 1]
    if not nouns:
        return None
    noun = rng.choice(nouns)
    (row,) = _rows_of(scene, noun)
    several = sum(o.shape == noun for o in scene.objects) > 1
    named = plural(noun) if several else noun
    wording = f"Which shelf {'are' if several else 'is'} the {named} on?"
    return QA("row", "Which shelf has a gap?" if noun == GAP else wording, row)


def _ask_relation(scene: Scene, rng: random.Random) -> QA | None:
    single = [
        o
        for o in scene.objects
        if o.shape != GAP and sum(p.shape == o.shape for p in scene.objects) == 1
    ]
    pairs = [(a, b) for a in single for b in single if a is not b]
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    rows = [int(o.centre[1] * scene.rows) for o in (a, b)]
    if rows[0] == rows[1]:
        name, holds = rng.choice(
            (
                ("to the left of", a.centre[0] < b.centre[0]),
                ("to the right of", a.centre[0] > b.centre[0]),
            )
        )
    else:
        name, holds = rng.choice((("above", rows[0] < rows[1]), ("below", rows[0] > rows[1])))
    return QA("relation", f"Is the {a.shape} {name} the {b.shape}?", "yes" if holds else "no")


def _ask_here(scene: Scene, rng: random.Random) -> QA | None:
    return here_question(scene.objects, rng)


def _ask_scene(scene: Scene, rng: random.Random) -> QA:
    return scene_question("a retail shelf", rng)


def targets(scene: Scene, rng: random.Random) -> tuple[str, list[WorldObject]]:
    roll = rng.random()
    if roll < 0.08:
        return _absent(scene, rng), []
    noun = GAP if roll < 0.3 else rng.choice(_products(scene))
    found = [o for o in scene.objects if o.shape == noun]
    return (plural(noun) if rng.random() < 0.5 else noun), found


SHELF = Domain(
    "shelf", "Retail shelf", (*PRODUCTS, GAP), sample_shelf, draw_shelf, caption,
    {
        "count": _ask_count, "existence": _ask_exists, "stock": _ask_stock, "row": _ask_row,
        "relation": _ask_relation, "here": _ask_here, "scene": _ask_scene,
    },
    targets,
)  # fmt: skip
