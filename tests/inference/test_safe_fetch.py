"""Addresses that strangers name: which are asked, and how long and how much an answer may be."""

import ipaddress
import socket
import ssl
import threading
import time
from typing import Any

import pytest

from inference import safe_fetch
from inference.safe_fetch import AddressRefusedError, FetchError, Rule, check, fetch, judge
from tests.receivers import Answer, endless, said, served

REFUSED = [
    # This machine, by each of its names.
    "https://127.0.0.1/", "https://127.1/", "https://127.0.1/", "https://127.255.255.254/", "https://0.0.0.0/",
    "https://0/", "https://localhost/", "https://LOCALHOST./", "https://a.localhost/", "https://[::1]/", "https://[::]/",
    "https://localhost.localdomain/",
    # The same as numbers: decimal, octal, hexadecimal, mixed, full-width, with a dot at the end.
    "https://2130706433/", "https://017700000001/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://0177.0.0.1/",
    "https://127.0.0.0x1/", "https://127.0.0.1./", "https://１２７.0.0.1/", "https://127。0。0。1/", "https://00000127.0.0.1/",
    # Private networks, and those of carriers.
    "https://10.0.0.1/", "https://10.255.255.255/", "https://172.16.0.1/", "https://172.31.255.255/",
    "https://192.168.0.1/", "https://192.168.255.255/", "https://100.64.0.1/", "https://100.127.255.254/",
    # Link-local, and clouds' metadata.
    "https://169.254.169.254/latest/meta-data/", "https://169.254.170.2/", "https://[fe80::1]/", "https://[fd00:ec2::254]/",
    "https://100.100.100.200/", "https://192.0.0.192/", "https://168.63.129.16/", "https://metadata.google.internal/",
    "https://2852039166/",
    # Addresses within addresses.
    "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::ffff:10.0.0.1]/", "https://[::ffff:169.254.169.254]/",
    "https://[::ffff:8.8.8.8]/", "https://[::127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[64:ff9b::a9fe:a9fe]/",
    "https://[64:ff9b:1::a00:1]/", "https://[2002:7f00:1::]/", "https://[2002:a00:1::1]/",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    # Unique local, site-local, documentation, benchmarks, multicast, reserved.
    "https://[fc00::1]/", "https://[fd12:3456:789a::1]/", "https://[fec0::1]/", "https://[ff02::1]/", "https://[2001:db8::1]/",
    "https://[3fff::1]/", "https://[100::1]/", "https://192.0.2.1/", "https://198.51.100.1/", "https://203.0.113.1/",
    "https://198.18.0.1/", "https://192.88.99.1/", "https://224.0.0.1/", "https://239.255.255.255/", "https://240.0.0.1/",
    "https://255.255.255.255/",
    # Names that no public server has.
    "https://intranet/", "https://db.internal/", "https://printer.local/", "https://nas.lan/", "https://1.0.0.127.in-addr.arpa/",
    # What is no such address at all.
    "http://example.org/", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/", "https://", "https:///x",
    "javascript:alert(1)", "//example.org/", "https://user:word@example.org/", "https://user@example.org/",
    "https://example.org:22/", "https://example.org:25/", "https://example.org:99999/", "https://exa mple.org/",
    "https://example.org\\@127.0.0.1/", "https://example.org/\nX: y", "https://[fe80::1%25eth0]/", "https://[::1",
    "https://example.org/" + "a" * 500,
]  # fmt: skip

ALLOWED = [
    "https://example.org/hook", "https://hooks.slack.com/services/T0/B0/x", "https://example.org:8443/", "https://8.8.8.8/",
    "https://1.1.1.1/", "https://[2606:4700:4700::1111]/", "https://bücher.example.org/", "https://example.org/?a=b&c=%20",
    "https://172.15.255.255/", "https://172.32.0.1/", "https://100.63.255.255/", "https://100.128.0.1/", "https://11.0.0.1/",
]  # fmt: skip


@pytest.mark.parametrize("url", REFUSED)
def test_refused(url: str) -> None:
    with pytest.raises(AddressRefusedError):
        check(url)
    with pytest.raises(AddressRefusedError):
        fetch("GET", url, seconds=1, most_bytes=10)


@pytest.mark.parametrize("url", ALLOWED)
def test_allowed(url: str) -> None:
    assert check(url)


def names(monkeypatch: pytest.MonkeyPatch, **hosts: Any) -> list[str]:
    """Let names have addresses: a list, or one list after another for each time that is asked."""
    asked: list[str] = []

    def look(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        if host not in hosts:
            raise socket.gaierror(f"no such host: {host}")
        asked.append(host)
        found = hosts[host]
        if callable(found):
            found = found()
        kind = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            (kind[ipaddress.ip_address(a.partition("%")[0]).version], 1, 6, "", (a, port)) for a in found
        ]  # fmt: skip

    monkeypatch.setattr(safe_fetch.socket, "getaddrinfo", look)
    return asked


@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], ["2606:4700::1", "::ffff:10.0.0.1"], ["fe80::1%eth0"],
        ["64:ff9b::7f00:1"], ["169.254.169.254"], ["0.0.0.0"],
    ],
)  # fmt: skip
def test_a_name_with_one_bad_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, found: list[str]
) -> None:
    names(monkeypatch, **{"evil.example.org": found})
    with pytest.raises(AddressRefusedError):
        fetch("GET", "https://evil.example.org/", seconds=2, most_bytes=10)


def test_a_name_is_asked_for_once_and_what_was_judged_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name server that answers otherwise the second time changes nothing."""
    answers = iter([["8.8.8.8"], ["127.0.0.1"], ["127.0.0.1"]])
    asked = names(monkeypatch, **{"rebind.example.org": lambda: next(answers)})
    reached: list[str] = []

    def connect(self: Any, host: str, *_: Any, **__: Any) -> Any:
        reached.append(host)
        raise safe_fetch.httpcore.ConnectError("not in a test")

    monkeypatch.setattr(safe_fetch.httpcore.SyncBackend, "connect_tcp", connect)
    with pytest.raises(FetchError) as error:
        fetch("GET", "https://rebind.example.org/", seconds=2, most_bytes=10)
    assert error.value.code == "connect"
    assert asked == ["rebind.example.org"]
    assert reached == ["8.8.8.8"]


def test_a_name_server_that_hangs_costs_no_more_than_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = threading.Event()
    names(monkeypatch, **{"slow.example.org": lambda: gate.wait(20) and ["8.8.8.8"]})
    began = time.monotonic()
    with pytest.raises(FetchError):
        fetch("GET", "https://slow.example.org/", seconds=0.3, most_bytes=10)
    assert time.monotonic() - began < 3
    gate.set()


def test_an_admin_may_name_near_servers_but_no_metadata() -> None:
    for text in ("127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "8.8.8.8"):
        judge(ipaddress.ip_address(text), Rule.ADMIN)
    for text in ("169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "::ffff:169.254.169.254"):
        with pytest.raises(AddressRefusedError):
            judge(ipaddress.ip_address(text), Rule.ADMIN)


def test_what_the_settings_vouch_for(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OUTBOUND_ALLOWED = ["10.20.0.0/16", "hooks.lab.internal"]
    assert check("http://10.20.3.4:8080/")
    assert check("http://hooks.lab.internal/x")
    for url in ("http://10.21.0.1/", "https://10.21.0.1/", "https://other.lab.internal/", "http://8.8.8.8/"):  # fmt: skip
        with pytest.raises(AddressRefusedError):
            check(url)
    names(monkeypatch, **{"hooks.lab.internal": ["192.168.7.7"], "other.example.org": ["192.168.7.7"]})  # fmt: skip
    assert safe_fetch.resolve("hooks.lab.internal", 80)
    with pytest.raises(AddressRefusedError):
        safe_fetch.resolve("other.example.org", 80)


@pytest.fixture
def near(settings: Any) -> None:
    settings.OUTBOUND_ALLOWED = ["127.0.0.1"]


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\nX-A: 2\r\n\r\nok"


def test_an_answer_as_it_came(near: None) -> None:
    with served(said(OK)) as (url, got):
        reply = fetch(
            "POST", url, content=b"body", headers={"X-Sent": "y"}, seconds=5, most_bytes=10
        )
    assert (reply.status, reply.body, reply.is_cut) == (200, b"ok", False)
    assert [value for name, value in reply.headers if name == "x-a"] == ["1", "2"]
    assert b"X-Sent: y" in got[0]
    assert got[0].endswith(b"body")


def test_a_redirect_is_the_answer_unless_it_may_be_followed(settings: Any, near: None) -> None:
    with served(said(OK)) as (aim, got):
        moved = f"HTTP/1.1 302 Found\r\nLocation: {aim}\r\nContent-Length: 0\r\n\r\n".encode()
        with served(said(moved)) as (url, _):
            assert fetch("POST", url, content=b"x", seconds=5, most_bytes=10).status == 302
            assert fetch("GET", url, seconds=5, most_bytes=10).status == 302
            assert got == []
            assert fetch("GET", url, seconds=5, most_bytes=10, redirects=1).body == b"ok"
            assert fetch("POST", url, content=b"x", seconds=5, most_bytes=10, redirects=3).status == 302  # fmt: skip


@pytest.mark.parametrize(
    "aim",
    ["http://[::1]:1/", "http://127.0.0.2/", "https://localhost/", "file:///etc/passwd", "https://0x7f000001/",
     "http://169.254.169.254/latest/", "//10.0.0.1/", "https://[::ffff:10.0.0.1]/"],
)  # fmt: skip
def test_where_a_redirect_leads_is_judged_too(near: None, aim: str) -> None:
    moved = f"HTTP/1.1 302 Found\r\nLocation: {aim}\r\nContent-Length: 0\r\n\r\n".encode()
    with served(said(moved)) as (url, _), pytest.raises(AddressRefusedError):
        fetch("GET", url, seconds=5, most_bytes=10, redirects=2)


def test_redirects_without_end(near: None) -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"
    with served(said(moved)) as (url, got):
        with pytest.raises(FetchError) as error:
            fetch("GET", url, seconds=5, most_bytes=10, redirects=3)
        assert error.value.code == "redirects"
        assert len(got) == 4


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda connection, _: time.sleep(5), "timeout"),
        (endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4096), "too_large"),
        (endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x", 0.1), "timeout"),
        (endless(b"", b"H", 0.1), "timeout"),
        (endless(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n", 0.1), "timeout"),
        (endless(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"), "broken or timeout"),
        (said(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"), "broken"),
        (said(b"SSH-2.0-OpenSSH\r\n"), "broken"),
        (said(b""), "broken"),
    ],
)
def test_answers_without_an_end_cost_bounded_time(near: None, answer: Answer, code: str) -> None:
    with served(answer) as (url, _):
        began = time.monotonic()
        with pytest.raises(FetchError) as error:
            fetch("GET", url, seconds=1, most_bytes=100_000)
        assert error.value.code in code
        assert time.monotonic() - began < 2.5


@pytest.mark.parametrize("pause", [0.0, 0.1])
def test_a_body_may_be_cut_where_only_its_beginning_counts(near: None, pause: float) -> None:
    with served(endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 8, pause)) as (url, _):
        began = time.monotonic()
        reply = fetch("POST", url, content=b"", seconds=1, most_bytes=1000, cut=True)
        assert reply.status == 200
        assert reply.is_cut
        assert 0 < len(reply.body) <= 1000
        assert time.monotonic() - began < 2.5


def test_nobody_there(near: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(FetchError) as error:
        fetch("GET", f"http://127.0.0.1:{port}/", seconds=2, most_bytes=10)
    assert error.value.code == "connect"


def test_a_certificate_is_checked_for_the_name(near: None, tmp_path: Any) -> None:
    """What answers without TLS, where TLS is asked for, is no server of that name."""
    with served(said(OK)) as (url, _), pytest.raises(FetchError) as error:
        fetch("GET", url.replace("http://", "https://"), seconds=2, most_bytes=10)
    assert error.value.code in {"tls", "broken", "timeout"}
    transport = safe_fetch.GuardedTransport()
    assert transport._pool._ssl_context.verify_mode == ssl.CERT_REQUIRED
    assert transport._pool._ssl_context.check_hostname
