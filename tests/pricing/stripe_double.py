"""A small server in Stripe's place: its API as far as this site uses it, its own pages, its signed events.

The shapes are Stripe's: `stripe_fixtures.json` holds resources of `openapi/fixtures3.json` of github.com/stripe/openapi
(f6c2a48, MIT licence, Copyright (c) 2011- Stripe, Inc.), by which Stripe's own mock answers. What it does with them
(idempotency keys, identifiers that were seen, states of a subscription) is written after Stripe's documentation. It
is no proof of what the real service does.
"""

import copy
import html
import itertools
import json
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import stripe

KEY, SECRET = "sk_test_double", "whsec_double"
FIXTURES = json.loads(Path(__file__).with_name("stripe_fixtures.json").read_text())
Answer = tuple[int, Any]


def nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """A form of `a[b][0]=c` as dictionaries; lists stay dictionaries by their number."""
    made: dict[str, Any] = {}
    for name, value in pairs:
        *path, last = name.replace("]", "").split("[")
        at = made
        for part in path:
            at = at.setdefault(part, {})
        at[last] = value
    return made


class StripeDouble:
    """State, and the server around it."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.prices: dict[str, dict[str, Any]] = {}
        self.meters: dict[str, dict[str, Any]] = {}
        self.lines: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.remembered: dict[str, tuple[Any, Answer]] = {}
        self.webhook_url = ""
        self.fails: Callable[[str, str], Answer | None] = lambda method, path: None
        """Gives what is answered instead, or None."""
        self.loses: Callable[[str, str], bool] = lambda method, path: False
        """Whether an answer is lost on its way, after all was done."""
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    # What tests say to it.

    def price(self, name: str, dollars: int | None, **more: Any) -> str:
        """A monthly price; a metered one without dollars."""
        made = copy.deepcopy(FIXTURES["price"]) | {
            "id": f"price_{name}", "unit_amount": None if dollars is None else 100 * dollars, **more,
        }  # fmt: skip
        made["recurring"] |= {"usage_type": "licensed" if dollars is not None else "metered"}
        self.prices[made["id"]] = made
        return str(made["id"])

    def pay(self, session_id: str) -> dict[str, Any]:
        """Pay on the page of a session: a subscription and its first invoice come of it."""
        session = self.objects[session_id]
        assert session["status"] == "open", session["status"]
        prices = [line["price"] for line in session["_lines"]]
        subscription = self.subscribe(session["customer"], *prices)
        session |= {
            "status": "complete",
            "payment_status": "paid",
            "subscription": subscription["id"],
        }
        self.tell("checkout.session.completed", session)
        self.tell("customer.subscription.created", subscription)
        self.invoice(subscription)
        return subscription

    def subscribe(self, customer: str, *prices: str, **more: Any) -> dict[str, Any]:
        now = int(time.time())
        made = self._new("subscription", "sub") | {
            "customer": customer, "status": "active", "created": now, "start_date": now, "cancel_at": None,
            "canceled_at": None, "ended_at": None, "cancel_at_period_end": False, **more,
        }  # fmt: skip
        self.objects[made["id"]] = made
        self.item_set(made, *prices)
        return made

    def item_set(self, subscription: dict[str, Any], *prices: str, ends: int | None = None) -> None:
        """Let a subscription be for these prices."""
        now = int(time.time())
        items = []
        for price in prices:
            item = copy.deepcopy(FIXTURES["subscription_item"])
            items.append(item | {
                "id": f"si_{next(self._numbers)}", "price": self.prices[price], "subscription": subscription["id"],
                "current_period_start": now, "current_period_end": ends or month_end(now),
            })  # fmt: skip
        subscription["items"] = {"object": "list", "data": items, "has_more": False, "url": ""}

    def cancel(self, subscription: dict[str, Any], at: int | None = None) -> None:
        """End it; who does it twice is told that there is none."""
        subscription |= {"status": "canceled", "ended_at": at or int(time.time()), "canceled_at": int(time.time())}  # fmt: skip
        self.tell("customer.subscription.deleted", subscription)

    def invoice(
        self, subscription: dict[str, Any], *extra: dict[str, Any], **more: Any
    ) -> dict[str, Any]:
        """Charge for a subscription's monthly price, and what else there is."""
        now = int(time.time())
        customer = self.objects[subscription["customer"]]
        made = self._new("invoice", "in")
        rows = []
        for item in subscription["items"]["data"]:
            price = item["price"]
            if price["unit_amount"] is not None:
                rows.append(self.line(made["id"], "1 × a plan (at a price / month)", 1, price["id"], price["unit_amount"], now, month_end(now)))  # fmt: skip
        rows += [row | {"invoice": made["id"]} for row in extra]
        total = sum(row["amount"] for row in rows)
        made |= {
            "customer": subscription["customer"], "status": "paid", "subtotal": total, "total": total,
            "amount_paid": total, "amount_due": total, "amount_remaining": 0, "created": now, "total_taxes": [],
            "period_start": now, "period_end": now, "customer_email": customer.get("email"),
            "customer_name": customer.get("name"), "customer_address": customer.get("address") or {},
            "status_transitions": {"finalized_at": now, "marked_uncollectible_at": None, "paid_at": now, "voided_at": None},
            "parent": {"type": "subscription_details", "quote_details": None, "subscription_details": {"metadata": None, "subscription": subscription["id"]}},
            **more,
        }  # fmt: skip
        made["lines"] = {"object": "list", "data": rows[:10], "has_more": len(rows) > 10, "url": f"/v1/invoices/{made['id']}/lines"}  # fmt: skip
        self.objects[made["id"]], self.lines[made["id"]] = made, rows
        self.tell("invoice.paid", made)
        return made

    def line(self, invoice: str, text: str, quantity: int, price: str, amount: int, start: int, end: int, unit: str | None = None) -> dict[str, Any]:  # fmt: skip
        made = copy.deepcopy(FIXTURES["line_item"])
        return made | {
            "id": f"il_{next(self._numbers)}", "invoice": invoice, "description": text, "quantity": quantity,
            "amount": amount, "period": {"start": start, "end": end},
            "pricing": {"type": "price_details", "price_details": {"price": price, "product": "prod_x"}, "unit_amount_decimal": unit or str(amount)},
        }  # fmt: skip

    def credit_note(self, invoice: dict[str, Any], amount: int, **more: Any) -> dict[str, Any]:
        made = self._new("credit_note", "cn") | {
            "invoice": invoice["id"], "customer": invoice["customer"], "subtotal": amount, "total": amount,
            "amount": amount, "reason": "order_change", "memo": None, "total_taxes": [], "currency": "usd", **more,
        }  # fmt: skip
        self.objects[made["id"]] = made
        self.tell("credit_note.created", made)
        return made

    def event(self, kind: str, about: dict[str, Any], **more: Any) -> dict[str, Any]:
        """An event about an object as it is now."""
        number = next(self._numbers)
        shown = {name: value for name, value in about.items() if not name.startswith("_")}
        return copy.deepcopy(FIXTURES["event"]) | {
            "id": f"evt_{number}", "type": kind, "created": int(time.time()), "livemode": False,
            "api_version": "2026-10-28.endive", "data": {"object": shown}, **more,
        }  # fmt: skip

    def tell(self, kind: str, about: dict[str, Any]) -> None:
        """Send an event, where somebody listens."""
        if self.webhook_url:
            body, signature = signed(self.event(kind, about))
            request = urllib.request.Request(
                self.webhook_url, body, {"Content-Type": "application/json", "Stripe-Signature": signature}
            )  # fmt: skip
            urllib.request.urlopen(request, timeout=30).close()

    def count(self, method: str, path: str) -> int:
        return sum(1 for m, p, _ in self.asked if (m, p) == (method, path))

    # The server.

    def _new(self, kind: str, prefix: str) -> dict[str, Any]:
        made: dict[str, Any] = copy.deepcopy(FIXTURES[kind])
        return made | {"id": f"{prefix}_{next(self._numbers)}", "livemode": False}

    def answer(self, method: str, path: str, form: dict[str, Any], key: str) -> Answer:
        with self._lock:
            self.asked.append((method, path, form))
            failure = self.fails(method, path)
            if failure is not None:
                return failure
            if key and key in self.remembered:
                kept, answered = self.remembered[key]
                if kept != (path, form):
                    return problem(400, "Keys for idempotent requests can only be used with the same parameters they were first used with.", "idempotency_error")  # fmt: skip
                return answered
            made = self._do(method, path.removeprefix("/v1/"), form)
            if key:
                self.remembered[key] = ((path, form), made)
            return made

    def _do(self, method: str, path: str, form: dict[str, Any]) -> Answer:  # noqa: C901  # a table
        match method, path.split("/"):
            case "POST", ["customers"]:
                made = self._new("customer", "cus") | {"email": form.get("email"), "metadata": form["metadata"]}  # fmt: skip
                return self._kept(made)
            case "GET", ["prices", name]:
                return (200, self.prices[name]) if name in self.prices else missing(name)
            case "POST", ["checkout", "sessions"]:
                return self._session(form)
            case "POST", ["checkout", "sessions", name, "expire"]:
                self.objects[name]["status"] = "expired"
                return 200, self._shown(name)
            case "POST", ["billing_portal", "sessions"]:
                if form["customer"] not in self.objects:
                    return missing(form["customer"])
                made = self._new("billing_portal.session", "bps") | form
                return self._kept(made | {"url": f"{self.url}/portal/{made['id']}"})
            case "GET", ["subscriptions"]:
                found = [
                    o for o in self.objects.values()
                    if o["object"] == "subscription" and o["customer"] == form["customer"]
                ]  # fmt: skip
                return 200, {
                    "object": "list",
                    "data": found,
                    "has_more": False,
                    "url": "/v1/subscriptions",
                }
            case "DELETE", ["subscriptions", name]:
                if self.objects[name]["status"] == "canceled":
                    return missing(name)
                self.cancel(self.objects[name])
                return 200, self._shown(name)
            case "GET", ["invoices", name, "lines"]:
                rows = self.lines[name]
                start = next((n + 1 for n, r in enumerate(rows) if r["id"] == form.get("starting_after")), 0)  # fmt: skip
                part = rows[start : start + int(form.get("limit", 10))]
                return 200, {"object": "list", "data": part, "has_more": start + len(part) < len(rows), "url": f"/v1/invoices/{name}/lines"}  # fmt: skip
            case "POST", ["billing", "meter_events"]:
                return self._meter(form)
            case "GET", [*_, name] if name in self.objects:
                return 200, self._shown(name)
        return missing(path)

    def _session(self, form: dict[str, Any]) -> Answer:
        if form["customer"] not in self.objects:
            return missing(form["customer"])
        lines = list(form["line_items"].values())
        unknown = [line["price"] for line in lines if line["price"] not in self.prices]
        if unknown:
            return missing(unknown[0])
        made = self._new("checkout.session", "cs_test") | {
            "customer": form["customer"], "status": "open", "payment_status": "unpaid", "mode": form["mode"],
            "subscription": None, "success_url": form["success_url"], "cancel_url": form["cancel_url"],
            "client_reference_id": form["client_reference_id"], "_lines": lines,
        }  # fmt: skip
        return self._kept(made | {"url": f"{self.url}/pay/{made['id']}"})

    def _meter(self, form: dict[str, Any]) -> Answer:
        if form["identifier"] in self.meters:
            return problem(400, f"An event already exists with identifier {form['identifier']}.")
        if form["payload"]["stripe_customer_id"] not in self.objects:
            return missing(form["payload"]["stripe_customer_id"])
        self.meters[form["identifier"]] = form
        return 200, copy.deepcopy(FIXTURES["billing.meter_event"]) | form

    def _kept(self, made: dict[str, Any]) -> Answer:
        self.objects[made["id"]] = made
        return 200, self._shown(made["id"])

    def _shown(self, name: str) -> dict[str, Any]:
        return {k: v for k, v in self.objects[name].items() if not k.startswith("_")}

    def _page(self, path: str) -> str:
        kind, name = path.strip("/").split("/")
        one = self.objects[name]
        buttons = {
            "pay": [("pay", "Pay and subscribe")],
            "portal": [("cancel", "Cancel at the end of the month"), ("end", "Cancel at once")],
        }[kind]  # fmt: skip
        back = one.get("cancel_url") or one.get("return_url")
        forms = "".join(f'<button name="do" value="{v}">{text}</button>' for v, text in buttons)
        return (
            f'<!doctype html><html lang="en"><title>A double of Stripe</title><h1>A double of Stripe</h1>'
            f'<form method="post">{forms}</form><a href="{html.escape(str(back))}">Back</a>'
        )

    def _pressed(self, path: str, form: dict[str, Any]) -> str:
        kind, name = path.strip("/").split("/")
        one = self.objects[name]
        if kind == "pay":
            self.objects[one["customer"]] |= {
                "name": "Ünïversität 東京", "address": {"line1": "Hauptstraße 1", "line2": None, "city": "Wien", "postal_code": "1010", "state": None, "country": "AT"},
            }  # fmt: skip
            self.pay(name)
            return str(one["success_url"])
        for subscription in list(self.objects.values()):
            if (
                subscription["object"] == "subscription"
                and subscription["customer"] == one["customer"]
            ):
                if form["do"] == "end":
                    self.cancel(subscription)
                else:
                    subscription["cancel_at_period_end"] = True
                    self.tell("customer.subscription.updated", subscription)
        return str(one["return_url"])

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        double = self

        class Handler(BaseHTTPRequestHandler):
            def _handle(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                text = self.rfile.read(length).decode() or parts.query
                form = nested(parse_qsl(text, keep_blank_values=True))
                if not parts.path.startswith("/v1/"):
                    self._site(parts.path, form)
                    return
                if self.headers.get("Authorization") != f"Bearer {KEY}":
                    status, body = problem(401, "Invalid API Key provided")
                else:
                    status, body = double.answer(
                        self.command, parts.path, form, self.headers.get("Idempotency-Key") or ""
                    )
                if double.loses(self.command, parts.path):
                    self.connection.close()
                    return
                self._send(status, "application/json", json.dumps(body).encode())

            do_GET = do_POST = do_DELETE = _handle  # noqa: N815

            def _site(self, path: str, form: dict[str, Any]) -> None:
                if self.command == "POST":
                    self.send_response(303)
                    self.send_header("Location", double._pressed(path, form))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif path.count("/") == 2:
                    self._send(200, "text/html; charset=utf-8", double._page(path).encode())
                else:
                    self._send(204, "text/plain", b"")  # a browser's own question for an icon

            def _send(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def problem(status: int, message: str, kind: str = "invalid_request_error", **more: Any) -> Answer:
    return status, {"error": {"type": kind, "message": message, **more}}


def missing(name: str) -> Answer:
    return problem(404, f"No such object: '{name}'", code="resource_missing")


def month_end(stamp: float) -> int:
    at = datetime.fromtimestamp(stamp, UTC)
    return int(datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=UTC).timestamp())


def signed(
    event: dict[str, Any], secret: str = SECRET, at: float | None = None
) -> tuple[bytes, str]:
    """An event as it is sent: body and signature."""
    body = json.dumps(event)
    stamp = int(at if at is not None else time.time())
    return body.encode(), stripe.WebhookSignature.generate_signature_header(body, secret, stamp)
