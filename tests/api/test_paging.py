import gzip
import json
import re
import time
from collections.abc import Callable
from importlib.metadata import version
from itertools import islice
from threading import Thread
from urllib.parse import parse_qs

import pytest

from airflow_provider_achieveit import __version__
from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.errors import AchieveItConfigError, AchieveItDataError
from airflow_provider_achieveit.api.plan import Window
from airflow_provider_achieveit.api.plan_version import PlanVersion, parse_timestamp
from airflow_provider_achieveit.api.validate import SORT_DIRECTIONS, SORT_KEYS
from airflow_provider_achieveit.sandbox import sorting as server_sorting
from tests.api.raw_server import RawServer, answering, response
from tests.support.faulty_sandbox import Sandbox

Connect = Callable[..., AchieveItClient]


def queries(sandbox: Sandbox) -> list[dict[str, str]]:
    """The query parameters of the requests so far."""
    return [{key: value for key, (value,) in parse_qs(request.query).items()} for request in sandbox.requests]


def test_items_come_as_the_api_spells_them_and_in_its_order(client: AchieveItClient, sandbox: Sandbox) -> None:
    """A plan of three pages yields every item once, unchanged."""
    assert list(client.get_plan_items("p1")) == sandbox.plan("p1").items()


def test_requests_are_as_documented(client: AchieveItClient, sandbox: Sandbox) -> None:
    """Path, key, and all four query parameters are sent with every page."""
    list(client.get_plan_items("p1"))
    asked = {"take": "10", "sortKey": "sequenceId", "sortDirection": "asc"}
    assert queries(sandbox) == [{"skip": "0", **asked}, {"skip": "10", **asked}, {"skip": "20", **asked}]
    assert {(request.method, request.path) for request in sandbox.requests} == {("GET", "/exports/plans/p1")}
    assert all(request.key_ok for request in sandbox.requests)


def test_user_agent_has_the_real_version(client: AchieveItClient, sandbox: Sandbox) -> None:
    """The vendor can tell from the User-Agent which version of the package calls."""
    list(client.get_plan_items("one"))
    agent = sandbox.requests[0].user_agent
    assert agent == f"airflow-provider-achieveit/{__version__} python-requests/{version('requests')}"
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", __version__)


def test_a_lower_maximum_of_the_server_loses_nothing(client: AchieveItClient, sandbox: Sandbox) -> None:
    """`skip` advances by the items that came and not by those that were asked for."""
    sandbox.max_take = 7
    assert list(client.get_plan_items("p1")) == sandbox.plan("p1").items()
    assert [query["skip"] for query in queries(sandbox)] == ["0", "7", "14", "21"]


def test_take_is_never_above_the_documented_maximum(connect: Connect, sandbox: Sandbox) -> None:
    """Without a page size of its own, the client asks for 1500 items."""
    sandbox.put_plan("large", 1501)
    assert sum(1 for _ in connect().get_plan_items("large")) == 1501
    assert [query["take"] for query in queries(sandbox)] == ["1500", "1500"]


@pytest.mark.parametrize(("plan_id", "items"), [("one", 1), ("empty", 0)])
def test_a_small_plan_costs_one_request(client: AchieveItClient, sandbox: Sandbox, plan_id: str, items: int) -> None:
    """Plans of one page, and empty ones, need no second request."""
    assert len(list(client.get_plan_items(plan_id))) == items
    assert len(sandbox.requests) == client.requests_sent == 1


def test_an_empty_page_before_the_end_is_an_error(client: AchieveItClient, sandbox: Sandbox) -> None:
    """A server that stops delivering must neither end the plan early nor hold us in a loop."""
    sandbox.script({"at": 2, "fault": {"body": '{"items": [], "totalCount": 25}'}})
    with pytest.raises(AchieveItDataError, match="an empty page after 10 of 25 items") as caught:
        list(client.get_plan_items("p1"))
    assert caught.value.plan_id == "p1"
    assert len(sandbox.requests) == 2


def test_pages_are_asked_for_when_their_items_are_needed(client: AchieveItClient, sandbox: Sandbox) -> None:
    """Nothing is requested before the first item is taken, nor a page ahead of its items."""
    items = client.get_plan_items("p1")
    assert len(sandbox.requests) == 0
    list(islice(items, 10))
    assert len(sandbox.requests) == 1
    next(items)
    assert len(sandbox.requests) == 2


def test_compressed_answers_are_read(client: AchieveItClient, sandbox: Sandbox) -> None:
    """Gzip is asked for, and a sandbox that compresses is understood."""
    sandbox.gzip = True
    assert list(client.get_plan_items("p1")) == sandbox.plan("p1").items()
    assert {request.accept_encoding for request in sandbox.requests} == {"gzip"}


def test_a_compressed_body_is_decompressed_once(connect: Connect) -> None:
    """The bytes of a gzip body on the wire become the items that were compressed."""
    body = gzip.compress(json.dumps({"items": [{"id": "ü"}], "totalCount": 1}).encode())
    with RawServer(answering(response(body, "Content-Encoding: gzip"))) as server:
        assert list(connect(base_url=server.url).get_plan_items("p1")) == [{"id": "ü"}]


def test_pages_share_one_connection(client: AchieveItClient, sandbox: Sandbox) -> None:
    """Sequential pages travel over one TCP connection."""
    before = set(sandbox.transports)
    seen = set()
    sandbox.before_request = lambda _: seen.update(sandbox.transports)
    list(client.get_plan_items("p1"))
    list(client.get_plan_items("p1"))
    assert len(sandbox.requests) == 6
    assert len(seen - before) == 1


def test_an_idle_connection_that_the_server_closed_is_replaced(connect: Connect) -> None:
    """A keep-alive connection that ended between two pages costs no try."""
    page = json.dumps({"items": [{"id": "1"}, {"id": "2"}], "totalCount": 4}).encode()
    with RawServer(answering(response(page))) as server:
        client = connect(base_url=server.url, page_size=2)
        items = client.get_plan_items("p1")
        first = list(islice(items, 2))
        time.sleep(0.5)  # the server hangs up meanwhile
        assert len(first + list(items)) == 4
        assert client.requests_sent == server.connections == 2


@pytest.mark.parametrize("direction", SORT_DIRECTIONS)
@pytest.mark.parametrize("key", SORT_KEYS)
def test_every_documented_sort_is_accepted(client: AchieveItClient, sandbox: Sandbox, key: str, direction: str) -> None:
    """All 22 sort keys reach the API in both directions with every page, and the API takes them."""
    items = list(client.get_plan_items("p1", sort_key=key, sort_direction=direction))
    assert sorted(item["id"] for item in items) == sorted(item["id"] for item in sandbox.plan("p1").items())
    assert [(query["sortKey"], query["sortDirection"]) for query in queries(sandbox)] == [(key, direction)] * 3


def test_the_sort_keys_are_those_of_the_api() -> None:
    """Client and sandbox, each written down from the vendor's page, agree on 22 keys."""
    assert len(SORT_KEYS) == len(set(SORT_KEYS)) == 22
    assert set(SORT_KEYS) == set(server_sorting.SORT_KEYS)


@pytest.mark.parametrize("key", ["", "id", "sequenceid", "NAME", "name ", "name&take=9", "Last Updated", None, 5])
def test_another_sort_key_is_refused_before_a_request(client: AchieveItClient, sandbox: Sandbox, key: str) -> None:
    """The error comes at once, names the value, lists the keys, and nothing is sent."""
    with pytest.raises(AchieveItConfigError) as caught:
        client.get_plan_items("p1", sort_key=key)
    assert f"sort_key {key!r} is none of name, sequenceId, " in str(caught.value)
    assert not sandbox.requests


@pytest.mark.parametrize("direction", ["", "ASC", "descending", "up", None, True])
def test_another_direction_is_refused_before_a_request(
    client: AchieveItClient, sandbox: Sandbox, direction: str
) -> None:
    """The error comes at once, names the value and both directions, and nothing is sent."""
    with pytest.raises(AchieveItConfigError) as caught:
        client.get_plan_items("p1", sort_direction=direction)
    assert f"sort_direction {direction!r} is neither asc nor desc" in str(caught.value)
    assert not sandbox.requests


def test_the_version_takes_one_tiny_request(client: AchieveItClient, sandbox: Sandbox) -> None:
    """One item, sorted by the newest update, tells count, time and id."""
    newest = sandbox.plan("p1").edit(3, name="Renamed")
    version = client.get_plan_version("p1")
    assert version == PlanVersion(25, parse_timestamp(newest["lastUpdated"]))
    assert (version.item_id, version.item_name) == (newest["id"], "Renamed")
    assert queries(sandbox) == [{"skip": "0", "take": "1", "sortKey": "lastUpdated", "sortDirection": "desc"}]


def test_the_version_of_an_empty_plan_is_zero(client: AchieveItClient) -> None:
    """A plan without items has a version, too."""
    version = client.get_plan_version("empty")
    assert (version.total_count, version.last_updated, version.item_id) == (0, None, None)


def test_concurrent_windows_come_back_in_order(connect: Connect, sandbox: Sandbox) -> None:
    """Windows that are fetched concurrently are yielded in the order in which they were asked for."""
    ids = [item["id"] for item in sandbox.plan("p1").items()]
    # The first answers come last.
    sandbox.script({"at": 1, "fault": {"hang": 0.4}}, {"at": 2, "fault": {"hang": 0.2}})
    windows = [Window(skip, 3) for skip in range(0, 25, 3)]
    bodies = connect(max_concurrency=4).plan("p1").pages(windows, json.loads)
    assert [item["id"] for body in bodies for item in body["items"]] == ids


def test_no_more_requests_are_in_flight_than_allowed(connect: Connect, sandbox: Sandbox) -> None:
    """`max_concurrency` holds at the server while many windows are fetched."""
    sandbox.put_plan("busy", 30)
    sandbox.latency = 0.2
    windows = [Window(skip, 3) for skip in range(0, 30, 3)]
    assert len(list(connect(max_concurrency=3).plan("busy").pages(windows, json.loads))) == 10
    assert sandbox.traffic("busy").requests == 10
    assert 2 <= sandbox.traffic("busy").max_in_flight <= 3


def test_threads_that_share_a_client_share_its_limit(connect: Connect, sandbox: Sandbox) -> None:
    """`max_concurrency` is a promise of the client and not of one call."""
    sandbox.put_plan("shared", 30)
    sandbox.latency = 0.05
    client = connect(max_concurrency=2, page_size=10)
    threads = [Thread(target=lambda: list(client.get_plan_items("shared"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sandbox.traffic("shared").requests == client.requests_sent == 18
    assert sandbox.traffic("shared").max_in_flight <= 2
