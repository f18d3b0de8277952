"""Control over HTTP, as tests in other processes and people with curl use it."""

from __future__ import annotations

import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_achieveit.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The sandbox as it is shipped, with the plan `p` of 40 items."""
    with Sandbox({"p": 40}) as sandbox:
        yield sandbox


@pytest.fixture
def control(sandbox) -> Callable[..., Any]:
    """Call a control endpoint and return its JSON; a refusal is an error."""

    def call(method: str, path: str, body: Any = None) -> Any:
        response = requests.request(method, f"{sandbox.url}/_sandbox{path}", json=body, timeout=30)
        assert response.status_code == 200, response.text
        return response.json()

    return call


def test_plans_come_and_go(control, get):
    """Plans are created, listed, replaced and removed."""
    assert control("PUT", "/plans/new", {"items": 3, "name": "Mine"})["items"] == 3
    assert get("new").json()["totalCount"] == 3
    assert get("new").json()["items"][0]["planName"] == "Mine"
    control("PUT", "/plans/new", {"items": 5})
    assert [(plan["id"], plan["items"]) for plan in control("GET", "/plans")] == [("p", 40), ("new", 5)]
    control("DELETE", "/plans/new")
    assert get("new").status_code == 404


def test_access_can_be_lost(control, get):
    """A plan becomes forbidden, and allowed again."""
    assert control("PATCH", "/plans/p", {"forbidden": True})["forbidden"]
    assert get().status_code == 403
    control("PATCH", "/plans/p", {"forbidden": False})
    assert get().status_code == 200


def test_items_can_be_changed(control, get):
    """Each operation works with arguments and without, and returns the item."""
    items = get().json()["items"]
    edited = control("POST", "/plans/p/edit", {"item": items[2]["id"], "fields": {"name": "x"}})
    assert (edited["id"], edited["name"]) == (items[2]["id"], "x")
    assert edited["lastUpdated"] > max(item["lastUpdated"] for item in items)
    assert control("POST", "/plans/p/edit")["lastUpdated"] > edited["lastUpdated"]
    assert control("POST", "/plans/p/insert", {"at": 0, "touch": False})["rowNumber"] == 1
    assert control("POST", "/plans/p/delete", {"item": 0})["rowNumber"] == 1
    assert control("POST", "/plans/p/move", {"item": 0, "to": 4})["rowNumber"] == 5
    assert control("POST", "/plans/p/edit", {"item": 0, "fields": {"odd name": [1]}})["odd name"] == [1]


def test_settings_change_while_it_runs(control, get):
    """Key, latency, largest page and compression."""
    assert control("GET", "/settings") == {"key": "sandbox-key", "latency": 0.0, "max_take": 1500, "gzip": False}
    control("PATCH", "/settings", {"max_take": 5, "gzip": True})
    assert len(get(take=10).json()["items"]) == 5
    assert get().headers["content-encoding"] == "gzip"
    control("PATCH", "/settings", {"key": "other"})
    assert get().status_code == 401


def test_requests_are_counted_and_forgotten(control, get, sandbox):
    """All requests to the API, also of unknown plans; not those to the control endpoints."""
    get(take=3)
    get("unknown")
    assert control("GET", "/requests") == {"requests": 2, "in_flight": 0, "max_in_flight": 1}
    assert control("DELETE", "/requests") == {"requests": 0, "in_flight": 0, "max_in_flight": 0}
    sandbox.latency = 0.3
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: requests.get(f"{sandbox.url}/exports/plans/p", timeout=30), range(3)))
    assert control("GET", "/requests") == {"requests": 3, "in_flight": 0, "max_in_flight": 3}


def test_faults_are_scripted_and_withdrawn(control, get):
    """A list of lines replaces the one before."""
    control(
        "PUT", "/faults", [{"at": 1, "fault": {"status": 429, "retry_after": 3}}, {"at": 2, "fault": {"edit": True}}]
    )
    assert get().status_code == 429
    assert "(edit 1)" in get().text
    control("PUT", "/faults", [{"fault": {"status": 500}}])
    assert get().status_code == 500
    control("DELETE", "/faults")
    assert get().status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("DELETE", "/plans/unknown", None, 404),
        ("POST", "/plans/unknown/edit", {}, 404),
        ("POST", "/plans/p/edit", {"item": "nobody"}, 404),
        ("POST", "/plans/p/edit", {"item": 40}, 404),
        ("POST", "/plans/p/edit", {"name": "not in fields"}, 400),
        ("POST", "/plans/p/edit", {"fields": []}, 400),
        ("POST", "/plans/p/edit", {"fields": {"rowNumber": 3}}, 400),
        ("POST", "/plans/p/edit", {"fields": {"touch": 3}}, 400),
        ("POST", "/plans/p/edit", {"touch": "yes"}, 400),
        ("POST", "/plans/p/edit", {"item": True}, 400),
        ("POST", "/plans/p/edit", {"item": 1.5}, 400),
        ("POST", "/plans/p/edit", {"item": {}}, 400),
        ("POST", "/plans/p/edit", [], 400),
        ("POST", "/plans/p/edit", "x", 400),
        ("POST", "/plans/p/move", {"item": 0, "to": 10**400}, 404),
        ("POST", "/plans/p/state", {}, 400),
        ("POST", "/plans/p/__init__", {}, 400),
        ("GET", "/elsewhere", None, 404),
        ("POST", "/plans", None, 405),
        ("HEAD", "/plans", None, 405),
        ("OPTIONS", "/plans", None, 405),
        ("PUT", "/plans/a.b", {"items": 1}, 400),
        ("PUT", "/plans/%0Aq", {"items": 1}, 400),
        ("PUT", "/plans/q", {"items": 10**9}, 400),
        ("PUT", "/plans/q", {"items": True}, 400),
        ("PUT", "/plans/q", {"items": 3, "name": 5}, 400),
        ("PUT", "/plans/q", 3, 400),
        ("PUT", "/plans/q", {"items": -1}, 400),
        ("PUT", "/plans/q", {}, 400),
        ("PUT", "/faults", [{"fault": {"stats": 500}}], 400),
        ("PUT", "/faults", [{"fault": {"status": "500"}}], 400),
        ("PUT", "/faults", [{"fault": {"status": 99}}], 400),
        ("PUT", "/faults", [{"fault": {"hang": -1}}], 400),
        ("PUT", "/faults", [{"fault": {"hang": 10**400}}], 400),
        ("PUT", "/faults", [{"fault": {"body": 5}}], 400),
        ("PUT", "/faults", [{"fault": {"retry_after": "5\r\nx: y"}}], 400),
        ("PUT", "/faults", [{"fault": {"edit": 5}}], 400),
        ("PUT", "/faults", [{"fault": {"edit": {"plan": []}}}], 400),
        ("PUT", "/faults", [{"fault": {"edit": {"item": []}}}], 400),
        ("PUT", "/faults", [{"fault": "edit"}], 400),
        ("PUT", "/faults", [{"plan": 3, "fault": {"status": 500}}], 400),
        ("PUT", "/faults", [3], 400),
        ("PUT", "/faults", {}, 400),
        ("PATCH", "/settings", [], 400),
        ("PATCH", "/settings", {"latency": -1}, 400),
        ("PATCH", "/settings", {"latency": True}, 400),
        ("PATCH", "/settings", {"max_take": 0}, 400),
        ("PATCH", "/settings", {"gzip": 1}, 400),
        ("PATCH", "/settings", {"key": 5}, 400),
        ("PATCH", "/settings", {"latency": "slow"}, 400),
        ("PATCH", "/settings", {"speed": 3}, 400),
        ("PATCH", "/plans/p", {"items": 3}, 400),
    ],
    ids=str,
)
def test_refuses_what_it_does_not_know(sandbox, method, path, body, status):
    """A clear refusal, and nothing has changed."""
    before = sandbox.plan("p").state()
    response = requests.request(method, f"{sandbox.url}/_sandbox{path}", json=body, timeout=30)
    assert response.status_code == status
    assert method == "HEAD" or response.json()["message"]
    assert list(sandbox.plans) == ["p"]
    assert (sandbox.key, sandbox.latency, sandbox.max_take, sandbox.gzip) == ("sandbox-key", 0.0, 1500, False)
    assert sandbox.plan("p").state() is before


@pytest.mark.parametrize(
    "body",
    [
        b"{nope",
        b"\xff",
        b"[" * 200_000,
        b'{"items":' + b"9" * 5_000 + b"}",
        b'{"items": NaN}',
        b'{"fields": ' + b"[" * 900 + b"]" * 900 + b"}",
    ],
    ids=["broken", "not UTF-8", "nested", "digits", "NaN", "nested in a field"],
)
def test_refuses_a_body_that_is_not_json(sandbox, body):
    """400 with a sentence, whatever it is, on a connection that can be used again."""
    with requests.Session() as session:
        for path in ("faults", "plans/q"):
            response = session.put(f"{sandbox.url}/_sandbox/{path}", data=body, timeout=30)
            assert response.status_code == 400
            assert response.json()["message"]
        assert session.get(f"{sandbox.url}/_sandbox/plans", timeout=30).json()[0]["items"] == 40


@pytest.mark.parametrize(("levels", "status"), [(49, 200), (50, 400), (900, 400)])
def test_bounds_how_deep_a_body_is(control, get, sandbox, levels, status):
    """What is taken can be read again, and sorted, without an end of the stack."""
    body = '{"item": 0, "fields": {"description": ' + "[" * (levels - 1) + "]" * (levels - 1) + "}}"
    response = requests.post(f"{sandbox.url}/_sandbox/plans/p/edit", data=body, timeout=30)
    assert response.status_code == status
    assert get(sortKey="description").status_code == 200


def test_refuses_a_body_that_is_too_large(sandbox):
    """413, although the client sends all of it first."""
    size = 20_000_000
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=30) as client:
        client.sendall(b"PUT /_sandbox/faults HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size)
        client.sendall(b" " * size)
        response = http.client.HTTPResponse(client)
        response.begin()
        assert response.status == 413
        assert "at most" in json.load(response)["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Length": "9" * 25}, 413),
        ({"Content-Length": "-5"}, 400),
        ({"Content-Length": "five"}, 400),
        ({"Transfer-Encoding": "chunked"}, 411),
    ],
    ids=str,
)
def test_refuses_a_body_of_no_clear_length(sandbox, headers, status):
    """Before any of it is read."""
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=30)
    connection.request("PUT", "/_sandbox/faults", headers=headers)
    response = connection.getresponse()
    assert response.status == status
    assert json.load(response)["message"]
    connection.close()


def test_survives_a_client_that_leaves_in_the_middle_of_its_body(sandbox):
    """Nothing is done, and others are served."""
    with socket.create_connection(("127.0.0.1", sandbox.port)) as client:
        client.sendall(b"DELETE /_sandbox/plans/p HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{}")
    assert requests.get(f"{sandbox.url}/_sandbox/plans", timeout=30).json()[0]["id"] == "p"


def test_a_scripted_edit_that_cannot_be_done_is_an_answer(control, get):
    """The plan may have changed since the script was checked."""
    control("PUT", "/faults", [{"at": 1, "fault": {"edit": {"item": 99}}}, {"at": 2, "fault": {"edit": {"plan": "x"}}}])
    for _ in range(2):
        response = get()
        assert response.status_code == 400
        assert "scripted edit" in response.json()["message"]
    assert get().status_code == 200
