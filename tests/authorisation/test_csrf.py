"""Whatever changes something for a signed-in person refuses a request without the page's token."""

import pytest
from django.db import transaction
from django.test import Client

from tests.authorisation import table
from tests.authorisation.addresses import filled, is_admin, is_api, is_library
from tests.authorisation.cases import Case, cases, defaults, fill_for
from tests.authorisation.scene import ACTORS

CHANGING = ("POST", "PUT", "PATCH", "DELETE")


_BY_SECRET = {"api/keys/revoke", "subscriptions/<str:token>/unsubscribe/"}
"""What whoever holds a secret may do, signed in or not: it names what is changed."""


def _answered() -> list[tuple[str, str]]:
    """Addresses and methods that the table lets somebody signed in use, but for asking the model, which
    needs no account."""
    found: dict[tuple[str, str], None] = {}
    for name, rows in table.read(table.FILE.read_text()).items():
        address = name.partition(" [")[0]
        for method in CHANGING:
            cells = rows.get(method, ("-",))
            if address.startswith("v1/") or address in _BY_SECRET or is_library(address):
                continue
            if method not in rows:
                continue
            if not {cell.rstrip("*") for cell in cells} <= {"-", "405", "404", "admin"}:
                found[address, method] = None
    return list(found)


def test_nothing_is_changed_without_a_token(scene) -> None:
    own, values, wrong = cases(scene), defaults(scene), []
    people = {"owner": scene.people["owner"], "admin": scene.people["admin"]}
    clients = {}
    for name, user in people.items():
        clients[name] = Client(enforce_csrf_checks=True, raise_request_exception=False)
        clients[name].force_login(user)
    answered = _answered()
    for address, method in answered:
        case = own.get(address, [Case()])[0]
        path = filled(address, fill_for(address, case, values))
        body = case.bodies[method]() if method in case.bodies else {"data": {}}
        if method != "POST" and "content_type" not in body:
            body["content_type"] = "application/json"
        client = clients["admin" if is_admin(address) else "owner"]
        with transaction.atomic():
            answer = getattr(client, method.lower())(path, **body)
            transaction.set_rollback(True)
        expected = (403, 405) if method != "POST" or is_api(address) else (403,)
        if answer.status_code not in expected:
            wrong.append(f"{method} {address}: {answer.status_code}")
    assert len(answered) > 40
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", ["submit", "other's"])
def test_a_key_needs_no_token(scene, name: str) -> None:
    assert name in ACTORS
    client = Client(enforce_csrf_checks=True)
    answer = client.post(
        "/api/challenges/hues/join", {"accept_rules": True}, content_type="application/json",
        headers=scene.headers[name],
    )  # fmt: skip
    assert answer.status_code == 200
