"""Control over HTTP, as tests in other processes and people with curl use it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from collections.abc import Callable


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
    assert control("GET", "/plans/new")["requests"] == 2
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
    items = control("GET", "/plans/p/items")
    assert items == get().json()["items"]
    edited = control("POST", "/plans/p/edit", {"item": items[2]["id"], "fields": {"name": "x"}})
    assert (edited["id"], edited["name"]) == (items[2]["id"], "x")
    assert edited["lastUpdated"] > max(item["lastUpdated"] for item in items)
    assert control("POST", "/plans/p/edit")["lastUpdated"] > edited["lastUpdated"]
    assert control("POST", "/plans/p/insert", {"at": 0, "touch": False})["rowNumber"] == 1
    assert control("POST", "/plans/p/delete", {"item": 0})["rowNumber"] == 1
    assert control("POST", "/plans/p/move", {"item": 0, "to": 4})["rowNumber"] == 5
    assert control("POST", "/plans/p/patch", {"item": 0, "remove": ["tags"], "fields": {"odd name": [1]}})[
        "odd name"
    ] == [1]
    control("POST", "/plans/p/replace", {"item": 0, "raw": base64.b64encode(b"null").decode()})
    assert get(take=1).json()["items"] == [None]


def test_settings_change_while_it_runs(control, get):
    """Key, latency, largest page and compression."""
    assert control("GET", "/settings") == {"key": "sandbox-key", "latency": 0.0, "max_take": 1500, "gzip": False}
    control("PATCH", "/settings", {"max_take": 5, "gzip": True})
    assert len(get(take=10).json()["items"]) == 5
    assert get().headers["content-encoding"] == "gzip"
    control("PATCH", "/settings", {"key": "other"})
    assert get().status_code == 401


def test_requests_are_counted_and_forgotten(control, get):
    """The log tells what came in, without what was asked of the control endpoints."""
    get(take=3)
    get("unknown")
    seen = control("GET", "/requests")
    assert (seen["requests"], seen["max_in_flight"], seen["in_flight"]) == (2, 1, 0)
    assert [(line["plan"], line["query"], line["status"]) for line in seen["log"]] == [
        ("p", "take=3", 200),
        ("unknown", "", 404),
    ]
    assert seen["log"][0]["user_agent"].startswith("python-requests")
    assert seen["log"][0]["has_key"] is True
    assert control("DELETE", "/requests")["log"] == []
    assert control("GET", "/requests")["requests"] == 0


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
        ("GET", "/plans/unknown", None, 404),
        ("DELETE", "/plans/unknown", None, 404),
        ("POST", "/plans/unknown/edit", {}, 404),
        ("POST", "/plans/p/edit", {"item": "nobody"}, 404),
        ("POST", "/plans/p/edit", {"item": 40}, 404),
        ("POST", "/plans/p/edit", {"name": "not in fields"}, 400),
        ("POST", "/plans/p/state", {}, 400),
        ("PUT", "/plans/q", {"items": -1}, 400),
        ("PUT", "/plans/q", {}, 400),
        ("PUT", "/faults", [{"fault": {"stats": 500}}], 400),
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
    assert response.json()["message"]
    assert list(sandbox.plans) == ["p"]
    assert sandbox.plan("p").state() is before


def test_refuses_a_body_that_is_not_json(sandbox):
    """400, not a stack trace."""
    response = requests.put(f"{sandbox.url}/_sandbox/faults", data=b"{nope", timeout=30)
    assert response.status_code == 400
