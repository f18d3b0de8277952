"""What the API answers: pages, sort keys, limits and refusals."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests

from airflow_provider_achieveit.sandbox.sorting import SORT_KEYS

# The keys of the vendor's page with the field that each sorts by, where items have it.
TEXT_KEYS = {
    "name": "name",
    "level": "level",
    "assignedToFullName": "assignedToFullName",
    "alignsTo": "alignsTo",
    "assignedByFullName": "assignedByFullName",
    "dependentOn": "dependentOn",
    "description": "description",
    "indentedName": "indentedName",
    "updateFrequencyDescription": "updateFrequencyDescription",
    "planName": "planName",
    "start": "start",
    "due": "due",
    "created": "created",
    "lastUpdated": "lastUpdated",
}
NUMBER_KEYS = {
    "status": "status",
    "updates": "updates",
    "currentValue": "currentValue",
    "baseline": "baseline",
    "target": "target",
}
UNSEEN_KEYS = {"assignedToEmailAddress", "lastProgressUpdateUser"}


def _ids(body: dict[str, Any]) -> list[str]:
    return [item["id"] for item in body["items"]]


def test_knows_the_22_sort_keys():
    """Every documented sort key is tested below, and there is no other."""
    assert {*TEXT_KEYS, *NUMBER_KEYS, *UNSEEN_KEYS, "sequenceId"} == set(SORT_KEYS)
    assert len(SORT_KEYS) == 22


@pytest.mark.parametrize("sort_key", TEXT_KEYS)
def test_sorts_by_text_and_dates(sandbox, get, sort_key):
    """Text and dates sort by their characters, null first, and equal ones stay in sequence in both directions."""
    sandbox.put_plan("p", 120)
    items = sandbox.plan("p").items()

    def rank(item):
        value = item[TEXT_KEYS[sort_key]]
        return (value is not None, value or "")

    for direction in ("asc", "desc"):
        expected = sorted(items, key=rank, reverse=direction == "desc")
        assert get(sortKey=sort_key, sortDirection=direction, take=120).json()["items"] == expected


@pytest.mark.parametrize("sort_key", NUMBER_KEYS)
def test_sorts_numbers_as_numbers(sandbox, get, sort_key):
    """Numbers sort by value, also those that the API writes as strings."""
    sandbox.put_plan("p", 120)
    items = sandbox.plan("p").items()
    for direction in ("asc", "desc"):
        expected = sorted(items, key=lambda item: float(item[NUMBER_KEYS[sort_key]]), reverse=direction == "desc")
        assert get(sortKey=sort_key, sortDirection=direction, take=120).json()["items"] == expected


@pytest.mark.parametrize("sort_key", sorted(UNSEEN_KEYS))
def test_sorts_by_what_items_do_not_show(sandbox, get, sort_key):
    """Keys without a field give an order of their own, the same every time, complete in both directions."""
    sandbox.put_plan("p", 120)
    plain = _ids(get(take=120).json())
    ascending = _ids(get(sortKey=sort_key, take=120).json())
    descending = _ids(get(sortKey=sort_key, sortDirection="desc", take=120).json())
    assert sorted(ascending) == sorted(descending) == sorted(plain)
    assert len({tuple(plain), tuple(ascending), tuple(descending)}) == 3
    assert _ids(get(sortKey=sort_key, take=120).json()) == ascending


def test_sequence_is_the_default_order(sandbox, get):
    """Without a sort key items come in the order of the plan, and backwards when asked."""
    items = sandbox.plan("p").items()
    assert [item["rowNumber"] for item in items] == list(range(1, 41))
    assert get().json()["items"] == get(sortKey="sequenceId", sortDirection="asc").json()["items"] == items
    assert get(sortDirection="desc").json()["items"] == items[::-1]


def test_odd_values_do_not_break_the_sorting(sandbox, get):
    """An item with values of any type still has a place under every key."""
    for value in (None, 7, -1.5, "x", [1], {"a": None}, True):
        sandbox.plan("p").patch(None, **dict.fromkeys((*TEXT_KEYS, *NUMBER_KEYS, "lastUpdateCommentId"), value))
    for sort_key in SORT_KEYS:
        assert sorted(_ids(get(sortKey=sort_key).json())) == sorted(_ids(get().json()))


def test_pages_join_to_the_plan(sandbox, get):
    """`skip` and `take` cut the plan into pages without a gap; past its end there is nothing, with the same count."""
    sandbox.put_plan("p", 250)
    pages = [get(skip=skip, take=70).json() for skip in (0, 70, 140, 210, 250, 9_999)]
    assert [len(page["items"]) for page in pages] == [70, 70, 70, 40, 0, 0]
    assert {page["totalCount"] for page in pages} == {250}
    assert [item for page in pages for item in page["items"]] == sandbox.plan("p").items()


def test_take_has_a_default_and_a_maximum(sandbox, get):
    """100 items unless asked for more, and never more than the maximum, which may fall while the server runs."""
    sandbox.put_plan("p", 1600)
    assert len(get().json()["items"]) == 100
    assert len(get(take=1600).json()["items"]) == 1500
    sandbox.max_take = 7
    assert len(get(take=1600).json()["items"]) == 7
    assert len(get().json()["items"]) == 7


def test_an_empty_plan_has_no_items(sandbox, get):
    """An empty plan is an answer, not an error."""
    sandbox.put_plan("p", 0)
    assert get(sortKey="lastUpdated", sortDirection="desc", take=1).json() == {"items": [], "totalCount": 0}


def test_a_plan_has_its_newest_item_first_by_last_updated(sandbox, get):
    """The one request that asks for a plan's version sees every edit, because an edit is newer than all before."""
    for _ in range(20):
        edited = sandbox.plan("p").edit()
        (newest,) = get(sortKey="lastUpdated", sortDirection="desc", take=1).json()["items"]
        assert newest == edited


@pytest.mark.parametrize(
    "query",
    [
        {"skip": "-1"},
        {"take": "-1"},
        {"skip": "x"},
        {"take": "1.0"},
        {"take": ""},
        {"take": "٣"},
        {"take": "9" * 30},
        {"sortKey": "nope"},
        {"sortKey": "NAME"},
        {"sortKey": ""},
        {"sortDirection": "up"},
        {"sortDirection": ""},
    ],
    ids=str,
)
def test_refuses_a_query_that_makes_no_sense(get, query):
    """400, with a message that names the parameter."""
    response = get(**query)
    assert response.status_code == 400
    assert next(iter(query)) in response.json()["message"]


@pytest.mark.parametrize("authorization", [None, "", "API-KEY wrong", "sandbox-key", "Bearer sandbox-key", "API-KEY "])
def test_refuses_a_missing_or_wrong_key(sandbox, authorization):
    """401 for whoever is not let in, whatever they ask for."""
    headers = {} if authorization is None else {"Authorization": authorization}
    for path in ("/exports/plans/p", "/exports/plans/unknown", "/elsewhere"):
        assert requests.get(sandbox.url + path, headers=headers, timeout=30).status_code == 401


def test_a_changed_key_is_a_revoked_key(sandbox, get):
    """Clients with the old key are refused from the next request on."""
    assert get().status_code == 200
    sandbox.key = "another"
    assert get().status_code == 401


def test_refuses_unknown_and_forbidden_plans(sandbox, get):
    """404 for a plan that is not there, 403 for one that the key's user can't view."""
    assert get("unknown").status_code == 404
    sandbox.plan("p").forbidden = True
    assert get().status_code == 403
    sandbox.plan("p").forbidden = False
    assert get().status_code == 200


def test_only_answers_get(sandbox):
    """The API exports; it takes nothing."""
    headers = {"Authorization": f"API-KEY {sandbox.key}"}
    assert requests.post(f"{sandbox.url}/exports/plans/p", headers=headers, timeout=30).status_code == 405


def test_compresses_for_who_accepts_it(sandbox, get):
    """Compressed when that is switched on and accepted; the same items either way, also after an edit."""
    plain = get()
    assert "content-encoding" not in plain.headers
    sandbox.gzip = True
    for _ in range(2):
        packed = get()
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.json()["items"] == sandbox.plan("p").items()
        assert int(packed.headers["content-length"]) < len(plain.content) / 2
        sandbox.plan("p").edit()
    headers = {"Authorization": f"API-KEY {sandbox.key}", "Accept-Encoding": "gzip;q=0, identity"}
    refused = requests.get(f"{sandbox.url}/exports/plans/p", headers=headers, timeout=30)
    assert "content-encoding" not in refused.headers


def test_notes_what_came_in(sandbox, get):
    """The log tells each request with its query, client and status, but not the key."""
    get(take=3, skip=1)
    get("unknown")
    requests.get(f"{sandbox.url}/exports/plans/p", headers={"User-Agent": "me/1"}, timeout=30)
    first, second, third = sandbox.requests
    assert (first.method, first.path, first.query) == ("GET", "/exports/plans/p", "take=3&skip=1")
    assert [request.status for request in sandbox.requests] == [200, 404, 401]
    assert [request.number for request in sandbox.requests] == [1, 2, 3]
    assert [request.plan for request in sandbox.requests] == ["p", "unknown", "p"]
    assert [request.has_key for request in sandbox.requests] == [True, True, False]
    assert first.key_ok
    assert not third.key_ok
    assert third.user_agent == "me/1"
    assert sandbox.key not in repr(sandbox.requests)
    assert (sandbox.traffic().requests, sandbox.traffic("p").requests) == (3, 2)
    while sandbox.traffic("p").in_flight:
        time.sleep(0.01)  # the client may have its answer an instant before the server counts that
    sandbox.reset_requests()
    assert sandbox.requests == []
    assert sandbox.traffic("p").requests == 0
    assert second.finished >= second.arrived
