"""Numbers in answers."""

COUNTS = {
    word: number
    for number, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"]
    )
} | {"none": 0}  # fmt: skip


def read_count(answer: str) -> int | None:
    """The number an answer is, as a numeral or one of the words to twenty; None if it is none.

    As in the field's evaluation nothing is picked out of a sentence: "10 cups" is no number.
    """
    text = answer.strip().lower()
    if text in COUNTS:
        return COUNTS[text]
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
