"""Receivers of webhooks as real servers on loopback, that answer with raw bytes, or never end."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Answer = Callable[[socket.socket, bytes], None]


@contextmanager
def served(answer: Answer) -> Iterator[tuple[str, list[bytes]]]:
    """A server on loopback; its address, and the requests it got."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.1)
    got: list[bytes] = []
    over = threading.Event()

    def one(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            try:
                request = _whole(connection)
                got.append(request)
                answer(connection, request)
            except OSError:
                pass

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                continue
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/", got
    finally:
        over.set()
        thread.join()
        listening.close()


def _whole(connection: socket.socket) -> bytes:
    """A request with its body, if it says how long that is."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += _some(connection)
    head = request.partition(b"\r\n\r\n")[0]
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    while len(request) < len(head) + 4 + (int(length[1]) if length else 0):
        request += _some(connection)
    return request


def _some(connection: socket.socket) -> bytes:
    piece = connection.recv(65536)
    if not piece:
        raise OSError("it hung up")
    return piece


def read(request: bytes) -> tuple[dict[str, str], bytes]:
    """The headers of a request, names in lower case, and its body."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")[1:]
    return {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }, body


def answers(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A whole response."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body


def in_turn(*texts: bytes) -> Answer:
    """One response after another; the last one again and again."""
    left = list(texts)

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(left.pop(0) if len(left) > 1 else left[0])

    return answer


def said(text: bytes) -> Answer:
    return lambda connection, _: connection.sendall(text)


def endless(head: bytes, piece: bytes, pause: float = 0.0) -> Answer:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(head)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            connection.sendall(piece)
            time.sleep(pause)

    return answer
