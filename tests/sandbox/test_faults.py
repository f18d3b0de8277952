"""Scripted faults, seen from the client's end of the socket."""

from __future__ import annotations

import base64
import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
import requests


def test_strikes_at_the_nth_request(sandbox, get):
    """`at` counts requests from when the script was set, and without it every request is struck."""
    get()
    sandbox.script({"at": 2, "fault": {"status": 500}})
    assert [get().status_code for _ in range(3)] == [200, 500, 200]
    sandbox.script({"fault": {"status": 503}})
    assert [get().status_code for _ in range(3)] == [503, 503, 503]
    sandbox.script()
    assert get().status_code == 200


def test_counts_the_requests_of_a_plan(sandbox, get):
    """With a plan only its requests count."""
    sandbox.put_plan("q", 3)
    sandbox.script({"at": 2, "plan": "q", "fault": {"status": 500}})
    assert [get(plan).status_code for plan in ("p", "q", "p", "q", "q")] == [200, 200, 200, 500, 200]


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"fault": {}},
        {"fault": {"stats": 500}},
        {"fault": {"status": 500}, "when": 2},
        {"fault": {"status": 500}, "at": 0},
        {"fault": {"edit": {"name": "not in fields"}}},
        "hang",
    ],
    ids=str,
)
def test_refuses_a_script_that_says_nothing_known(sandbox, get, line):
    """A typing error in a script is an error, not a test that passes; the earlier script stays."""
    sandbox.script({"fault": {"status": 418}})
    with pytest.raises(ValueError, match=r"not|has no"):
        sandbox.script({"fault": {"status": 500}}, line)
    assert get().status_code == 418


def test_answers_any_status_with_retry_after(sandbox, get):
    """`Retry-After` in both of its forms, and as whatever else a server might write."""
    sandbox.script(
        {"at": 1, "fault": {"status": 429, "retry_after": 7, "body": "slow down"}},
        {"at": 2, "fault": {"status": 503, "retry_after_date": 60}},
        {"at": 3, "fault": {"status": 599, "retry_after": "soon"}},
    )
    seconds, date, odd = get(), get(), get()
    assert (seconds.status_code, seconds.headers["retry-after"], seconds.text) == (429, "7", "slow down")
    assert date.status_code == 503
    delay = parsedate_to_datetime(date.headers["retry-after"]) - datetime.now(UTC)
    assert 0 < delay.total_seconds() <= 61
    assert (odd.status_code, odd.headers["retry-after"]) == (599, "soon")


def test_answers_with_html(sandbox, get):
    """A 200 that is a web page, as proxies send it."""
    sandbox.script({"fault": {"html": True}})
    response = get()
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert response.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    "fault", [{"body": b"\xff\x00"}, {"body_base64": base64.b64encode(b"\xff\x00").decode()}], ids=str
)
def test_answers_with_any_bytes(sandbox, get, fault):
    """A 200 that says it is JSON and holds what the script says."""
    sandbox.script({"fault": fault})
    response = get()
    assert (response.status_code, response.content) == (200, b"\xff\x00")
    assert response.headers["content-type"].startswith("application/json")


def test_redirects(sandbox, get):
    """302 unless told otherwise, to wherever the script says."""
    sandbox.script(
        {"at": 1, "fault": {"redirect": "http://127.0.0.1:1/"}}, {"at": 2, "fault": {"redirect": "/x", "status": 308}}
    )
    assert [(r.status_code, r.headers["location"]) for r in (get(), get())] == [
        (302, "http://127.0.0.1:1/"),
        (308, "/x"),
    ]


def test_resets_the_connection(sandbox, get):
    """RST before a single byte; the next request is answered."""
    sandbox.script({"at": 1, "fault": {"reset": True}})
    with pytest.raises(requests.ConnectionError) as raised:
        get()
    assert "ConnectionResetError" in repr(raised.value)
    assert sandbox.requests[0].status is None
    assert get().status_code == 200


def test_closes_the_connection(sandbox, get):
    """FIN before a single byte, as from a server that tires of a kept connection."""
    sandbox.script({"at": 2, "fault": {"close": True}})
    get()
    with pytest.raises(requests.ConnectionError) as raised:
        get()
    assert "RemoteDisconnected" in repr(raised.value)


@pytest.mark.parametrize("reset", [False, True])
def test_truncates_the_body(sandbox, reset):
    """`Content-Length` promises the whole body, but the connection ends, properly or by RST, after a part of it."""
    sandbox.script({"fault": {"truncate": 1000, "reset": reset}})
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=30)
    connection.request("GET", "/exports/plans/p", headers={"Authorization": f"API-KEY {sandbox.key}"})
    response = connection.getresponse()
    assert int(response.headers["content-length"]) > 50_000
    with pytest.raises(ConnectionResetError if reset else http.client.IncompleteRead) as raised:
        response.read()
    if not reset:
        assert len(raised.value.partial) == 1000
    response.close()
    connection.close()


def test_hangs_and_then_answers(sandbox, get):
    """The answer comes after the pause, for who has the patience; who has not is noticed at once."""
    sandbox.script({"fault": {"hang": 0.3}})
    started = time.monotonic()
    assert get().status_code == 200
    assert time.monotonic() - started >= 0.3
    sandbox.script({"fault": {"hang": 3600}})
    with pytest.raises(requests.ReadTimeout):
        get(timeout=0.2)
    deadline = time.monotonic() + 30
    while sandbox.traffic().in_flight and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sandbox.traffic().in_flight == 0
    assert sandbox.requests[-1].status is None


def test_trickles_the_body(sandbox):
    """One byte after the other, so that no read ever waits long, but the whole takes for ever."""
    sandbox.script({"fault": {"body": "abcdef", "trickle": 0.05}})
    started = time.monotonic()
    response = requests.get(sandbox.url + "/exports/plans/p", timeout=30, stream=True)
    assert list(response.iter_content(1)) == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert time.monotonic() - started >= 0.25


def test_trickles_the_headers(sandbox, get):
    """The status line already takes its time."""
    sandbox.script({"fault": {"body": "{}", "trickle_headers": 0.005}})
    started = time.monotonic()
    assert get().json() == {}
    assert time.monotonic() - started >= 0.25


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"edit": {"item": 0, "fields": {"name": "edited"}}}, "edited"),
        ({"insert": {"at": 0, "fields": {"name": "inserted"}}}, "inserted"),
        ({"patch": {"item": 0, "fields": {"name": 5}}}, 5),
    ],
    ids=str,
)
def test_edits_just_before_the_answer(sandbox, get, fault, expected):
    """The second answer shows what the script did to the plan just before it, the first does not."""
    sandbox.script({"at": 2, "fault": fault})
    assert get(take=1).json()["items"][0]["name"] != expected
    assert get(take=1).json()["items"][0]["name"] == expected


def test_every_operation_can_be_scripted(sandbox, get):
    """Deletes and moves too, without arguments, on another plan, and together with an answer that fails."""
    sandbox.put_plan("q", 5)
    ids = [item["id"] for item in sandbox.plan("p").items()]
    sandbox.script(
        {"at": 1, "fault": {"delete": True}},
        {"at": 2, "fault": {"move": {"item": 0, "to": 1}}},
        {"at": 3, "fault": {"delete": {"plan": "q"}, "status": 500}},
        {"at": 4, "fault": {"replace": {"item": 0, "raw": base64.b64encode(b"{}").decode()}}},
    )
    first, second = get().json(), get().json()
    assert first["totalCount"] == 39
    assert set(ids) > {item["id"] for item in first["items"]}
    assert [item["id"] for item in second["items"]][:2] == [item["id"] for item in first["items"]][1::-1]
    assert get().status_code == 500
    assert len(sandbox.plan("q")) == 4
    assert get().json()["items"][0] == {}


def test_latency_and_the_number_in_flight(sandbox, get):
    """Requests wait side by side, and the sandbox knows how many there were at once."""
    sandbox.latency = 0.3
    with ThreadPoolExecutor(5) as pool:
        responses = list(pool.map(lambda _: requests.get(sandbox.url + "/exports/plans/p", timeout=30), range(5)))
    assert [response.status_code for response in responses] == [401] * 5
    assert sandbox.traffic().max_in_flight == sandbox.traffic("p").max_in_flight == 5
    assert sandbox.traffic().in_flight == 0
