"""The HTTP server: its connections, whom it answers, and which module answers."""

from __future__ import annotations

import select
import socket
import sys
from contextlib import suppress
from email.utils import formatdate
from http.client import responses
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow_provider_achieveit.sandbox import api, control
from airflow_provider_achieveit.sandbox.checks import shown
from airflow_provider_achieveit.sandbox.faults import Answer, problem
from airflow_provider_achieveit.sandbox.page import page

if TYPE_CHECKING:
    from airflow_provider_achieveit.sandbox.faults import Fault
    from airflow_provider_achieveit.sandbox.server import Sandbox

_LONGEST_BODY = 2**20
_NAMES = ("127.0.0.1", "localhost", "[::1]")


class HttpServer(ThreadingTCPServer):
    """A thread for each connection.

    Args:
        sandbox: What to serve.
        address: Host and port to listen on.
        handler: What handles a connection.

    Raises:
        OSError: The address is in use.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 2048

    def __init__(self, sandbox: Sandbox, address: tuple[str, int], handler: type[Handler]) -> None:
        self.sandbox = sandbox
        self.connections: set[socket.socket] = set()
        super().__init__(address, handler)
        self.hosts = {f"{name}:{self.server_address[1]}" for name in _NAMES}

    def stop(self) -> None:
        """Break off every connection and give the port back."""
        self.shutdown()
        self.server_close()
        for connection in list(self.connections):
            with suppress(OSError):  # its client was faster
                connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: D102 - socketserver's own name
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: D102 - socketserver's own name
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: D102 - socketserver's own name
        if not isinstance(sys.exception(), OSError):  # a client that has gone is no error
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection of a client, with one request after the other."""

    protocol_version = "HTTP/1.1"
    # Otherwise the body would wait 40 ms for the client to acknowledge the head.
    disable_nagle_algorithm = True
    server: HttpServer

    def do_GET(self) -> None:
        """Answer a request of any method."""
        refused = self._refusal()
        if refused is not None:
            self._refuse(refused)
            return
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("the client left before its request was whole")
        path, _, query = self.path.partition("?")
        path = unquote(path)
        if path == "/" and self.command in ("GET", "HEAD"):
            self.send_answer(Answer(200, page(self.server.sandbox), "text/html; charset=utf-8"))
        elif path.startswith(f"{control.PREFIX}/"):
            self.send_answer(control.answer(self.server.sandbox, self.command, path, body))
        else:
            self._answer_api(api.Request(self.command, path, query, self.headers))

    do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = do_GET  # noqa: N815 - http.server's own names

    def _refusal(self) -> Answer | None:
        """The answer to a request that must not reach anything, if this is one.

        A web page in the user's browser can send requests here: to a name of its own that it lets point to this
        machine (seen by `Host`), or across origins (seen by `Origin`).
        """
        hosts, origins = self.headers.get_all("Host", [""]), self.headers.get_all("Origin", [])
        known = self.server.hosts
        for host in hosts:
            if host.lower() not in {*known, *_NAMES}:
                return problem(421, f"The sandbox answers for {', '.join(sorted(known))}, not for {shown(host)}.")
        for origin in origins:
            scheme, _, host = origin.lower().partition("://")
            if scheme not in ("http", "https") or host not in known:
                return problem(403, f"The sandbox does not answer web pages of the origin {shown(origin)}.")
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers:
            return problem(411, "The sandbox takes a body only with a Content-Length.")
        if not (length.isascii() and length.isdigit()):
            return problem(400, f"Content-Length is a whole number, not {shown(length)}.")
        if len(length) > 20 or int(length) > _LONGEST_BODY:
            return problem(413, f"A body has at most {_LONGEST_BODY} bytes.")
        return None

    def _refuse(self, answer: Answer) -> None:
        """Answer without reading the body, and read on only so that the client can read the answer."""
        self.close_connection = True
        self.send_answer(answer)
        if {"content-length", "transfer-encoding"}.intersection(map(str.lower, self.headers)):
            while self.rfile.read1(65_536):
                pass

    def _answer_api(self, request: api.Request) -> None:
        sandbox = self.server.sandbox
        fault = sandbox.arrive(request)
        answer = None
        try:
            if not self.client_leaves_within(sandbox.latency + fault.get("hang", 0)):
                answer = sandbox.answer(request, fault)
        finally:
            # Before the answer is sent: a client that has it may ask again, and has one request in flight, not two.
            sandbox.leave(request, answer)
        if answer is None:
            self.close_connection = True
        else:
            self.deliver(answer, fault)

    def deliver(self, answer: Answer, fault: Fault) -> None:
        """Send the answer of the API."""
        self.send_answer(answer)

    def send_answer(self, answer: Answer) -> None:
        """Send a whole answer."""
        self.wfile.write(self.head(answer))
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def head(self, answer: Answer) -> bytes:
        """The status line and the headers."""
        lines = [
            f"HTTP/1.1 {answer.status} {responses.get(answer.status, '')}",
            f"date: {formatdate(usegmt=True)}",
            f"content-type: {answer.content_type}",
            f"content-length: {len(answer.body)}",
            *(f"{name}: {value}" for name, value in answer.headers),
            *(["connection: close"] if self.close_connection else []),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def client_leaves_within(self, seconds: float) -> bool:
        """Wait, but no longer than the client does, and no longer than the server runs."""
        if not seconds:
            return False
        # A client that waits for its answer sends nothing, so whatever comes is the end of the connection.
        waiting = select.poll()
        waiting.register(self.connection, select.POLLIN)
        return bool(waiting.poll(seconds * 1000))

    def log_message(self, *_: object) -> None:
        """Print nothing for each request."""
