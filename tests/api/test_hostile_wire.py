"""What a broken or hostile server sends: bounded, one of our errors, and asked for again where it may pass."""

from __future__ import annotations

import gzip
import itertools
import json
import socket
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from airflow_provider_achieveit.api.body import BodyRoom, BodyShare
from airflow_provider_achieveit.api.errors import (
    AchieveItClosedError,
    AchieveItError,
    AchieveItMalformedError,
    AchieveItServerError,
    AchieveItShapeError,
    AchieveItTimeoutError,
    AchieveItTlsError,
    AchieveItTooLargeError,
    AchieveItUnreachableError,
)
from airflow_provider_achieveit.api.plan import Window
from airflow_provider_achieveit.api.response import parse_page
from tests.api.raw_server import RawServer, answering, bomb, response

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.sandbox import Sandbox
    from tests.api.conftest import Certificates

    Connect = Callable[..., AchieveItClient]

MIB = 1 << 20
EMPTY = b'{"items": [], "totalCount": 0}'
GOOD = response(EMPTY)


def head(*headers: str) -> bytes:
    """The beginning of an answer with these headers."""
    return "\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode()


#: What goes wrong on the wire, once.
ODDITIES = {
    "a Content-Length of 25 digits": head(f"Content-Length: {'9' * 25}") + EMPTY,
    "a negative Content-Length": head("Content-Length: -5") + EMPTY + b"}",
    "a Content-Length that is no number": head("Content-Length: many") + EMPTY + b"}",
    "two Content-Lengths": head("Content-Length: 3", "Content-Length: 4") + EMPTY,
    "a chunk of -5 bytes": head("Transfer-Encoding: chunked") + b"-5\r\n{}\r\n",
    "a chunk of 25 digits": head("Transfer-Encoding: chunked") + b"f" * 25 + b"\r\n{}\r\n",
    "a chunk size that is no number": head("Transfer-Encoding: chunked") + b"zz\r\n{}\r\n",
    "a chunk that ends early": head("Transfer-Encoding: chunked") + b"50\r\n{}\r\n",
    "a chunk size without an end": head("Transfer-Encoding: chunked") + b"1" * 70_000,
    "an odd Transfer-Encoding": head("Transfer-Encoding: gzip") + b"nonsense",
    "an encoding nobody asked for": head("Content-Encoding: br", "Content-Length: 3") + b"abc",
    "an encoding with odd letters": head("Content-Encoding: \xff\x80", "Content-Length: 3") + b"abc",
    "gzip that is none": head("Content-Encoding: gzip", "Content-Length: 3") + b"abc",
    "gzip that is cut short": response(gzip.compress(EMPTY)[:-9], "Content-Encoding: gzip"),
    "gzip with rubbish behind": response(gzip.compress(EMPTY) + b"rubbish", "Content-Encoding: gzip"),
    "no bytes of gzip": response(b"", "Content-Encoding: gzip"),
    "a status that is no number": b"HTTP/1.1 OK 200\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a version of the future": b"HTTP/7.7 200 OK\r\n\r\n",
    "bytes instead of a status": bytes(range(128, 256)) + b"\r\n\r\n",
    "5 kB instead of a status": b"HTTP/1.1 " + b"x" * 5000 + b"\r\n\r\n",
    "a status line of 100 kB": b"HTTP/1.1 200 " + b"O" * 100_000 + b"\r\n\r\n",
    "a header of 100 kB": head("X: " + "y" * 100_000),
    "a thousand headers": head(*(f"X-{number}: y" for number in range(1000))),
    "a header without a colon": head("nonsense", "Content-Length: 9") + b"abc",
    "nothing": b"",
}


def after_one(first: bytes) -> Callable[[socket.socket, RawServer], None]:
    """Answer the first connection with these bytes, and all others as they should be."""

    def handle(connection: socket.socket, server: RawServer) -> None:
        answering(first if server.connections == 1 else GOOD)(connection, server)

    return handle


@pytest.mark.parametrize("answer", ODDITIES.values(), ids=ODDITIES)
def test_what_is_odd_on_the_wire_is_asked_for_again(connect: Connect, answer: bytes) -> None:
    """Whatever a library makes of it: the next answer may be a good one."""
    with RawServer(after_one(answer)) as server:
        assert connect(base_url=server.url, read_timeout=2).get_plan_version("p1").total_count == 0
        assert server.connections >= 2


@pytest.mark.parametrize("answer", ODDITIES.values(), ids=ODDITIES)
def test_what_stays_odd_is_one_of_our_errors(connect: Connect, answer: bytes) -> None:
    """It fits on a few lines, and speaks neither of urllib3's pools nor of its retries."""
    with RawServer(answering(answer)) as server, pytest.raises(AchieveItError) as caught:
        connect(base_url=server.url, read_timeout=2, max_retry_seconds=0).get_plan_version("p1")
    message = str(caught.value)
    assert isinstance(caught.value, AchieveItServerError | AchieveItMalformedError)
    assert len(message) < 800
    assert message.isprintable()
    assert not any(word in message for word in ("Max retries", "Pool(", "object at 0x"))


@pytest.mark.parametrize(
    ("provoke", "words"),
    [("refused", "Connection refused"), ("reset", "ConnectionResetError"), ("unknown", "Name or service not known")],
)
def test_a_lost_connection_is_named_plainly(connect: Connect, sandbox: Sandbox, provoke: str, words: str) -> None:
    """The message has the system's words for what happened, and nothing of the library's machinery."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = {
            "refused": f"http://127.0.0.1:{reserved.getsockname()[1]}",
            "reset": sandbox.url,
            "unknown": "https://no-such-host.invalid",
        }[provoke]
        sandbox.script({"fault": {"reset": True}})
        with pytest.raises(AchieveItUnreachableError) as caught:
            connect(base_url=url, max_retry_seconds=0).get_plan_version("p1")
    message = str(caught.value)
    assert words in message or (provoke == "unknown" and "gaierror" in message)
    assert not any(word in message for word in ("Max retries", "Pool(", "object at 0x", "HTTPConnection"))


def test_a_bomb_is_not_unpacked(connect: Connect) -> None:
    """4 MB of gzip that would become 4 GB are given up at 256 MiB, and not asked for again."""
    body = bomb(4096)
    assert len(body) < 5_000_000
    with RawServer(answering(response(body, "Content-Encoding: gzip"))) as server:
        client = connect(base_url=server.url, read_timeout=60)
        tracemalloc.start()
        try:
            with pytest.raises(AchieveItTooLargeError, match=r"more than 256 MiB, decompressed.*Lower page_size"):
                client.get_plan_version("p1")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert server.connections == 1
    assert peak < 700 * MIB, "a buffer that grows is copied"


@pytest.mark.parametrize("value", [b"{}", b"[]", b"0", b"[[]]"], ids=bytes.decode)
def test_millions_of_values_are_not_decoded(connect: Connect, value: bytes) -> None:
    """They would take gigabytes, whatever they are and wherever they stand."""
    body = b'{"items": [' + b",".join([value] * 8_000_001) + b'], "totalCount": 1}'
    packed = gzip.compress(body, compresslevel=1)
    with RawServer(answering(response(packed, "Content-Encoding: gzip"))) as server:
        with pytest.raises(AchieveItTooLargeError, match="more than 8000000 values"):
            connect(base_url=server.url, read_timeout=60).get_plan_version("p1")
        assert server.connections == 1


def test_unpacking_has_a_time_limit(connect: Connect) -> None:
    """A body that arrived in no time, but takes long to unpack, is given up when the time is up."""
    body = bomb(240)
    with RawServer(answering(response(body, "Content-Encoding: gzip"))) as server:
        client = connect(base_url=server.url, read_timeout=0.1, max_retry_seconds=0)
        with pytest.raises(AchieveItTimeoutError):
            client.get_plan_version("p1")


def test_a_body_of_several_gzip_members_is_read(connect: Connect) -> None:
    """As RFC 1952 has it."""
    body = gzip.compress(EMPTY[:10]) + gzip.compress(EMPTY[10:])
    with RawServer(answering(response(body, "Content-Encoding: gzip"))) as server:
        assert connect(base_url=server.url).get_plan_version("p1").total_count == 0


@pytest.mark.parametrize("zipped", [True, False])
def test_a_large_body_comes_whole(connect: Connect, zipped: bool) -> None:
    """Far more than is read at once, through all pieces."""
    items = [{"id": str(number), "text": "x" * 100_000} for number in range(40)]
    body = json.dumps({"items": items, "totalCount": 40}).encode()
    answer = response(gzip.compress(body), "Content-Encoding: gzip") if zipped else response(body)
    with RawServer(answering(answer)) as server:
        assert list(connect(base_url=server.url).get_plan_items("p1")) == items


def test_a_page_with_more_items_than_asked_for_is_refused(connect: Connect) -> None:
    """Nothing would bound it."""
    body = json.dumps({"items": [{"id": str(number)} for number in range(11)], "totalCount": 11}).encode()
    for read in (lambda client: list(client.get_plan_items("p1")), lambda client: client.get_plan_version("p1")):
        with RawServer(answering(response(body))) as server:
            client = connect(base_url=server.url, page_size=10)
            with pytest.raises(AchieveItShapeError, match=r"it has 11 items, and \d+ were asked for"):
                read(client)
            assert server.connections == 1


def test_a_total_that_grows_for_ever_ends(connect: Connect, sandbox: Sandbox) -> None:
    """Items are iterated over while the plan grows a little, but not when each page promises another."""
    plan = sandbox.put_plan("growing", 20)
    sandbox.before_request = lambda _: [plan.insert() for _ in range(10)]
    seen: list[object] = []
    with pytest.raises(AchieveItShapeError, match="it grows all the time"):
        seen.extend(connect(page_size=10).get_plan_items("growing"))
    assert 100 < len(seen) < 200


def test_the_servers_cookies_are_not_sent_back(connect: Connect) -> None:
    """A client has no session with the API."""
    cookies = ("Set-Cookie: session=abc; Path=/", "Set-Cookie: tracking=def")
    with RawServer(answering(response(EMPTY, *cookies), GOOD)) as server:
        client = connect(base_url=server.url)
        client.get_plan_version("p1")
        client.get_plan_version("p1")
        assert b"abc" not in server.received
        assert b"cookie" not in bytes(server.received).lower()


def test_https_spoken_to_an_http_port_is_called_that(connect: Connect, sandbox: Sandbox) -> None:
    """OpenSSL's words for it are a riddle."""
    with pytest.raises(AchieveItTlsError, match="does not speak https on this port, perhaps plain http"):
        connect(base_url=sandbox.url.replace("http://", "https://")).get_plan_version("p1")


#: Alerts of TLS: (level, description) as on the wire, and whether another try may help.
ALERTS = {
    "internal_error": (80, True),
    "handshake_failure": (40, True),
    "unrecognized_name": (112, True),
    "decode_error": (50, True),
    "bad_certificate": (42, False),
    "certificate_expired": (45, False),
    "unknown_ca": (48, False),
    "protocol_version": (70, False),
    "certificate_required": (116, False),
}


@pytest.mark.parametrize(("number", "passes"), ALERTS.values(), ids=ALERTS)
def test_a_tls_alert_that_may_pass_is_tried_again(
    connect: Connect, certificates: Certificates, number: int, passes: bool
) -> None:
    """A load balancer in trouble sends alerts, too; those about certificate and version stay."""

    def handle(connection: socket.socket, server: RawServer) -> None:
        connection.recv(4096)
        connection.sendall(bytes([21, 3, 3, 0, 2, 2, number]))
        connection.recv(10)

    with RawServer(handle) as server:
        client = connect(
            base_url=f"https://127.0.0.1:{server.port}", verify=str(certificates.ca), max_retry_seconds=1.5
        )
        with pytest.raises(AchieveItUnreachableError if passes else AchieveItTlsError):
            client.get_plan_version("p1")
        assert (server.connections > 1) == passes


@pytest.mark.parametrize("status", [408, 425])
def test_statuses_that_pass_are_tried_again(connect: Connect, sandbox: Sandbox, status: int) -> None:
    """A request that arrived too slowly or too early."""
    sandbox.script({"at": 1, "fault": {"status": status}})
    assert connect().get_plan_version("p1").total_count == 25
    assert len(sandbox.requests) == 2


def nothing() -> None:
    """Let a wait go on."""


def at_once() -> Callable[[], None]:
    """Let there be no wait: the first call comes before it."""
    calls = itertools.count()

    def check() -> None:
        if next(calls):
            raise AchieveItClosedError("it would have to wait")

    return check


def test_bodies_have_room_for_each_other() -> None:
    """Up to the limit nobody waits; beyond it one body at a time may grow to the size that a body may have."""
    room = BodyRoom(total=10, largest=6)
    first, second, third = (BodyShare(room) for _ in range(3))
    first.grow(2, nothing)
    second.grow(2, nothing)  # the common part is full
    second.grow(4, nothing)  # and the second has the other one
    waiting = threading.Event()
    with ThreadPoolExecutor(1) as thread:
        grown = thread.submit(third.grow, 1, waiting.set)
        assert waiting.wait(10)
        assert not grown.done()
        second.release()
        grown.result(10)
    with pytest.raises(AchieveItTooLargeError):
        first.grow(5, nothing)


def test_room_comes_back_once() -> None:
    """However often a share is released."""
    room = BodyRoom(total=10, largest=6)
    for _ in range(20):
        share = BodyShare(room)
        share.grow(4, at_once())  # of the common part
        share.grow(2, at_once())  # alone
        share.release()
        share.release()
    one, two = BodyShare(room), BodyShare(room)
    one.grow(4, at_once())
    two.grow(6, at_once())
    with pytest.raises(AchieveItClosedError):
        BodyShare(room).grow(1, at_once())


def test_many_large_bodies_at_once_all_come(connect: Connect) -> None:
    """Bodies that do not fit into the room together wait for it, instead of for each other for ever."""
    body = gzip.compress(EMPTY) + bomb(140)

    def handle(connection: socket.socket, server: RawServer) -> None:
        answering(*[response(body, "Content-Encoding: gzip")] * 5)(connection, server)

    with RawServer(handle) as server:
        client = connect(base_url=server.url, max_concurrency=5, read_timeout=60, max_retry_seconds=120)
        windows = [Window(skip, 5) for skip in range(5)]
        lengths = list(client.plan("p1").pages(windows, len))
    assert lengths == [len(EMPTY) + 140 * MIB] * 5


def test_parse_page_is_the_word_on_what_a_page_is() -> None:
    """Its errors name what is wrong."""
    assert parse_page(b'{"items": [{"id": "1"}], "totalCount": 7, "more": 1}', take=1) == ([{"id": "1"}], 7)
    with pytest.raises(AchieveItShapeError, match="totalCount"):
        parse_page(b'{"items": [], "totalCount": 9223372036854775808}', take=1)
