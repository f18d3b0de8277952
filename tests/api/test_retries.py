import itertools
import json
import socket
import time
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.errors import (
    AchieveItAuthError,
    AchieveItClosedError,
    AchieveItError,
    AchieveItNotFoundError,
    AchieveItRateLimitError,
    AchieveItServerError,
)
from airflow_provider_achieveit.api.plan import Window
from airflow_provider_achieveit.api.plan_version import PlanVersion
from airflow_provider_achieveit.api.retry import Pauses
from tests.api.raw_server import RawServer, answering, response
from tests.support.faulty_sandbox import Sandbox

Connect = Callable[..., AchieveItClient]

PASSING_FAULTS = {
    "429": {"status": 429},
    "429 with Retry-After: 0": {"status": 429, "retry_after": 0},
    "429 with Retry-After in seconds": {"status": 429, "retry_after": 1},
    "429 with Retry-After as a date": {"status": 429, "retry_after_date": 1},
    "429 with a Retry-After that says nothing": {"status": 429, "retry_after": "soon"},
    "500": {"status": 500},
    "502 with a web page": {"status": 502, "body": "<html>Bad Gateway</html>", "content_type": "text/html"},
    "503 with Retry-After": {"status": 503, "retry_after": 1},
    "reset": {"reset": True},
    "closed without an answer": {"close": True},
    "truncated body": {"truncate": 40},
    "reset in the body": {"truncate": 40, "reset": True},
    "no body": {"body": ""},
    "half a body": {"body": '{"items": [{"id": "1"}, {"i'},
    "a web page with 200": {"html": True},
    "hang": {"hang": 60},
}


@pytest.mark.parametrize("fault", PASSING_FAULTS.values(), ids=PASSING_FAULTS)
def test_a_passing_fault_is_survived(connect: Connect, sandbox: Sandbox, fault: dict[str, Any]) -> None:
    """The request that went wrong is sent once more, and the plan comes whole."""
    sandbox.script({"at": 2, "fault": fault})
    client = connect(page_size=10, read_timeout=0.5 if "hang" in fault else 5)
    assert list(client.get_plan_items("p1")) == sandbox.plan("p1").items()
    assert len(sandbox.requests) == client.requests_sent == 4


def test_a_garbled_gzip_body_is_survived(connect: Connect) -> None:
    """A body that cannot be decompressed is asked for again."""
    answers = iter(
        (
            answering(response(b"\x1f\x8bnonsense", "Content-Encoding: gzip")),
            answering(response(b'{"items": [{"id": "1"}], "totalCount": 1}')),
        )
    )

    def answer_in_turn(connection: socket.socket, server: RawServer) -> None:
        next(answers)(connection, server)

    with RawServer(answer_in_turn) as server:
        assert list(connect(base_url=server.url).get_plan_items("p1")) == [{"id": "1"}]


def test_several_faults_in_a_row_are_survived(connect: Connect, sandbox: Sandbox) -> None:
    """Tries go on while the budget lasts, whatever goes wrong in turn."""
    faults = ({"status": 500}, {"reset": True}, {"html": True})
    sandbox.script(*({"at": at, "fault": fault} for at, fault in enumerate(faults, start=1)))
    assert len(list(connect(max_retry_seconds=60).get_plan_items("p1"))) == 25
    assert len(sandbox.requests) == 4


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"close": True}], ids=str)
def test_a_server_that_says_no_delay_is_left_alone_longer_and_longer(
    connect: Connect, sandbox: Sandbox, fault: dict[str, Any]
) -> None:
    """Each pause is at least half of twice the one before."""
    sandbox.script(*({"at": at, "fault": fault} for at in range(1, 5)))
    connect(pauses=Pauses(first_retry=0.1)).get_plan_version("p1")
    arrived = [request.arrived for request in sandbox.requests]
    pauses = [later - earlier for earlier, later in itertools.pairwise(arrived)]
    assert len(pauses) == 4
    assert all(pause >= shortest for pause, shortest in zip(pauses, (0.05, 0.1, 0.2, 0.4), strict=True))


@pytest.mark.parametrize(("status", "header"), [(503, {"retry_after": 1}), (429, {"retry_after_date": 2})])
def test_the_servers_delay_is_kept(connect: Connect, sandbox: Sandbox, status: int, header: dict[str, int]) -> None:
    """The next request waits as long as `Retry-After` says, in seconds or up to a date (which has no fractions)."""
    sandbox.script({"at": 1, "fault": {"status": status, **header}})
    list(connect().get_plan_items("one"))
    first, second = sandbox.requests
    assert second.arrived - first.arrived >= 0.99


@pytest.mark.parametrize(
    ("fault", "error", "status", "remedy"),
    [
        ({"status": 429}, AchieveItRateLimitError, 429, "lower max_concurrency"),
        ({"status": 503}, AchieveItServerError, 503, "try later"),
        ({"reset": True}, AchieveItServerError, None, "Check the connection's host"),
    ],
    ids=str,
)
def test_a_lasting_fault_becomes_an_error_that_says_what_to_do(
    connect: Connect, sandbox: Sandbox, fault: dict[str, Any], error: type[AchieveItError], status: int, remedy: str
) -> None:
    """When the budget is over, the error has status and plan id, and its message a remedy and the budget."""
    sandbox.script({"fault": fault})
    with pytest.raises(error) as caught:
        list(connect(max_retry_seconds=1.5).get_plan_items("p1"))
    assert caught.value.status == status
    assert caught.value.plan_id == "p1"
    message = str(caught.value)
    assert message.startswith("Plan p1: ")
    assert remedy in message
    assert "max_retry_seconds=1.5" in message
    assert len(sandbox.requests) >= 2


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("header", ["retry_after", "retry_after_date"])
def test_a_delay_beyond_the_budget_fails_at_once_and_is_carried(
    connect: Connect, sandbox: Sandbox, status: int, header: str
) -> None:
    """Waiting would be in vain, so Airflow gets the delay instead."""
    sandbox.script({"fault": {"status": status, header: 3600}})
    with pytest.raises(AchieveItError, match=r"asks to wait 3[56]\d\d s") as caught:
        list(connect(max_retry_seconds=10).get_plan_items("p1"))
    assert caught.value.retry_after == pytest.approx(3600, abs=120)
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_delay_beyond_the_budget_holds_nobody_else_back(connect: Connect, sandbox: Sandbox, status: int) -> None:
    """Only who was asked to wait gives up: a slip of a server does not silence a client for an hour."""
    sandbox.script({"at": 1, "fault": {"status": status, "retry_after": 3600}})
    client = connect(max_retry_seconds=10)
    with pytest.raises(AchieveItError):
        client.get_plan_version("p1")
    assert client.get_plan_version("one").total_count == 1
    assert sandbox.requests[1].arrived - sandbox.requests[0].arrived < 5


def test_a_budget_of_zero_turns_retries_off(connect: Connect, sandbox: Sandbox) -> None:
    """With `max_retry_seconds=0` there is one try."""
    sandbox.script({"at": 1, "fault": {"status": 500}})
    with pytest.raises(AchieveItServerError):
        list(connect(max_retry_seconds=0).get_plan_items("p1"))
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("body", [{}, {"truncate": 1}, {"trickle": 1}], ids=["whole", "cut short", "trickling"])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, AchieveItError),
        (401, AchieveItAuthError),
        (403, AchieveItAuthError),
        (404, AchieveItNotFoundError),
        (405, AchieveItError),
        (410, AchieveItError),
        (302, AchieveItError),
        (204, AchieveItError),
    ],
)
def test_an_answer_that_is_final_is_asked_for_once(
    connect: Connect, sandbox: Sandbox, status: int, error: type[AchieveItError], body: dict[str, int]
) -> None:
    """The status decides, whatever the body does: these are not sent again."""
    text = "" if status == 204 else "x" * 100
    sandbox.script({"fault": {"status": status, "body": text, **body}})
    with pytest.raises(error) as caught:
        list(connect(read_timeout=3).get_plan_items("p1"))
    assert (caught.value.status, caught.value.plan_id) == (status, "p1")
    assert len(sandbox.requests) == 1


def test_the_real_refusals_are_final(connect: Connect, sandbox: Sandbox) -> None:
    """What the API itself answers for a wrong key, a hidden and an unknown plan is asked for once each."""
    sandbox.plan("p1").forbidden = True
    with pytest.raises(AchieveItAuthError, match=r"Either the API key .* or its user cannot view this plan"):
        list(connect().get_plan_items("p1"))
    with pytest.raises(AchieveItNotFoundError, match="Copy Plan ID"):
        list(connect().get_plan_items("unknown"))
    sandbox.key = "another"
    with pytest.raises(AchieveItAuthError, match="valid API key"):
        list(connect().get_plan_items("one"))
    assert [request.status for request in sandbox.requests] == [403, 404, 401]


@pytest.mark.parametrize("retry_after", [{"retry_after": 2}, {}], ids=["with Retry-After", "without"])
def test_one_429_pauses_all_requests_of_a_client(
    connect: Connect, sandbox: Sandbox, retry_after: dict[str, int]
) -> None:
    """While one request waits after a 429, none of the others is sent, and none meets a 429 of its own."""
    pauses = Pauses(first_retry=3.0)  # half of it at least, so that a slow machine can tell
    # The others are answered well after the client knows of the pause, and well before the pause is over.
    sandbox.script(
        {"at": 1, "fault": {"status": 429, **retry_after}},
        *({"at": at, "fault": {"hang": 0.7}} for at in (2, 3, 4)),
    )
    windows = [Window(skip, 1) for skip in range(12)]
    assert len(list(connect(pauses, max_concurrency=4).plan("p1").pages(windows, json.loads))) == 12
    refused = next(request for request in sandbox.requests if request.status == 429)
    during = [request for request in sandbox.requests if request.arrived < refused.arrived + 1.49]
    assert len(during) <= 4
    assert len(sandbox.requests) == 13


@pytest.mark.parametrize("status", [429, 503])
def test_who_waits_for_a_slot_does_not_send_into_a_pause(connect: Connect, sandbox: Sandbox, status: int) -> None:
    """A request that could not be sent because of `max_concurrency` waits out a pause that began meanwhile."""
    sandbox.script({"at": 1, "fault": {"hang": 0.5, "status": status, "retry_after": 1}})
    client = connect(max_concurrency=1)
    threads = [Thread(target=client.get_plan_version, args=("p1",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first, *others = sandbox.requests
    assert len(others) == 3
    assert all(request.arrived - first.arrived >= 1.49 for request in others)


def test_a_pause_that_is_on_already_is_not_part_of_a_call_s_patience(connect: Connect, sandbox: Sandbox) -> None:
    """Who comes in the midst of another call's pause can still wait out one of its own."""
    sandbox.script(*({"at": number, "fault": {"status": 429, "retry_after": 1}} for number in (1, 2, 3)))
    client = connect(max_retry_seconds=1.6, max_concurrency=2)
    outcomes: list[PlanVersion | AchieveItError] = []

    def ask() -> None:
        try:
            outcomes.append(client.get_plan_version("p1"))
        except AchieveItError as error:
            outcomes.append(error)

    first, second = Thread(target=ask), Thread(target=ask)
    first.start()
    while not sandbox.requests or sandbox.requests[0].finished is None:
        time.sleep(0.01)
    time.sleep(0.2)
    second.start()
    for thread in (first, second):
        thread.join()
    gave_up, waited = outcomes
    assert isinstance(gave_up, AchieveItRateLimitError)
    assert isinstance(waited, PlanVersion)
    assert len(sandbox.requests) == 4


def test_429_for_ever_ends_with_few_requests(connect: Connect, sandbox: Sandbox) -> None:
    """Concurrent requests to a server that refuses everything give up together, after a few tries each."""
    sandbox.script({"fault": {"status": 429}})
    windows = [Window(skip, 1) for skip in range(100)]
    with pytest.raises(AchieveItRateLimitError):
        list(connect(max_concurrency=4, max_retry_seconds=1).plan("p1").pages(windows, json.loads))
    assert len(sandbox.requests) <= 40


def test_closing_the_client_ends_a_pause(connect: Connect, sandbox: Sandbox) -> None:
    """A killed task does not sit out the minutes that a server asked for."""
    sandbox.script({"fault": {"status": 429, "retry_after": 50}})
    outcome = end_by_closing(connect(max_retry_seconds=80), sandbox)
    assert type(outcome) is AchieveItClosedError
    assert len(sandbox.requests) == 1


def test_closing_the_client_ends_a_request_under_way(connect: Connect, sandbox: Sandbox) -> None:
    """A killed task does not wait for a server that hangs."""
    sandbox.script({"fault": {"hang": 50}})
    outcome = end_by_closing(connect(read_timeout=60, max_retry_seconds=80), sandbox)
    assert type(outcome) is AchieveItClosedError
    assert len(sandbox.requests) == 1


def test_a_closed_client_sends_nothing(client: AchieveItClient, sandbox: Sandbox) -> None:
    """After `close` every call says so."""
    client.close()
    with pytest.raises(AchieveItServerError, match="the client was closed"):
        client.get_plan_version("p1")
    assert not sandbox.requests


def end_by_closing(client: AchieveItClient, sandbox: Sandbox) -> AchieveItError:
    """Close a client while another thread is in a request, and return the error that the thread gets."""
    caught: list[AchieveItError] = []

    def ask() -> None:
        try:
            client.get_plan_version("p1")
        except AchieveItError as error:
            caught.append(error)

    thread = Thread(target=ask, daemon=True)
    thread.start()
    while not sandbox.requests:
        time.sleep(0.01)
    time.sleep(0.3)
    client.close()
    thread.join(20)
    assert not thread.is_alive()
    return caught[0]
