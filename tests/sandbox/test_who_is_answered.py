"""A web page in the user's browser can reach this machine; the sandbox must not answer it."""

from __future__ import annotations

import http.client
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_achieveit.sandbox import DEMO_KEY, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REQUESTS = {
    "page": ("GET", "/", None),
    "requests": ("GET", "/_sandbox/requests", None),
    "edit": ("POST", "/_sandbox/plans/p/edit", "{}"),
    "faults": ("PUT", "/_sandbox/faults", "[]"),
    "api": ("GET", "/exports/plans/p", None),
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with the plan `p` of three items."""
    with Sandbox({"p": 3}) as sandbox:
        yield sandbox


@pytest.fixture
def ask(sandbox) -> Callable[..., Any]:
    """Send one of the requests, with these headers and no others, and return the status and the body."""

    def ask(name: str, *headers: tuple[str, str]) -> tuple[int, bytes]:
        method, path, body = REQUESTS[name]
        connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=30)
        connection.putrequest(method, path, skip_host=True)
        for header, value in (*headers, ("Authorization", f"API-KEY {DEMO_KEY}")):
            connection.putheader(header, value.format(port=sandbox.port))
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body.encode() if body else None)
        response = connection.getresponse()
        answer = response.status, response.read()
        connection.close()
        return answer

    return ask


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize(
    "host", ["127.0.0.1:{port}", "localhost:{port}", "LocalHost:{port}", "[::1]:{port}", "localhost"]
)
def test_answers_for_this_machine(ask, name, host):
    """By each of its names, with the sandbox's own port or none."""
    assert ask(name, ("Host", host))[0] == 200


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1:1", "localhost.evil.example:{port}", "0.0.0.0:{port}", "", " "],
)
def test_answers_for_no_other_host(sandbox, ask, name, host):
    """421 for a name that somebody else lets point here: the browser takes what comes for that page's own."""
    before = sandbox.plan("p").items(), sandbox.traffic()
    status, body = ask(name, ("Host", host))
    assert status == 421
    assert "answers for" in json.loads(body)["message"]
    assert (sandbox.plan("p").items(), sandbox.traffic()) == before


@pytest.mark.parametrize("headers", [(), (("Host", "localhost"), ("Host", "evil.example"))], ids=["none", "two"])
def test_answers_for_one_host(ask, headers):
    """Without a `Host`, and with a second one that is foreign, nobody knows whom the client means."""
    assert ask("requests", *headers)[0] == 421


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://evil.example:{port}",
        "null",
        "",
        "http://127.0.0.1:1",
        "http://localhost",
        "file://localhost:{port}",
        "http://localhost:{port}.evil.example",
    ],
)
def test_answers_no_foreign_page(sandbox, ask, name, origin):
    """403 for a form or a script of another origin, and nothing has changed."""
    before = sandbox.plan("p").items(), sandbox.traffic()
    status, body = ask(name, ("Host", "localhost:{port}"), ("Origin", origin))
    assert status == 403
    assert "origin" in json.loads(body)["message"]
    assert (sandbox.plan("p").items(), sandbox.traffic()) == before


def test_answers_its_own_page(sandbox, ask):
    """Somebody may write a page that is served from here."""
    for origin in ("http://127.0.0.1:{port}", "http://localhost:{port}", "http://[::1]:{port}"):
        assert ask("edit", ("Host", "localhost:{port}"), ("Origin", origin))[0] == 200


def test_listens_on_loopback_only(sandbox):
    """Nobody beyond this machine can connect, and no option changes that."""
    assert sandbox._server.server_address[0] == "127.0.0.1"
    with pytest.raises(TypeError, match="host"):
        Sandbox(host="0.0.0.0")
    with pytest.raises(ConnectionRefusedError):  # a server that listens everywhere answers there as well
        socket.create_connection(("127.0.0.2", sandbox.port), timeout=30)
