"""Whoever stops waiting for pages does not wait for the requests under way, nor for their retries and pauses."""

from __future__ import annotations

import itertools
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_achieveit.api.errors import (
    AchieveItClosedError,
    AchieveItError,
    AchieveItForbiddenError,
    AchieveItTimeoutError,
)
from airflow_provider_achieveit.api.plan import Window
from airflow_provider_achieveit.api.response import parse_page
from tests.api.raw_server import RawServer, answering, response

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.api.plan import PlanClient
    from airflow_provider_achieveit.sandbox import Sandbox

    Connect = Callable[..., AchieveItClient]

#: What the client would do without an end from outside: wait for minutes.
PATIENT = {"read_timeout": 100, "connect_timeout": 100, "max_retry_seconds": 200, "max_concurrency": 4}
#: Promised are two seconds.
LIMIT = 10

WINDOWS = [Window(skip, 5) for skip in range(0, 25, 5)]
parse_five = partial(parse_page, take=5)

#: Why the pages after the first do not come: the server is silent, asks to wait, fails again and again, or trickles.
OBSTACLES: dict[str, dict[str, Any]] = {
    "hang": {"hang": 100},
    "pause": {"status": 429, "retry_after": 100},
    "retries": {"status": 503, "retry_after": 50},
    "trickle": {"trickle": 1},
}


class Ended(BaseException):
    """What a timeout of Airflow or Ctrl-C raises."""


@contextmanager
def promptly() -> Iterator[None]:
    """The block ends long before its requests would have."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < LIMIT


@contextmanager
def alarm(action: Callable[[], None], seconds: float = 0.5) -> Iterator[None]:
    """Call a function in a signal handler, which interrupts the main thread wherever it is."""
    before = signal.signal(signal.SIGALRM, lambda *_: action())
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def end() -> None:
    """Raise what is not an Exception."""
    raise Ended


def obstruct(sandbox: Sandbox, fault: dict[str, Any]) -> None:
    """Let every page but the first meet an obstacle."""
    sandbox.script(*({"plan": "p1", "at": at, "fault": fault} for at in range(2, 50)))


def first_page(plan: PlanClient, sandbox: Sandbox) -> Generator[Any]:
    """Begin to read pages, the first of which is asked for alone, so that it meets no obstacle; it has been taken."""

    def windows() -> Iterator[Window]:
        yield WINDOWS[0]
        while not sandbox.requests:
            time.sleep(0.01)
        yield from WINDOWS[1:]

    pages = plan.pages(windows(), parse_five)
    next(pages)
    return pages


def no_request_goes_on(plan: PlanClient) -> None:
    """None of the call's threads sends anything any more."""
    sent = plan.requests
    time.sleep(0.3)
    assert plan.requests == sent


@pytest.mark.parametrize("fault", OBSTACLES.values(), ids=OBSTACLES)
def test_an_exception_from_outside_ends_the_call(connect: Connect, sandbox: Sandbox, fault: dict[str, Any]) -> None:
    """execution_timeout and Ctrl-C raise in the main thread while it waits for a page."""
    obstruct(sandbox, fault)
    plan = connect(**PATIENT).plan("p1")
    with promptly(), pytest.raises(Ended), alarm(end):
        list(plan.pages(WINDOWS, parse_five))
    no_request_goes_on(plan)


@pytest.mark.parametrize("fault", OBSTACLES.values(), ids=OBSTACLES)
def test_closing_the_iteration_ends_the_call(connect: Connect, sandbox: Sandbox, fault: dict[str, Any]) -> None:
    """Whoever has seen from the first page that the plan moved needs no other page."""
    obstruct(sandbox, fault)
    plan = connect(**PATIENT).plan("p1")
    pages = first_page(plan, sandbox)
    with promptly():
        pages.close()
    no_request_goes_on(plan)


def test_closing_the_iteration_cuts_the_calls_before_it_waits_for_them(connect: Connect, sandbox: Sandbox) -> None:
    """A page that would be asked for again in a moment is not, although its thread has not ended yet."""
    obstruct(sandbox, {"status": 503, "retry_after": 1.5})
    pages = first_page(connect(**PATIENT).plan("p1"), sandbox)
    while len(sandbox.requests) < len(WINDOWS):
        time.sleep(0.01)
    sent = len(sandbox.requests)
    pages.close()
    assert len(sandbox.requests) == sent


def test_an_error_of_one_page_ends_the_others(connect: Connect, sandbox: Sandbox) -> None:
    """A 403 is raised while other pages still hang, those before it among them."""
    sandbox.script(
        {"at": 3, "fault": {"status": 403, "hang": 0.3}}, *({"at": at, "fault": {"hang": 100}} for at in (1, 2, 4, 5))
    )
    plan = connect(**PATIENT).plan("p1")
    with promptly(), pytest.raises(AchieveItForbiddenError):
        list(plan.pages(WINDOWS, parse_five))
    no_request_goes_on(plan)


def test_other_calls_of_the_client_go_on(connect: Connect, sandbox: Sandbox) -> None:
    """What one plan's call cuts, also while it waits for a slot, is that call alone."""
    sandbox.put_plan("other", 25)
    obstruct(sandbox, {"hang": 100})
    sandbox.script(
        *({"plan": "p1", "at": at, "fault": {"hang": 100}} for at in range(2, 9)),
        *({"plan": "other", "at": at, "fault": {"hang": 0.5}} for at in range(1, 9)),
    )
    client = connect(**PATIENT)
    pages = first_page(client.plan("p1"), sandbox)
    with ThreadPoolExecutor(1) as thread, promptly():
        other = thread.submit(lambda: list(client.plan("other").pages(WINDOWS, parse_five)))
        time.sleep(0.2)
        pages.close()
        assert sum(len(items) for items, _ in other.result()) == 25


@pytest.mark.parametrize("fault", OBSTACLES.values(), ids=OBSTACLES)
@pytest.mark.parametrize("how", ["thread", "signal handler"])
def test_closing_the_client_ends_the_call(connect: Connect, sandbox: Sandbox, fault: dict[str, Any], how: str) -> None:
    """on_kill closes the client, in a signal handler or a thread, and the error says that the task was ended."""
    obstruct(sandbox, fault)
    client = connect(**PATIENT)
    if how == "thread":
        threading.Timer(0.5, client.close).start()
    with promptly(), pytest.raises(AchieveItClosedError, match="the task was ended"), alarm(client.close):
        list(client.plan("p1").pages(WINDOWS, parse_five))
    no_request_goes_on(client.plan("p1"))


def read_for_ever(plan: PlanClient) -> None:
    """Read the plan again and again."""
    while True:
        list(plan.pages(WINDOWS, parse_five))


def test_a_client_can_be_closed_by_a_handler_at_any_moment(connect: Connect, sandbox: Sandbox) -> None:
    """Also where it interrupts the thread that holds a lock: thirty moments in a row of quick requests."""
    for moment in range(30):
        client = connect(page_size=2, max_concurrency=2)
        with promptly(), alarm(client.close, 0.001 + moment * 0.001), pytest.raises(AchieveItClosedError):
            read_for_ever(client.plan("p1"))


@pytest.fixture
def full_queue() -> Iterator[socket.socket]:
    """A listening socket whose queue is full, so that a connect to it hangs, as one to a firewall does."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = []
        for _ in range(3):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
            waiting.append(client)
        yield listener
        for client in waiting:
            client.close()


@pytest.fixture
def full_port(full_queue: socket.socket) -> int:
    """The port of it."""
    port: int = full_queue.getsockname()[1]
    return port


def test_a_connect_that_takes_a_while_is_waited_for(
    connect: Connect, full_queue: socket.socket, full_port: int
) -> None:
    """TCP knocks again after a second; then there is a place in the queue."""
    server = RawServer(answering(response(b'{"items": [], "totalCount": 0}')), listener=full_queue)
    threading.Timer(0.3, server.__enter__).start()
    try:
        client = connect(base_url=f"http://127.0.0.1:{full_port}", connect_timeout=30, max_retry_seconds=0)
        assert client.get_plan_version("p1").total_count == 0
    finally:
        server.__exit__()


def test_a_connect_that_hangs_is_cut(connect: Connect, full_port: int) -> None:
    """Closing the client does not wait for connect_timeout."""
    client = connect(base_url=f"http://127.0.0.1:{full_port}", **PATIENT)
    with promptly(), pytest.raises(AchieveItClosedError), alarm(client.close):
        list(client.plan("p1").pages(WINDOWS, parse_five))


def test_a_connect_that_hangs_is_given_up(connect: Connect, full_port: int) -> None:
    """After connect_timeout, and the message says so."""
    client = connect(base_url=f"http://127.0.0.1:{full_port}", connect_timeout=0.3, max_retry_seconds=0)
    with promptly(), pytest.raises(AchieveItTimeoutError, match=r"no connection within 0.3 s \(connect_timeout\)"):
        client.get_plan_version("p1")


@pytest.fixture
def silent_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The system's resolver waits for a name server that does not answer."""
    over = threading.Event()

    def getaddrinfo(*_: Any) -> list[Any]:
        over.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    over.set()


@pytest.mark.usefixtures("silent_resolver")
def test_a_resolver_that_hangs_is_given_up(connect: Connect) -> None:
    """After connect_timeout, though nothing can interrupt it."""
    client = connect(base_url="https://api.example.com", connect_timeout=0.3, max_retry_seconds=0)
    with promptly(), pytest.raises(AchieveItTimeoutError, match=r"not resolved within 0.3 s|connect_timeout 0.3 s"):
        client.get_plan_version("p1")


@pytest.mark.usefixtures("silent_resolver")
def test_a_resolver_that_hangs_holds_up_no_close(connect: Connect) -> None:
    """The thread that asks it is left behind."""
    client = connect(base_url="https://api.example.com", **PATIENT)
    with promptly(), pytest.raises(AchieveItClosedError), alarm(client.close):
        list(client.plan("p1").pages(WINDOWS, parse_five))


def test_decoding_that_takes_too_long_is_given_up(connect: Connect) -> None:
    """The bound on the time of a page holds for what is made of it, too; nobody waits for a decoder that is stuck."""
    over = threading.Event()
    try:
        client = connect(read_timeout=0.5, max_retry_seconds=0)
        with promptly(), pytest.raises(AchieveItTimeoutError, match=r"not decoded within 0.5 s"):
            client.plan("p1").page(Window(0, 5), lambda _: over.wait(60))
    finally:
        over.set()


def test_closing_the_client_does_not_wait_for_decoding(connect: Connect) -> None:
    """Nothing can interrupt a decoder, so it is left behind."""
    over = threading.Event()
    try:
        client = connect(**PATIENT)
        with promptly(), pytest.raises(AchieveItClosedError), alarm(client.close):
            client.plan("p1").page(Window(0, 5), lambda _: over.wait(60))
    finally:
        over.set()


def test_a_page_that_is_not_needed_is_not_asked_for(connect: Connect, sandbox: Sandbox) -> None:
    """Windows are drawn as they are needed: a plan that claims to have 2^41 items costs nothing in proportion."""
    drawn = 0

    def windows() -> Iterator[Window]:
        nonlocal drawn
        for skip in range(0, 2**41, 5):
            drawn += 1
            yield Window(skip, 5)

    pages = connect(max_concurrency=2).plan("p1").pages(windows(), parse_five)
    for items, _ in pages:
        if not items:
            break
    pages.close()
    assert drawn < 15
    assert len(sandbox.requests) < 15


def test_a_connection_that_is_used_again_is_cut_as_well(connect: Connect) -> None:
    """By the end of the client, and by the limit on a request's time, which bounds a body that trickles for ever."""
    good = response(b'{"items": [], "totalCount": 0}')

    def handle(connection: socket.socket, server: RawServer) -> None:
        server.read_head(connection)
        connection.sendall(good)
        server.read_head(connection)
        connection.sendall(response(b" " * 1000)[:-999])
        server.trickle(connection, itertools.repeat(b" ", 999))

    with RawServer(handle) as server:
        client = connect(base_url=server.url, **{**PATIENT, "max_concurrency": 1})
        client.get_plan_version("p1")
        with promptly(), pytest.raises(AchieveItClosedError), alarm(client.close):
            client.get_plan_version("p1")
        assert server.connections == 1
        client = connect(base_url=server.url, read_timeout=1, max_retry_seconds=0)
        client.get_plan_version("p1")
        with promptly(), pytest.raises(AchieveItTimeoutError, match=r"did not end within 1.0 s"):
            client.get_plan_version("p1")
        assert server.connections == 2


def test_a_cut_leaves_no_connection_open(connect: Connect) -> None:
    """The server sees the end of a request whose client has stopped waiting."""
    left = threading.Event()

    def handle(connection: socket.socket, server: RawServer) -> None:
        server.read_head(connection)
        if not connection.recv(1):
            left.set()

    with RawServer(handle) as server:
        client = connect(base_url=server.url, **PATIENT)
        with pytest.raises(Ended), alarm(end):
            list(client.plan("p1").pages(WINDOWS, parse_five))
        assert left.wait(LIMIT)


def test_a_signal_in_a_single_request_ends_it(connect: Connect, sandbox: Sandbox) -> None:
    """The version is asked for by the calling thread, which the exception interrupts; the client stays usable."""
    sandbox.script({"at": 1, "fault": {"hang": 100}})
    client = connect(**PATIENT)
    with promptly(), pytest.raises(Ended), alarm(end):
        client.get_plan_version("p1")
    assert client.get_plan_version("p1").total_count == 25


def test_who_waits_for_a_slot_is_told_of_the_end(connect: Connect, sandbox: Sandbox) -> None:
    """Every thread that uses a client hears that it was closed, whatever it waits for."""
    sandbox.script({"fault": {"hang": 100}})
    client = connect(**{**PATIENT, "max_concurrency": 1})
    outcomes: list[AchieveItError] = []

    def ask() -> None:
        try:
            client.get_plan_version("p1")
        except AchieveItError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    while not sandbox.requests:
        time.sleep(0.01)
    with promptly():
        client.close()
        for thread in threads:
            thread.join()
    assert [type(each) for each in outcomes] == [AchieveItClosedError] * 3
    assert len(sandbox.requests) == 1


def test_who_waits_for_the_rate_is_told_of_the_end(connect: Connect, sandbox: Sandbox) -> None:
    """With one request in a hundred seconds, the second one waits; closing the client ends that wait."""
    client = connect(**PATIENT, requests_per_second=0.01)
    client.get_plan_version("p1")
    with promptly(), pytest.raises(AchieveItClosedError), alarm(client.close):
        client.get_plan_version("p1")
    assert len(sandbox.requests) == 1
