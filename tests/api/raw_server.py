"""A server for what no web server does: it accepts TCP connections and lets a function loose on each."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

Handler = Callable[[socket.socket, "RawServer"], None]


class RawServer:
    """Listens on a loopback port while the context is open; each connection gets a thread.

    Args:
        handler: What happens to a connection; it is closed afterwards.
        host: The loopback address to listen on.
        listener: The socket to accept from, if there is one already.
    """

    def __init__(self, handler: Handler, host: str = "127.0.0.1", listener: socket.socket | None = None) -> None:
        self._handler = handler
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = listener or socket.create_server((host, 0), family=family)
        self._open: list[socket.socket] = []
        self._over = threading.Event()
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        #: Everything that handlers read by `read_head`.
        self.received = bytearray()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> RawServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            self._handler(connection, self)

    def read_head(self, connection: socket.socket) -> bytes:
        """Read up to the empty line after the headers, or the end."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = connection.recv(1)
            if not byte:
                break
            head += byte
            self.received += byte
        return head

    def trickle(self, connection: socket.socket, data: Iterable[bytes], pause: float = 0.1) -> None:
        """Send piece by piece, until the client has left or the test is over."""
        for piece in data:
            connection.sendall(piece)
            if self._over.wait(pause):
                return

    def wait(self) -> None:
        """Do nothing until the test is over."""
        self._over.wait(60)


def answering(*answers: bytes) -> Handler:
    """Answer the requests of a connection in turn with whole HTTP responses, then close it."""

    def handler(connection: socket.socket, server: RawServer) -> None:
        for answer in answers:
            if not server.read_head(connection):
                return
            connection.sendall(answer)
        time.sleep(0.05)

    return handler


def response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return a whole HTTP response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def bomb(mib: int) -> bytes:
    """Return a body of gzip that becomes so many MiB of blanks."""
    return gzip.compress(b" " * (1 << 20)) * mib
