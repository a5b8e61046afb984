"""The closed vocabulary of the procedural world: what its scenes can contain."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 48, 49),
    "green": (39, 158, 78),
    "blue": (44, 96, 214),
    "yellow": (245, 205, 40),
    "purple": (136, 62, 190),
    "orange": (240, 128, 32),
}
SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "star", "cross", "heart")
SIZES: tuple[str, ...] = ("small", "large")
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (244, 244, 242),
    "gray": (128, 130, 134),
    "black": (18, 19, 24),
}
WORDS: tuple[str, ...] = (
    "OPEN", "EXIT", "STOP", "TAXI", "HOTEL", "MOON", "PARK", "SALE",
    "BUS", "SHOP", "FOOD", "NORTH", "SOUTH", "HELLO", "LAB", "CAFE",
)  # fmt: skip
MAX_OBJECTS = 5
SIGN = "sign"


def plural(noun: str) -> str:
    """English plural of a world noun ("cross" → "crosses")."""
    return noun + ("es" if noun.endswith("s") else "s")


def article(phrase: str) -> str:
    """The phrase with its indefinite article ("orange star" → "an orange star")."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def join_phrases(phrases: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(phrases) < 2:
        return "".join(phrases)
    return ", ".join(phrases[:-1]) + " and " + phrases[-1]
