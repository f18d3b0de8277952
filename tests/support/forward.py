"""A WSGI application that passes each request on to a real server, so that a test can look at, hold or refuse it."""

from __future__ import annotations

from http.client import HTTPConnection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

#: Where the environment of a request has the headers as they came: WSGI itself loses names with an underscore.
HEADERS = "tests.headers"
#: What concerns one connection alone, and does not go further.
_OF_ONE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "expect"}


class Forward:
    """Passes requests on as they came, signatures included.

    Args:
        port: Where the server listens on the loopback interface.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        if len(body) < length:  # the client has gone away, and the server would wait for the rest
            start_response("400 Bad Request", [])
            return []
        server = HTTPConnection("127.0.0.1", self._port, timeout=120)
        try:
            server.putrequest(
                environ["REQUEST_METHOD"], environ["REQUEST_URI"], skip_host=True, skip_accept_encoding=True
            )
            for name, value in environ[HEADERS]:
                if name.lower() not in _OF_ONE_CONNECTION:
                    server.putheader(name, value)
            server.endheaders(body)
            answer = server.getresponse()
            content = answer.read()
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _OF_ONE_CONNECTION]
            if "content-length" not in {name.lower() for name, _ in kept}:
                kept.append(("Content-Length", str(len(content))))
            start_response(f"{answer.status} {answer.reason}", kept)
            return [content]
        finally:
            server.close()
