"""A client bound to a plan, and several of them that share a client."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from airflow_provider_achieveit import api
from airflow_provider_achieveit.api.errors import AchieveItClosedError, AchieveItConfigError
from airflow_provider_achieveit.api.plan import Window
from airflow_provider_achieveit.api.response import parse_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_achieveit.api.client import AchieveItClient
    from tests.support.faulty_sandbox import Sandbox

    Connect = Callable[..., AchieveItClient]

parse_five = partial(parse_page, take=5)


def test_a_plan_counts_its_own_requests(connect: Connect, sandbox: Sandbox) -> None:
    """Tries included, whatever else the client is asked for at the same time."""
    sandbox.put_plan("other", 40)
    sandbox.script({"plan": "p1", "at": 1, "fault": {"status": 503}})
    client = connect(page_size=10)
    plan, other = client.plan("p1"), client.plan("other")
    with ThreadPoolExecutor(2) as threads:
        mine, theirs = threads.map(lambda each: list(each.items()), (plan, other))
    assert (len(mine), len(theirs)) == (25, 40)
    assert (plan.requests, other.requests) == (4, 4)
    assert client.requests_sent == 8


def test_many_plans_at_once_share_few_threads(connect: Connect, sandbox: Sandbox) -> None:
    """Twenty plans that are read page by page at the same time through one client need no threads of their own."""
    before = set(threading.enumerate())  # other tests' clients may not have ended theirs yet
    client = connect(max_concurrency=4)
    windows = [Window(skip, 5) for skip in range(0, 25, 5)]
    most = 0

    def read(_: int) -> int:
        nonlocal most
        count = 0
        for items, _total in client.plan("p1").pages(windows, parse_five):
            count += len(items)
            names = [thread.name for thread in set(threading.enumerate()) - before]
            # A name is looked up in a thread that ends with that.
            most = max(most, sum(name.startswith("achieveit") and name != "achieveit-resolve" for name in names))
        return count

    with ThreadPoolExecutor(20) as readers:
        assert list(readers.map(read, range(20))) == [25] * 20
    assert most == 6, "five for requests, one that decodes"
    assert sandbox.traffic("p1").max_in_flight <= 4


def test_leaving_the_client_closes_it(connect: Connect, sandbox: Sandbox) -> None:
    """It is a context manager; what it made says that it was closed."""
    with connect() as client:
        plan = client.plan("p1")
        assert plan.version().total_count == 25
    for use in (plan.version, lambda: list(plan.pages([Window(0, 5)], parse_five)), client.cancellation.check):
        with pytest.raises(AchieveItClosedError):
            use()
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("plan_id", ["", "../p1", "p 1", "a" * 65, None, 7])
def test_a_plan_id_is_checked_before_anything_is_sent(
    client: AchieveItClient, sandbox: Sandbox, plan_id: object
) -> None:
    """It becomes part of a URL and of paths."""
    with pytest.raises(AchieveItConfigError, match="plan_id"):
        client.plan(plan_id)  # type: ignore[arg-type]  # as a mistaken caller would
    assert not sandbox.requests


def test_the_front_door_has_what_it_names() -> None:
    """Every public name of `api` can be imported from there, and nothing else pretends to."""
    assert all(getattr(api, name).__name__ == name for name in api.__all__)
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = api.Nonsense


def test_naming_an_error_loads_no_http_library() -> None:
    """DAG files are parsed every few seconds."""
    program = "import sys; from airflow_provider_achieveit.api import AchieveItError; print('requests' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
