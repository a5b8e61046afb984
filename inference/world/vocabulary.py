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
PRODUCTS: tuple[str, ...] = (
    "apple", "banana", "lemon", "watermelon", "strawberry", "cherry", "peach", "pineapple",
    "kiwi", "coconut", "avocado", "pear", "grape", "eggplant", "carrot", "cucumber",
    "tomato", "mushroom", "chili", "pumpkin", "croissant", "baguette", "pretzel", "pancake",
    "egg", "burger", "pizza", "hotdog", "taco", "sandwich", "donut", "cookie",
    "cake", "cupcake", "lollipop", "carton", "bottle", "cup", "can", "jar",
    "sponge", "candle", "umbrella", "ball", "book", "clock", "key", "hammer",
    "boot", "sneaker", "backpack", "bulb", "battery", "phone", "camera", "gift",
    "balloon", "teddy", "basket", "guitar", "drum", "trophy", "bell", "cactus",
)  # fmt: skip
"""What a retail shelf holds, in the order of `glyphs/products.webp`."""
MAX_OBJECTS = 6
SIGN = "sign"


def plural(noun: str) -> str:
    """English plural of a world noun ("cross" → "crosses", "cherry" → "cherries")."""
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "ch", "sh", "x", "tomato")) else "s")


def article(phrase: str) -> str:
    """The phrase with its indefinite article ("orange star" → "an orange star")."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def join_phrases(phrases: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(phrases) < 2:
        return "".join(phrases)
    return ", ".join(phrases[:-1]) + " and " + phrases[-1]
