"""Several tasks share one limit of the API: they do not come back together, and can be told to be slower."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from airflow_provider_achieveit.api.errors import AchieveItRateLimitError, AchieveItServerError, AchieveItShapeError
from airflow_provider_achieveit.api.plan import Window
from airflow_provider_achieveit.api.response import parse_page
from airflow_provider_achieveit.api.retry import RetryBudget

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.sandbox import Sandbox

    Connect = Callable[..., AchieveItClient]


def delays(retry_after: float, budget: float = 1000.0, count: int = 200) -> list[float]:
    """How long several processes wait after the same answer."""
    result = []
    for _ in range(count):
        tries = RetryBudget(budget)
        tries.begin()
        delay = tries.delay(AchieveItRateLimitError("429", retry_after=retry_after))
        assert delay is not None
        result.append(delay)
    return result


def test_who_was_told_the_same_does_not_come_back_at_the_same_moment() -> None:
    """Each adds up to a quarter of the delay at random, and never waits less than was asked for."""
    waits = delays(40)
    assert 40 <= min(waits) < 41
    assert 49 < max(waits) <= 50


def test_the_spread_is_bounded() -> None:
    """By 15 seconds, and by the budget: a delay that fits into it is waited out, however the dice fall."""
    assert max(delays(800)) <= 815
    assert 99 <= min(delays(99, budget=100)) <= max(delays(99, budget=100)) <= 100


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (AchieveItRateLimitError("429", retry_after=11), None),
        (AchieveItShapeError("odd", retry_after=1), None),
        (AchieveItServerError("503", retry_after=0), 0.25),
        (AchieveItServerError("503"), 0.25),
    ],
    ids=["beyond the budget", "final", "told to come at once", "told nothing"],
)
def test_a_budget_says_whether_there_is_another_try(error: AchieveItServerError, expected: float | None) -> None:
    """The own delay is the least that is waited."""
    budget = RetryBudget(10)
    budget.begin()
    delay = budget.delay(error)
    assert delay == expected if expected is None else delay is not None and expected <= delay <= 2 * expected


def test_the_delay_of_a_try_is_decided_once() -> None:
    """The pause of all requests and the wait of the one that met it are the same."""
    budget = RetryBudget(1000)
    budget.begin()
    error = AchieveItRateLimitError("429", retry_after=40)
    assert budget.delay(error) == budget.delay(error)


def test_requests_per_second_holds_for_all_threads_of_a_client(connect: Connect, sandbox: Sandbox) -> None:
    """However many plans are read at once, and however quick the answers are."""
    client = connect(requests_per_second=10, max_concurrency=4, page_size=5)
    windows = [Window(skip, 5) for skip in range(0, 25, 5)]

    def read(plan_id: str) -> int:
        return len(list(client.plan(plan_id).pages(windows, partial(parse_page, take=5))))

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(read, ["p1"] * 3)) == [5] * 3
    arrived = sorted(request.arrived for request in sandbox.requests)
    assert len(arrived) == 15
    assert arrived[-1] - arrived[0] >= 1.2, "fourteen tenths of a second, less what the first one took longer"


def test_idle_time_is_not_saved_up(connect: Connect, sandbox: Sandbox) -> None:
    """After a while without requests there is no burst."""
    client = connect(requests_per_second=5)
    for _ in range(4):
        client.get_plan_version("p1")
    gaps = [
        later.arrived - earlier.arrived for earlier, later in zip(sandbox.requests, sandbox.requests[1:], strict=False)
    ]
    assert min(gaps) > 0.1
    assert sum(gaps) > 0.5


def test_without_a_limit_nobody_waits(connect: Connect, sandbox: Sandbox) -> None:
    """The default."""
    client = connect()
    assert client.settings.requests_per_second == 0
    for _ in range(20):
        client.get_plan_version("p1")
    assert sandbox.requests[-1].arrived - sandbox.requests[0].arrived < 10
