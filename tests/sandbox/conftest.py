"""One running sandbox for each test file, as good as new for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_achieveit.sandbox import DEMO_KEY
from tests.support.faulty_sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    """Start it once for all tests of a file."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    """A sandbox with the plan `p` of 40 items."""
    for plan_id in list(running.plans):
        running.remove_plan(plan_id)
    running.put_plan("p", 40)
    running.key, running.latency, running.max_take, running.gzip = DEMO_KEY, 0.0, 1500, False
    running.before_request = None
    running.script()
    running.reset_requests()
    return running


@pytest.fixture
def get(sandbox: Sandbox) -> Iterator[Callable[..., requests.Response]]:
    """Send a request for the plan `p` with the right key; keyword arguments become the query."""
    with requests.Session() as session:
        session.headers["Authorization"] = f"API-KEY {DEMO_KEY}"

        def send(plan_id: str = "p", timeout: float = 30, **query: Any) -> requests.Response:
            url = f"{sandbox.url}/exports/plans/{plan_id}"
            return session.get(url, params=query, timeout=timeout, allow_redirects=False)

        yield send
