"""The reviewed table: what each address answers to whom.

    address [case]                      several may share the lines below them
        GET HEAD   200 200 …            one cell an actor, in the order of `ACTORS`
        DELETE     405                  one cell for all

A cell is a status; `login`, `admin` a redirect to the login of the site or of an admin's side, `to`
another redirect; `*` behind it: the answer holds something that only some may read (HEAD has no
answer to hold it); `-` nobody asks. Where strangers, owners and admins are answered alike, the rest
is not asked; and methods that change nothing for anybody are asked by these alone.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.authorisation.scene import ACTORS

FILE = Path(__file__).parent / "matrix.txt"
Row = tuple[str, ...]
"""A cell for each of `ACTORS`."""
Rows = Mapping[str, Row]
"""By method."""


def read(text: str) -> dict[str, dict[str, Row]]:
    """By address and case, in the file's order; a row that is one cell stays one.

    Raises:
        ValueError: a line that cannot be read, or an address that stands twice.
    """
    table: dict[str, dict[str, Row]] = {}
    names: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            names = []
        elif not line.startswith((" ", "#")):
            if line in table:
                raise ValueError(f"line {number}: {line} stands twice")
            names.append(line)
            table[line] = {}
        elif line.startswith(" "):
            words = line.split()
            methods = [word for word in words if word.isalpha() and word.isupper()]
            row = tuple(words[len(methods) :])
            if not methods or len(row) not in (1, len(ACTORS)):
                raise ValueError(f"line {number}: {len(row)} cells")
            for name in names:
                table[name] |= dict.fromkeys(methods, row)
    return table


def agrees(expected: Row, found: Row, method: str) -> bool:
    """Whether what was found is what a row says, for everybody who was asked."""
    expected, found = _wide(expected), _wide(found)
    if method == "HEAD":
        expected = _bare(expected)
    return all(was in ("-", told) for told, was in zip(expected, found, strict=True))


def _wide(row: Row) -> Row:
    return row * len(ACTORS) if len(row) == 1 else row


def _bare(row: Row) -> Row:
    return tuple(cell.rstrip("*") for cell in row)


def write(found: Mapping[str, Rows], head: str) -> str:
    """The table as text: neighbours that answer alike share their lines."""
    blocks: list[tuple[list[str], str]] = []
    for name, rows in found.items():
        body = "\n".join(_lines(rows))
        if blocks and blocks[-1][1] == body:
            blocks[-1][0].append(name)
        else:
            blocks.append(([name], body))
    return "\n\n".join([head, *("\n".join([*names, body]) for names, body in blocks)]) + "\n"


def _lines(rows: Rows) -> Iterable[str]:
    same: dict[Row, list[str]] = {}
    for method, row in rows.items():
        alike = next((known for known in same if agrees(known, row, method)), row)
        same.setdefault(alike, []).append(method)
    for row, methods in same.items():
        asked = {cell for cell in row if cell != "-"}
        told = tuple(asked) if len(asked) == 1 else row
        yield f"    {' '.join(methods):<38}  " + " ".join(f"{cell:<9}" for cell in told).rstrip()
