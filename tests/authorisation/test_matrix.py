"""Who may do what: every address of the site, asked as everybody, against a reviewed table.

A new address has to be placed in `matrix.txt`. AUTHORISATION_WRITE=1 writes what was found into it,
to be read cell by cell before it is committed: a cell that allows wrongly is a fault."""

import os

import pytest

from moondream_site.api import api
from tests.authorisation import table
from tests.authorisation.addresses import addresses
from tests.authorisation.asking import SECTIONS, Found, ask_all, section_of


def _address(name: str) -> str:
    return name.partition(" [")[0]


def _write(found: Found, section: str) -> None:
    """Put what was found into the table, in the order of the addresses."""
    text = table.FILE.read_text()
    known = {k: v for k, v in table.read(text).items() if section_of(_address(k)) != section}
    order = {address: number for number, address in enumerate(addresses())}
    names = sorted({**known, **found.rows}, key=lambda name: order.get(_address(name), -1))
    head = text.partition("\n\n")[0]
    table.FILE.write_text(table.write({n: found.rows.get(n) or known[n] for n in names}, head))


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.strip("/") or "pages")
def test_everybody_gets_what_the_table_says(scene, section: str) -> None:
    found = ask_all(scene, section)
    if os.environ.get("AUTHORISATION_WRITE") == "1":
        _write(found, section)
    expected = table.read(table.FILE.read_text())
    problems = list(found.faults)
    for name, rows in found.rows.items():
        for method, row in rows.items():
            told = expected.get(name, {}).get(method)
            if told is None:
                problems.append(f"{method} {name}: not in the table")
            elif not table.agrees(told, row, method):
                problems.append(f"{method} {name}\n  expected {told}\n  found    {row}")
    problems += [
        f"{name}: there is no such address any more"
        for name in expected
        if name not in found.rows and section_of(_address(name)) == section
    ]
    assert not problems, "\n".join(["", *problems])


def test_every_address_is_in_the_table() -> None:
    placed = {_address(name) for name in table.read(table.FILE.read_text())}
    assert sorted({address or "/" for address in addresses()} - placed) == []


_REFUSED_HERE = {
    "segment",
    "detect",
    "point",
    "chat_completions",
    "tuning_rollouts",
    "tuning_train_step",
}
"""Operations that are asked what they refuse: the answer of the others needs no worker."""


def test_every_operation_of_the_api_is_asked_for_real() -> None:
    """Each is let through for somebody, so that its refusals mean something."""
    rows = table.read(table.FILE.read_text())
    allowed = {
        (_address(name).replace("uuid:", "").replace("path:", ""), method)
        for name, methods in rows.items()
        for method, row in methods.items()
        if any(cell.startswith("2") for cell in row)
    }
    missing = [
        f"{method.upper()} {path}"
        for path, methods in api.get_openapi_schema(path_prefix="")["paths"].items()
        for method, operation in methods.items()
        if operation["operationId"] not in _REFUSED_HERE
        and (path.lstrip("/").replace("{", "<").replace("}", ">"), method.upper()) not in allowed
    ]
    assert missing == []
