"""Every call has an upper bound on its duration. The limits here are small, and generous only against slow machines."""

import itertools
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.errors import (
    AchieveItError,
    AchieveItRateLimitError,
    AchieveItServerError,
    AchieveItTimeoutError,
    AchieveItUnreachableError,
)
from tests.api.raw_server import RawServer
from tests.support.faulty_sandbox import Sandbox

Connect = Callable[..., AchieveItClient]

IMPATIENT = {"connect_timeout": 0.3, "read_timeout": 0.3, "max_retry_seconds": 0.5}
#: Far above 1.1 seconds, which is what is promised, and far below what the servers below would take.
LIMIT = 20


@contextmanager
def within_the_limit() -> Iterator[None]:
    """The block ends in time, with an error that is about time."""
    started = time.monotonic()
    with pytest.raises(AchieveItServerError) as caught:
        yield
    assert time.monotonic() - started < LIMIT
    assert type(caught.value) is AchieveItTimeoutError, str(caught.value)
    assert "raise read_timeout" in str(caught.value)


@pytest.mark.parametrize(
    "fault",
    [{"hang": 60}, {"trickle": 0.1}, {"trickle_headers": 0.1}, {"trickle": 0.1, "truncate": 500}],
    ids=["hang", "trickling body", "trickling headers", "trickling body that would be cut short"],
)
def test_a_slow_answer_is_given_up(connect: Connect, sandbox: Sandbox, fault: dict[str, float]) -> None:
    """A server that hangs, or sends a byte now and then, in headers or body, holds nobody."""
    sandbox.script({"fault": fault})
    with within_the_limit():
        connect(**IMPATIENT).get_plan_version("p1")


def never_answer(connection: socket.socket, server: RawServer) -> None:
    """Take the request and say nothing."""
    server.read_head(connection)
    server.wait()


def continue_for_ever(connection: socket.socket, server: RawServer) -> None:
    """Say only that the answer is to come, again and again."""
    server.read_head(connection)
    server.trickle(connection, itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"))


def trickle_chunks(connection: socket.socket, server: RawServer) -> None:
    """Send a chunked body without an end."""
    server.read_head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    server.trickle(connection, itertools.repeat(b"1\r\n \r\n"))


def trickle_a_kept_alive_body(connection: socket.socket, server: RawServer) -> None:
    """Send a long body byte by byte."""
    server.read_head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    server.trickle(connection, itertools.repeat(b" "))


def trickle_a_body_without_an_end(connection: socket.socket, server: RawServer) -> None:
    """Send a body that ends with the connection, which does not end."""
    server.read_head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    server.trickle(connection, itertools.repeat(b" "))


def flood(connection: socket.socket, server: RawServer) -> None:
    """Send such a body as fast as it is read."""
    server.read_head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    server.trickle(connection, itertools.repeat(b" " * 1000), pause=0.001)


@pytest.mark.parametrize(
    "handler",
    [
        never_answer,
        continue_for_ever,
        trickle_chunks,
        trickle_a_kept_alive_body,
        trickle_a_body_without_an_end,
        flood,
    ],
)
def test_an_odd_server_is_given_up(connect: Connect, handler: Callable[[socket.socket, RawServer], None]) -> None:
    """Whatever a server does on the wire, the call ends."""
    with RawServer(handler) as server, within_the_limit():
        connect(base_url=server.url, **IMPATIENT).get_plan_version("p1")


def test_a_tls_handshake_that_never_completes_is_given_up(connect: Connect) -> None:
    """A port that accepts and says nothing does not hold the handshake."""
    with RawServer(lambda _, server: server.wait()) as server, within_the_limit():
        connect(base_url=f"https://127.0.0.1:{server.port}", **IMPATIENT).get_plan_version("p1")


def test_a_tls_handshake_that_trickles_is_given_up(connect: Connect) -> None:
    """A handshake of a byte now and then, each in time for the socket's own timeout, is cut."""

    def trickle_a_server_hello(connection: socket.socket, server: RawServer) -> None:
        record = b"\x16\x03\x03\x3f\x00" + b"\x02\x00\x3e\xfc"
        server.trickle(connection, (bytes([byte]) for byte in itertools.chain(record, itertools.repeat(3))))

    with RawServer(trickle_a_server_hello) as server, within_the_limit():
        connect(base_url=f"https://127.0.0.1:{server.port}", **IMPATIENT).get_plan_version("p1")


def test_headers_without_end_are_given_up(connect: Connect) -> None:
    """A server that never stops sending headers is refused, in time."""

    def send_headers(connection: socket.socket, server: RawServer) -> None:
        server.read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        server.trickle(connection, (b"X-%d: y\r\n" % number for number in itertools.count()), pause=0.0005)

    started = time.monotonic()
    with RawServer(send_headers) as server, pytest.raises(AchieveItServerError):
        connect(base_url=server.url, **IMPATIENT).get_plan_version("p1")
    assert time.monotonic() - started < LIMIT


def test_a_port_that_nobody_listens_on_is_given_up(connect: Connect) -> None:
    """Refused connections are tried again within the budget, and then named."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        started = time.monotonic()
        with pytest.raises(AchieveItServerError, match="Connection refused") as caught:
            connect(base_url=f"http://127.0.0.1:{reserved.getsockname()[1]}", **IMPATIENT).get_plan_version("p1")
    assert time.monotonic() - started < LIMIT
    assert type(caught.value) is AchieveItUnreachableError


@pytest.mark.parametrize("retry_after", [{}, {"retry_after": 0}, {"retry_after": 9999999999999999}], ids=str)
def test_429_for_ever_is_given_up(connect: Connect, sandbox: Sandbox, retry_after: dict[str, int]) -> None:
    """No `Retry-After` makes us try, or wait, for ever."""
    sandbox.script({"fault": {"status": 429, **retry_after}})
    started = time.monotonic()
    with pytest.raises(AchieveItRateLimitError):
        connect(**IMPATIENT).get_plan_version("p1")
    assert time.monotonic() - started < LIMIT


def test_a_slow_but_steady_answer_within_the_budget_is_read(connect: Connect, sandbox: Sandbox) -> None:
    """The read timeout is about silence: an answer that keeps coming has the whole budget."""
    sandbox.script({"fault": {"body": '{"items": [], "totalCount": 0}', "trickle": 0.05}})
    assert list(connect(read_timeout=0.8, max_retry_seconds=60).get_plan_items("p1")) == []
    assert len(sandbox.requests) == 1


def test_a_plan_whose_second_page_hangs_fails_in_time(connect: Connect, sandbox: Sandbox) -> None:
    """Every page has the bound, so the iteration has one, too."""
    sandbox.script({"at": 2, "fault": {"hang": 60}})
    started = time.monotonic()
    with pytest.raises(AchieveItError):
        list(connect(page_size=10, connect_timeout=0.3, read_timeout=0.3, max_retry_seconds=0).get_plan_items("p1"))
    assert time.monotonic() - started < LIMIT
